//! What this node shares: one small file on disk per share, so that a restart serves the same; and downloads in progress,
//! which are on offer while they last.
//!
//! A share is served only while its file is the one that was hashed. A changed file ends its share; one that is gone is
//! kept in mind and served again when it is back, because disks are unplugged and networks mounted late.

mod record;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::download::Has;
use peernet_engine::ids::{FileHash, ManifestId};
use peernet_engine::manifest::Manifest;

use crate::clock::unix_now;
use crate::error::NodeError;
use crate::home::{private_folder, write_atomically};
use crate::log::Log;
use crate::upload::{FileIdentity, Held, Shelf};
use record::Record;

/// How a share is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareState {
    /// On offer.
    Ready,
    /// Its file is not there; it is served again when it is back unchanged.
    Missing,
    /// A download in progress, on offer as far as it is.
    Downloading {
        /// Verified chunks.
        chunks: u32,
    },
}

/// One share, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareInfo {
    /// The file.
    pub file_hash: FileHash,
    /// Its manifest.
    pub manifest_id: ManifestId,
    /// Where it lies.
    pub path: PathBuf,
    /// What it is called for others.
    pub file_name: String,
    /// Bytes.
    pub size: u64,
    /// How many chunks it has.
    pub chunks: u32,
    /// How it is.
    pub state: ShareState,
    /// Since when, seconds since 1970-01-01 UTC.
    pub added_at: u64,
}

/// What is to be announced about one share.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) file_name: String,
    pub(crate) has: Has,
}

struct Entry {
    /// `None` for a download in progress.
    record: Option<Record>,
    /// `None` while the file is missing.
    held: Option<Arc<Held>>,
}

type Key = (FileHash, ManifestId);

/// All shares of a node. A [`Shelf`] for its server.
pub struct Shares {
    /// `None`: nothing is kept on disk.
    folder: Option<PathBuf>,
    entries: Mutex<BTreeMap<Key, Entry>>,
    /// Held while a record changes in the folder and in `entries`, so that both always say the same. Taken first.
    changing: Mutex<()>,
    changed: Sender<()>,
    changes: Receiver<()>,
    log: Log,
}

impl Shares {
    /// Shares that last in `folder`; those in it are loaded, and what became of their files is looked at.
    pub fn open(folder: &Path, log: Log) -> Result<Self, NodeError> {
        private_folder(folder)?;
        let shares = Self { folder: Some(folder.to_owned()), ..Self::in_memory(log) };
        let listing = fs::read_dir(folder).map_err(NodeError::local("reading", folder))?;
        for file in listing.filter_map(Result::ok).filter(|f| f.path().extension().is_some_and(|e| e == "json")) {
            match Record::load(&file.path()) {
                Ok(record) => shares.restore(record),
                Err(why) => shares.log.warn(&format!("{}: {why}; share the file again", file.path().display())),
            }
        }
        Ok(shares)
    }

    /// Shares that end with the process.
    pub fn in_memory(log: Log) -> Self {
        // One place: that something changed is known once, however often it did.
        let (changed, changes) = bounded(1);
        let (entries, changing) = (Mutex::new(BTreeMap::new()), Mutex::new(()));
        Self { folder: None, entries, changing, changed, changes, log }
    }

    /// Something was shared or withdrawn. For one listener.
    pub(crate) fn changes(&self) -> &Receiver<()> {
        &self.changes
    }

    /// Shares a finished file from now on. `held` is what a download left, where it did.
    pub fn add(
        &self,
        manifest: Arc<Manifest>,
        path: &Path,
        identity: FileIdentity,
        file_name: &str,
        held: Option<Arc<Held>>,
    ) -> Result<ManifestId, NodeError> {
        let id = manifest.id();
        let record =
            Record { manifest, path: path.to_owned(), identity, file_name: file_name.to_owned(), added_at: unix_now() };
        let _changing = self.changing();
        if let Some(file) = self.file_of(id) {
            write_atomically(&file, &record.to_bytes()).map_err(NodeError::local("writing", &file))?;
        }
        let held = held.filter(|held| !held.is_withdrawn()).unwrap_or_else(|| record.held());
        let old = self.lock().insert(record.key(), Entry { record: Some(record), held: Some(Arc::clone(&held)) });
        if let Some(old) = old.and_then(|old| old.held).filter(|old| !Arc::ptr_eq(old, &held)) {
            old.withdraw();
        }
        self.tell();
        Ok(id)
    }

