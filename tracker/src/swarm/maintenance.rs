//! The thread "swarm": ends leases when their time has come, deletes what expired from the log and the store, and looks up where
//! proxies are.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::app::App;
use crate::log;

/// How often leases are looked at. Lookups leave out what has expired anyway; this frees its room.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);
/// How often what expired is deleted from disk.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Runs until `stop` is disconnected.
pub fn run(app: &App, stop: &Receiver<()>) {
    let mut swept_at = Instant::now();
    while stop.recv_timeout(EXPIRE_EVERY) == Err(RecvTimeoutError::Timeout) {
        app.swarm.expire((app.clock)());
        app.proxies.refresh();
        if swept_at.elapsed() >= SWEEP_EVERY {
            swept_at = Instant::now();
            sweep(app);
        }
    }
}

fn sweep(app: &App) {
    let now = (app.clock)();
    if let Err(error) = app.journal.log().prune(now).and_then(|_| app.store.sweep(now)) {
        log::warn("swarm", "expired rows stay until the next sweep", &[("why", &error)]);
    }
}
