//! `admin users`, `show`, `suspend`, `resume` and `revoke`.

use argh::{ArgsInfo, FromArgs};

use super::{AdminCommand, page, peer_id, system_clock};
use crate::admin;
use crate::boot::config::Config;
use crate::store::accounts::AccountQuery;

/// List accounts, in the order of their ids. Exit codes: 0 listed, 2 wrong usage, 3 the store cannot be read.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(
    subcommand,
    name = "users",
    example = "peernet-tracker admin users --match 10.0.\npeernet-tracker admin users --json --limit 100 --after 123e4567-e89b-42d3-a456-426614174000"
)]
pub(super) struct Users {
    /// only accounts whose address contains this text
    #[argh(option, long = "match", arg_name = "text")]
    matching: Option<String>,
    /// list at most this many accounts, 1 to 1000; by default 100
    #[argh(option, default = "100", from_str_fn(page))]
    limit: usize,
    /// only accounts after this id, which is the last one of the page before
    #[argh(option, arg_name = "id")]
    after: Option<String>,
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

/// Show one account. Exit codes: 0 shown, 1 no such account, 2 wrong usage, 3 the store cannot be read.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand, name = "show", example = "peernet-tracker admin show 10.0.0.7:50051")]
pub(super) struct Show {
    /// the account's id, or the address it was registered with
    #[argh(positional)]
    account: String,
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

/// Suspend an account. Within 5 seconds every tracker of this database refuses its tokens and logins, and stops offering its
/// files. Exit codes: 0 done, 1 no such account or it is suspended already, 2 wrong usage, 3 the store cannot be written.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(
    subcommand,
    name = "suspend",
    example = "peernet-tracker admin suspend 10.0.0.7:50051 --reason \"floods the swarm\""
)]
pub(super) struct Suspend {
    /// the account's id, or the address it was registered with
    #[argh(positional)]
    account: String,
    /// the reason, which the audit log keeps
    #[argh(option, arg_name = "text")]
    reason: String,
}

/// End a suspension; the account's tokens are good again. Exit codes: 0 done, 1 no such account or it is not suspended,
/// 2 wrong usage, 3 the store cannot be written.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand, name = "resume", example = "peernet-tracker admin resume 10.0.0.7:50051")]
pub(super) struct Resume {
    /// the account's id, or the address it was registered with
    #[argh(positional)]
    account: String,
}

/// Revoke every token and device of an account, for example after a theft; its owner logs in again with the password.
/// Exit codes: 0 done, 1 no such account, 2 wrong usage, 3 the store cannot be written.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand, name = "revoke", example = "peernet-tracker admin revoke 123e4567-e89b-42d3-a456-426614174000")]
pub(super) struct Revoke {
    /// the account's id, or the address it was registered with
    #[argh(positional)]
    account: String,
}

impl AdminCommand for Users {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        let store = admin::open(config)?;
        let after = peer_id(self.after, "--after")?;
        let query = AccountQuery { matching: self.matching, limit: self.limit, after };
        admin::list_accounts(&*store, &query, self.json)
    }
}

impl AdminCommand for Show {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        admin::show(&*admin::open(config)?, system_clock(), &self.account, self.json)
    }
}

impl AdminCommand for Suspend {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        admin::suspend(&*admin::open(config)?, system_clock(), &self.account, &self.reason)
    }
}

impl AdminCommand for Resume {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        admin::resume(&*admin::open(config)?, system_clock(), &self.account)
    }
}

impl AdminCommand for Revoke {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        admin::revoke(&*admin::open(config)?, system_clock(), &self.account)
    }
}
