//! The operator's commands as argh reads them, and what each means.

mod authority;

use argh::FromArgs;

use super::{Command, Verify};
use authority::Authority;

/// A command of operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum AdminCommand {
    Users { matching: Option<String>, limit: usize, after: Option<String>, json: bool },
    Show { account: String, json: bool },
    Suspend { account: String, reason: String },
    Resume { account: String },
    Revoke { account: String },
    CreateInvite { uses: u32, days: u32, note: String, json: bool },
    ListInvites { json: bool },
    RevokeInvite { id: String },
    Audit { account: Option<String>, limit: usize, json: bool },
    Backup { file: String },
    Restore { file: String },
    ShowAuthority { json: bool, pem: bool },
    IssueForProxy { names: Vec<String>, days: u32 },
    RotateAuthority,
}

/// Commands for operators. They work on the store directly, whether the tracker is running or not, and take the tracker's own settings.
#[derive(FromArgs)]
#[argh(subcommand, name = "admin")]
pub(super) struct Admin {
    #[argh(subcommand)]
    command: AdminSub,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum AdminSub {
    Users(Users),
    Show(Show),
    Suspend(Suspend),
    Resume(Resume),
    Revoke(Revoke),
    Invite(Invite),
    Audit(Audit),
    Backup(Backup),
    Restore(Restore),
    Authority(Authority),
    Doctor(Doctor),
    Ledger(Ledger),
}

/// List accounts, in the order of their ids. Exit codes: 0 listed, 2 wrong usage, 3 the store cannot be read.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "users",
    example = "peernet-tracker admin users --match 10.0.\npeernet-tracker admin users --json --limit 100 --after 123e4567-e89b-42d3-a456-426614174000"
)]
struct Users {
    /// only accounts with this in their address
    #[argh(option, long = "match", arg_name = "text")]
    matching: Option<String>,
    /// at most so many, 1 to 1000; by default 100
    #[argh(option, default = "100", from_str_fn(page))]
    limit: usize,
    /// only accounts after this id: the last one of the page before
    #[argh(option, arg_name = "id")]
    after: Option<String>,
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

/// Show one account. Exit codes: 0 shown, 1 there is none, 2 wrong usage, 3 the store cannot be read.
#[derive(FromArgs)]
#[argh(subcommand, name = "show", example = "peernet-tracker admin show 10.0.0.7:50051")]
struct Show {
    /// its id, or the address it was registered with
    #[argh(positional)]
    account: String,
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

/// Suspend an account: within 5 seconds every tracker of this database refuses its tokens and logins and offers its files no more. Exit codes: 0 done,
/// 1 there is no such account or it is suspended already, 2 wrong usage, 3 the store cannot be written.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "suspend",
    example = "peernet-tracker admin suspend 10.0.0.7:50051 --reason \"floods the swarm\""
)]
struct Suspend {
    /// its id, or the address it was registered with
    #[argh(positional)]
    account: String,
    /// why; stands in the audit log
    #[argh(option, arg_name = "text")]
    reason: String,
}

/// End a suspension; the account's tokens work again. Exit codes: 0 done, 1 there is no such account or it is not suspended, 2 wrong usage, 3 the store
/// cannot be written.
#[derive(FromArgs)]
#[argh(subcommand, name = "resume", example = "peernet-tracker admin resume 10.0.0.7:50051")]
struct Resume {
    /// its id, or the address it was registered with
    #[argh(positional)]
    account: String,
}

/// End every token and device of an account, as after a theft; it logs in again with its password. Exit codes: 0 done, 1 there is no such account, 2 wrong usage, 3
/// the store cannot be written.
#[derive(FromArgs)]
#[argh(subcommand, name = "revoke", example = "peernet-tracker admin revoke 123e4567-e89b-42d3-a456-426614174000")]
struct Revoke {
    /// its id, or the address it was registered with
    #[argh(positional)]
    account: String,
}

