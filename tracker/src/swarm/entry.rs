//! One file of the index: its manifests with their holders, its version 1 listings, whole and staged, and who just left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkHash, ChunkIndex, ManifestId, PeerId};
use peernet_engine::manifest::Manifest;
use peernet_engine::time::UnixMillis;
use sha2::{Digest, Sha256};

use super::holders::Holders;
use super::peers::{Contact, Peer};
use super::reach::Reach;

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
    contact: Arc<Contact>,
    reachable: AtomicBool,
}

impl V1Address {
    /// Believed until a dial-back fails.
    pub fn new(text: String) -> Self {
        let contact = Arc::new(Contact { reach: Reach::plain(text), site: None });
        Self { contact, reachable: AtomicBool::new(true) }
    }

    /// `host:port`.
    pub fn text(&self) -> &Arc<str> {
        &self.contact.reach.address
    }

    /// The same as holders of version 2 have it.
    pub fn contact(&self) -> &Arc<Contact> {
        &self.contact
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

/// One manifest of a file.
#[derive(Debug)]
pub(super) struct ManifestEntry {
    pub(super) id: ManifestId,
    pub(super) meta: Option<ManifestMeta>,
    pub(super) holders: Holders,
}

/// A file that one version 1 peer has announced whole.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    pub(super) peer: Arc<Peer>,
    pub(super) address: Arc<V1Address>,
    pub(super) hashes: Arc<[ChunkHash]>,
    pub(super) digest: HashesDigest,
    pub(super) name: String,
    pub(super) created_at: UnixMillis,
    pub(super) expires_at: UnixMillis,
}

/// A file that one version 1 peer is announcing.
#[derive(Debug, Default)]
pub(super) struct Staging {
    pub(super) hashes: BTreeMap<u32, ChunkHash>,
    pub(super) name: String,
    pub(super) expires_at: UnixMillis,
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
    pub(super) name: Box<str>,
    /// Whether the store's manifests of this file have been read, so that listings can be matched with them.
    pub(super) manifests_loaded: bool,
    /// Raised by everything that a plan could show, so not by renewals.
    pub(super) version: u64,
    /// By id, since few files have more than one.
    pub(super) manifests: Vec<ManifestEntry>,
    pub(super) departed: Vec<Departed>,
    pub(super) v1: Version1,
}

/// What version 1 peers announced of a file. Mostly nothing, so in maps that cost nothing empty.
#[derive(Debug, Default)]
pub(super) struct Version1 {
    pub(super) listings: BTreeMap<PeerId, Listing>,
    pub(super) staging: BTreeMap<(PeerId, u32), Staging>,
}

impl FileEntry {
    /// Whether nothing but knowledge that the store has too is left.
    pub(super) fn is_idle(&self) -> bool {
        self.v1.listings.is_empty()
            && self.v1.staging.is_empty()
            && self.departed.is_empty()
            && self.manifests.iter().all(|m| m.holders.is_empty())
    }

    pub(super) fn names(&self, peer: PeerId) -> bool {
        self.manifests.iter().any(|m| m.holders.contains(peer))
            || self.v1.listings.contains_key(&peer)
            || self.v1.staging.keys().any(|(p, _)| *p == peer)
    }

    pub(super) fn manifest(&self, id: ManifestId) -> Option<&ManifestEntry> {
        self.manifests.iter().find(|m| m.id == id)
    }

    pub(super) fn manifest_mut(&mut self, id: ManifestId) -> Option<&mut ManifestEntry> {
        self.manifests.iter_mut().find(|m| m.id == id)
    }

    /// The manifest of this id, made if it is not known yet.
    pub(super) fn manifest_or_new(&mut self, id: ManifestId) -> &mut ManifestEntry {
        let at = self.manifests.iter().position(|m| m.id == id).unwrap_or_else(|| {
            self.manifests.reserve_exact(1);
            self.manifests.push(ManifestEntry { id, meta: None, holders: Holders::default() });
            self.manifests.len() - 1
        });
        &mut self.manifests[at]
    }

    /// The same list as another listing has, so that equal lists are kept once.
    pub(super) fn shared_hashes(&self, digest: HashesDigest, hashes: Vec<ChunkHash>) -> Arc<[ChunkHash]> {
        let same = self.v1.listings.values().find(|l| l.digest == digest);
        same.map_or_else(|| hashes.into(), |l| Arc::clone(&l.hashes))
    }
}

/// Whose record of a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Holder(PeerId, ManifestId),
    Listing(PeerId),
    Staging(PeerId, u32),
    Departed(PeerId),
}
