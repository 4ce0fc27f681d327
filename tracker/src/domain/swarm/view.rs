//! The view of a file for a lookup: a copy of some of its holders, taken under the lock and used without it.

use std::sync::Arc;

use peernet_engine::ids::{ChunkHash, FileHash, ManifestId, PeerId};
use peernet_engine::lease::is_live;
use peernet_engine::plan::Held;
use peernet_engine::random::Rng;
use peernet_engine::time::UnixMillis;

use super::Swarm;
use super::entry::{FileEntry, HashesDigest, ManifestEntry, ManifestMeta, V1Address};
use super::peers::{Contact, Peer};

/// A file with its holders: all of them where they are few, otherwise a random sample.
#[derive(Debug, Clone, Default)]
pub struct FileView {
    /// The file name of its first announcer at this tracker.
    pub name: Box<str>,
    /// Whether the stored manifests of this file are in the index.
    pub manifests_loaded: bool,
    /// The version: it grows with every change that a plan could show.
    pub version: u64,
    /// The manifests, including those without a holder.
    pub manifests: Vec<ManifestView>,
    /// The complete version 1 listings whose announcer accepted its last dial.
    pub listings: Vec<ListingView>,
}

/// A manifest with some of its live holders.
#[derive(Debug, Clone)]
pub struct ManifestView {
    /// The id of the manifest.
    pub id: ManifestId,
    /// The sizes of the manifest, where they are known.
    pub meta: Option<ManifestMeta>,
    /// Peers that hold some of it, or fetch it and hold nothing yet.
    pub holders: Vec<HolderView>,
    /// The number of peers with at least one chunk, whether or not they were drawn.
    pub useful: usize,
    /// Whether there are more holders than these.
    pub drawn: bool,
}

/// A live lease of a version 2 peer.
#[derive(Debug, Clone)]
pub struct HolderView {
    /// The account.
    pub peer: Arc<Peer>,
    /// The account's addresses and its site label.
    pub contact: Arc<Contact>,
    /// The chunks that it holds.
    pub held: Held,
    /// The end of its lease.
    pub expires_at: UnixMillis,
    /// The file's version at its last announce with new content.
    pub changed_at: u64,
}

/// A live listing of a version 1 peer.
#[derive(Debug, Clone)]
pub struct ListingView {
    /// The account.
    pub peer: Arc<Peer>,
    /// The account's registered address.
    pub address: Arc<V1Address>,
    /// The hashes of all 1 MiB chunks, in order.
    pub hashes: Arc<[ChunkHash]>,
    /// The digest of `hashes`.
    pub digest: HashesDigest,
    /// The end of its lease.
    pub expires_at: UnixMillis,
}

impl FileView {
    /// Removes the holders that `keeps` rejects.
    pub fn retain(&mut self, keeps: impl Fn(PeerId) -> bool) {
        self.listings.retain(|listing| keeps(listing.peer.id));
        self.manifests.iter_mut().for_each(|m| m.holders.retain(|holder| keeps(holder.peer.id)));
    }

    /// Removes the holders that accept TLS only.
    pub fn retain_plaintext(&mut self) {
        let answers = |holder: &HolderView| holder.contact.location.in_plaintext().is_some();
        self.manifests.iter_mut().for_each(|m| m.holders.retain(answers));
    }

    /// Returns whether a plan of the file would name a source.
    pub fn names_a_source(&self) -> bool {
        !self.listings.is_empty() || self.manifests.iter().any(|m| m.meta.is_some() && !m.holders.is_empty())
    }
}

impl Swarm {
    /// Copies the records of a file for a caller at `site`; `None` where no peer holds a lease on it.
    pub fn view(&self, now: UnixMillis, file: FileHash, site: Option<&str>) -> Option<FileView> {
        let mut rng = Rng::new(self.next_seed());
        self.shard(file).files.get(&file).map(|entry| entry.view(now, site, &mut rng))
    }

    /// The chunks of a manifest that `peer` has announced.
    pub fn held_by(&self, file: FileHash, manifest: ManifestId, peer: PeerId) -> Option<Held> {
        let shard = self.shard(file);
        Some(shard.files.get(&file)?.manifest(manifest)?.holders.get(peer)?.held.clone())
    }

    /// The version of a file, and its number of leases and listings. The number includes expired ones that were not
    /// removed yet.
    pub fn version_of(&self, file: FileHash) -> Option<(u64, usize)> {
        self.shard(file).files.get(&file).map(|entry| (entry.version, entry.sources()))
    }

    /// Notes that the visibility of a file changed, which a plan shows.
    pub fn note_access_changed(&self, file: FileHash) {
        if let Some(entry) = self.shard(file).files.get_mut(&file) {
            entry.version += 1;
        }
    }

    /// The number of leases and listings of a file, as [`Swarm::version_of`] counts them.
    pub fn sources_of(&self, file: FileHash) -> u64 {
        self.version_of(file).map_or(0, |(_, sources)| sources as u64)
    }

    /// For each of `peers`, whether it holds a live lease or listing of a file.
    pub fn still_hold(&self, now: UnixMillis, file: FileHash, peers: &[PeerId]) -> Vec<bool> {
        let shard = self.shard(file);
        let entry = shard.files.get(&file);
        peers.iter().map(|peer| entry.is_some_and(|entry| entry.is_held_by(now, *peer))).collect()
    }
}

impl FileEntry {
    fn view(&self, now: UnixMillis, site: Option<&str>, rng: &mut Rng) -> FileView {
        let listings = self.v1.listings.values().filter(|l| is_live(l.expires_at, now) && l.address.is_reachable());
        FileView {
            name: self.name.clone(),
            manifests_loaded: self.manifests_loaded,
            version: self.version,
            manifests: self.manifests.iter().map(|manifest| manifest.view(now, site, rng)).collect(),
            listings: listings
                .map(|l| ListingView {
                    peer: Arc::clone(&l.peer),
                    address: Arc::clone(&l.address),
                    hashes: Arc::clone(&l.hashes),
                    digest: l.digest,
                    expires_at: l.expires_at,
                })
                .collect(),
        }
    }

    fn sources(&self) -> usize {
        self.manifests.iter().map(|m| m.holders.len()).sum::<usize>() + self.v1.listings.len()
    }

    fn is_held_by(&self, now: UnixMillis, peer: PeerId) -> bool {
        let leased = self.manifests.iter().filter_map(|m| m.holders.get(peer)).map(|holder| holder.expires_at);
        let listed = self.v1.listings.get(&peer).map(|listing| listing.expires_at);
        leased.chain(listed).any(|expires_at| is_live(expires_at, now))
    }
}

impl ManifestEntry {
    fn view(&self, now: UnixMillis, site: Option<&str>, rng: &mut Rng) -> ManifestView {
        let mut holders = Vec::new();
        self.holders.draw(rng, site, |peer, holder| {
            if is_live(holder.expires_at, now) {
                holders.push(HolderView {
                    peer: Arc::clone(peer),
                    contact: Arc::clone(&holder.contact),
                    held: holder.held.clone(),
                    expires_at: holder.expires_at,
                    changed_at: holder.changed_at,
                });
            }
        });
        ManifestView {
            id: self.id,
            meta: self.meta.clone(),
            holders,
            useful: self.holders.useful(),
            drawn: self.holders.len() > peernet_engine::plan::draw::ALL_MAX,
        }
    }
}