/// Invite codes, for registration = "invite".
#[derive(FromArgs)]
#[argh(subcommand, name = "invite")]
struct Invite {
    #[argh(subcommand)]
    command: InviteSub,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum InviteSub {
    Create(CreateInvite),
    List(ListInvites),
    Revoke(RevokeInvite),
}

/// Make an invite and print its code, once; only its hash is kept. Exit codes: 0 made, 2 wrong usage, 3 the store cannot be written.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "create",
    example = "peernet-tracker admin invite create --uses 20 --days 7 --note \"the lab\""
)]
struct CreateInvite {
    /// how many may register with it; by default 1
    #[argh(option, default = "1")]
    uses: u32,
    /// for how many days; by default 14
    #[argh(option, default = "14")]
    days: u32,
    /// for whom it is
    #[argh(option, default = "String::new()", arg_name = "text")]
    note: String,
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

/// List the newest 1000 invites, without their codes. Exit codes: 0 listed, 3 the store cannot be read.
#[derive(FromArgs)]
#[argh(subcommand, name = "list", example = "peernet-tracker admin invite list --json")]
struct ListInvites {
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

/// Take an invite back; accounts made with it stay. Exit codes: 0 done, 1 there is no such invite or it is revoked already, 3 the store cannot be written.
#[derive(FromArgs)]
#[argh(subcommand, name = "revoke", example = "peernet-tracker admin invite revoke 0123456789ab")]
struct RevokeInvite {
    /// its id as the list shows it
    #[argh(positional)]
    id: String,
}

/// Show what was done to accounts and invites, newest first. Exit codes: 0 shown, 2 wrong usage, 3 the store cannot be read.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "audit",
    example = "peernet-tracker admin audit --limit 20\npeernet-tracker admin audit --json --account 123e4567-e89b-42d3-a456-426614174000"
)]
struct Audit {
    /// only of this account, by id
    #[argh(option, arg_name = "id")]
    account: Option<String>,
    /// at most so many, 1 to 1000; by default 100
    #[argh(option, default = "100", from_str_fn(page))]
    limit: usize,
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

/// Copy the embedded database into a new file of mode 0600, while the tracker runs. With PostgreSQL use pg_dump. Exit codes: 0 done, 2 wrong usage, 3 it
/// cannot be read or written, or the file exists.
#[derive(FromArgs)]
#[argh(subcommand, name = "backup", example = "peernet-tracker admin backup /backup/tracker-monday.sqlite")]
struct Backup {
    /// the file to make
    #[argh(positional)]
    file: String,
}

/// Check a backup and put it in the place of the embedded database, which is kept beside it. The tracker must be stopped. Exit codes: 0 done, 1 a tracker is
/// running, 2 wrong usage, 3 the backup is damaged or cannot be put there.
#[derive(FromArgs)]
#[argh(subcommand, name = "restore", example = "peernet-tracker admin restore /backup/tracker-monday.sqlite")]
struct Restore {
    /// the backup
    #[argh(positional)]
    file: String,
}

/// Check configuration, data folder, key, disk, ports, store and clock; one line each, OK, WARN or FAIL, with what to do. Exit codes: 0 nothing fails, 1
/// something fails, 3 the store cannot be read.
#[derive(FromArgs)]
#[argh(subcommand, name = "doctor", example = "peernet-tracker doctor --json")]
pub(super) struct Doctor {
    /// print one JSON object
    #[argh(switch)]
    pub(super) json: bool,
}

/// The token ledger.
#[derive(FromArgs)]
#[argh(subcommand, name = "ledger")]
struct Ledger {
    #[argh(subcommand)]
    command: LedgerSub,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum LedgerSub {
    Verify(Verify),
}

fn page(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=crate::store::registry::PAGE_MAX).contains(limit));
    limit.ok_or_else(|| "must be 1 to 1000".to_owned())
}

impl From<Admin> for Command {
    fn from(admin: Admin) -> Self {
        Self::Admin(match admin.command {
            AdminSub::Ledger(Ledger { command: LedgerSub::Verify(Verify { json }) }) => {
                return Self::VerifyLedger { json };
            }
            AdminSub::Doctor(Doctor { json }) => return Self::Doctor { json },
            AdminSub::Users(Users { matching, limit, after, json }) => {
                AdminCommand::Users { matching, limit, after, json }
            }
            AdminSub::Show(Show { account, json }) => AdminCommand::Show { account, json },
            AdminSub::Suspend(Suspend { account, reason }) => AdminCommand::Suspend { account, reason },
            AdminSub::Resume(Resume { account }) => AdminCommand::Resume { account },
            AdminSub::Revoke(Revoke { account }) => AdminCommand::Revoke { account },
            AdminSub::Invite(Invite { command }) => invite(command),
            AdminSub::Audit(Audit { account, limit, json }) => AdminCommand::Audit { account, limit, json },
            AdminSub::Backup(Backup { file }) => AdminCommand::Backup { file },
            AdminSub::Authority(authority) => authority.into(),
            AdminSub::Restore(Restore { file }) => AdminCommand::Restore { file },
        })
    }
}

fn invite(command: InviteSub) -> AdminCommand {
    match command {
        InviteSub::Create(CreateInvite { uses, days, note, json }) => {
            AdminCommand::CreateInvite { uses, days, note, json }
        }
        InviteSub::List(ListInvites { json }) => AdminCommand::ListInvites { json },
        InviteSub::Revoke(RevokeInvite { id }) => AdminCommand::RevokeInvite { id },
    }
}
