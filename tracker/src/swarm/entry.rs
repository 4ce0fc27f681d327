//! One file of the index: its manifests with their holders, its version 1 listings, whole and staged, and who just left.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkHash, ChunkIndex, ManifestId, PeerId};
use peernet_engine::manifest::Manifest;
use peernet_engine::time::UnixMillis;
use sha2::{Digest, Sha256};

/// SHA-256 over all chunk hashes of a file in order: two lists are the same chunks where these are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashesDigest(pub [u8; 32]);

impl HashesDigest {
    /// Of a list of chunk hashes.
    pub fn of(hashes: &[ChunkHash]) -> Self {
        let mut hasher = Sha256::new();
        hashes.iter().for_each(|hash| hasher.update(hash.0));
        Self(hasher.finalize().into())
    }
}

/// What a holder has of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Every chunk.
    Complete,
    /// Some of them.
    Chunks(Arc<Bitmap>),
}

impl Held {
    /// A full bitmap is stored as `Complete`, which costs nothing.
    pub fn of(bitmap: Bitmap) -> Self {
        if bitmap.is_full() { Self::Complete } else { Self::Chunks(Arc::new(bitmap)) }
    }

    /// Whether chunk `index` is held; the caller knows that it is below the file's count.
    pub fn contains(&self, index: ChunkIndex) -> bool {
        match self {
            Self::Complete => true,
            Self::Chunks(bitmap) => bitmap.contains(index),
        }
    }

    /// Whether no chunk is held.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Chunks(bitmap) if bitmap.is_empty())
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Complete => 0,
            Self::Chunks(bitmap) => bitmap.as_bytes().len(),
        }
    }
}

/// A version 1 announcer's registered address and whether it answered when it was last dialled. Shared by all its listings.
#[derive(Debug)]
pub struct V1Address {
    text: Arc<str>,
    reachable: AtomicBool,
}

impl V1Address {
    /// Believed until a dial-back fails.
    pub fn new(text: String) -> Self {
        Self { text: text.into(), reachable: AtomicBool::new(true) }
    }

    /// `host:port`.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether lookups list it.
    pub fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Relaxed)
    }

    /// Notes how a dial-back ended, or that the peer announced again.
    pub fn set_reachable(&self, reachable: bool) {
        self.reachable.store(reachable, Ordering::Relaxed);
    }
}

/// What the index needs of a manifest without its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestMeta {
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of a chunk.
    pub chunk_size: u32,
    /// How many chunks.
    pub chunks: u32,
    /// Stands for the list of chunk hashes.
    pub digest: HashesDigest,
}

impl ManifestMeta {
    /// Hashes the list of chunk hashes.
    pub fn of(manifest: &Manifest) -> Self {
        let geometry = manifest.geometry();
        Self {
            size: geometry.size().0,
            chunk_size: geometry.chunk_size(),
            chunks: geometry.chunk_count().0,
            digest: HashesDigest::of(manifest.chunk_hashes()),
        }
    }
}

/// A version 2 lease.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) address: Arc<str>,
    pub(super) site: Option<Arc<str>>,
    pub(super) held: Held,
    pub(super) expires_at: UnixMillis,
    /// What the store knows; a renewal is written only when this has become old.
    pub(super) stored_until: UnixMillis,
    /// Where its deadline stands in the shard's queue.
    pub(super) queued_at: UnixMillis,
}

/// One manifest of a file.
#[derive(Debug, Default)]
pub(super) struct ManifestEntry {
    pub(super) meta: Option<ManifestMeta>,
    pub(super) holders: HashMap<PeerId, Holder>,
}

/// A file that one version 1 peer has announced whole.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    pub(super) address: Arc<V1Address>,
    pub(super) hashes: Arc<[ChunkHash]>,
    pub(super) digest: HashesDigest,
    pub(super) name: String,
    pub(super) created_at: UnixMillis,
    pub(super) expires_at: UnixMillis,
    pub(super) queued_at: UnixMillis,
}

/// A file that one version 1 peer is announcing.
#[derive(Debug, Default)]
pub(super) struct Staging {
    pub(super) hashes: BTreeMap<u32, ChunkHash>,
    pub(super) name: String,
    pub(super) expires_at: UnixMillis,
    pub(super) queued_at: UnixMillis,
}

/// Someone whose lease ended a moment ago: no lookup lists it, but a report about what it served still counts.
#[derive(Debug, Clone)]
pub(super) struct Departed {
    pub(super) peer: PeerId,
    pub(super) held: Held,
    pub(super) chunks: u32,
    pub(super) until: UnixMillis,
}

/// Everything known of one file.
#[derive(Debug, Default)]
pub(super) struct FileEntry {
    pub(super) name: String,
    /// Whether the store's manifests of this file have been read, so that listings can be matched with them.
    pub(super) manifests_loaded: bool,
    pub(super) manifests: BTreeMap<ManifestId, ManifestEntry>,
    pub(super) listings: HashMap<PeerId, Listing>,
    pub(super) staging: HashMap<(PeerId, u32), Staging>,
    pub(super) departed: Vec<Departed>,
}

impl FileEntry {
    /// Whether nothing but knowledge that the store has too is left.
    pub(super) fn is_idle(&self) -> bool {
        self.listings.is_empty()
            && self.staging.is_empty()
            && self.departed.is_empty()
            && self.manifests.values().all(|m| m.holders.is_empty())
    }

    pub(super) fn names(&self, peer: PeerId) -> bool {
        self.listings.contains_key(&peer)
            || self.manifests.values().any(|m| m.holders.contains_key(&peer))
            || self.staging.keys().any(|(p, _)| *p == peer)
    }

    /// The same list as another listing has, so that equal lists are kept once.
    pub(super) fn shared_hashes(&self, digest: HashesDigest, hashes: Vec<ChunkHash>) -> Arc<[ChunkHash]> {
        let same = self.listings.values().find(|l| l.digest == digest);
        same.map_or_else(|| hashes.into(), |l| Arc::clone(&l.hashes))
    }
}

/// Whose deadline an entry of a shard's queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Holder(PeerId, ManifestId),
    Listing(PeerId),
    Staging(PeerId, u32),
    Departed(PeerId),
}
