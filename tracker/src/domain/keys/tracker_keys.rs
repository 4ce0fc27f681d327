//! The keys of the other trackers of this database. They are read when a token names an unknown key, at most once a second.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use peernet_engine::time::UnixMillis;
use peernet_threads::Blocking;

use super::Keys;
use crate::base::sync::lock;
use crate::domain::database::Database;

/// The least time between two reads, so that a flood of tokens with unknown keys costs one read a second.
const READ_EVERY: Duration = Duration::from_secs(1);

/// The time of the last read.
#[derive(Debug, Default)]
pub struct TrackerKeys {
    read_at: Mutex<Option<Instant>>,
}

impl TrackerKeys {
    /// Reads the keys from the store and trusts them, unless they were read a moment ago. Returns whether they were read.
    pub fn read(&self, now: UnixMillis, database: &Database, keys: &Keys) -> bool {
        if !database.is_shared() {
            return false;
        }
        {
            let mut read_at = lock(&self.read_at);
            if read_at.is_some_and(|at| at.elapsed() < READ_EVERY) {
                return false;
            }
            *read_at = Some(Instant::now());
        }
        let seen_after = now.minus(keys.lifetime());
        let read = database.read(&Blocking::declare(), |store| match store.replication() {
            Some(replication) => replication.trackers(seen_after),
            None => Ok(Vec::new()),
        });
        let Ok(trackers) = read else { return false };
        let own = keys.public();
        keys.trust(trackers.into_iter().map(|tracker| tracker.public_key).filter(|key| *key != own));
        true
    }
}
