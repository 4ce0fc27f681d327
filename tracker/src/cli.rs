//! The command line of `peernet-tracker`, in two layers: `arguments` reads what was typed, and each command in `commands`
//! carries it out.

mod arguments;
mod commands;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;

use crate::boot::config::{self, Config, Flags};
use crate::ops::log;
use commands::{Command, Run as _, ShowConfig};

/// The command did what it was asked.
pub const EXIT_OK: i32 = 0;
/// The answer is no: the tracker is not healthy, or an invariant of the ledger is violated.
pub const EXIT_NO: i32 = 1;
/// The command line or the configuration is wrong.
pub const EXIT_USAGE: i32 = 2;
/// The tracker cannot start or its store cannot be read.
pub const EXIT_FAILED: i32 = 3;
/// A second SIGTERM or SIGINT cut the clean stop short.
pub const EXIT_CUT: i32 = 4;

/// Runs a command line, program name first, and returns the exit code.
pub fn run(args: &[String]) -> i32 {
    let typed = match arguments::parse(args) {
        Ok(typed) => typed,
        Err(exit) => return exit.print(),
    };
    if typed.version {
        return say(&format!("peernet-tracker {}", env!("CARGO_PKG_VERSION")));
    }
    if let Command::Config(ShowConfig { default: true }) = typed.command {
        return say(Config::default().to_toml().trim_end());
    }
    match (load(typed.config.as_deref(), &typed.flags), typed.command) {
        (Ok(config), command) => command.run(config),
        (Err(error), Command::Doctor(doctor)) => doctor.report(Err(&error)),
        (Err(error), _) => complain(EXIT_USAGE, &error),
    }
}

fn load(file: Option<&str>, flags: &Flags) -> Result<Config, config::ConfigError> {
    let (config, notices) = config::load(file.map(Path::new), flags)?;
    log::set_level(config.log_level);
    log::set_format(config.log_format);
    for notice in notices {
        log::warn("config", &notice, &[]);
    }
    Ok(config)
}

/// Prints a line on standard output. A reader that has gone away is no error.
fn say(text: &str) -> i32 {
    let mut out = io::stdout().lock();
    let _reader_gone = writeln!(out, "{text}").and_then(|()| out.flush());
    EXIT_OK
}

/// Prints a line on standard error and returns `code`.
fn complain(code: i32, error: &dyn Display) -> i32 {
    let _reader_gone = writeln!(io::stderr(), "peernet-tracker: {error}");
    code
}