    /// Offers a download in progress, unless the same file is shared already.
    pub(crate) fn begin(&self, held: Arc<Held>) {
        let key = (held.manifest().file_hash(), held.manifest().id());
        let mut entries = self.lock();
        if entries.get(&key).is_none_or(|known| known.held.is_none()) {
            let record = entries.remove(&key).and_then(|missing| missing.record);
            entries.insert(key, Entry { record, held: Some(held) });
        }
        drop(entries);
        self.tell();
    }

    /// A download is over and its file is not to be shared: ends its offer. A share that was there before stays.
    pub(crate) fn end(&self, held: &Arc<Held>) {
        let key = (held.manifest().file_hash(), held.manifest().id());
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(&key).filter(|e| e.held.as_ref().is_some_and(|h| Arc::ptr_eq(h, held))) {
            entry.held = None;
            if entry.record.is_none() {
                entries.remove(&key);
            }
        }
        drop(entries);
        held.withdraw();
        self.tell();
    }

    /// Ends every share of a file, on disk too; returns the paths it had.
    pub fn remove(&self, file_hash: FileHash) -> Result<Vec<PathBuf>, NodeError> {
        let _changing = self.changing();
        let keys: Vec<Key> = self.keys_of(file_hash);
        let mut paths = Vec::new();
        for key in keys {
            self.forget(key)?;
            if let Some(entry) = self.lock().remove(&key) {
                paths.extend(entry.record.map(|record| record.path));
                if let Some(held) = entry.held {
                    held.withdraw();
                }
            }
        }
        self.tell();
        if paths.is_empty() { Err(NodeError::not_shared(file_hash)) } else { Ok(paths) }
    }

    /// The files shared under this path, as it was given or as it really is.
    pub fn shared_from(&self, path: &Path) -> Vec<FileHash> {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let entries = self.lock();
        let from = |entry: &Entry| entry.record.as_ref().is_some_and(|r| r.path == real || r.path == path);
        entries.iter().filter(|(_, entry)| from(entry)).map(|(key, _)| key.0).collect()
    }

    /// Everything, ordered by path.
    pub fn list(&self) -> Vec<ShareInfo> {
        let mut all: Vec<ShareInfo> = self.lock().values().filter_map(info).collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }

