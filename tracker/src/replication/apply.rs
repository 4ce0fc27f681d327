//! Lease updates become the swarm index: after a restart, and when they come from other trackers.

use std::collections::HashMap;
use std::sync::Arc;

use peernet_engine::candidate::Candidate;
use peernet_engine::ids::PeerId;
use peernet_engine::lease::{AnnounceForm, lease_until};
use peernet_engine::time::UnixMillis;

use super::lease_update::LeaseUpdate;
use crate::domain::swarm::{Full, Swarm, V1Address, V1Chunk};
use crate::ops::log;
use crate::store::{Store, StoreError, V1Listing};

/// The most registered addresses that are remembered. Past it all are read again.
const ADDRESSES_MAX: usize = 100_000;

/// Applies updates to an index. An old update does no harm: newer knowledge stays.
pub struct Applier<'a> {
    swarm: &'a Swarm,
    store: &'a dyn Store,
    /// The accounts' registered addresses, each read once.
    addresses: HashMap<PeerId, Option<Arc<V1Address>>>,
}

impl<'a> Applier<'a> {
    /// Creates an applier that reads accounts' addresses from `store`.
    pub fn new(swarm: &'a Swarm, store: &'a dyn Store) -> Self {
        Self { swarm, store, addresses: HashMap::new() }
    }

    /// Applies a whole body. Returns version 1 files of which now every chunk is known: the caller must store and log them.
    ///
    /// A malformed body is logged and skipped, because its peers announce again within minutes.
    pub fn apply_all(&mut self, now: UnixMillis, body: &[u8]) -> Result<Vec<V1Listing>, StoreError> {
        let Ok(updates) = LeaseUpdate::decode(body) else {
            log::warn("swarm", "malformed lease updates are skipped", &[("bytes", &body.len())]);
            return Ok(Vec::new());
        };
        let mut complete = Vec::new();
        for update in updates {
            complete.extend(self.apply(now, update)?);
        }
        Ok(complete)
    }

    /// Applies one update. Returns a version 1 file of which now every chunk is known. An update that the index's bounds refuse is
    /// dropped: its peer announces again.
    pub fn apply(&mut self, now: UnixMillis, update: LeaseUpdate) -> Result<Option<V1Listing>, StoreError> {
        if update.expires_at() <= now {
            return Ok(None);
        }
        let _dropped: Result<(), Full> = match update {
            LeaseUpdate::Lease(row) => self.swarm.apply_lease(row),
            LeaseUpdate::Left { peer, files, at } => {
                self.swarm.leave_before(now, peer, files.as_deref(), Some(at));
                Ok(())
            }
            LeaseUpdate::Sealed(listing) => match self.address(listing.peer)? {
                Some(address) => self.swarm.v1_sealed(now, listing, &address),
                None => Ok(()),
            },
            LeaseUpdate::Staged(chunk) => return self.apply_chunk(now, &chunk),
        };
        Ok(None)
    }

    fn apply_chunk(&mut self, now: UnixMillis, chunk: &V1Chunk) -> Result<Option<V1Listing>, StoreError> {
        let Some(address) = self.address(chunk.peer)? else { return Ok(None) };
        if self.swarm.v1_is_listed(chunk) {
            return Ok(None);
        }
        let Ok(Some(mut listing)) = self.swarm.v1_staged(now, chunk, &address) else { return Ok(None) };
        listing.expires_at = chunk.expires_at.min(lease_until(now, AnnounceForm::PerChunk));
        // Listed at once, because every chunk of it is in the log of some tracker.
        let _dropped = self.swarm.v1_sealed(now, listing.as_ref().clone(), &address);
        Ok(Some(*listing))
    }

    fn address(&mut self, peer: PeerId) -> Result<Option<Arc<V1Address>>, StoreError> {
        if let Some(known) = self.addresses.get(&peer) {
            return Ok(known.clone());
        }
        let registered = self.store.account(peer)?.and_then(|account| account.address);
        let candidate = registered.and_then(|address| Candidate::host(address).ok());
        let address = candidate.map(|candidate| Arc::new(V1Address::new(candidate)));
        if self.addresses.len() >= ADDRESSES_MAX {
            self.addresses.clear();
        }
        self.addresses.insert(peer, address.clone());
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peernet_engine::bitmap::Bitmap;
    use peernet_engine::ids::{ChunkCount, ChunkHash, FileHash, ManifestId};

    use super::*;
    use crate::domain::swarm::{LeaseRow, Limits, Location};
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Account, Durability, Write};

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const HOUR: Duration = Duration::from_secs(3_600);
    const FILE: FileHash = FileHash([7; 32]);

