//! The words of the command line, as argh reads them. Settings may stand before or after the command.

use argh::{ArgsInfo, EarlyExit, FromArgs};
use peernet_arguments::Options;

use super::commands::Command;
use super::{EXIT_OK, EXIT_USAGE};
use crate::boot::config::{FIELDS, Flags};

const NAME: &str = "peernet-tracker";

/// The parts of a command line.
#[derive(Debug)]
pub(super) struct Typed {
    /// Set by `--version`.
    pub(super) version: bool,
    /// The file that `--config` names.
    pub(super) config: Option<String>,
    /// The settings.
    pub(super) flags: Flags,
    pub(super) command: Command,
}

/// Help, or the mistake in a command line.
pub(super) struct Exit(EarlyExit);

impl Exit {
    /// Prints help on standard output or the mistake on standard error, and returns the exit code.
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

/// PeerNet's tracker: it knows the accounts, which peer holds which file, and what each account has earned.
#[derive(FromArgs, ArgsInfo)]
struct Program {
    /// print the version
    #[argh(switch)]
    version: bool,
    /// read this TOML file instead of the one in the XDG configuration folder
    #[argh(option, arg_name = "file")]
    config: Option<String>,
    #[argh(subcommand)]
    command: Option<Command>,
}

/// Reads a command line, program name first.
pub(super) fn parse(args: &[String]) -> Result<Typed, Exit> {
    let split = split(args.get(1..).unwrap_or_default());
    let flags = Flags::from_args(&[NAME], &borrow(&split.settings)).map_err(Exit)?;
    let program = Program::from_args(&[NAME], &borrow(&split.rest)).map_err(Exit)?;
    let command = program.command.unwrap_or_default();
    Ok(Typed { version: program.version, config: program.config, flags, command })
}

fn borrow(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// A command line in two parts, each in the order that argh expects.
#[derive(Default)]
struct Split {
    /// The settings, each followed by its value.
    settings: Vec<String>,
    /// `--config FILE` first, then the command with its options.
    rest: Vec<String>,
}

/// Separates the settings, wherever they stand, from commands and their options. argh accepts options of the program only
/// before the command.
fn split(args: &[String]) -> Split {
    let options = options();
    let words = options.separate(args.iter().map(String::as_str));
    let mut split = Split::default();
    let mut config = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let name = word.strip_prefix("--").unwrap_or_default();
        let setting = FIELDS.iter().find(|field| field.flag() == name);
        match setting {
            Some(field) if field.is_switch() => split.settings.extend([word, true.to_string()]),
            Some(_) => split.settings.extend([word].into_iter().chain(words.next())),
            None if name == "config" => config.extend([word].into_iter().chain(words.next())),
            None => {
                let takes_value = options.take_value(&word);
                split.rest.push(word);
                // The value of a command's option may look like a setting.
                split.rest.extend(takes_value.then(|| words.next()).flatten());
            }
        }
    }
    split.rest.splice(0..0, config);
    split
}

/// The options that take a value: those of commands, and all settings but the switches.
fn options() -> Options {
    let settings = FIELDS.iter().filter(|field| !field.is_switch());
    Options::of(&Program::get_args_info()).with(settings.map(|field| format!("--{}", field.flag())))
}

/// Lists the settings, which argh knows nothing of.
fn help_of_settings() -> String {
    let mut text = String::from("\nSettings (flag, or environment PEERNET_TRACKER_<NAME>, or key in the file):");
    for field in FIELDS {
        let doc: Vec<&str> = field.doc.iter().map(|line| line.trim()).collect();
        text.push_str(&format!("\n  --{:<28}{}", field.flag(), doc.join("\n                                ")));
    }
    text.push_str("\n\nExample:\n  peernet-tracker --listen 0.0.0.0:8080 --data-dir /var/lib/peernet/tracker");
    text
}

#[cfg(test)]
mod tests {
    use peernet_arguments::{commands, equal_forms};

    use super::*;

    fn parsed(words: &[impl AsRef<str>]) -> Result<Typed, EarlyExit> {
        let args: Vec<String> = [NAME].into_iter().chain(words.iter().map(AsRef::as_ref)).map(str::to_owned).collect();
        parse(&args).map_err(|exit| exit.0)
    }

