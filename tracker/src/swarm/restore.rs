//! News becomes the index: after a restart, from this tracker's own log and the store; while it runs, from the other trackers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peernet_engine::ids::PeerId;
use peernet_engine::lease::{AnnounceForm, lease_length, lease_until};
use peernet_engine::time::UnixMillis;

use super::announce::Lease;
use super::entry::{Held, V1Address};
use super::news::News;
use super::{DEPARTED_GRACE, Full, Swarm};
use crate::log;
use crate::store::swarm_log::SwarmLog;
use crate::store::{LeaseRow, Store, StoreError, V1Chunk, V1Listing};

/// The most addresses remembered; past it all are read again.
const ADDRESSES_MAX: usize = 100_000;

/// Fills the index from what this tracker kept. What no longer fits its bounds is left out and logged.
pub fn restore(swarm: &Swarm, store: &dyn Store, news: &SwarmLog, now: UnixMillis) -> Result<(), StoreError> {
    let learner = Learner::new(swarm, store);
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

/// What was left to do about a piece of news.
#[derive(Debug, PartialEq, Eq)]
pub enum Learned {
    /// Nothing.
    Done,
    /// A version 1 file became whole by it: it must be stored and said.
    Whole(Box<V1Listing>),
}

/// Applies news to an index. Old news is no harm: what is known to be newer stays.
pub struct Learner<'a> {
    swarm: &'a Swarm,
    store: &'a dyn Store,
    /// Accounts' registered addresses, each read once.
    addresses: Mutex<HashMap<PeerId, Option<Arc<V1Address>>>>,
}

impl<'a> Learner<'a> {
    /// Reads accounts' addresses from `store`.
    pub fn new(swarm: &'a Swarm, store: &'a dyn Store) -> Self {
        Self { swarm, store, addresses: Mutex::default() }
    }

    /// Applies a whole body; returns version 1 files that became whole. A broken body is logged and skipped.
    pub fn learn_all(&self, now: UnixMillis, body: &[u8]) -> Result<Vec<V1Listing>, StoreError> {
        let Ok(news) = News::decode(body) else {
            log::warn("swarm", "news that cannot be read is skipped", &[("bytes", &body.len())]);
            return Ok(Vec::new());
        };
        let mut whole = Vec::new();
        for one in news {
            if let Learned::Whole(listing) = self.learn(now, one)? {
                whole.push(*listing);
            }
        }
        Ok(whole)
    }

    /// Applies one piece. What the index's bounds refuse is dropped: its announcer will say it again.
    pub fn learn(&self, now: UnixMillis, news: News) -> Result<Learned, StoreError> {
        if news.expires_at() <= now {
            return Ok(Learned::Done);
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
        Ok(Learned::Done)
    }

    fn learn_staged(&self, now: UnixMillis, chunk: &V1Chunk) -> Result<Learned, StoreError> {
        let Some(address) = self.address(chunk.peer)? else { return Ok(Learned::Done) };
        if self.swarm.v1_is_listed(chunk) {
            return Ok(Learned::Done);
        }
        let Ok(Some(mut listing)) = self.swarm.v1_staged(now, chunk, &address) else { return Ok(Learned::Done) };
        listing.expires_at = chunk.expires_at.min(lease_until(now, AnnounceForm::PerChunk));
        // Listed at once: every chunk of it is in some tracker's log.
        let _dropped = self.swarm.v1_sealed(now, listing.as_ref().clone(), &address);
        Ok(Learned::Whole(listing))
    }

    fn address(&self, peer: PeerId) -> Result<Option<Arc<V1Address>>, StoreError> {
        if let Some(known) = self.lock().get(&peer) {
            return Ok(known.clone());
        }
        let address = self.store.account(peer)?.and_then(|account| account.address).map(V1Address::new).map(Arc::new);
        let mut addresses = self.lock();
        if addresses.len() >= ADDRESSES_MAX {
            addresses.clear();
        }
        addresses.insert(peer, address.clone());
        Ok(address)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PeerId, Option<Arc<V1Address>>>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Swarm {
    /// A lease as it was announced somewhere, unless something newer is known of it.
    fn learn_lease(&self, row: LeaseRow) -> Result<(), Full> {
        let announced_at = UnixMillis(row.expires_at.0.saturating_sub(as_millis(lease_length(AnnounceForm::PerFile))));
        if self.knows_better(&row, announced_at) {
            return Ok(());
        }
        let lease = Lease {
            peer: row.peer,
            file_hash: row.file_hash,
            manifest_id: row.manifest_id,
            meta: None,
            file_name: String::new(),
            address: row.address.into(),
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
        let left_later = |until: UnixMillis| until.0.saturating_sub(as_millis(DEPARTED_GRACE)) >= announced_at.0;
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

fn as_millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
