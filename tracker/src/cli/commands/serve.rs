//! `serve`: runs the tracker until a signal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use argh::{ArgsInfo, FromArgs};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Run;
use crate::boot::Tracker;
use crate::boot::config::Config;
use crate::cli::{EXIT_CUT, EXIT_FAILED, EXIT_OK, complain, say};
use crate::ops::log;

/// Serve until SIGTERM or SIGINT; this is the default command. Exit codes: 0 stopped cleanly, 2 wrong usage or
/// configuration, 3 cannot start, 4 a second signal ended it at once.
#[derive(FromArgs, ArgsInfo, Debug, PartialEq, Eq)]
#[argh(
    subcommand,
    name = "serve",
    example = "peernet-tracker serve --listen 0.0.0.0:8080 --data-dir /var/lib/peernet/tracker"
)]
pub(crate) struct Serve {}

impl Run for Serve {
    fn run(self, config: Config) -> i32 {
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
            log::warn("server", "a second signal will not end the stop early", &[("why", &error)]);
        }
        tracker.stop();
        EXIT_OK
    }
}

fn exit_on_next_signal() -> io::Result<()> {
    let armed = Arc::new(AtomicBool::new(true));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, EXIT_CUT, Arc::clone(&armed))?;
    }
    Ok(())
}
