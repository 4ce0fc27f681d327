//! What this node shares: one small file on disk per share, so that a restart serves the same; and downloads in progress,
//! which are on offer while they last.
//!
//! A share is served only while its file is the one that was hashed. A changed file ends its share; one that is gone is
//! kept in mind and served again when it is back, because disks are unplugged and networks mounted late. A directory is
//! one share with two files on offer, its listing and its pack, and any of its files decides over both.

mod altered;
mod known;
mod local;
mod record;
mod restricted;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::download::Has;
use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId};
use peernet_engine::manifest::Manifest;

use crate::clock::unix_now;
use crate::error::NodeError;
use crate::files::hashing::HashedTree;
use crate::files::{FileIdentity, Look, PackFiles};
use crate::home::private_folder;
use crate::log::Log;
use crate::upload::{Held, Shelf, Standing};
use known::{Entry, Known};
use record::{FileRecord, Record, TreeRecord};
use restricted::Restricted;

pub(crate) use known::directory_name;
pub(crate) use local::{Local, LocalChunk, LocalFile};

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
    /// The file; of a directory its listing.
    pub file_hash: FileHash,
    /// Its manifest.
    pub manifest_id: ManifestId,
    /// Where it lies.
    pub path: PathBuf,
    /// What it is called for others.
    pub file_name: String,
    /// Bytes; of a directory those of all its files.
    pub size: u64,
    /// How many chunks it has; of a directory those of listing and pack.
    pub chunks: u32,
    /// How it is.
    pub state: ShareState,
    /// Since when, seconds since 1970-01-01 UTC.
    pub added_at: u64,
    /// What there is to know about a directory; `None` for a file.
    pub directory: Option<DirectoryInfo>,
    /// Whether it is served to those only who show a grant, because it is not public.
    pub restricted: bool,
}

/// What a shared directory has beside what a file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryInfo {
    /// What it is called for others.
    pub name: String,
    /// Files in it.
    pub files: usize,
    /// Bytes of its listing.
    pub listing_size: u64,
    /// The bytes of all its files as one.
    pub pack_hash: FileHash,
}

/// A directory to share.
pub(crate) struct NewTree {
    /// What was hashed, or downloaded.
    pub(crate) hashed: HashedTree,
    /// What others see as its name: see [`directory_name`].
    pub(crate) name: String,
    /// The pack as a download left it, where it did.
    pub(crate) pack: Option<Arc<Held>>,
}

/// What is to be announced about one share.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) file_name: String,
    pub(crate) has: Has,
}

type Key = (FileHash, ManifestId);

/// All shares of a node. A [`Shelf`] for its server.
pub struct Shares {
    /// `None`: nothing is kept on disk.
    folder: Option<PathBuf>,
    known: Mutex<Known>,
    /// Held while a record changes in the folder and in `known`, so that both always say the same. Taken first.
    changing: Mutex<()>,
    changed: Sender<()>,
    changes: Receiver<()>,
    restricted: Restricted,
    log: Log,
}

impl Shares {
    /// Shares that last in `folder`; those in it are loaded, and what became of their files is looked at.
    pub fn open(folder: &Path, log: Log) -> Result<Self, NodeError> {
        private_folder(folder)?;
        let restricted = Restricted::load(folder)?;
        let shares = Self { folder: Some(folder.to_owned()), restricted, ..Self::in_memory(log) };
        let listing = fs::read_dir(folder).map_err(NodeError::local("reading", folder))?;
        for file in listing.filter_map(Result::ok) {
            match Record::load(&file.path()) {
                None => {}
                Some(Ok(record)) => shares.restore(record),
                Some(Err(why)) => shares.log.warn(&format!("{}: {why}; share it again", file.path().display())),
            }
        }
        let files: Vec<FileHash> =
            shares.lock().entries().filter_map(|entry| entry.record.as_ref()).flat_map(files_of).collect();
        shares.restricted.restored(&files);
        Ok(shares)
    }

    /// Shares that end with the process.
    pub fn in_memory(log: Log) -> Self {
        // One place: that something changed is known once, however often it did.
        let (changed, changes) = bounded(1);
        let (known, changing) = (Mutex::default(), Mutex::default());
        let restricted = Restricted::default();
        Self { folder: None, known, changing, changed, changes, restricted, log }
    }

