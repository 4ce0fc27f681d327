//! The shares of this node, and its downloads in progress, which are served too while they last.
//!
//! Each share has a small record on the disk, so that a restart serves the same files. A share is served only while its
//! file is the one that was hashed. If the file changes, the share ends. If the file is gone, the share is kept and is
//! served again when the file is back: disks are unplugged, and network folders are mounted late.
//!
//! A directory is one share with two served files, its listing and its pack. If any file in it changes, both end.

mod altered;
mod error;
mod known;
mod local;
mod record;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::access::KnownVisibility;
use peernet_engine::download::Has;
use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId};
use peernet_engine::manifest::Manifest;

use crate::access::{VisibilityError, VisibilityStore};
use crate::clock::unix_now;
use crate::files::SharedFile;
use crate::files::hashing::HashedTree;
use crate::files::{FileIdentity, FileState, PackFiles};
use crate::home::{HomeError, private_folder};
use crate::log::Log;
use crate::serve::FileCatalog;
pub(crate) use error::ShareError;
use known::{Entry, ShareTable};
use record::{FileRecord, Record, TreeRecord};

pub(crate) use known::directory_name;
pub(crate) use local::{Local, LocalChunk, LocalFile};

/// The state of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareState {
    /// Served to callers.
    Ready,
    /// Gone from its path. The file is served again when it is back unchanged.
    Missing,
    /// A download in progress. Its verified chunks are served.
    Downloading {
        /// The number of verified chunks.
        chunks: u32,
    },
}

/// A share as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareInfo {
    /// The hash of the file, or of a directory's listing.
    pub file_hash: FileHash,
    /// The id of its manifest.
    pub manifest_id: ManifestId,
    /// The path of the file or directory.
    pub path: PathBuf,
    /// The name that other members see.
    pub file_name: String,
    /// The size in bytes; of a directory the sum of its files.
    pub size: u64,
    /// The number of chunks; of a directory those of listing and pack.
    pub chunks: u32,
    /// Whether it is served at the moment.
    pub state: ShareState,
    /// When it was shared, in seconds since 1970-01-01 UTC.
    pub added_at: u64,
    /// More about a directory; `None` for a file.
    pub directory: Option<DirectoryInfo>,
    /// Whether it is known not to be public. Callers then need a grant.
    pub restricted: bool,
}

/// The properties of a shared directory that a file does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryInfo {
    /// The name that other members see.
    pub name: String,
    /// The number of files in it.
    pub files: usize,
    /// The size of its listing in bytes.
    pub listing_size: u64,
    /// The hash of its pack.
    pub pack_hash: FileHash,
}

/// A directory to share.
pub(crate) struct NewTree {
    /// The listing, manifests and files of the directory.
    pub(crate) hashed: HashedTree,
    /// The name that other members see: see [`directory_name`].
    pub(crate) name: String,
    /// The pack that a download has served so far.
    pub(crate) pack: Option<Arc<SharedFile>>,
}

/// A file to announce, with the chunks that are served.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) file_name: String,
    pub(crate) has: Has,
}

type Key = (FileHash, ManifestId);

/// All shares of a node, which its server serves through [`FileCatalog`].
pub(crate) struct Shares {
    /// The folder of the records; `None` if nothing is kept on the disk.
    folder: Option<PathBuf>,
    known: Mutex<ShareTable>,
    /// Locked while a record changes in the folder and in `known`, so that both agree. Always locked before
    /// `known`.
    changing: Mutex<()>,
    changed: Sender<()>,
    changes: Receiver<()>,
    visibility: VisibilityStore,
    log: Log,
}

