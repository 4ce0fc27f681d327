//! What was typed. `argh` reads it; nothing here knows what it means.

mod access;
mod commands;

use std::ffi::OsString;

use argh::FromArgs;

pub(super) use access::*;
pub(super) use commands::*;

/// What came of reading the arguments.
#[expect(clippy::large_enum_variant, reason = "there is one in the life of the program")]
pub(super) enum Parsed {
    Command(Peernet),
    /// Help or the version.
    Text(String),
    Usage {
        message: String,
        json: bool,
        /// Standard output was meant for a file's bytes.
        streams: bool,
    },
}

/// Reads the arguments. `--option=value` is `--option value`, as everywhere else.
pub(super) fn parse(typed: &[OsString]) -> Parsed {
    let has = |option: &str| typed.iter().any(|argument| argument == option);
    let (json, streams) = (has("--json"), has("--stdout"));
    let usage = |message: String| Parsed::Usage { message, json, streams };
    let mut texts = Vec::with_capacity(typed.len());
    for argument in typed {
        match argument.to_str() {
            Some(text) => texts.extend(split_option(text)),
            None => return usage(format!("{} is not UTF-8", argument.to_string_lossy())),
        }
    }
    if matches!(texts.first().map(String::as_str), Some("--version" | "-V")) {
        return Parsed::Text(concat!("peernet ", env!("CARGO_PKG_VERSION")).to_owned());
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    match Peernet::from_args(&["peernet"], &texts) {
        Ok(command) => Parsed::Command(command),
        Err(early) if early.status.is_ok() => Parsed::Text(early.output),
        Err(early) => usage(format!("{}\nrun `peernet --help` or `peernet COMMAND --help`", early.output.trim_end())),
    }
}

/// Splits only what looks like one of our long options, so that a password like `--x=y` after `--password` stays whole
/// unless it is one.
fn split_option(text: &str) -> Vec<String> {
    let known = |name: &str| OPTIONS_WITH_VALUES.contains(&name);
    match text.split_once('=') {
        Some((option, value)) if known(option) => vec![option.to_owned(), value.to_owned()],
        _ => vec![text.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Command, String> {
        let typed: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        match parse(&typed) {
            Parsed::Command(Peernet { command }) => Ok(command),
            Parsed::Text(text) => Err(text),
            Parsed::Usage { message, .. } => Err(message),
        }
    }

    #[test]
    fn version_1s_flags_are_read() {
        let Ok(Command::Register(register)) = parsed("register --tracker http://t:1 --address h:2 --password p") else {
            panic!("register");
        };
        assert_eq!((register.tracker.as_deref(), register.address.as_deref()), (Some("http://t:1"), Some("h:2")));
        let Ok(Command::Share(share)) = parsed("share a.bin --port 50051") else { panic!("share") };
        assert_eq!((share.files, share.port), (vec!["a.bin".to_owned()], Some(50051)));
        let Ok(Command::Download(download)) = parsed("download abc --output=dir") else { panic!("download") };
        assert_eq!((download.target.as_str(), download.output.as_deref()), ("abc", Some("dir")));
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        for command in [
            "register",
            "login",
            "password",
            "logout",
            "devices",
            "devices revoke",
            "share",
            "unshare",
            "download",
            "list",
            "search",
            "status",
            "verify",
            "link",
            "daemon",
            "limit",
            "completions",
        ] {
            let help = parsed(&format!("{command} --help")).expect_err("help is text");
            assert!(help.contains("Examples:") && help.contains(&format!("peernet {command}")), "{help}");
            assert!(help.contains("--json"), "{help}");
        }
    }

    #[test]
    fn the_main_help_has_the_exit_codes() {
        let help = parsed("--help").expect_err("help is text");
        for (code, _, _) in super::super::EXIT_CODES {
            assert!(help.contains(&format!("  {code} ")), "{code}: {help}");
        }
    }

    #[test]
    fn nonsense_is_a_usage_error() {
        for words in ["", "frobnicate", "share --port x f", "download", "register --nope"] {
            let message = parsed(words).expect_err(words);
            assert!(message.contains("--help"), "{message}");
        }
    }
}
