//! The thread "swarm": ends leases when their time has come, and has the store delete what expired.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use peernet_engine::time::UnixMillis;

use super::Swarm;
use crate::log;
use crate::store::Store;

/// How often leases are looked at. Lookups leave out what has expired anyway; this frees its room.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);
/// How often the store's expired rows are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Runs until `stop` is disconnected.
pub fn run(swarm: &Swarm, store: &dyn Store, clock: fn() -> UnixMillis, stop: &Receiver<()>) {
    let mut swept_at = Instant::now();
    while stop.recv_timeout(EXPIRE_EVERY) == Err(RecvTimeoutError::Timeout) {
        swarm.expire(clock());
        if swept_at.elapsed() >= SWEEP_EVERY {
            swept_at = Instant::now();
            if let Err(error) = store.sweep(clock()) {
                log::warn("swarm", "expired rows stay until the next sweep", &[("why", &error)]);
            }
        }
    }
}
