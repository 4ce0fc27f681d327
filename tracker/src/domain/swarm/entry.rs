//! One file of the index: its manifests with their holders, its complete and staged version 1 listings, and the holders
//! that departed lately.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use peernet_engine::candidate::{Candidate, Candidates};
use peernet_engine::ids::{ChunkHash, ManifestId, PeerId};
use peernet_engine::manifest::Manifest;
use peernet_engine::plan::Held;
use peernet_engine::time::UnixMillis;
use sha2::{Digest, Sha256};

use super::holders::Holders;
use super::peers::{Contact, Peer};
use crate::base::location::Location;

/// SHA-256 over all chunk hashes of a file in order. Two lists are the same chunks if their digests are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashesDigest(pub [u8; 32]);

impl HashesDigest {
    /// Computes the digest of a list of chunk hashes.
    pub fn of(hashes: &[ChunkHash]) -> Self {
        let mut hasher = Sha256::new();
        hashes.iter().for_each(|hash| hasher.update(hash.0));
        Self(hasher.finalize().into())
    }
}

/// The registered address of a version 1 announcer, and whether it accepted the last dial. All its listings share it.
#[derive(Debug)]
pub struct V1Address {
    address: Candidate,
    contact: Arc<Contact>,
    reachable: AtomicBool,
}

impl V1Address {
    /// Makes an address that counts as reachable until a dial fails.
    pub fn new(address: Candidate) -> Self {
        let location = Location { candidates: Candidates::new([address.clone()]), ..Location::default() };
        let contact = Arc::new(Contact { location: Arc::new(location), site: None });
        Self { address, contact, reachable: AtomicBool::new(true) }
    }

    /// The address as `host:port`.
    pub fn text(&self) -> &Arc<str> {
        self.address.address()
    }

    /// The contact in the form that version 2 holders have.
    pub fn contact(&self) -> &Arc<Contact> {
        &self.contact
    }

    /// Returns whether the peer accepted the last dial, so that lookups list it.
    pub fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Relaxed)
    }

    /// Notes the result of a dial, or that the peer announced again.
    pub fn set_reachable(&self, reachable: bool) {
        self.reachable.store(reachable, Ordering::Relaxed);
    }
}

/// The sizes of a manifest and the digest of its hashes: all that the index needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestMeta {
    /// The size of the file in bytes.
    pub size: u64,
    /// The size of a chunk in bytes.
    pub chunk_size: u32,
    /// The number of chunks.
    pub chunks: u32,
    /// The digest of the chunk hashes.
    pub digest: HashesDigest,
}

impl ManifestMeta {
    /// Computes it from a manifest.
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

/// One manifest of a file, with its holders.
#[derive(Debug)]
pub(super) struct ManifestEntry {
    pub(super) id: ManifestId,
    pub(super) meta: Option<ManifestMeta>,
    pub(super) holders: Holders,
}

/// A file of which one version 1 peer has announced every chunk.
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

/// A holder whose lease ended lately. Lookups do not list it, but reports about what it served still count.
#[derive(Debug, Clone)]
pub(super) struct Departed {
    pub(super) peer: PeerId,
    pub(super) held: Held,
    pub(super) chunks: u32,
    pub(super) until: UnixMillis,
}

/// All records of one file.
#[derive(Debug, Default)]
pub(super) struct FileEntry {
    pub(super) name: Box<str>,
    /// Returns whether the stored manifests of this file have been read, so that listings can be matched with them.
    pub(super) manifests_loaded: bool,
    /// The version: it grows with every change that a plan could show, and so not with renewals.
    pub(super) version: u64,
    /// The manifests, in no order: few files have more than one.
    pub(super) manifests: Vec<ManifestEntry>,
    pub(super) departed: Vec<Departed>,
    pub(super) v1: Version1,
}

/// The version 1 announces of a file. Most files have none, so the maps cost nothing while they are empty.
#[derive(Debug, Default)]
pub(super) struct Version1 {
    pub(super) listings: BTreeMap<PeerId, Listing>,
    pub(super) staging: BTreeMap<(PeerId, u32), Staging>,
}

impl FileEntry {
    /// Returns whether no record is left that the store does not have as well.
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

    /// The manifest with this id; added if it is not there.
    pub(super) fn manifest_or_new(&mut self, id: ManifestId) -> &mut ManifestEntry {
        let at = self.manifests.iter().position(|m| m.id == id).unwrap_or_else(|| {
            self.manifests.reserve_exact(1);
            self.manifests.push(ManifestEntry { id, meta: None, holders: Holders::default() });
            self.manifests.len() - 1
        });
        &mut self.manifests[at]
    }

    /// Returns the list of another listing with the same digest, so that equal lists are kept once.
    pub(super) fn shared_hashes(&self, digest: HashesDigest, hashes: Vec<ChunkHash>) -> Arc<[ChunkHash]> {
        let same = self.v1.listings.values().find(|l| l.digest == digest);
        same.map_or_else(|| hashes.into(), |l| Arc::clone(&l.hashes))
    }
}

/// The key of a record of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Holder(PeerId, ManifestId),
    Listing(PeerId),
    Staging(PeerId, u32),
    Departed(PeerId),
}
