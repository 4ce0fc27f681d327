//! A cache of manifests, so that lookups and announces do not read the store. It is bounded by bytes; the manifest that
//! was unused longest goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use peernet_engine::ids::ManifestId;
use peernet_engine::manifest::Manifest;

use super::entry::ManifestMeta;
use crate::base::sync::lock;
use crate::store::{Store, StoreError, StoredManifest};

/// The most memory the manifests take, in bytes: 2 million chunks.
const BYTES_MAX: usize = 64 << 20;
/// The estimated bytes of a manifest beside its hashes.
const OVERHEAD_BYTES: usize = 512;

/// A manifest with the values that are derived from it.
#[derive(Debug)]
pub struct CachedManifest {
    /// The manifest.
    pub manifest: Manifest,
    /// The file name of its first announcer.
    pub file_name: String,
    /// The sizes and the digest of its hashes.
    pub meta: ManifestMeta,
}

impl CachedManifest {
    fn new(stored: StoredManifest) -> Self {
        let meta = ManifestMeta::of(&stored.manifest);
        Self { manifest: stored.manifest, file_name: stored.file_name, meta }
    }

    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.manifest.chunk_hashes().len() * 32
    }
}

/// The cache of manifests, shared by all threads.
#[derive(Debug, Default)]
pub struct Catalogue {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<ManifestId, (Arc<CachedManifest>, u64)>,
    by_use: BTreeMap<u64, ManifestId>,
    turn: u64,
    bytes: usize,
}

impl Catalogue {
    /// Finds a manifest in memory.
    pub fn cached(&self, id: ManifestId) -> Option<Arc<CachedManifest>> {
        let mut inner = lock(&self.inner);
        inner.turn += 1;
        let turn = inner.turn;
        let (known, used) = inner.known.get_mut(&id)?;
        let known = Arc::clone(known);
        let before = std::mem::replace(used, turn);
        inner.by_use.remove(&before);
        inner.by_use.insert(turn, id);
        Some(known)
    }

    /// Finds a manifest in memory or reads it from the store; `None` if it was never stored.
    pub fn load(&self, store: &dyn Store, id: ManifestId) -> Result<Option<Arc<CachedManifest>>, StoreError> {
        if let Some(known) = self.cached(id) {
            return Ok(Some(known));
        }
        Ok(store.manifest(id)?.map(|stored| self.keep(stored)))
    }

    /// Keeps a manifest that was just stored or read.
    pub fn keep(&self, stored: StoredManifest) -> Arc<CachedManifest> {
        let id = stored.manifest.id();
        let known = Arc::new(CachedManifest::new(stored));
        let mut inner = lock(&self.inner);
        inner.turn += 1;
        let turn = inner.turn;
        inner.bytes += known.bytes();
        if let Some((before, used)) = inner.known.insert(id, (Arc::clone(&known), turn)) {
            inner.bytes -= before.bytes();
            inner.by_use.remove(&used);
        }
        inner.by_use.insert(turn, id);
        inner.shrink();
        known
    }
}

impl Inner {
    fn shrink(&mut self) {
        while self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.by_use.pop_first() else { return };
            if let Some((known, _)) = self.known.remove(&oldest) {
                self.bytes -= known.bytes();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::{ByteCount, ChunkHash, FileHash, PeerId};
    use peernet_engine::manifest::Geometry;
    use peernet_engine::time::UnixMillis;

    use super::*;

    fn stored(n: u8) -> StoredManifest {
        let geometry = Geometry::new(ByteCount(16_384 << 20), 1 << 20).expect("valid");
        let manifest = Manifest::new(FileHash([n; 32]), geometry, vec![ChunkHash([n; 32]); 16_384]).expect("complete");
        StoredManifest { manifest, file_name: String::new(), announced_by: PeerId([0; 16]), created_at: UnixMillis(0) }
    }

    #[test]
    fn the_one_unused_longest_goes_first() {
        let catalogue = Catalogue::default();
        let ids: Vec<ManifestId> = (0..127).map(|n| catalogue.keep(stored(n)).manifest.id()).collect();
        assert!(catalogue.cached(ids[0]).is_some(), "127 half-mebibyte manifests fit");
        catalogue.keep(stored(127));
        catalogue.keep(stored(128));
        assert!(catalogue.cached(ids[0]).is_some(), "used a moment ago");
        assert!(catalogue.cached(ids[1]).is_none(), "unused longest");
        let inner = lock(&catalogue.inner);
        assert!(inner.bytes <= BYTES_MAX && inner.known.len() == inner.by_use.len());
    }
}