impl Shares {
    /// Opens the shares that are kept in `folder`, and checks their files.
    pub(crate) fn open(folder: &Path, log: Log) -> Result<Self, ShareError> {
        private_folder(folder)?;
        let visibility = VisibilityStore::load(folder)?;
        let shares = Self { folder: Some(folder.to_owned()), visibility, ..Self::in_memory(log) };
        let listing = fs::read_dir(folder).map_err(HomeError::io("reading", folder))?;
        for file in listing.filter_map(Result::ok) {
            match Record::load(&file.path()) {
                None => {}
                Some(Ok(record)) => shares.restore(record),
                Some(Err(why)) => shares.log.warn(&format!("{}: {why}; share it again", file.path().display())),
            }
        }
        let files: Vec<FileHash> =
            shares.lock().entries().filter_map(|entry| entry.record.as_ref()).flat_map(files_of).collect();
        shares.visibility.restore(&files);
        Ok(shares)
    }

    /// Creates shares that end with the process.
    pub(crate) fn in_memory(log: Log) -> Self {
        // One slot is enough: the listener looks at all changes at once.
        let (changed, changes) = bounded(1);
        Self {
            folder: None,
            known: Mutex::default(),
            changing: Mutex::default(),
            changed,
            changes,
            visibility: VisibilityStore::default(),
            log,
        }
    }

    /// Sets the visibility of files as this node's user declared it. Running calls that it no longer permits end.
    pub(crate) fn set_local_visibility(&self, files: &[FileHash], restricted: bool) -> Result<(), VisibilityError> {
        self.visibility.set_local(files, restricted)
    }

    /// Applies the reply to an announce that began at `asked_at`. Returns whether it contradicts a visibility that this
    /// node has just set, so that the announce has to be repeated.
    pub(crate) fn apply_tracker_reply(
        &self,
        asked_at: Instant,
        files: &[FileHash],
        is_restricted: &dyn Fn(FileHash) -> bool,
    ) -> Result<bool, VisibilityError> {
        self.visibility.apply_tracker_reply(asked_at, files, is_restricted)
    }

