//! The index of all shares by the hashes that callers ask for. No I/O.
//!
//! A directory's share is kept under the hash of its listing, and is found by the hash of its pack too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use peernet_engine::collection::{LISTING_SUFFIX, PACK_SUFFIX};
use peernet_engine::download::Has;
use peernet_engine::ids::{FileHash, ManifestId};
use peernet_engine::names::{NAME_LEN_MAX, sanitise_within};

use super::record::Record;
use super::{DirectoryInfo, Key, Offer, ShareInfo, ShareState};
use crate::files::SharedFile;

/// A share, or a download in progress.
pub(super) struct Entry {
    /// The stored share; `None` for a download in progress.
    pub(super) record: Option<Record>,
    /// The served file or listing; `None` while a file is missing.
    pub(super) shared_file: Option<Arc<SharedFile>>,
    /// The served pack of a directory: present exactly when its listing is.
    pub(super) pack: Option<Arc<SharedFile>>,
}

impl Entry {
    /// Creates the entry of a share whose files are as they were.
    pub(super) fn of(record: Record) -> Self {
        Self { shared_file: Some(record.shared_file()), pack: record.pack(), record: Some(record) }
    }

    /// Creates the entry of a share whose files are not all there.
    pub(super) fn missing(record: Record) -> Self {
        Self { record: Some(record), shared_file: None, pack: None }
    }

    /// Returns the served files.
    pub(super) fn shared_files(&self) -> impl Iterator<Item = &Arc<SharedFile>> {
        self.shared_file.iter().chain(&self.pack)
    }

    /// Stops serving all of it.
    pub(super) fn withdraw(&mut self) {
        for shared_file in self.shared_file.take().into_iter().chain(self.pack.take()) {
            shared_file.withdraw();
        }
    }
}

/// The shares and downloads of a node.
///
/// Invariant: `packs` has exactly the directories in `entries`, each under the key of its pack. Several may have the
/// same pack, and a pack may equal a file that is shared alone.
#[derive(Default)]
pub(super) struct ShareTable {
    entries: BTreeMap<Key, Entry>,
    packs: BTreeMap<Key, BTreeSet<Key>>,
}

impl ShareTable {
    pub(super) fn get(&self, key: Key) -> Option<&Entry> {
        self.entries.get(&key)
    }

