//! The arguments as argh reads them. Settings may stand before or after the command; argh only takes them before it.

mod admin;

use argh::{EarlyExit, FromArgs};

use super::{EXIT_OK, EXIT_USAGE};
use crate::boot::config::{FIELDS, Flags};
use admin::{Admin, Doctor};

pub(super) use admin::AdminCommand;

const NAME: &str = "peernet-tracker";

/// What was typed.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) version: bool,
    pub(super) config: Option<String>,
    pub(super) flags: Flags,
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Serve,
    Health,
    Config,
    DefaultConfig,
    VerifyLedger { json: bool },
    Doctor { json: bool },
    Admin(AdminCommand),
}

/// Help, or what was wrong with the arguments.
pub(super) struct Exit(EarlyExit);

impl Exit {
    /// Prints it where it belongs and returns the exit code.
    pub(super) fn print(&self) -> i32 {
        match self.0.status {
            Ok(()) => {
                super::say(self.0.output.trim_end());
                super::say(&help_of_settings());
                EXIT_OK
            }
            Err(()) => {
                let why = self.0.output.trim().lines().next().unwrap_or_default();
                super::complain(EXIT_USAGE, &format!("{why}\nTry peernet-tracker --help."))
            }
        }
    }
}

/// PeerNet's tracker: who is who, who has what, and who has earned what.
#[derive(FromArgs)]
struct Top {
    /// print the version
    #[argh(switch)]
    version: bool,
    /// read this TOML file instead of the one in the XDG configuration folder
    #[argh(option)]
    config: Option<String>,
    #[argh(subcommand)]
    command: Option<Sub>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Sub {
    Serve(Serve),
    Health(Health),
    Config(ShowConfig),
    Doctor(Doctor),
    Admin(Admin),
}

/// Serve until SIGTERM or SIGINT; the default. Exit codes: 0 stopped cleanly, 2 wrong usage or configuration, 3 cannot start.
#[derive(FromArgs)]
#[argh(subcommand, name = "serve")]
struct Serve {}

/// Ask the tracker on this machine whether it is up. Exit codes: 0 up, 1 not.
#[derive(FromArgs)]
#[argh(subcommand, name = "health")]
struct Health {}

/// Print the configuration in force as a commented TOML file, secrets hidden.
#[derive(FromArgs)]
#[argh(subcommand, name = "config")]
struct ShowConfig {
    /// print the defaults instead
    #[argh(switch)]
    default: bool,
}

/// Recount the books and check every invariant. Exit codes: 0 right, 1 wrong, 3 the store cannot be read.
#[derive(FromArgs)]
#[argh(subcommand, name = "verify")]
struct Verify {
    /// print one JSON object
    #[argh(switch)]
    json: bool,
}

/// Reads a command line, program name first.
pub(super) fn parse(args: &[String]) -> Result<Typed, Exit> {
    let (settings, rest) = split(args.get(1..).unwrap_or_default());
    let as_str = |args: &[String]| args.iter().map(|arg| arg.to_owned()).collect::<Vec<_>>();
    let (settings, rest) = (as_str(&settings), as_str(&rest));
    let flags = Flags::from_args(&[NAME], &borrow(&settings)).map_err(Exit)?;
    let top = Top::from_args(&[NAME], &borrow(&rest)).map_err(Exit)?;
    let command = match top.command {
        None | Some(Sub::Serve(_)) => Command::Serve,
        Some(Sub::Health(_)) => Command::Health,
        Some(Sub::Config(ShowConfig { default: true })) => Command::DefaultConfig,
        Some(Sub::Config(_)) => Command::Config,
        Some(Sub::Doctor(Doctor { json })) => Command::Doctor { json },
        Some(Sub::Admin(admin)) => admin.into(),
    };
    Ok(Typed { version: top.version, config: top.config, flags, command })
}

fn borrow(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// Parts the settings (`--listen ADDR`, `--listen=ADDR`), wherever they stand, from commands and their own flags.
/// `--config FILE` is moved to the front.
fn split(args: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut settings, mut front, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (flag, value) = arg.split_once('=').map_or((arg.as_str(), None), |(flag, value)| (flag, Some(value)));
        let name = flag.strip_prefix("--").unwrap_or_default();
        let target = match name {
            "config" => &mut front,
            _ if FIELDS.iter().any(|field| field.flag() == name) => &mut settings,
            _ => {
                rest.push(arg.clone());
                continue;
            }
        };
        target.push(flag.to_owned());
        target.extend(value.map(str::to_owned).or_else(|| args.next().cloned()));
    }
    front.extend(rest);
    (settings, front)
}

/// argh lists what it knows; the settings are ours to list.
fn help_of_settings() -> String {
    let mut text = String::from("\nSettings (flag, or environment PEERNET_TRACKER_<NAME>, or key in the file):");
    for field in FIELDS {
        let doc: Vec<&str> = field.doc.iter().map(|line| line.trim()).collect();
        text.push_str(&format!("\n  --{:<28}{}", field.flag(), doc.join("\n                                ")));
    }
    text.push_str("\n\nExample:\n  peernet-tracker --listen 0.0.0.0:8080 --data-dir /var/lib/peernet-tracker");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Typed, Exit> {
        let args: Vec<String> = std::iter::once(NAME).chain(line.split_whitespace()).map(str::to_owned).collect();
        parse(&args)
    }

    #[test]
    fn settings_may_stand_anywhere() {
        for line in ["--listen a:1 --json admin ledger verify", "x"] {
            assert!(parsed(line).is_err(), "{line}");
        }
        for line in [
            "--listen a:1 admin ledger verify --json --config f",
            "admin ledger verify --listen=a:1 --json --config=f",
            "admin --listen a:1 --config f ledger verify --json",
        ] {
            let typed = parsed(line).ok().expect(line);
            assert_eq!(typed.command, Command::VerifyLedger { json: true }, "{line}");
            assert_eq!((typed.flags.listen.as_deref(), typed.config.as_deref()), (Some("a:1"), Some("f")), "{line}");
        }
    }

    #[test]
    fn commands_have_their_meaning() {
        for (line, command) in [
            ("", Command::Serve),
            ("serve", Command::Serve),
            ("--bcrypt-cost 4", Command::Serve),
            ("health", Command::Health),
            ("config", Command::Config),
            ("config --default", Command::DefaultConfig),
            ("admin ledger verify", Command::VerifyLedger { json: false }),
            ("doctor --json", Command::Doctor { json: true }),
            ("admin doctor", Command::Doctor { json: false }),
            ("admin invite list", Command::Admin(AdminCommand::ListInvites { json: false })),
            ("admin backup x", Command::Admin(AdminCommand::Backup { file: "x".into() })),
            (
                "admin users --match a --limit 3 --data-dir d",
                Command::Admin(AdminCommand::Users { matching: Some("a".into()), limit: 3, after: None, json: false }),
            ),
        ] {
            assert_eq!(parsed(line).ok().expect(line).command, command, "{line}");
        }
        for line in [
            "admin users --limit 0",
            "admin suspend x",
            "admin invite",
            "admin audit --limit 1001",
            "--nonsense",
            "serve more",
            "admin",
            "admin ledger",
            "--listen",
        ] {
            let exit = parsed(line).expect_err(line);
            assert!(exit.0.status.is_err(), "{line}");
        }
        assert!(parsed("--help").expect_err("help").0.status.is_ok());
    }
}
