//! The thread "swarm": ends leases when their time has come, and deletes expired rows from the log and the store.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use peernet_engine::time::UnixMillis;

use super::{Journal, Swarm};
use crate::ops::log;
use crate::store::Store;

/// How often expired leases are taken out. Lookups leave them out anyway; this frees their memory.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);
/// How often expired rows are deleted from disk.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// What the thread works on.
pub struct Maintenance<'a> {
    /// The index.
    pub swarm: &'a Swarm,
    /// The log of leases.
    pub journal: &'a Journal,
    /// The store, for version 1's listings.
    pub store: &'a dyn Store,
    /// The time now.
    pub clock: fn() -> UnixMillis,
}

impl Maintenance<'_> {
    /// Runs until `stop` is disconnected. `also` runs in each round; it is for work that is too small for a thread.
    pub fn run(&self, stop: &Receiver<()>, also: impl Fn()) {
        let mut pruned_at = Instant::now();
        while stop.recv_timeout(EXPIRE_EVERY) == Err(RecvTimeoutError::Timeout) {
            self.swarm.expire((self.clock)());
            also();
            if pruned_at.elapsed() >= PRUNE_EVERY {
                pruned_at = Instant::now();
                self.prune();
            }
        }
    }

    fn prune(&self) {
        let now = (self.clock)();
        if let Err(error) = self.journal.log().prune(now).and_then(|_| self.store.sweep(now)) {
            log::warn("swarm", "cannot delete expired rows; trying again in a minute", &[("why", &error)]);
        }
    }
}