    /// Ends all shares of a withdrawn file, also those of directories that it is part of, and no longer serves its
    /// downloads. From here on nothing of it is served, also if the disk fails.
    pub(crate) fn end_withdrawn(&self, file_hash: FileHash) {
        let mut failed = self.set_local_visibility(&[file_hash], true).err().map(ShareError::from);
        let owners = self.lock().owners(file_hash, None);
        for key in owners {
            let there = self.lock().get(key).map(|entry| (entry.record.is_some(), entry.shared_file.clone()));
            if let Some((false, Some(growing))) = there {
                self.end(&growing);
                continue;
            }
            self.take_off(key, false);
            match self.remove_one(key) {
                Ok(Some(path)) => self.log.warn(&format!(
                    "{} is no longer shared: its owner has withdrawn it, or no longer permits this account",
                    path.display()
                )),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            self.log.warn(&format!("a file was withdrawn, but this could not be stored: {error}"));
        }
        self.tell();
    }

    /// Returns the channel that signals changes of the shares, for one listener.
    pub(crate) fn changes(&self) -> &Receiver<()> {
        &self.changes
    }

    /// Shares a finished file. `shared_file` is the file that a download has served so far.
    pub(crate) fn add(
        &self,
        manifest: Arc<Manifest>,
        path: &Path,
        identity: FileIdentity,
        file_name: &str,
        shared_file: Option<Arc<SharedFile>>,
    ) -> Result<ManifestId, ShareError> {
        let id = manifest.id();
        let path = path.to_owned();
        let file_name = file_name.to_owned();
        let record = Record::File(FileRecord { manifest, path, identity, file_name, added_at: unix_now() });
        let shared_file =
            shared_file.filter(|shared_file| !shared_file.is_withdrawn()).unwrap_or_else(|| record.shared_file());
        self.put(Entry { record: Some(record), shared_file: Some(shared_file), pack: None })?;
        Ok(id)
    }

    /// Shares a directory. Earlier shares of the same directory end.
    pub(crate) fn add_tree(&self, new: NewTree) -> Result<ManifestId, ShareError> {
        let NewTree { hashed: HashedTree { listing, listing_manifest, pack_manifest, files }, name, pack } = new;
        let id = listing_manifest.id();
        let root = files.root().to_owned();
        let key = (listing_manifest.file_hash(), id);
        let pack = pack.filter(|shared_file| !shared_file.is_withdrawn());
        if let Some(shared_file) = &pack {
            shared_file.finish_pack(Arc::clone(&files));
            self.adopt(shared_file);
        }
        let tree = TreeRecord { listing, listing_manifest, pack_manifest, files, name, added_at: unix_now() };
        let entry = Entry::of(Record::Tree(Arc::new(tree)));
        self.put(Entry { pack: pack.or(entry.pack), ..entry })?;
        let earlier = self.lock().shared_from(&root);
        for old in earlier.into_iter().filter(|old| *old != key) {
            self.remove_one(old)?;
        }
        Ok(id)
    }

    /// Turns the file that a download serves into a part of a share.
    fn adopt(&self, shared_file: &Arc<SharedFile>) {
        let key = (shared_file.manifest().file_hash(), shared_file.manifest().id());
        let mut known = self.lock();
        if known
            .get(key)
            .is_some_and(|e| e.record.is_none() && e.shared_file.as_ref().is_some_and(|h| Arc::ptr_eq(h, shared_file)))
        {
            known.remove(key);
        }
    }

    /// Replaces the share under this key.
    fn put(&self, entry: Entry) -> Result<(), ShareError> {
        let record = entry.record.clone().expect("only entries with a record are put");
        let kept: Vec<Arc<SharedFile>> = entry.shared_files().cloned().collect();
        let _changing = self.changing();
        // The visibility is stored first. A restart that finds the record must know that the visibility is unknown.
        self.visibility.begin(&files_of(&record).collect::<Vec<_>>())?;
        if let Some(folder) = &self.folder {
            record.save(folder)?;
        }
        let old = self.lock().insert(record.key(), entry);
        if let Some(old) = old {
            old.shared_files()
                .filter(|old| !kept.iter().any(|kept| Arc::ptr_eq(kept, old)))
                .for_each(|old| old.withdraw());
            // The same bytes were shared as a file and are now a listing, or the other way round. Their records have
            // different names, so the old one has to be removed.
            if let (Some(folder), Some(before)) = (&self.folder, &old.record)
                && before.tree().is_some() != record.tree().is_some()
            {
                before.forget(folder)?;
            }
        }
        self.tell();
        Ok(())
    }

    /// Serves a download in progress, unless the same file is shared already.
    pub(crate) fn begin(&self, shared_file: Arc<SharedFile>) {
        let key = (shared_file.manifest().file_hash(), shared_file.manifest().id());
        let mut known = self.lock();
        if known.shared_file(key.0, Some(key.1)).is_none() {
            let record = known.remove(key).and_then(|missing| missing.record);
            known.insert(key, Entry { record, shared_file: Some(shared_file), pack: None });
        }
        drop(known);
        self.tell();
    }

    /// Stops serving a download whose file is not to be shared. An earlier share of the file stays.
    pub(crate) fn end(&self, shared_file: &Arc<SharedFile>) {
        let key = (shared_file.manifest().file_hash(), shared_file.manifest().id());
        let mut known = self.lock();
        if let Some(entry) =
            known.get_mut(key).filter(|e| e.shared_file.as_ref().is_some_and(|h| Arc::ptr_eq(h, shared_file)))
        {
            entry.shared_file = None;
            if entry.record.is_none() {
                known.remove(key);
            }
        }
        drop(known);
        shared_file.withdraw();
        self.tell();
    }

    /// Records that the leases of these files have ended. If one is shared again, its visibility is unknown at first.
    pub(crate) fn leases_ended(&self, files: &[FileHash]) {
        let gone: Vec<_> = files.iter().filter(|file| self.lock().owners(**file, None).is_empty()).copied().collect();
        self.visibility.forget_public(&gone);
    }

    /// Ends every share of a file, or of a directory by the hash of its listing or else its pack. Removes their
    /// records. Returns their paths.
    pub(crate) fn remove(&self, file_hash: FileHash) -> Result<Vec<PathBuf>, ShareError> {
        let named = self.lock().named(file_hash);
        let mut removed = Vec::new();
        for key in named {
            removed.extend(self.remove_one(key)?);
        }
        if removed.is_empty() { Err(ShareError::NotShared(file_hash)) } else { Ok(removed) }
    }

    fn remove_one(&self, key: Key) -> Result<Option<PathBuf>, ShareError> {
        let _changing = self.changing();
        let record = self.lock().record(key).cloned();
        if let (Some(folder), Some(record)) = (&self.folder, &record) {
            record.forget(folder)?;
        }
        let entry = self.lock().remove(key);
        if let Some(mut entry) = entry {
            entry.withdraw();
        }
        self.tell();
        Ok(record.map(|record| record.path().to_owned()))
    }

    /// Returns the files and listings that are shared from this path, as it was given or with links resolved.
    pub(crate) fn shared_from(&self, path: &Path) -> Vec<FileHash> {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let known = self.lock();
        let keys: BTreeSet<Key> = [path, &real].into_iter().flat_map(|path| known.shared_from(path)).collect();
        keys.into_iter().map(|key| key.0).collect()
    }

    /// Returns listing and files of the directory that is shared from `root`, if it is served.
    pub(crate) fn tree_at(&self, root: &Path) -> Option<(Arc<[u8]>, Arc<PackFiles>)> {
        let known = self.lock();
        let served =
            known.entries().filter(|entry| entry.shared_file.is_some()).filter_map(|entry| entry.record.as_ref());
        let tree = served.filter(|record| record.path() == root).find_map(Record::tree)?;
        Some((Arc::clone(&tree.listing), Arc::clone(&tree.files)))
    }

    /// Returns all shares, ordered by path.
    pub(crate) fn list(&self) -> Vec<ShareInfo> {
        let mut all = self.lock().list();
        for share in &mut all {
            share.restricted = self.visibility.visibility(share.file_hash) == KnownVisibility::Restricted;
        }
        all
    }

    /// Returns all files that are served now.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        self.lock().offers()
    }