    /// What can be served now.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        self.lock()
            .values()
            .filter_map(|entry| entry.held.as_deref())
            .filter(|held| !held.is_withdrawn())
            .map(offer)
            .collect()
    }

    /// Whether a download in progress is on offer, whose bitmap grows.
    pub(crate) fn is_growing(&self) -> bool {
        self.lock().values().filter_map(|entry| entry.held.as_deref()).any(|held| !held.is_complete())
    }

    /// Looks at every file: what is back is served again, what is gone or changed is not any more.
    pub fn recheck(&self) {
        // A file that is being downloaded anew into its old place is no finished one yet.
        let at_rest = |entry: &&Entry| entry.held.as_ref().is_none_or(|held| held.is_complete());
        let looked_at = |entry: &Entry| Some((entry.record.clone()?, entry.held.is_some()));
        let records: Vec<(Record, bool)> = self.lock().values().filter(at_rest).filter_map(looked_at).collect();
        for (record, served) in records {
            match FileIdentity::of_path(&record.path) {
                Ok(identity) if identity == record.identity && !served => self.serve_again(record),
                Ok(identity) if identity == record.identity => {}
                _ => self.withdraw_if_spoiled(record.key()),
            }
        }
    }

    fn serve_again(&self, record: Record) {
        let _changing = self.changing();
        let is_missing = self.lock().get(&record.key()).is_some_and(|entry| entry.held.is_none());
        if is_missing && self.is_current(&record) {
            self.log.info(&format!("{} is back and is shared again", record.path.display()));
            let held = Some(record.held());
            self.lock().insert(record.key(), Entry { record: Some(record), held });
            self.tell();
        }
    }

    /// Whether it is still this very share: it may have been ended, or shared anew, since the record was looked at.
    fn is_current(&self, record: &Record) -> bool {
        let entries = self.lock();
        let now = entries.get(&record.key()).and_then(|entry| entry.record.as_ref());
        now.is_some_and(|now| now.identity == record.identity && now.path == record.path)
    }

    fn restore(&self, record: Record) {
        let key = record.key();
        let held = match FileIdentity::of_path(&record.path) {
            Ok(identity) if identity == record.identity => Some(record.held()),
            _ => None,
        };
        let spoiled = held.is_none();
        self.lock().insert(key, Entry { record: Some(record), held });
        if spoiled {
            self.withdraw_if_spoiled(key);
        }
    }

    /// Looks at the file of one share, and ends the share or puts it aside.
    fn withdraw_if_spoiled(&self, key: Key) {
        let Some(record) = self.lock().get(&key).and_then(|entry| entry.record.clone()) else { return };
        let path = record.path.display();
        let found = FileIdentity::of_path(&record.path);
        let _changing = self.changing();
        if !self.is_current(&record) {
            return;
        }
        match found {
            Ok(identity) if identity == record.identity => return,
            Ok(_) => {
                self.log.warn(&format!(
                    "{path} has changed and is no longer shared; share it again to share what it is now"
                ));
                if let Err(error) = self.forget(key) {
                    self.log.warn(&error.to_string());
                }
                self.take_off(key, true);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.log.warn(&format!("{path} is gone and is not shared until it is back"));
                self.take_off(key, false);
            }
            Err(error) => {
                self.log.warn(&format!("{path} cannot be read and is not shared until it can: {error}"));
                self.take_off(key, false);
            }
        }
        self.tell();
    }

    fn take_off(&self, key: Key, for_good: bool) {
        let mut entries = self.lock();
        let held = entries.get_mut(&key).and_then(|entry| entry.held.take());
        if for_good {
            entries.remove(&key);
        }
        drop(entries);
        if let Some(held) = held {
            held.withdraw();
        }
    }

    fn forget(&self, key: Key) -> Result<(), NodeError> {
        let Some(file) = self.file_of(key.1) else { return Ok(()) };
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(NodeError::local("removing", &file)(error)),
            _ => Ok(()),
        }
    }

    fn file_of(&self, id: ManifestId) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(format!("{id}.json")))
    }

    fn keys_of(&self, file_hash: FileHash) -> Vec<Key> {
        let all = (file_hash, ManifestId([0; 32]))..=(file_hash, ManifestId([0xff; 32]));
        self.lock().range(all).map(|(key, _)| *key).collect()
    }

    fn tell(&self) {
        let _known_already = self.changed.try_send(());
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf for Shares {
    fn held(&self, file_hash: FileHash, manifest_id: Option<ManifestId>) -> Option<Arc<Held>> {
        let keys = match manifest_id {
            Some(id) => vec![(file_hash, id)],
            None => self.keys_of(file_hash),
        };
        let entries = self.lock();
        let served = keys.iter().filter_map(|key| entries.get(key)?.held.clone());
        // A complete one first: version 1 asks for a file, not for a manifest.
        served.max_by_key(|held| held.is_complete())
    }

    fn spoiled(&self, held: &Held) {
        self.withdraw_if_spoiled((held.manifest().file_hash(), held.manifest().id()));
    }
}

fn offer(held: &Held) -> Offer {
    let have = held.have();
    let has = if have.is_full() { Has::Complete } else { Has::Chunks(have) };
    Offer { manifest: Arc::clone(held.manifest()), file_name: held.file_name().to_owned(), has }
}

fn info(entry: &Entry) -> Option<ShareInfo> {
    let manifest = match (&entry.record, &entry.held) {
        (Some(record), _) => Arc::clone(&record.manifest),
        (None, Some(held)) => Arc::clone(held.manifest()),
        (None, None) => return None,
    };
    let have = entry.held.as_ref().map(|held| held.have());
    let state = match have {
        None => ShareState::Missing,
        Some(have) if have.is_full() => ShareState::Ready,
        Some(have) => ShareState::Downloading { chunks: have.len() },
    };
    let record = entry.record.as_ref();
    let held = entry.held.as_ref();
    Some(ShareInfo {
        file_hash: manifest.file_hash(),
        manifest_id: manifest.id(),
        path: record.map(|r| r.path.clone()).or_else(|| held.map(|h| h.path()))?,
        file_name: record.map(|r| r.file_name.clone()).or_else(|| held.map(|h| h.file_name().to_owned()))?,
        size: manifest.geometry().size().0,
        chunks: manifest.geometry().chunk_count().0,
        state,
        added_at: record.map_or(0, |r| r.added_at),
    })
}

#[cfg(test)]
mod tests;
