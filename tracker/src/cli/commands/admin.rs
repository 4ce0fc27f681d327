//! `admin`: the operator's commands. Each prints its result, or fails with an error that decides the exit code.

mod accounts;
mod authority;
mod backup;
mod invites;
mod ledger;

use argh::{ArgsInfo, FromArgs};
use peernet_engine::ids::PeerId;

use super::{Doctor, Run};
use crate::admin::{self, AdminError};
use crate::boot::app::system_clock;
use crate::boot::config::Config;
use crate::cli::{EXIT_FAILED, EXIT_NO, EXIT_USAGE, complain, say};
use crate::store::accounts::PAGE_MAX;
use crate::store::audit_log::AuditQuery;

/// A command that works on the store or the authority's folder, and returns what to print.
trait AdminCommand {
    fn carry_out(self, config: &Config) -> admin::Result<String>;
}

/// Commands for operators. They work on the store directly, whether or not the tracker is running, and take the tracker's
/// own settings.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(
    subcommand,
    name = "admin",
    example = "peernet-tracker admin users --match 10.0.\npeernet-tracker admin invite create --uses 20\npeernet-tracker admin ledger verify --json"
)]
pub(crate) struct Admin {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand)]
enum Command {
    Users(accounts::Users),
    Show(accounts::Show),
    Suspend(accounts::Suspend),
    Resume(accounts::Resume),
    Revoke(accounts::Revoke),
    Invite(invites::Invite),
    Audit(Audit),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Authority(authority::Authority),
    Doctor(Doctor),
    Ledger(ledger::Ledger),
}

impl Run for Admin {
    fn run(self, config: Config) -> i32 {
        let result = match self.command {
            Command::Users(command) => command.carry_out(&config),
            Command::Show(command) => command.carry_out(&config),
            Command::Suspend(command) => command.carry_out(&config),
            Command::Resume(command) => command.carry_out(&config),
            Command::Revoke(command) => command.carry_out(&config),
            Command::Invite(command) => command.carry_out(&config),
            Command::Audit(command) => command.carry_out(&config),
            Command::Backup(command) => command.carry_out(&config),
            Command::Restore(command) => command.carry_out(&config),
            Command::Authority(command) => command.carry_out(&config),
            // These two print a report whatever it says, and have exit codes of their own.
            Command::Doctor(command) => return command.run(config),
            Command::Ledger(command) => return command.run(config),
        };
        match result {
            Ok(text) => say(&text),
            Err(error) => complain(code_of(&error), &error),
        }
    }
}

fn code_of(error: &AdminError) -> i32 {
    match error {
        AdminError::Usage(_) => EXIT_USAGE,
        AdminError::No(_) => EXIT_NO,
        AdminError::Failed(_) => EXIT_FAILED,
    }
}

/// Show what was done to accounts and invites, newest first. Exit codes: 0 shown, 2 wrong usage, 3 the store cannot be
/// read.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(
    subcommand,
    name = "audit",
    example = "peernet-tracker admin audit --limit 20\npeernet-tracker admin audit --json --account 123e4567-e89b-42d3-a456-426614174000"
)]
struct Audit {
    /// only what was done to this account, by its id
    #[argh(option, arg_name = "id")]
    account: Option<String>,
    /// show at most this many rows, 1 to 1000; by default 100
    #[argh(option, default = "100", from_str_fn(page))]
    limit: usize,
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

impl AdminCommand for Audit {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        let query = AuditQuery { account: peer_id(self.account, "--account")?, limit: self.limit };
        admin::list_audit(&*admin::open(config)?, &query, self.json)
    }
}

/// Reads `--limit`.
fn page(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
    limit.ok_or_else(|| format!("expected a number from 1 to {PAGE_MAX}, found {text:?}"))
}

/// Reads the peer id that an option names, if it was typed.
fn peer_id(text: Option<String>, option: &str) -> admin::Result<Option<PeerId>> {
    let parse = |text: String| text.parse().map_err(|error| AdminError::Usage(format!("{option}: {error}")));
    text.map(parse).transpose()
}
