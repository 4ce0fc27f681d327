//! `admin authority show`, `issue` and `rotate`.

use argh::{ArgsInfo, FromArgs};

use super::AdminCommand;
use crate::admin;
use crate::boot::config::Config;

/// Manage the swarm's certificate authority.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(
    subcommand,
    name = "authority",
    example = "peernet-tracker admin authority show\npeernet-tracker admin authority rotate"
)]
pub(super) struct Authority {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand)]
enum Command {
    Show(Show),
    Issue(Issue),
    Rotate(Rotate),
}

/// Print the authority's fingerprint, for members to compare or to give to --ca-fingerprint. Exit codes: 0 shown, 1 there is
/// no authority yet, 2 wrong usage, 3 its files cannot be read.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(
    subcommand,
    name = "show",
    example = "peernet-tracker admin authority show\npeernet-tracker admin authority show --pem > authorities.pem"
)]
struct Show {
    /// print one JSON object
    #[argh(switch)]
    json: bool,
    /// print the certificates that members trust, for other programs
    #[argh(switch)]
    pem: bool,
}

/// Print a certificate in the tracker's role and its key (PEM, a secret). It is for a proxy that ends TLS in front of the
/// trackers: peers accept the proxy as the tracker. Exit codes: 0 made, 1 there is no authority yet, 2 wrong usage, 3 its
/// files cannot be read.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(
    subcommand,
    name = "issue",
    example = "umask 077; peernet-tracker admin authority issue --name tracker.example.org > proxy.pem"
)]
struct Issue {
    /// a host name or address, for browsers and other programs; may be repeated
    #[argh(option)]
    name: Vec<String>,
    /// number of days until it expires, 1 to 825; by default 90
    #[argh(option, default = "90")]
    days: u32,
}

/// Replace the authority's key, in three steps. The first makes the next authority and announces it to members, the second
/// signs with it, the third removes the old one. Wait longer than a certificate's life between the steps.
/// Exit codes: 0 done, 1 there is no authority yet, 2 wrong usage, 3 its files cannot be written.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(subcommand, name = "rotate", example = "peernet-tracker admin authority rotate")]
struct Rotate {}

impl AdminCommand for Authority {
    fn carry_out(self, config: &Config) -> admin::Result<String> {
        match self.command {
            Command::Show(Show { json, pem }) => admin::show_authority(config, json, pem),
            Command::Issue(Issue { name, days }) => admin::issue_for_proxy(config, &name, days),
            Command::Rotate(Rotate {}) => admin::rotate_authority(config),
        }
    }
}
