//! The words of the command line: argh reads them, and this module decides nothing about their meaning.

use std::ffi::OsString;

use argh::{ArgsInfo, FromArgs};
use peernet_arguments::Options;

use super::commands::Command;

/// Share large files and download them from other peers.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    example = "peernet register --tracker https://tracker.example:8080\npeernet share model.bin\npeernet download 'peernet:?xt=urn:sha256:...'",
    note = "Files and folders:\n  config    $XDG_CONFIG_HOME/peernet/config.toml\n  state     $XDG_STATE_HOME/peernet\n  PEERNET_HOME puts both into one folder. PEERNET_TRACKER and PEERNET_PASSWORD stand for the options of the same name.",
    error_code(0, "done"),
    error_code(1, "something else went wrong"),
    error_code(2, "the command, a hash, an address or a setting makes no sense"),
    error_code(3, "not logged in, or the tracker refuses"),
    error_code(4, "no peer shares it, or it is not shared here"),
    error_code(5, "the bytes do not have the hash they should have"),
    error_code(6, "the tracker or the sources cannot be reached or do not deliver"),
    error_code(7, "the local disk or file system refused"),
    error_code(8, "a file exists already, or another process uses the folder or port"),
    error_code(130, "stopped by Ctrl-C or SIGTERM; a download goes on with the same command"),
    error_code(141, "the reader of --stdout went away")
)]
pub(super) struct Peernet {
    #[argh(subcommand)]
    pub(super) command: Command,
}

/// The outcome of reading the command line.
#[expect(clippy::large_enum_variant, reason = "the program makes one of these")]
pub(super) enum Parsed {
    /// A command to run.
    Command(Command),
    /// Help or the version, to print.
    Text(String),
    /// A command line that makes no sense.
    Usage {
        /// The mistake, and how to see the help.
        message: String,
        /// Whether `--json` was typed.
        json: bool,
        /// Whether standard output was meant for a file's bytes.
        streams: bool,
    },
}

/// Reads the arguments. `--option=value` means `--option value`.
pub(super) fn parse(typed: &[OsString]) -> Parsed {
    let has = |option: &str| typed.iter().any(|argument| argument == option);
    let json = has("--json");
    let streams = has("--stdout");
    let usage = |message: String| Parsed::Usage { message, json, streams };
    let texts: Result<Vec<&str>, _> = typed.iter().map(|argument| argument.to_str().ok_or(argument)).collect();
    let texts = match texts {
        Ok(texts) => texts,
        Err(argument) => return usage(format!("{} is not UTF-8", argument.to_string_lossy())),
    };
    if matches!(texts.first(), Some(&("--version" | "-V"))) {
        return Parsed::Text(concat!("peernet ", env!("CARGO_PKG_VERSION")).to_owned());
    }
    let words = Options::of(&Peernet::get_args_info()).separate(texts);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match Peernet::from_args(&["peernet"], &words) {
        Ok(Peernet { command }) => Parsed::Command(command),
        Err(early) if early.status.is_ok() => Parsed::Text(early.output),
        Err(early) => usage(format!("{}\nrun `peernet --help` or `peernet COMMAND --help`", early.output.trim_end())),
    }
}

#[cfg(test)]
mod tests {
    use argh::FlagInfoKind;
    use peernet_arguments::{commands, equal_forms};

    use super::*;
    use crate::cli::command::{OutputOptions as _, Run as _};

    /// The command as debug text, or the help or error that is printed in its place.
    fn parsed(words: &[impl AsRef<str>]) -> Result<Command, String> {
        let typed: Vec<OsString> = words.iter().map(|word| OsString::from(word.as_ref())).collect();
        match parse(&typed) {
            Parsed::Command(command) => Ok(command),
            Parsed::Text(text) => Err(text),
            Parsed::Usage { message, .. } => Err(message),
        }
    }

    fn split(line: &str) -> Vec<&str> {
        line.split_whitespace().collect()
    }

    #[test]
    fn the_options_of_version_1_are_read() {
        for line in [
            "register --tracker http://t:1 --address h:2 --password p",
            "share a.bin --port 50051",
            "download abc --output=dir",
        ] {
            assert!(parsed(&split(line)).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_value_may_follow_an_equals_sign_in_every_option() {
        let program = Peernet::get_args_info();
        let forms = equal_forms(&program);
        assert!(forms.len() > 60, "{} options", forms.len());
        for [spaced, joined] in forms {
            let expected = parsed(&spaced).unwrap_or_else(|why| panic!("{spaced:?}: {why}"));
            let found = parsed(&joined).unwrap_or_else(|why| panic!("{joined:?}: {why}"));
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{joined:?}");
        }
        for line in
            ["register --invite=X", "register --invite-file=X", "download h --include=X", "download h --exclude=X"]
                .into_iter()
                .chain(["daemon --metrics=X", "groups --tracker=X", "access f --with=@lab"])
        {
            assert!(parsed(&split(line)).is_ok(), "{line}");
        }
    }

    #[test]
    fn an_option_has_one_form_in_all_commands() {
        let program = Peernet::get_args_info();
        let options = Options::of(&program);
        for (path, command) in commands(&program) {
            for flag in command.flags {
                let takes_value = matches!(flag.kind, FlagInfoKind::Option { .. });
                assert_eq!(options.take_value(flag.long), takes_value, "{} in {path:?}", flag.long);
            }
        }
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        let program = Peernet::get_args_info();
        let commands = commands(&program);
        assert!(commands.len() > 22, "{} commands", commands.len());
        for (path, _) in commands {
            let help = parsed(&[path.as_slice(), &["--help"]].concat()).expect_err("help is text");
            let example = [&["peernet"], path.as_slice()].concat().join(" ");
            assert!(help.contains("Examples:") && help.contains(&example), "{help}");
            assert!(path.is_empty() || help.contains("--json"), "{help}");
        }
    }

    #[test]
    fn the_help_of_the_program_lists_the_exit_codes() {
        let program = Peernet::get_args_info();
        let listed: Vec<_> = program.error_codes.iter().map(|row| (row.code, row.description)).collect();
        let codes: Vec<_> = crate::cli::EXIT_CODES.iter().map(|(code, _, what)| (i32::from(*code), *what)).collect();
        assert_eq!(listed, codes);
    }

    #[test]
    fn common_options_may_stand_before_or_after_a_subcommand() {
        for (line, json, quiet) in [
            ("devices", false, false),
            ("devices --json revoke x", true, false),
            ("devices revoke x --json -q", true, true),
            ("groups -q show lab", false, true),
            ("groups set lab --json", true, false),
            ("list --json --quiet", true, true),
        ] {
            let command = parsed(&split(line)).expect(line);
            assert_eq!((command.json(), command.quiet()), (json, quiet), "{line}");
        }
        assert!(parsed(&split("download h --stdout")).expect("a command").streams());
        assert!(!parsed(&split("download h")).expect("a command").streams());
    }

    #[test]
    fn command_lines_that_make_no_sense_are_usage_errors() {
        for line in ["", "frobnicate", "share --port x f", "download", "register --nope", "list --json=1", "groups set"]
        {
            let message = parsed(&split(line)).expect_err(line);
            assert!(message.contains("--help"), "{message}");
        }
    }
}