    fn line(line: &str) -> Result<Typed, EarlyExit> {
        parsed(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// The command of a line, as debug text.
    fn command(text: &str) -> String {
        format!("{:?}", line(text).expect(text).command)
    }

    #[test]
    fn settings_may_stand_anywhere() {
        for text in [
            "--listen a:1 admin ledger verify --json --config f",
            "admin ledger verify --listen=a:1 --json --config=f",
            "admin --listen a:1 --config f ledger verify --json",
        ] {
            let typed = line(text).expect(text);
            assert_eq!(format!("{:?}", typed.command), command("admin ledger verify --json"), "{text}");
            assert_eq!((typed.flags.listen.as_deref(), typed.config.as_deref()), (Some("a:1"), Some("f")), "{text}");
        }
        assert!(line("--listen a:1 --json admin ledger verify").is_err(), "an option of a command stands behind it");
    }

    #[test]
    fn a_switch_takes_no_value() {
        let typed = line("--allow-plaintext serve").expect("a switch before a command");
        assert_eq!(typed.flags.allow_plaintext.as_deref(), Some("true"));
        assert_eq!(line("serve --allow-plaintext").expect("behind it").flags.allow_plaintext.as_deref(), Some("true"));
        assert_eq!(line("serve").expect("absent").flags.allow_plaintext, None);
        for text in ["--allow-plaintext true", "--allow-plaintext=true", "serve --allow-plaintext false"] {
            assert!(line(text).is_err(), "{text}");
        }
        let switches: Vec<_> = FIELDS.iter().filter(|field| field.is_switch()).map(|field| field.name).collect();
        assert_eq!(switches, ["allow_plaintext"], "only what is off by default is a switch");
    }

    #[test]
    fn serve_is_the_default_command() {
        for text in ["", "--bcrypt-cost 4", "--bcrypt-cost=4"] {
            assert_eq!(command(text), command("serve"), "{text}");
        }
        assert_eq!(command("admin doctor"), command("admin doctor"));
        assert_ne!(command("config"), command("config --default"));
        assert_ne!(command("doctor"), command("doctor --json"));
    }

    #[test]
    fn a_value_may_follow_an_equals_sign_in_every_option() {
        let program = Program::get_args_info();
        let mut forms = equal_forms(&program);
        assert!(forms.len() >= 10, "{} options", forms.len());
        for field in FIELDS.iter().filter(|field| !field.is_switch()) {
            let flag = format!("--{}", field.flag());
            forms.push([vec![flag.clone(), "1".to_owned()], vec![format!("{flag}=1")]]);
        }
        for [spaced, joined] in forms {
            let debug = |words: &[String]| format!("{:?}", parsed(words).map_err(|why| why.output).expect("is read"));
            assert_eq!(debug(&spaced), debug(&joined), "{joined:?}");
        }
    }

    #[test]
    fn the_value_of_an_option_may_look_like_a_setting() {
        let typed = parsed(&["admin", "suspend", "x", "--reason", "--listen"]).expect("a reason");
        assert_eq!(typed.flags.listen, None);
        assert!(format!("{:?}", typed.command).contains("--listen"));
    }

    #[test]
    fn no_option_of_a_command_is_a_setting_too() {
        let program = Program::get_args_info();
        for (path, command) in commands(&program) {
            for flag in command.flags {
                let name = flag.long.trim_start_matches('-');
                assert!(!FIELDS.iter().any(|field| field.flag() == name), "{} in {path:?}", flag.long);
            }
        }
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        let program = Program::get_args_info();
        let commands = commands(&program);
        assert!(commands.len() > 20, "{} commands", commands.len());
        for (path, command) in commands.into_iter().filter(|(path, _)| !path.is_empty()) {
            let help = parsed(&[path.as_slice(), &["--help"]].concat()).expect_err("help");
            assert!(help.status.is_ok() && help.output.contains("Examples:"), "{}", help.output);
            assert!(help.output.contains("Exit codes: 0") || !command.commands.is_empty(), "{}", help.output);
        }
        assert!(line("--help").expect_err("help").status.is_ok());
    }

    #[test]
    fn command_lines_that_make_no_sense_are_refused() {
        for text in [
            "x",
            "admin users --limit 0",
            "admin suspend x",
            "admin invite",
            "admin audit --limit 1001",
            "--nonsense",
            "serve more",
            "admin",
            "admin ledger",
            "--listen",
            "--config",
        ] {
            assert!(line(text).expect_err(text).status.is_err(), "{text}");
        }
    }
}