    fn peer(n: u8) -> PeerId {
        PeerId([n; 16])
    }

    /// A store in which account 1 has an address, account 2 none, and account 3 one that cannot be dialled.
    fn store(folder: &tempfile::TempDir) -> Arc<SqliteStore> {
        let store = SqliteStore::open(&folder.path().join("store")).expect("opens");
        store.migrate(NOW).expect("makes its tables");
        let account = |n, address: Option<&str>| {
            Write::create_account(Account {
                id: peer(n),
                address: address.map(str::to_owned),
                password_hash: "a hash".to_owned(),
                generation: 0,
                created_at: NOW,
            })
        };
        let accounts = [account(1, Some("a:1")), account(2, None), account(3, Some("unix:/socket"))];
        store.write(NOW, &accounts, Durability::Synced).expect("commits");
        store
    }

    fn lease(expires_at: UnixMillis, chunks: u32) -> LeaseUpdate {
        LeaseUpdate::Lease(LeaseRow {
            peer: peer(1),
            file_hash: FILE,
            manifest_id: ManifestId([1; 32]),
            location: Arc::new(Location::plain("a:1")),
            site: None,
            have: Bitmap::full(ChunkCount(chunks)),
            expires_at,
        })
    }

    fn chunk(n: u8, index: u32) -> LeaseUpdate {
        LeaseUpdate::Staged(V1Chunk {
            peer: peer(n),
            file_hash: FILE,
            total_chunks: 2,
            index,
            chunk_hash: ChunkHash([9; 32]),
            file_name: "f".to_owned(),
            expires_at: NOW.plus(HOUR),
        })
    }

    fn encoded(updates: &[LeaseUpdate]) -> Vec<u8> {
        let mut body = Vec::new();
        updates.iter().for_each(|update| update.encode(&mut body));
        body
    }

    #[test]
    fn a_malformed_body_is_skipped() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(&folder);
        let swarm = Swarm::new(Limits::default());
        let mut applier = Applier::new(&swarm, store.as_ref());
        assert_eq!(applier.apply_all(NOW, b"no updates"), Ok(Vec::new()));
        assert_eq!(applier.apply_all(NOW, &encoded(&[lease(NOW.plus(HOUR), 1)])), Ok(Vec::new()));
        assert_eq!(swarm.files_of(peer(1)), 1, "the next body counts");
    }

    #[test]
    fn expired_and_outdated_updates_change_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(&folder);
        let swarm = Swarm::new(Limits::default());
        let mut applier = Applier::new(&swarm, store.as_ref());
        applier.apply(NOW, lease(NOW, 1)).expect("reads");
        assert_eq!(swarm.files_of(peer(1)), 0, "expired");
        applier.apply(NOW, lease(NOW.plus(HOUR), 1)).expect("reads");
        let version = swarm.version_of(FILE);
        applier.apply(NOW, lease(NOW.plus(HOUR / 2), 9)).expect("reads");
        assert_eq!(swarm.version_of(FILE), version, "outdated");
    }

    #[test]
    fn chunks_from_two_trackers_complete_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(&folder);
        let swarm = Swarm::new(Limits::default());
        let mut applier = Applier::new(&swarm, store.as_ref());
        assert_eq!(applier.apply_all(NOW, &encoded(&[chunk(1, 0)])), Ok(Vec::new()));
        let complete = applier.apply_all(NOW, &encoded(&[chunk(1, 1)])).expect("reads");
        assert_eq!(complete.iter().map(|listing| listing.chunk_hashes.len()).collect::<Vec<_>>(), [2]);
        assert_eq!(swarm.sources_of(FILE), 1, "it is listed at once");
        assert_eq!(applier.apply_all(NOW, &encoded(&[chunk(1, 1)])), Ok(Vec::new()), "and not completed again");
    }

    #[test]
    fn chunks_of_peers_without_an_address_are_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(&folder);
        let swarm = Swarm::new(Limits::default());
        let mut applier = Applier::new(&swarm, store.as_ref());
        for unreachable in [2, 3, 4] {
            let updates = [chunk(unreachable, 0), chunk(unreachable, 1)];
            assert_eq!(applier.apply_all(NOW, &encoded(&updates)), Ok(Vec::new()), "account {unreachable}");
        }
        assert_eq!(swarm.usage().0, 0);
    }
}
