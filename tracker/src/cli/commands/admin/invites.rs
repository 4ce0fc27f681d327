//! `admin invite create`, `list` and `revoke`.

use argh::{ArgsInfo, FromArgs};

use super::{AdminCommand, system_clock};
use crate::admin::{self, NewInvite};
use crate::boot::config::Config;
use crate::cli::{EXIT_OK, complain};

/// Manage invite codes, for registration = "invite".
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(
    subcommand,
    name = "invite",
    example = "peernet-tracker admin invite create --uses 20 --days 7 --note \"the lab\"\npeernet-tracker admin invite list"
)]
pub(super) struct Invite {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand)]
enum Command {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make an invite and print its code. The code is printed once, because only its hash is kept. Exit codes: 0 made, 2 wrong
/// usage, 3 the store cannot be written.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(
    subcommand,
    name = "create",
    example = "peernet-tracker admin invite create --uses 20 --days 7 --note \"the lab\""
)]
struct Create {
    /// number of accounts that may register with it; by default 1
    #[argh(option, default = "1")]
    uses: u32,
    /// number of days until it expires; by default 14
    #[argh(option, default = "14")]
    days: u32,
    /// a note for the operator, for example the guest's name
    #[argh(option, default = "String::new()", arg_name = "text")]
    note: String,
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

/// List the newest 1000 invites, without their codes. Exit codes: 0 listed, 2 wrong usage, 3 the store cannot be read.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand, name = "list", example = "peernet-tracker admin invite list --json")]
struct List {
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

/// Revoke an invite; accounts that were made with it stay. Exit codes: 0 done, 1 no such invite or it is revoked already,
/// 2 wrong usage, 3 the store cannot be written.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand, name = "revoke", example = "peernet-tracker admin invite revoke 0123456789ab")]
struct Revoke {
    /// the invite's id, as the list shows it
    #[argh(positional)]
    id: String,
}

impl AdminCommand for Invite {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        match self.command {
            Command::Create(command) => command.carry_out(config),
            Command::List(command) => command.carry_out(config),
            Command::Revoke(command) => command.carry_out(config),
        }
    }
}

impl AdminCommand for Create {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        let new = NewInvite { uses: self.uses, days: self.days, note: self.note };
        let fingerprint = admin::fingerprint(config);
        let store = admin::open(config)?;
        let (code, remark) = admin::create_invite(&*store, system_clock(), &new, fingerprint.as_deref(), self.json)?;
        if !remark.is_empty() {
            complain(EXIT_OK, &remark);
        }
        Ok(code)
    }
}

impl AdminCommand for List {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        admin::list_invites(&*admin::open(config)?, system_clock(), self.json)
    }
}

impl AdminCommand for Revoke {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        admin::revoke_invite(&*admin::open(config)?, system_clock(), &self.id)
    }
}
