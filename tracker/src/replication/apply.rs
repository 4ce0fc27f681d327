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