    /// Tells whether a download in progress is served, whose bitmap grows.
    pub(crate) fn is_growing(&self) -> bool {
        self.lock().entries().flat_map(Entry::shared_files).any(|shared_file| !shared_file.is_complete())
    }

    /// Checks every shared file. Files that are back are served again; files that are gone or changed no longer are.
    pub(crate) fn recheck(&self) {
        // A file that is being downloaded again to its old path is not finished yet.
        let at_rest = |entry: &&Entry| entry.shared_files().all(|shared_file| shared_file.is_complete());
        let looked_at = |entry: &Entry| Some((entry.record.clone()?, entry.shared_file.is_some()));
        let records: Vec<(Record, bool)> = self.lock().entries().filter(at_rest).filter_map(looked_at).collect();
        for (record, served) in records {
            match record.look() {
                FileState::Same if !served => self.serve_again(record),
                FileState::Same => {}
                // This was logged when the file went away.
                FileState::Gone(_) | FileState::Unreadable(..) if !served => {}
                state => self.withdraw_as(&record, state),
            }
        }
    }

    fn serve_again(&self, record: Record) {
        let _changing = self.changing();
        let is_missing = self.lock().get(record.key()).is_some_and(|entry| entry.shared_file.is_none());
        if is_missing && self.is_current(&record) {
            self.log.info(&format!("{} is back and is shared again", record.path().display()));
            self.lock().insert(record.key(), Entry::of(record));
            self.tell();
        }
    }

