//! `admin authority` as argh reads it.

use argh::FromArgs;

use super::AdminCommand;

/// The swarm's certificate authority.
#[derive(FromArgs)]
#[argh(subcommand, name = "authority")]
pub(super) struct Authority {
    #[argh(subcommand)]
    command: Sub,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Sub {
    Show(Show),
    Issue(Issue),
    Rotate(Rotate),
}

/// Print the authority's fingerprint, for members to compare or to give to --ca-fingerprint. Exit codes: 0 shown, 1 there is none yet, 2 wrong usage, 3 its
/// files cannot be read.
#[derive(FromArgs)]
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

/// Print a certificate of a tracker's role and its key (PEM, a secret), for a proxy in front of the trackers that ends TLS: peers take it for the tracker.
/// Exit codes: 0 made, 1 there is no authority yet, 2 wrong usage, 3 its files cannot be read.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "issue",
    example = "umask 077; peernet-tracker admin authority issue --name tracker.example.org > proxy.pem"
)]
struct Issue {
    /// a host name or address for browsers and other programs; may come several times
    #[argh(option)]
    name: Vec<String>,
    /// for how many days, 1 to 825; by default 90
    #[argh(option, default = "90")]
    days: u32,
}

/// Take the change of the authority's key one of its three steps further: a next authority is made and told to members; it signs; the one before is
/// forgotten. Wait between the steps for longer than a certificate's life. Exit codes: 0 done, 1 there is no authority yet, 3 its files cannot be written.
#[derive(FromArgs)]
#[argh(subcommand, name = "rotate", example = "peernet-tracker admin authority rotate")]
struct Rotate {}

impl From<Authority> for AdminCommand {
    fn from(authority: Authority) -> Self {
        match authority.command {
            Sub::Show(Show { json, pem }) => Self::ShowAuthority { json, pem },
            Sub::Issue(Issue { name, days }) => Self::IssueForProxy { names: name, days },
            Sub::Rotate(Rotate {}) => Self::RotateAuthority,
        }
    }
}