    /// This node has said for whom these are: whether for others than everyone. Running calls of whom they are not for end.
    pub(crate) fn said(&self, files: &[FileHash], restricted: bool) -> Result<(), NodeError> {
        self.restricted.said(files, restricted)
    }

    /// What an announce that was begun at `asked` was answered. Whether it contradicts what this node has just said, and has to be asked again.
    pub(crate) fn heard(
        &self,
        asked: Instant,
        files: &[FileHash],
        is_restricted: &dyn Fn(FileHash) -> bool,
    ) -> Result<bool, NodeError> {
        self.restricted.heard(asked, files, is_restricted)
    }

    /// What must not be shared from here any more: its shares end, also those of directories that are made of it, and its downloads are offered
    /// no more. Whatever the disk says, nothing of it is served from here on.
    pub(crate) fn end_withdrawn(&self, file_hash: FileHash) {
        let mut failed = self.said(&[file_hash], true).err();
        let owners = self.lock().owners(file_hash, None);
        for key in owners {
            let there = self.lock().get(key).map(|entry| (entry.record.is_some(), entry.held.clone()));
            if let Some((false, Some(growing))) = there {
                self.end(&growing);
                continue;
            }
            self.take_off(key, false);
            match self.remove_one(key) {
                Ok(Some(path)) => self.log.warn(&format!(
                    "{} is not shared any more: its owner has withdrawn it, or has closed it to this account",
                    path.display()
                )),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            self.log.warn(&format!("a file was withdrawn, and that could not be noted down here: {error}"));
        }
        self.tell();
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
        let (path, file_name) = (path.to_owned(), file_name.to_owned());
        let record = Record::File(FileRecord { manifest, path, identity, file_name, added_at: unix_now() });
        let held = held.filter(|held| !held.is_withdrawn()).unwrap_or_else(|| record.held());
        self.put(Entry { record: Some(record), held: Some(held), pack: None })?;
        Ok(id)
    }

    /// Shares a directory from now on. What was shared from the same directory before ends, whatever it was.
    pub(crate) fn add_tree(&self, new: NewTree) -> Result<ManifestId, NodeError> {
        let NewTree { hashed: HashedTree { listing, listing_manifest, pack_manifest, files }, name, pack } = new;
        let (id, root) = (listing_manifest.id(), files.root().to_owned());
        let key = (listing_manifest.file_hash(), id);
        let pack = pack.filter(|held| !held.is_withdrawn());
        if let Some(held) = &pack {
            held.finish_pack(Arc::clone(&files));
            self.adopt(held);
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

    /// What a download has on offer becomes part of a share.
    fn adopt(&self, held: &Arc<Held>) {
        let key = (held.manifest().file_hash(), held.manifest().id());
        let mut known = self.lock();
        if known.get(key).is_some_and(|e| e.record.is_none() && e.held.as_ref().is_some_and(|h| Arc::ptr_eq(h, held))) {
            known.remove(key);
        }
    }

    /// Puts a share in the place of what was shared under its key.
    fn put(&self, entry: Entry) -> Result<(), NodeError> {
        let record = entry.record.clone().expect("only what lasts is put");
        let kept: Vec<Arc<Held>> = entry.helds().cloned().collect();
        let _changing = self.changing();
        // Before it can be found by a restart.
        self.restricted.begun(&files_of(&record).collect::<Vec<_>>())?;
        if let Some(folder) = &self.folder {
            record.save(folder)?;
        }
        let old = self.lock().insert(record.key(), entry);
        if let Some(old) = old {
            old.helds().filter(|old| !kept.iter().any(|kept| Arc::ptr_eq(kept, old))).for_each(|old| old.withdraw());
            // The same bytes were shared as a file and are now as a listing, or the other way round.
            if let (Some(folder), Some(before)) = (&self.folder, &old.record)
                && before.tree().is_some() != record.tree().is_some()
            {
                before.forget(folder)?;
            }
        }
        self.tell();
        Ok(())
    }

    /// Offers a download in progress, unless the same file is shared already.
    pub(crate) fn begin(&self, held: Arc<Held>) {
        let key = (held.manifest().file_hash(), held.manifest().id());
        let mut known = self.lock();
        if known.held(key.0, Some(key.1)).is_none() {
            let record = known.remove(key).and_then(|missing| missing.record);
            known.insert(key, Entry { record, held: Some(held), pack: None });
        }
        drop(known);
        self.tell();
    }

    /// A download is over and its file is not to be shared: ends its offer. A share that was there before stays.
    pub(crate) fn end(&self, held: &Arc<Held>) {
        let key = (held.manifest().file_hash(), held.manifest().id());
        let mut known = self.lock();
        if let Some(entry) = known.get_mut(key).filter(|e| e.held.as_ref().is_some_and(|h| Arc::ptr_eq(h, held))) {
            entry.held = None;
            if entry.record.is_none() {
                known.remove(key);
            }
        }
        drop(known);
        held.withdraw();
        self.tell();
    }

    /// The tracker was told that these are not offered any more: whatever it said of them, it will say anew.
    pub(crate) fn left(&self, files: &[FileHash]) {
        let gone: Vec<_> = files.iter().filter(|file| self.lock().owners(**file, None).is_empty()).copied().collect();
        self.restricted.ended(&gone);
    }

    /// Ends every share of a file, or of a directory by its listing or else its pack, on disk too; returns their paths.
    pub fn remove(&self, file_hash: FileHash) -> Result<Vec<PathBuf>, NodeError> {
        let named = self.lock().named(file_hash);
        let mut removed = Vec::new();
        for key in named {
            removed.extend(self.remove_one(key)?);
        }
        if removed.is_empty() { Err(NodeError::not_shared(file_hash)) } else { Ok(removed) }
    }

    fn remove_one(&self, key: Key) -> Result<Option<PathBuf>, NodeError> {
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

    /// The files and listings shared under this path, as it was given or as it really is.
    pub fn shared_from(&self, path: &Path) -> Vec<FileHash> {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let known = self.lock();
        let keys: BTreeSet<Key> = [path, &real].into_iter().flat_map(|path| known.shared_from(path)).collect();
        keys.into_iter().map(|key| key.0).collect()
    }

    /// The listing of the directory shared from here, and its files, if they are as they were.
    pub(crate) fn tree_at(&self, root: &Path) -> Option<(Arc<[u8]>, Arc<PackFiles>)> {
        let known = self.lock();
        let served = known.entries().filter(|entry| entry.held.is_some()).filter_map(|entry| entry.record.as_ref());
        let tree = served.filter(|record| record.path() == root).find_map(Record::tree)?;
        Some((Arc::clone(&tree.listing), Arc::clone(&tree.files)))
    }

    /// Everything, ordered by path.
    pub fn list(&self) -> Vec<ShareInfo> {
        let mut all = self.lock().list();
        for share in &mut all {
            share.restricted = self.restricted.standing(share.file_hash) == Standing::Restricted;
        }
        all
    }

    /// What can be served now.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        self.lock().offers()
    }

    /// Whether a download in progress is on offer, whose bitmap grows.
    pub(crate) fn is_growing(&self) -> bool {
        self.lock().entries().flat_map(Entry::helds).any(|held| !held.is_complete())
    }

    /// Looks at every file: what is back is served again, what is gone or changed is not any more.
    pub fn recheck(&self) {
        // A file that is being downloaded anew into its old place is no finished one yet.
        let at_rest = |entry: &&Entry| entry.helds().all(|held| held.is_complete());
        let looked_at = |entry: &Entry| Some((entry.record.clone()?, entry.held.is_some()));
        let records: Vec<(Record, bool)> = self.lock().entries().filter(at_rest).filter_map(looked_at).collect();
        for (record, served) in records {
            match record.look() {
                Look::Same if !served => self.serve_again(record),
                Look::Same => {}
                // It was said when it went.
                Look::Gone(_) | Look::Unreadable(..) if !served => {}
                spoiled => self.withdraw_as(&record, spoiled),
            }
        }
    }

    fn serve_again(&self, record: Record) {
        let _changing = self.changing();
        let is_missing = self.lock().get(record.key()).is_some_and(|entry| entry.held.is_none());
        if is_missing && self.is_current(&record) {
            self.log.info(&format!("{} is back and is shared again", record.path().display()));
            self.lock().insert(record.key(), Entry::of(record));
            self.tell();
        }
    }

    /// Whether it is still this very share: it may have been ended, or shared anew, since the record was looked at.
    fn is_current(&self, record: &Record) -> bool {
        self.lock().record(record.key()).is_some_and(|now| now.is(record))
    }

    fn restore(&self, record: Record) {
        match record.look() {
            Look::Same => drop(self.lock().insert(record.key(), Entry::of(record))),
            spoiled => {
                self.lock().insert(record.key(), Entry::missing(record.clone()));
                self.withdraw_as(&record, spoiled);
            }
        }
    }

    /// Looks at the files of one share, and ends the share or puts it aside.
    fn withdraw_if_spoiled(&self, key: Key) {
        let Some(record) = self.lock().record(key).cloned() else { return };
        match record.look() {
            Look::Same => {}
            spoiled => self.withdraw_as(&record, spoiled),
        }
    }

    fn withdraw_as(&self, record: &Record, spoiled: Look) {
        let _changing = self.changing();
        if !self.is_current(record) {
            return;
        }
        // For a directory, what its file did to it.
        let shared =
            if record.tree().is_some() { format!(", so {} is", record.path().display()) } else { " and is".to_owned() };
        match spoiled {
            Look::Same => return,
            Look::Changed(path) => self.end_changed(record, &format!("{} has changed{shared}", path.display())),
            Look::Altered(path) => {
                let what = path.map_or_else(
                    || format!("a file in {}", record.path().display()),
                    |path| path.display().to_string(),
                );
                self.end_changed(record, &format!("{what} has changed (its size and time are as they were){shared}"));
            }
            Look::Gone(path) => {
                self.log.warn(&format!("{} is gone{shared} not shared until it is back", path.display()));
                self.take_off(record.key(), false);
            }
            Look::Unreadable(path, error) => {
                self.log.warn(&format!("{} cannot be read{shared} not shared until it can: {error}", path.display()));
                self.take_off(record.key(), false);
            }
        }
        self.tell();
    }

    fn end_changed(&self, record: &Record, what: &str) {
        self.log.warn(&format!("{what} no longer shared; share it again to share what it is now"));
        if let Some(Err(error)) = self.folder.as_ref().map(|folder| record.forget(folder)) {
            self.log.warn(&error.to_string());
        }
        self.take_off(record.key(), true);
    }

    fn take_off(&self, key: Key, for_good: bool) {
        let mut known = self.lock();
        let mut helds = Vec::new();
        if let Some(entry) = known.get_mut(key) {
            helds.extend(entry.held.take().into_iter().chain(entry.pack.take()));
        }
        if for_good {
            known.remove(key);
        }
        drop(known);
        helds.iter().for_each(|held| held.withdraw());
    }

    fn tell(&self) {
        let _known_already = self.changed.try_send(());
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file, or a directory's listing and pack.
fn files_of(record: &Record) -> impl Iterator<Item = FileHash> + use<> {
    let (own, pack) = (record.key().0, record.pack_key());
    std::iter::once(own).chain(pack.map(|key| key.0))
}

impl Shelf for Shares {
    fn held(&self, file_hash: FileHash, manifest_id: Option<ManifestId>) -> Option<Arc<Held>> {
        // A complete one first: version 1 asks for a file, not for a manifest.
        self.lock().held(file_hash, manifest_id)
    }

    fn standing(&self, file_hash: FileHash) -> Standing {
        self.restricted.standing(file_hash)
    }

    fn spoiled(&self, held: &Held) {
        let owners = self.lock().owners(held.manifest().file_hash(), Some(held.manifest().id()));
        for key in owners {
            self.withdraw_if_spoiled(key);
        }
    }

    fn altered(&self, held: &Held, chunk: ChunkIndex) {
        self.withdraw_altered(held, chunk);
    }
}

#[cfg(test)]
mod tests;