    /// Tells whether this share still exists. It may have ended or been replaced since its files were checked.
    fn is_current(&self, record: &Record) -> bool {
        self.lock().record(record.key()).is_some_and(|now| now.is(record))
    }

    fn restore(&self, record: Record) {
        match record.look() {
            FileState::Same => drop(self.lock().insert(record.key(), Entry::of(record))),
            state => {
                self.lock().insert(record.key(), Entry::missing(record.clone()));
                self.withdraw_as(&record, state);
            }
        }
    }

    /// Checks the files of one share, and ends or suspends the share if they are not as they were.
    fn withdraw_if_changed(&self, key: Key) {
        let Some(record) = self.lock().record(key).cloned() else { return };
        match record.look() {
            FileState::Same => {}
            state => self.withdraw_as(&record, state),
        }
    }

    fn withdraw_as(&self, record: &Record, state: FileState) {
        let _changing = self.changing();
        if !self.is_current(record) {
            return;
        }
        // For a directory, the message names the file, and then the directory.
        let shared =
            if record.tree().is_some() { format!(", so {} is", record.path().display()) } else { " and is".to_owned() };
        match state {
            FileState::Same => return,
            FileState::Changed(path) => self.end_changed(record, &format!("{} has changed{shared}", path.display())),
            FileState::Altered(path) => {
                let what = path.map_or_else(
                    || format!("a file in {}", record.path().display()),
                    |path| path.display().to_string(),
                );
                self.end_changed(record, &format!("{what} has changed (its size and time are as they were){shared}"));
            }
            FileState::Gone(path) => {
                self.log.warn(&format!("{} is gone{shared} not shared until it is back", path.display()));
                self.take_off(record.key(), false);
            }
            FileState::Unreadable(path, error) => {
                self.log.warn(&format!("{} cannot be read{shared} not shared until it can: {error}", path.display()));
                self.take_off(record.key(), false);
            }
        }
        self.tell();
    }

    fn end_changed(&self, record: &Record, what: &str) {
        self.log.warn(&format!("{what} no longer shared; share it again to share its present content"));
        if let Some(Err(error)) = self.folder.as_ref().map(|folder| record.forget(folder)) {
            self.log.warn(&error.to_string());
        }
        self.take_off(record.key(), true);
    }

    fn take_off(&self, key: Key, for_good: bool) {
        let mut known = self.lock();
        let mut shared_files = Vec::new();
        if let Some(entry) = known.get_mut(key) {
            shared_files.extend(entry.shared_file.take().into_iter().chain(entry.pack.take()));
        }
        if for_good {
            known.remove(key);
        }
        drop(known);
        shared_files.iter().for_each(|shared_file| shared_file.withdraw());
    }

    fn tell(&self) {
        let _known_already = self.changed.try_send(());
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, ShareTable> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the file itself, or a directory's listing and pack.
fn files_of(record: &Record) -> impl Iterator<Item = FileHash> + use<> {
    let own = record.key().0;
    let pack = record.pack_key();
    std::iter::once(own).chain(pack.map(|key| key.0))
}

impl FileCatalog for Shares {
    fn find(&self, file_hash: FileHash, manifest_id: Option<ManifestId>) -> Option<Arc<SharedFile>> {
        // A version 1 caller names no manifest. A complete file is preferred then.
        self.lock().shared_file(file_hash, manifest_id)
    }

    fn visibility(&self, file_hash: FileHash) -> KnownVisibility {
        self.visibility.visibility(file_hash)
    }

    fn withdraw_unreadable(&self, shared_file: &SharedFile) {
        let owners = self.lock().owners(shared_file.manifest().file_hash(), Some(shared_file.manifest().id()));
        for key in owners {
            self.withdraw_if_changed(key);
        }
    }

    fn withdraw_altered(&self, shared_file: &SharedFile, chunk: ChunkIndex) {
        self.withdraw_altered(shared_file, chunk);
    }
}

#[cfg(test)]
mod tests;
