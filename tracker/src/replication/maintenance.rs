//! The thread "swarm": ends leases when their time has come, and deletes expired updates and listings.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use peernet_engine::time::UnixMillis;

use super::lease_log::LeaseLog;
use crate::domain::swarm::Swarm;
use crate::ops::log;
use crate::store::Store;

/// The interval at which leases are ended. Lookups skip expired ones anyway; this frees their memory.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);
/// The interval at which expired rows are deleted from disk.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// The state that expires.
#[derive(Clone, Copy)]
pub(crate) struct Maintenance<'a> {
    pub(crate) swarm: &'a Swarm,
    pub(crate) lease_log: &'a LeaseLog,
    pub(crate) store: &'a dyn Store,
    pub(crate) clock: fn() -> UnixMillis,
}

impl Maintenance<'_> {
    /// Runs until `stop` is disconnected.
    pub(crate) fn run(self, stop: &Receiver<()>) {
        let mut pruned_at = Instant::now();
        while stop.recv_timeout(EXPIRE_EVERY) == Err(RecvTimeoutError::Timeout) {
            self.swarm.expire((self.clock)());
            if pruned_at.elapsed() >= PRUNE_EVERY {
                pruned_at = Instant::now();
                self.prune();
            }
        }
    }

    fn prune(self) {
        let now = (self.clock)();
        if let Err(error) = self.lease_log.file().prune(now) {
            log::warn("swarm", "expired lease updates stay until the next attempt", &[("why", &error)]);
        }
        if let Err(error) = self.store.prune_listings(now) {
            log::warn("swarm", "expired listings stay until the next attempt", &[("why", &error)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::{ChunkHash, FileHash, PeerId};

    use peernet_threads::Blocking;

    use super::*;
    use crate::replication::{LeaseUpdate, LogFile};
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Durability, V1Listing, Write};

    fn late() -> UnixMillis {
        UnixMillis(10_000_000)
    }

    #[test]
    fn pruning_deletes_expired_updates_and_listings() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("tracker.db")).expect("opens");
        store.migrate(late()).expect("migrates");
        let (lease_log, _commit_loop) = LeaseLog::new(LogFile::open(&folder.path().join("log")).expect("opens"));
        let peer = PeerId([1; 16]);
        lease_log
            .write(&Blocking::declare(), &[LeaseUpdate::Left { peer, files: None, at: UnixMillis(1_000) }])
            .expect("commits");
        let listing = V1Listing {
            peer,
            file_hash: FileHash([2; 32]),
            file_name: "a".into(),
            chunk_hashes: vec![ChunkHash([3; 32])],
            expires_at: UnixMillis(2_000),
            created_at: UnixMillis(1_000),
        };
        let account = crate::store::Account {
            id: peer,
            address: Some("a:1".into()),
            password_hash: "x".into(),
            generation: 0,
            created_at: UnixMillis(0),
        };
        let writes = [Write::create_account(account), Write::SealV1(listing)];
        store.write(UnixMillis(1_000), &writes, Durability::Synced).expect("writes");
        let swarm = Swarm::new(crate::domain::swarm::Limits::default());
        Maintenance { swarm: &swarm, lease_log: &lease_log, store: store.as_ref(), clock: late }.prune();
        assert!(lease_log.file().is_empty().expect("counts"));
        let mut left = 0;
        crate::store::Files::listings(store.as_ref(), UnixMillis(0), &mut |_| left += 1).expect("reads");
        assert_eq!(left, 0);
    }
}
