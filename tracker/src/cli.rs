//! The command line of `peernet-tracker`: what was typed, and what it means.

mod admin;
mod arguments;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::boot::config::{self, Config, Flags};
use crate::boot::{Tracker, open_store};
use crate::ops::log;
use arguments::Command;

/// All is well.
pub const EXIT_OK: i32 = 0;
/// The answer is no: not healthy, or the books are wrong.
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
    if let Command::DefaultConfig = typed.command {
        return say(Config::default().to_toml().trim_end());
    }
    match (load(typed.config.as_deref(), &typed.flags), typed.command) {
        (Ok(config), command) => run_command(command, config),
        (Err(error), Command::Doctor { json }) => admin::examine(Err(&error), json),
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

fn run_command(command: Command, config: Config) -> i32 {
    match command {
        Command::Serve => serve(config),
        Command::Health => match crate::admin::check_health(&config) {
            Ok(()) => say("UP"),
            Err(why) => complain(EXIT_NO, &why),
        },
        Command::Config | Command::DefaultConfig => say(config.to_toml().trim_end()),
        Command::VerifyLedger { json } => verify_ledger(&config, json),
        Command::Doctor { json } => admin::examine(Ok(&config), json),
        Command::Admin(command) => admin::run(command, &config),
    }
}

fn serve(config: Config) -> i32 {
    // Before anything is started, so that no signal is lost.
    let mut signals = match signal_hook::iterator::Signals::new([SIGTERM, SIGINT]) {
        Ok(signals) => signals,
        Err(error) => return complain(EXIT_FAILED, &error),
    };
    let tracker = match Tracker::builder().config(config).start() {
        Ok(tracker) => tracker,
        Err(error) => return complain(EXIT_FAILED, &error),
    };
    say(&format!("peernet-tracker listening on {}", tracker.url()));
    let signal = signals.forever().next().unwrap_or(SIGTERM);
    log::info("server", "stopping", &[("signal", &signal)]);
    if let Err(error) = exit_on_next_signal() {
        log::warn("server", "a second signal will not hurry the stop", &[("why", &error)]);
    }
    tracker.stop();
    EXIT_OK
}

fn exit_on_next_signal() -> io::Result<()> {
    let armed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, EXIT_CUT, std::sync::Arc::clone(&armed))?;
    }
    Ok(())
}

fn verify_ledger(config: &Config, json: bool) -> i32 {
    if !json && config.database_url.reveal().is_none() && !config.data_dir.exists() {
        return complain(EXIT_FAILED, &format!("there is no tracker in {}", config.data_dir.display()));
    }
    match open_store(config).and_then(|store| crate::admin::verify_ledger(&*store)) {
        Ok(report) => {
            say(&if json { report.to_json().to_string() } else { report.to_string() });
            if report.is_sound() { EXIT_OK } else { EXIT_NO }
        }
        Err(error) => complain(EXIT_FAILED, &error),
    }
}

/// A line on standard output. Whoever closed it does not want it.
fn say(text: &str) -> i32 {
    let mut out = io::stdout().lock();
    let _closed = writeln!(out, "{text}").and_then(|()| out.flush());
    EXIT_OK
}

fn complain(code: i32, error: &dyn Display) -> i32 {
    let _closed = writeln!(io::stderr(), "peernet-tracker: {error}");
    code
}
