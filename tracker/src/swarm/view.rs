//! What a lookup sees of a file: a copy of some of its holders, taken under the lock and worked on without it.

use std::sync::Arc;

use peernet_engine::ids::{ChunkHash, FileHash, ManifestId, PeerId};
use peernet_engine::lease::is_live;
use peernet_engine::random::Rng;
use peernet_engine::time::UnixMillis;

use super::Swarm;
use super::entry::{FileEntry, HashesDigest, Held, ManifestEntry, ManifestMeta, V1Address};
use super::peers::{Contact, Peer};

/// A file with holders: all where they are few, else some drawn at random.
#[derive(Debug, Clone, Default)]
pub struct FileView {
    /// As its first announcer here called it.
    pub name: Box<str>,
    /// Whether the store's manifests of this file are known here.
    pub manifests_loaded: bool,
    /// Raised by every change that a plan could show.
    pub version: u64,
    /// Manifests, those without a holder included.
    pub manifests: Vec<ManifestView>,
    /// Whole version 1 listings whose announcer answers.
    pub listings: Vec<ListingView>,
}

/// A manifest with live holders.
#[derive(Debug, Clone)]
pub struct ManifestView {
    /// Its id.
    pub id: ManifestId,
    /// Its sizes, where they are known already.
    pub meta: Option<ManifestMeta>,
    /// Who holds some of it, or fetches it and holds nothing yet.
    pub holders: Vec<HolderView>,
    /// How many hold at least one chunk, whether they were drawn or not.
    pub useful: usize,
    /// Whether there are more holders than these.
    pub drawn: bool,
}

/// A live version 2 lease.
#[derive(Debug, Clone)]
pub struct HolderView {
    /// Who.
    pub peer: Arc<Peer>,
    /// Where.
    pub contact: Arc<Contact>,
    /// Which chunks.
    pub held: Held,
    /// Until when.
    pub expires_at: UnixMillis,
    /// The file's version when this lease last said something new.
    pub changed_at: u64,
}

/// A live version 1 listing.
#[derive(Debug, Clone)]
pub struct ListingView {
    /// Who.
    pub peer: Arc<Peer>,
    /// The registered address.
    pub address: Arc<V1Address>,
    /// Of every 1 MiB chunk, in order.
    pub hashes: Arc<[ChunkHash]>,
    /// Stands for `hashes`.
    pub digest: HashesDigest,
    /// Until when.
    pub expires_at: UnixMillis,
}

impl FileView {
    /// Leaves out whoever `keeps` does not want.
    pub fn retain(&mut self, keeps: impl Fn(PeerId) -> bool) {
        self.listings.retain(|listing| keeps(listing.peer.id));
        self.manifests.iter_mut().for_each(|m| m.holders.retain(|holder| keeps(holder.peer.id)));
    }

    /// Leaves out whoever answers over TLS only.
    pub fn retain_plaintext(&mut self) {
        let answers = |holder: &HolderView| holder.contact.reach.in_plaintext().is_some();
        self.manifests.iter_mut().for_each(|m| m.holders.retain(answers));
    }

    /// Whether a plan of it would name anyone.
    pub fn names_someone(&self) -> bool {
        !self.listings.is_empty() || self.manifests.iter().any(|m| m.meta.is_some() && !m.holders.is_empty())
    }
}

impl Swarm {
    /// A copy of what is known of a file, as somebody at `site` may see it; `None` where nobody holds a lease on it.
    pub fn view(&self, now: UnixMillis, file: FileHash, site: Option<&str>) -> Option<FileView> {
        let mut rng = Rng::new(self.next_seed());
        self.shard(file).files.get(&file).map(|entry| entry.view(now, site, &mut rng))
    }

    /// What `peer` announced of a manifest.
    pub fn held_by(&self, file: FileHash, manifest: ManifestId, peer: PeerId) -> Option<Held> {
        let shard = self.shard(file);
        Some(shard.files.get(&file)?.manifest(manifest)?.holders.get(peer)?.held.clone())
    }

    /// The version of a file's entry, raised by every change that a plan could show, and how many leases and listings it has,
    /// expired ones included that nobody has taken out yet.
    pub fn version_of(&self, file: FileHash) -> Option<(u64, usize)> {
        self.shard(file).files.get(&file).map(|entry| (entry.version, entry.sources()))
    }

    /// Who may have a file is another now: a plan shows it.
    pub fn note_access_changed(&self, file: FileHash) {
        if let Some(entry) = self.shard(file).files.get_mut(&file) {
            entry.version += 1;
        }
    }

    /// How many leases and listings of a file there are, as [`Swarm::version_of`] counts them.
    pub fn sources_of(&self, file: FileHash) -> u64 {
        self.version_of(file).map_or(0, |(_, sources)| sources as u64)
    }

    /// Which of `peers` hold a live lease or listing of a file.
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
            drawn: self.holders.len() > super::holders::ALL_MAX,
        }
    }
}