    pub(super) fn record(&self, key: Key) -> Option<&Record> {
        self.get(key)?.record.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Entry> {
        self.entries.get_mut(&key)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Inserts an entry and returns the one that it replaces.
    pub(super) fn insert(&mut self, key: Key, entry: Entry) -> Option<Entry> {
        let old = self.remove(key);
        if let Some(pack) = entry.record.as_ref().and_then(Record::pack_key) {
            self.packs.entry(pack).or_default().insert(key);
        }
        self.entries.insert(key, entry);
        old
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        if let Some(pack) = entry.record.as_ref().and_then(Record::pack_key)
            && let Some(owners) = self.packs.get_mut(&pack)
        {
            owners.remove(&key);
            if owners.is_empty() {
                self.packs.remove(&pack);
            }
        }
        Some(entry)
    }

    /// Returns the shares whose own hash this is. If there is none, returns those whose pack has this hash.
    pub(super) fn named(&self, file_hash: FileHash) -> BTreeSet<Key> {
        let owners = self.owners(file_hash, None);
        let own: BTreeSet<Key> = owners.iter().filter(|key| key.0 == file_hash).copied().collect();
        if own.is_empty() { owners } else { own }
    }

    /// Returns the shares that serve this file: as a file, as a listing, or as a pack.
    pub(super) fn owners(&self, file_hash: FileHash, manifest_id: Option<ManifestId>) -> BTreeSet<Key> {
        let (first, last) = match manifest_id {
            Some(id) => (id, id),
            None => (ManifestId([0; 32]), ManifestId([0xff; 32])),
        };
        let range = (file_hash, first)..=(file_hash, last);
        let own = self.entries.range(range.clone()).map(|(key, _)| *key);
        own.chain(self.packs.range(range).flat_map(|(_, owners)| owners.iter().copied())).collect()
    }

    /// Returns a served file with this hash, and this manifest if one is given. Complete ones come first.
    pub(super) fn shared_file(&self, file_hash: FileHash, manifest_id: Option<ManifestId>) -> Option<Arc<SharedFile>> {
        let owners = self.owners(file_hash, manifest_id);
        let fits = |shared_file: &&Arc<SharedFile>| {
            let manifest = shared_file.manifest();
            manifest.file_hash() == file_hash && manifest_id.is_none_or(|id| manifest.id() == id)
        };
        let all = owners.iter().filter_map(|key| self.entries.get(key)).flat_map(Entry::shared_files);
        all.filter(fits).max_by_key(|shared_file| shared_file.is_complete()).cloned()
    }

    /// Returns all shares as lists show them, ordered by path.
    pub(super) fn list(&self) -> Vec<ShareInfo> {
        let mut all: Vec<ShareInfo> = self.entries().filter_map(info).collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }

    /// Returns the shares of the file or directory at this path.
    pub(super) fn shared_from(&self, path: &Path) -> Vec<Key> {
        let records = self.entries().filter_map(|entry| entry.record.as_ref());
        records.filter(|record| record.path() == path).map(Record::key).collect()
    }

    /// Returns all served files, each once.
    pub(super) fn offers(&self) -> Vec<Offer> {
        let mut offers: BTreeMap<Key, Offer> = BTreeMap::new();
        for shared_file in
            self.entries().flat_map(Entry::shared_files).filter(|shared_file| !shared_file.is_withdrawn())
        {
            let key = (shared_file.manifest().file_hash(), shared_file.manifest().id());
            let better = offers.get(&key).is_none_or(|known| known.has != Has::Complete);
            if better {
                offers.insert(key, offer(shared_file));
            }
        }
        offers.into_values().collect()
    }
}

fn offer(shared_file: &SharedFile) -> Offer {
    let have = shared_file.have();
    let has = if have.is_full() { Has::Complete } else { Has::Chunks(have) };
    Offer { manifest: Arc::clone(shared_file.manifest()), file_name: shared_file.file_name().to_owned(), has }
}

fn info(entry: &Entry) -> Option<ShareInfo> {
    let record = entry.record.as_ref();
    let shared_file = entry.shared_file.as_ref();
    let manifest = record.map(Record::manifest).or_else(|| shared_file.map(|shared_file| shared_file.manifest()))?;
    let state = match shared_file.map(|shared_file| shared_file.have()) {
        None => ShareState::Missing,
        Some(have) if have.is_full() => ShareState::Ready,
        Some(have) => ShareState::Downloading { chunks: have.len() },
    };
    let geometry = manifest.geometry();
    let mut info = ShareInfo {
        file_hash: manifest.file_hash(),
        manifest_id: manifest.id(),
        path: record
            .map(|record| record.path().to_owned())
            .or_else(|| shared_file.map(|shared_file| shared_file.path()))?,
        file_name: record
            .map(Record::file_name)
            .or_else(|| shared_file.map(|shared_file| shared_file.file_name().to_owned()))?,
        size: geometry.size().0,
        chunks: geometry.chunk_count().0,
        state,
        added_at: record.map_or(0, Record::added_at),
        directory: None,
        restricted: false,
    };
    if let Some(tree) = record.and_then(Record::tree) {
        let pack = &tree.pack_manifest;
        info.directory = Some(DirectoryInfo {
            name: tree.name.clone(),
            files: tree.files.identities().flatten().count(),
            listing_size: info.size,
            pack_hash: pack.file_hash(),
        });
        info.size = pack.geometry().size().0;
        info.chunks += pack.geometry().chunk_count().0;
    }
    Some(info)
}

/// Returns the name of a directory for other members. It leaves room for the suffixes of listing and pack.
pub(crate) fn directory_name(root: &Path, default: &str) -> String {
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    sanitise_within(&name, default, NAME_LEN_MAX - LISTING_SUFFIX.len().max(PACK_SUFFIX.len()))
}
