//! News becomes the index: after a restart, from this tracker's own log and the store; while it runs, from the other trackers.

use std::collections::HashMap;
use std::sync::Arc;

use peernet_engine::ids::PeerId;
use peernet_engine::lease::{AnnounceForm, lease_length, lease_until};
use peernet_engine::plan::Held;
use peernet_engine::time::UnixMillis;

use super::announce::Lease;
use super::entry::V1Address;
use super::news::News;
use super::{DEPARTED_GRACE, Full, Swarm};
use crate::ops::log;
use crate::store::swarm_log::SwarmLog;
use crate::store::{LeaseRow, Store, StoreError, V1Chunk, V1Listing};

/// The most addresses remembered; past it all are read again.
const ADDRESSES_MAX: usize = 100_000;

/// Fills the index from what this tracker kept. What no longer fits its bounds is left out and logged.
pub fn restore(swarm: &Swarm, store: &dyn Store, news: &SwarmLog, now: UnixMillis) -> Result<(), StoreError> {
    let mut learner = Learner::new(swarm, store);
    let mut listings = Vec::new();
    store.listings(now, &mut |listing| listings.push(listing))?;
    for listing in listings {
        learner.learn(now, News::Sealed(listing))?;
    }
    let mut bodies = Vec::new();
    news.replay(now, &mut |body| bodies.push(body))?;
    for body in bodies {
        learner.learn_all(now, &body)?;
    }
    let (records, bytes) = swarm.usage();
    log::info("swarm", "restored", &[("records", &records), ("bytes", &bytes)]);
    Ok(())
}

/// Applies news to an index. Old news is no harm: what is known to be newer stays.
pub struct Learner<'a> {
    swarm: &'a Swarm,
    store: &'a dyn Store,
    /// Accounts' registered addresses, each read once.
    addresses: HashMap<PeerId, Option<Arc<V1Address>>>,
}

impl<'a> Learner<'a> {
    /// Reads accounts' addresses from `store`.
    pub fn new(swarm: &'a Swarm, store: &'a dyn Store) -> Self {
        Self { swarm, store, addresses: HashMap::new() }
    }

    /// Applies a whole body; returns version 1 files that became whole, which must be stored and said. A broken body is logged and skipped.
    pub fn learn_all(&mut self, now: UnixMillis, body: &[u8]) -> Result<Vec<V1Listing>, StoreError> {
        let Ok(news) = News::decode(body) else {
            log::warn("swarm", "news that cannot be read is skipped", &[("bytes", &body.len())]);
            return Ok(Vec::new());
        };
        let mut whole = Vec::new();
        for one in news {
            whole.extend(self.learn(now, one)?);
        }
        Ok(whole)
    }

    /// Applies one piece; returns a version 1 file that became whole by it. What the index's bounds refuse is dropped: its
    /// announcer will say it again.
    pub fn learn(&mut self, now: UnixMillis, news: News) -> Result<Option<V1Listing>, StoreError> {
        if news.expires_at() <= now {
            return Ok(None);
        }
        let _dropped: Result<(), Full> = match news {
            News::Lease(row) => self.swarm.learn_lease(row),
            News::Left { peer, files, at } => {
                self.swarm.leave_before(now, peer, files.as_deref(), Some(at));
                Ok(())
            }
            News::Sealed(listing) => match self.address(listing.peer)? {
                Some(address) => self.swarm.v1_sealed(now, listing, &address),
                None => Ok(()),
            },
            News::Staged(chunk) => return self.learn_staged(now, &chunk),
        };
        Ok(None)
    }

    fn learn_staged(&mut self, now: UnixMillis, chunk: &V1Chunk) -> Result<Option<V1Listing>, StoreError> {
        let Some(address) = self.address(chunk.peer)? else { return Ok(None) };
        if self.swarm.v1_is_listed(chunk) {
            return Ok(None);
        }
        let Ok(Some(mut listing)) = self.swarm.v1_staged(now, chunk, &address) else { return Ok(None) };
        listing.expires_at = chunk.expires_at.min(lease_until(now, AnnounceForm::PerChunk));
        // Listed at once: every chunk of it is in some tracker's log.
        let _dropped = self.swarm.v1_sealed(now, listing.as_ref().clone(), &address);
        Ok(Some(*listing))
    }

    fn address(&mut self, peer: PeerId) -> Result<Option<Arc<V1Address>>, StoreError> {
        if let Some(known) = self.addresses.get(&peer) {
            return Ok(known.clone());
        }
        let address = self.store.account(peer)?.and_then(|account| account.address).map(V1Address::new).map(Arc::new);
        if self.addresses.len() >= ADDRESSES_MAX {
            self.addresses.clear();
        }
        self.addresses.insert(peer, address.clone());
        Ok(address)
    }
}

impl Swarm {
    /// A lease as it was announced somewhere, unless something newer is known of it.
    fn learn_lease(&self, row: LeaseRow) -> Result<(), Full> {
        let announced_at = row.expires_at.minus(lease_length(AnnounceForm::PerFile));
        if self.knows_better(&row, announced_at) {
            return Ok(());
        }
        let lease = Lease {
            peer: row.peer,
            file_hash: row.file_hash,
            manifest_id: row.manifest_id,
            meta: None,
            file_name: String::new(),
            reach: row.reach,
            site: row.site.map(Into::into),
            held: Held::of(row.have),
            // Until its next announce says better.
            trusted: false,
        };
        self.hold(lease, row.expires_at, Some(row.expires_at))
    }

    fn knows_better(&self, row: &LeaseRow, announced_at: UnixMillis) -> bool {
        let shard = self.shard(row.file_hash);
        let Some(entry) = shard.files.get(&row.file_hash) else { return false };
        let holder = entry.manifest(row.manifest_id).and_then(|m| m.holders.get(row.peer));
        let left_later = |until: UnixMillis| until.minus(DEPARTED_GRACE) >= announced_at;
        holder.is_some_and(|holder| holder.expires_at >= row.expires_at)
            || holder.is_none() && entry.departed.iter().any(|d| d.peer == row.peer && left_later(d.until))
    }

    /// Whether a whole listing says the same of this chunk already.
    fn v1_is_listed(&self, chunk: &V1Chunk) -> bool {
        let shard = self.shard(chunk.file_hash);
        let listing = shard.files.get(&chunk.file_hash).and_then(|entry| entry.v1.listings.get(&chunk.peer));
        listing.is_some_and(|listing| {
            listing.hashes.len() == chunk.total_chunks as usize
                && listing.hashes.get(chunk.index as usize) == Some(&chunk.chunk_hash)
        })
    }
}
