//! The swarm index: which peer holds which chunks of which file, in memory, leased and bounded.
//!
//! The index does no I/O and reads no clock: `now` comes in. Operations check first, write to the lease log or the
//! store, and change the index after the commit. Locks are taken in the order file shard, then peer shard, and held for
//! memory work only.

mod announce;
mod catalogue;
pub mod dialback;
mod entry;
mod holders;
mod index;
pub mod lookup;
pub mod peers;
mod replicated;
mod rows;
pub mod sources;
mod v1;
mod view;

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use peernet_engine::ids::{FileHash, PeerId};

pub use crate::base::location::Location;
pub use announce::Lease;
pub use catalogue::{CachedManifest, Catalogue};
pub use entry::{HashesDigest, ManifestMeta, V1Address};
pub use peers::{Contact, Peer};
pub use rows::{LeaseRow, V1Chunk};
pub use v1::V1Step;
pub use view::{FileView, HolderView, ListingView, ManifestView};

use index::Shard;
use peers::PeerShard;

use crate::base::sync::lock;

/// The least time before an unchanged version 1 announce is written again: such announces come once per chunk.
const V1_RENEWAL_MIN: Duration = Duration::from_secs(600);
/// The time for which feedback about a holder counts after the end of its lease. Reports come in batches, and a peer that departs
/// right after serving has earned its tokens.
pub const DEPARTED_GRACE: Duration = Duration::from_secs(600);
/// The most departed holders remembered per file; the oldest are forgotten first.
const DEPARTED_MAX: usize = 64;
/// The most unfinished version 1 announces of one file by one peer. They differ in their number of chunks.
const STAGINGS_MAX: usize = 4;

/// The most manifests of one file that one account announces; a true file has one for each chunk size.
const MANIFESTS_PER_PEER_MAX: usize = 8;

/// The number of shards: enough that threads seldom contend for a lock on a machine of a few cores.
const SHARDS: usize = 64;
/// The estimated bytes of a record beside its bitmap or hashes, for [`Limits::bytes_max`].
const RECORD_BYTES: usize = 288;
/// The estimated bytes of a staged chunk.
const STAGED_BYTES: usize = 64;

/// Bounds of the index.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most leases, listings and unfinished announces, all files together.
    pub leases_max: usize,
    /// The most memory they take, in bytes (an estimate from above).
    pub bytes_max: usize,
    /// The most files one account announces.
    pub files_per_peer_max: usize,
    /// The most chunks that one account has announced of files that are not complete yet.
    pub staged_per_peer_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { leases_max: 1_000_000, bytes_max: 512 << 20, files_per_peer_max: 50_000, staged_per_peer_max: 262_144 }
    }
}

/// The bound that an announce would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The bound of the whole index. The same announce works later, when other leases have ended.
    Tracker,
    /// The bound of this account. Waiting does not help.
    Account,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tracker => "the tracker's index is full",
            Self::Account => "this account announces as much as one account may",
        })
    }
}

/// The index. All methods take `&self`.
#[derive(Debug)]
pub struct Swarm {
    limits: Limits,
    shards: Vec<Mutex<Shard>>,
    peers: Vec<Mutex<PeerShard>>,
    usage: Usage,
    catalogue: Catalogue,
    turn: AtomicU64,
    /// Distinguishes this process's versions from those of an earlier one.
    epoch: u32,
}

/// The memory that records take. Additions are checked, so that both bounds hold under concurrency.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    leases: AtomicUsize,
    bytes: AtomicUsize,
}

impl Usage {
    /// Reserves memory for `leases` records and `bytes` bytes beyond their fixed cost.
    fn take(&self, limits: &Limits, leases: usize, bytes: usize) -> Result<(), Full> {
        let bytes = bytes + leases * RECORD_BYTES;
        let leases_now = self.leases.fetch_add(leases, Ordering::Relaxed) + leases;
        let bytes_now = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if (leases > 0 && leases_now > limits.leases_max) || (bytes > 0 && bytes_now > limits.bytes_max) {
            self.leases.fetch_sub(leases, Ordering::Relaxed);
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Full::Tracker);
        }
        Ok(())
    }

    /// Releases what [`Usage::take`] reserved.
    fn free(&self, leases: usize, bytes: usize) {
        self.leases.fetch_sub(leases, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes + leases * RECORD_BYTES, Ordering::Relaxed);
    }
}

impl Swarm {
    /// Makes an empty index.
    pub fn new(limits: Limits) -> Self {
        let mut start = [0; 8];
        let mut epoch = [0; 4];
        // Without entropy lookups are still answered, in an order that a restart repeats.
        let _ = getrandom::fill(&mut start).and_then(|()| getrandom::fill(&mut epoch));
        Self {
            limits,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            peers: (0..SHARDS).map(|_| Mutex::default()).collect(),
            usage: Usage::default(),
            catalogue: Catalogue::default(),
            turn: AtomicU64::new(u64::from_le_bytes(start)),
            epoch: u32::from_le_bytes(epoch),
        }
    }

    /// The cache of manifests.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The bounds of the index.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The number of leases, listings and unfinished announces, and the bytes that they take.
    pub fn usage(&self) -> (usize, usize) {
        (self.usage.leases.load(Ordering::Relaxed), self.usage.bytes.load(Ordering::Relaxed))
    }

    /// Returns a fresh seed for the order of one lookup.
    pub fn next_seed(&self) -> u64 {
        self.turn.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }

    /// The `ETag` of a plan. It is weak, because two plans of one version need not name the same sources (RFC 9110,
    /// 8.8.1).
    pub fn etag(&self, version: u64) -> String {
        format!("W/\"{:08x}-{version:x}\"", self.epoch)
    }

    /// The version in an `ETag` of this process; `None` for any other text.
    pub fn version_in(&self, etag: &str) -> Option<u64> {
        let (epoch, version) = etag.strip_prefix("W/\"")?.strip_suffix('"')?.split_once('-')?;
        (u32::from_str_radix(epoch, 16) == Ok(self.epoch)).then(|| u64::from_str_radix(version, 16).ok())?
    }

    fn shard(&self, file: FileHash) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(file.0[0]) % SHARDS])
    }

    fn peer_shard(&self, peer: PeerId) -> MutexGuard<'_, PeerShard> {
        lock(&self.peers[usize::from(peer.0[15]) % SHARDS])
    }
}

#[cfg(test)]
mod tests;
