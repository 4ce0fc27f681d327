//! What a lookup sees of a file: a copy, taken under the lock and worked on without it.

use std::sync::Arc;

use peernet_engine::ids::{ChunkHash, FileHash, ManifestId, PeerId};
use peernet_engine::lease::is_live;
use peernet_engine::time::UnixMillis;

use super::Swarm;
use super::entry::{FileEntry, HashesDigest, Held, ManifestMeta, V1Address};

/// A file with its live holders.
#[derive(Debug, Clone, Default)]
pub struct FileView {
    /// As its first announcer here called it.
    pub name: String,
    /// Whether the store's manifests of this file are known here.
    pub manifests_loaded: bool,
    /// Manifests, those without a holder included.
    pub manifests: Vec<ManifestView>,
    /// Whole version 1 listings whose announcer answers.
    pub listings: Vec<ListingView>,
}

/// A manifest with its live holders.
#[derive(Debug, Clone)]
pub struct ManifestView {
    /// Its id.
    pub id: ManifestId,
    /// Its sizes, where they are known already.
    pub meta: Option<ManifestMeta>,
    /// Who holds some of it, or fetches it and holds nothing yet.
    pub holders: Vec<HolderView>,
}

impl ManifestView {
    /// How many hold at least one chunk.
    pub fn useful(&self) -> usize {
        self.holders.iter().filter(|holder| !holder.held.is_nothing()).count()
    }
}

/// A live version 2 lease.
#[derive(Debug, Clone)]
pub struct HolderView {
    /// Who.
    pub peer: PeerId,
    /// `host:port`.
    pub address: Arc<str>,
    /// The announcer's label.
    pub site: Option<Arc<str>>,
    /// Which chunks.
    pub held: Held,
    /// Until when.
    pub expires_at: UnixMillis,
}

/// A live version 1 listing.
#[derive(Debug, Clone)]
pub struct ListingView {
    /// Who.
    pub peer: PeerId,
    /// The registered address.
    pub address: Arc<V1Address>,
    /// Of every 1 MiB chunk, in order.
    pub hashes: Arc<[ChunkHash]>,
    /// Stands for `hashes`.
    pub digest: HashesDigest,
    /// Until when.
    pub expires_at: UnixMillis,
}

impl Swarm {
    /// A copy of what is known of a file; `None` where nobody holds a lease on it.
    pub fn view(&self, now: UnixMillis, file: FileHash) -> Option<FileView> {
        self.shard(file).files.get(&file).map(|entry| entry.view(now))
    }

    /// How many peers hold a live lease or listing of a file.
    pub fn sources_of(&self, now: UnixMillis, file: FileHash) -> u64 {
        let shard = self.shard(file);
        let Some(entry) = shard.files.get(&file) else { return 0 };
        let mut peers: Vec<PeerId> =
            entry.listings.iter().filter(|(_, l)| is_live(l.expires_at, now)).map(|(p, _)| *p).collect();
        for manifest in entry.manifests.values() {
            peers.extend(manifest.holders.iter().filter(|(_, h)| is_live(h.expires_at, now)).map(|(p, _)| *p));
        }
        peers.sort_unstable();
        peers.dedup();
        peers.len() as u64
    }
}

impl FileEntry {
    fn view(&self, now: UnixMillis) -> FileView {
        let listings = self.listings.iter().filter(|(_, l)| is_live(l.expires_at, now) && l.address.is_reachable());
        FileView {
            name: self.name.clone(),
            manifests_loaded: self.manifests_loaded,
            manifests: self.manifests.keys().map(|id| self.manifest_view(now, *id)).collect(),
            listings: listings
                .map(|(peer, l)| ListingView {
                    peer: *peer,
                    address: Arc::clone(&l.address),
                    hashes: Arc::clone(&l.hashes),
                    digest: l.digest,
                    expires_at: l.expires_at,
                })
                .collect(),
        }
    }

    fn manifest_view(&self, now: UnixMillis, id: ManifestId) -> ManifestView {
        let entry = &self.manifests[&id];
        let live = entry.holders.iter().filter(|(_, h)| is_live(h.expires_at, now));
        let holders = live
            .map(|(peer, h)| HolderView {
                peer: *peer,
                address: Arc::clone(&h.address),
                site: h.site.clone(),
                held: h.held.clone(),
                expires_at: h.expires_at,
            })
            .collect();
        ManifestView { id, meta: entry.meta.clone(), holders }
    }
}
