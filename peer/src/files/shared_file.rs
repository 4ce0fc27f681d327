//! One file on offer: where its bytes are, the chunks that are there, and the streams to tell when there are more.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkCount, ChunkHash, ChunkIndex};
use peernet_engine::manifest::Manifest;
use peernet_engine::serving::super_seed::{SharedSuperSeed, SuperSeed};

use crate::files::hashing::digest::Digest;
use crate::files::part::Tree;
use crate::files::{FileIdentity, OpenPack, PackFiles, ReadError, check_identity, read_exact};

/// Told when a [`SharedFile`] grows or is withdrawn. Called with no lock held; must not block.
pub(crate) trait Watcher: Send + Sync {
    fn changed(&self);
}

/// A file on offer, complete or still growing. Invariant: a chunk is in the bitmap only after it was verified and
/// written.
pub struct SharedFile {
    manifest: Arc<Manifest>,
    file_name: String,
    state: Mutex<State>,
    callers: Callers,
    calls: AtomicU64,
}

struct State {
    location: Location,
    have: Bitmap,
    withdrawn: bool,
    watchers: Vec<Weak<dyn Watcher>>,
}

enum Location {
    /// A finished file, open while a stream reads it, and checked to be the one that was hashed.
    Finished { path: PathBuf, identity: FileIdentity, open: Weak<File> },
    /// A download in progress: its own open part file, whose times change as it grows.
    Growing { path: PathBuf, file: Arc<File> },
    /// A directory's download in progress.
    GrowingPack { path: PathBuf, tree: Arc<Tree> },
    /// A shared directory's files, as one. Some are open while a stream reads them.
    Pack { files: Arc<PackFiles>, open: Weak<OpenPack> },
    /// A shared directory's listing.
    Memory { path: PathBuf, bytes: Arc<[u8]> },
}

/// An open file to read chunks from. Holding it keeps descriptors open.
#[derive(Clone)]
pub(crate) enum Reader {
    /// A file, with the identity that it must still have if it is finished.
    File(Arc<File>, Option<FileIdentity>),
    /// The files of a directory.
    Pack(Arc<OpenPack>),
    /// The files of a directory that is being downloaded.
    Tree(Arc<Tree>),
    /// A listing.
    Memory(Arc<[u8]>),
}

impl Reader {
    /// Fills `buffer` from `offset` on, and then checks that the file is still the one that was hashed.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        match self {
            Self::File(file, identity) => {
                read_exact(file, offset, buffer)?;
                identity.map_or(Ok(()), |identity| check_identity(file, identity))
            }
            Self::Pack(pack) => pack.read(offset, buffer).map_err(|failure| failure.error),
            Self::Tree(tree) => tree.read_exact_at(buffer, offset).map_err(ReadError::Io),
            Self::Memory(bytes) => {
                let from = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)?.get(..buffer.len()));
                buffer.copy_from_slice(from.ok_or(ReadError::Changed)?);
                Ok(())
            }
        }
    }
}

fn open_pack(files: &Arc<PackFiles>, open: &mut Weak<OpenPack>) -> Arc<OpenPack> {
    open.upgrade().unwrap_or_else(|| {
        let fresh = Arc::new(OpenPack::new(Arc::clone(files)));
        *open = Arc::downgrade(&fresh);
        fresh
    })
}

/// A pipe that has taken the file's place must not hold the thread; for a file the flag means nothing.
fn open_at_once(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

impl SharedFile {
    /// A finished file. `identity` is the one it had when it was hashed. `file_name` is the name suggested to
    /// downloaders.
    pub fn complete(manifest: Arc<Manifest>, path: PathBuf, identity: FileIdentity, file_name: String) -> Arc<Self> {
        let have = Bitmap::full(manifest.geometry().chunk_count());
        Self::with(manifest, file_name, have, Location::Finished { path, identity, open: Weak::new() })
    }

    /// A download in progress, with the chunks it has so far.
    pub fn growing(
        manifest: Arc<Manifest>,
        path: PathBuf,
        file: Arc<File>,
        have: Bitmap,
        file_name: String,
    ) -> Arc<Self> {
        Self::with(manifest, file_name, have, Location::Growing { path, file })
    }

    /// A directory's download in progress, with the chunks of the pack it has so far.
    pub(crate) fn growing_pack(manifest: Arc<Manifest>, path: PathBuf, tree: Arc<Tree>, have: Bitmap) -> Arc<Self> {
        Self::with(manifest, String::new(), have, Location::GrowingPack { path, tree })
    }

    /// A shared directory's files as one, whose manifest this is.
    pub fn pack(manifest: Arc<Manifest>, files: Arc<PackFiles>, file_name: String) -> Arc<Self> {
        let have = Bitmap::full(manifest.geometry().chunk_count());
        Self::with(manifest, file_name, have, Location::Pack { files, open: Weak::new() })
    }

    /// A shared directory's listing. `path` is the directory.
    pub(crate) fn listing(manifest: Arc<Manifest>, path: PathBuf, bytes: Arc<[u8]>, file_name: String) -> Arc<Self> {
        let have = Bitmap::full(manifest.geometry().chunk_count());
        Self::with(manifest, file_name, have, Location::Memory { path, bytes })
    }

    fn with(manifest: Arc<Manifest>, file_name: String, have: Bitmap, location: Location) -> Arc<Self> {
        let state = State { location, have, withdrawn: false, watchers: Vec::new() };
        let callers = Callers::new(manifest.geometry().chunk_count());
        Arc::new(Self { manifest, file_name, state: Mutex::new(state), callers, calls: AtomicU64::new(0) })
    }

    /// The manifest of the file.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// The name that its owner gave it.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// Returns the present path.
    pub fn path(&self) -> PathBuf {
        match &self.lock().location {
            Location::Finished { path, .. }
            | Location::Growing { path, .. }
            | Location::GrowingPack { path, .. }
            | Location::Memory { path, .. } => path.clone(),
            Location::Pack { files, .. } => files.root().to_owned(),
        }
    }

    /// Returns the file that `chunk` lies in; `None` if it lies in several files of a directory.
    pub(crate) fn file_of(&self, chunk: ChunkIndex) -> Option<PathBuf> {
        let files = match &self.lock().location {
            Location::Pack { files, .. } => Arc::clone(files),
            Location::Finished { path, .. }
            | Location::Growing { path, .. }
            | Location::GrowingPack { path, .. }
            | Location::Memory { path, .. } => return Some(path.clone()),
        };
        let geometry = self.manifest.geometry();
        files.only_file_in(geometry.offset(chunk), geometry.chunk_len(chunk).into())
    }

    /// Returns true while the file is being downloaded.
    pub(crate) fn is_in_progress(&self) -> bool {
        matches!(self.lock().location, Location::Growing { .. } | Location::GrowingPack { .. })
    }

    /// The chunks that are there.
    pub fn have(&self) -> Bitmap {
        self.lock().have.clone()
    }

    /// Returns true if every chunk is there.
    pub fn is_complete(&self) -> bool {
        self.lock().have.is_full()
    }

    /// Returns true if the file is no longer shared.
    pub fn is_withdrawn(&self) -> bool {
        self.lock().withdrawn
    }

    /// Returns true if `chunk` can be read.
    pub fn holds(&self, chunk: ChunkIndex) -> bool {
        let state = self.lock();
        !state.withdrawn && state.have.contains(chunk)
    }

    /// Adds a chunk that was verified and written, and tells all watchers.
    pub fn add(&self, chunk: ChunkIndex) {
        let mut state = self.lock();
        if state.have.insert(chunk) {
            notify(state);
        }
    }

    /// Turns a download whose file has its final name into a finished file.
    pub fn finish(&self, path: &Path, identity: FileIdentity) {
        self.finish_as(Location::Finished { path: path.to_owned(), identity, open: Weak::new() });
    }

    /// Turns a download whose directory has its final name into a finished pack.
    pub fn finish_pack(&self, files: Arc<PackFiles>) {
        self.finish_as(Location::Pack { files, open: Weak::new() });
    }

    fn finish_as(&self, location: Location) {
        let mut state = self.lock();
        state.location = location;
        state.have = Bitmap::full(self.manifest.geometry().chunk_count());
        notify(state);
    }

    /// Withdraws the file for good. Streams that read it are refused from the next block on.
    pub fn withdraw(&self) {
        let mut state = self.lock();
        state.withdrawn = true;
        notify(state);
    }

    /// The super-seeding state that all callers of the file share.
    pub(crate) fn callers(&self) -> Callers {
        self.callers.clone()
    }

    /// Number of callers that have asked for chunks so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Counts a caller, and adds a watcher to tell about changes until the `Arc` behind it is dropped.
    pub(crate) fn watch(&self, watcher: Weak<dyn Watcher>) {
        let mut state = self.lock();
        state.watchers.retain(|known| known.strong_count() > 0);
        state.watchers.push(watcher);
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Opens the file, or shares the descriptor of another reader.
    pub(crate) fn open(&self) -> Result<Reader, ReadError> {
        let (path, identity, known) = {
            let mut state = self.lock();
            if state.withdrawn {
                return Err(ReadError::Withdrawn);
            }
            match &mut state.location {
                Location::Growing { file, .. } => return Ok(Reader::File(Arc::clone(file), None)),
                Location::GrowingPack { tree, .. } => return Ok(Reader::Tree(Arc::clone(tree))),
                Location::Memory { bytes, .. } => return Ok(Reader::Memory(Arc::clone(bytes))),
                // The files of a pack are opened and checked as they are read.
                Location::Pack { files, open } => return Ok(Reader::Pack(open_pack(files, open))),
                Location::Finished { path, identity, open } => (path.clone(), *identity, open.upgrade()),
            }
        };
        // Without the lock: a disk that sleeps must not hold up calls that only ask which chunks are there.
        let file = match known {
            Some(file) => file,
            None => Arc::new(open_at_once(&path).map_err(ReadError::Io)?),
        };
        check_identity(&file, identity)?;
        if let Location::Finished { open, .. } = &mut self.lock().location {
            *open = Arc::downgrade(&file);
        }
        Ok(Reader::File(file, Some(identity)))
    }

    /// Reads `chunk` again and compares it with the hash in the manifest. Takes as long as the disk does.
    pub(crate) fn is_as_hashed(&self, chunk: ChunkIndex) -> Result<bool, ReadError> {
        let opened = self.open()?;
        let geometry = self.manifest().geometry();
        let read = |at, piece: &mut [u8]| opened.read(at, piece);
        let hash = Digest::of_range(geometry.offset(chunk), geometry.chunk_len(chunk).into(), read)?;
        Ok(self.manifest().chunk_hash(chunk) == Some(ChunkHash(hash)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFile").field("file_hash", &self.manifest.file_hash()).field("path", &self.path()).finish()
    }
}

/// Tells the watchers after the lock is released, because they read the state again.
fn notify(mut state: MutexGuard<'_, State>) {
    state.watchers.retain(|watcher| watcher.strong_count() > 0);
    let watchers = state.watchers.clone();
    drop(state);
    for watcher in watchers.iter().filter_map(Weak::upgrade) {
        watcher.changed();
    }
}

/// The callers of one file. All clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Callers(Arc<Mutex<SuperSeed>>);

impl Callers {
    /// No callers yet, of a file with `count` chunks.
    pub(crate) fn new(count: ChunkCount) -> Self {
        Self(Arc::new(Mutex::new(SuperSeed::new(count))))
    }
}

impl SharedSuperSeed for Callers {
    fn with<T>(&self, act: impl FnOnce(&mut SuperSeed) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use crate::cancel::Cancel;
    use crate::files::hashing::hash_file_identified;

    use super::*;

    fn shared(path: &Path) -> Arc<SharedFile> {
        std::fs::write(path, "content").unwrap();
        let (manifest, identity) = hash_file_identified(path, 1, &mut |_| {}, &Cancel::new()).unwrap();
        SharedFile::complete(Arc::new(manifest), path.to_owned(), identity, "file".to_owned())
    }

    #[test]
    fn a_file_deleted_or_replaced_while_open_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let other = folder.path().join("other");
        let ends: [fn(&Path, &Path); 2] =
            [|path, _| std::fs::remove_file(path).unwrap(), |path, other| std::fs::rename(other, path).unwrap()];
        for end in ends {
            let opened = shared(&path).open().unwrap();
            opened.read(0, &mut [0; 7]).unwrap();
            std::fs::copy(&path, &other).unwrap();
            end(&path, &other);
            assert!(matches!(opened.read(0, &mut [0; 7]), Err(ReadError::Changed)));
        }
    }

    #[test]
    fn a_pipe_in_place_of_the_file_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let held = shared(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (told, hears) = crossbeam_channel::bounded(1);
        std::thread::spawn(move || told.send(held.open().err()));
        let error = hears.recv_timeout(Duration::from_secs(20)).expect("it does not wait for a writer");
        assert!(matches!(error, Some(ReadError::Changed)), "{error:?}");
    }

    use peernet_engine::ids::{ByteCount, FileHash};
    use peernet_engine::manifest::Geometry;
    use std::sync::atomic::AtomicUsize;

    /// Counts what it is told, and reads the file's state each time: so no lock is held.
    struct Counting {
        file: Weak<SharedFile>,
        told: AtomicUsize,
        chunks_seen: AtomicU64,
    }

    impl Watcher for Counting {
        fn changed(&self) {
            self.told.fetch_add(1, Ordering::AcqRel);
            if let Some(file) = self.file.upgrade() {
                self.chunks_seen.fetch_max(file.have().len().into(), Ordering::AcqRel);
            }
        }
    }

    /// A download of so many chunks, of which none has come.
    fn growing(chunks: u32) -> Arc<SharedFile> {
        let geometry = Geometry::new(ByteCount(u64::from(chunks) << 20), 1 << 20).unwrap();
        let manifest = Manifest::new(FileHash([1; 32]), geometry, vec![ChunkHash([2; 32]); chunks as usize]).unwrap();
        let have = Bitmap::empty(geometry.chunk_count());
        let file = Arc::new(tempfile::tempfile().unwrap());
        SharedFile::growing(Arc::new(manifest), PathBuf::from("/p/part"), file, have, "file".to_owned())
    }

    fn watch(held: &Arc<SharedFile>) -> Arc<Counting> {
        let file = Arc::downgrade(held);
        let watcher = Arc::new(Counting { file, told: AtomicUsize::new(0), chunks_seen: AtomicU64::new(0) });
        let weak: Weak<dyn Watcher> = Arc::<Counting>::downgrade(&watcher);
        held.watch(weak);
        watcher
    }

    #[test]
    fn watchers_are_told_of_every_change_until_they_are_dropped() {
        let held = growing(3);
        let watcher = watch(&held);
        let told = || watcher.told.load(Ordering::Acquire);
        held.add(ChunkIndex(1));
        held.add(ChunkIndex(1));
        assert_eq!(told(), 1, "a chunk that was there is no change");
        drop(watch(&held));
        held.add(ChunkIndex(0));
        held.withdraw();
        assert_eq!((told(), watcher.chunks_seen.load(Ordering::Acquire), held.calls()), (3, 2, 2));
        assert_eq!(held.lock().watchers.len(), 1, "the dropped one is forgotten");
    }

    #[test]
    fn chunks_added_by_many_threads_are_all_there() {
        let held = growing(64);
        let watcher = watch(&held);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let held = &held;
                scope.spawn(move || (0..64).for_each(|chunk| held.add(ChunkIndex((chunk + 16 * thread) % 64))));
            }
        });
        assert!(held.is_complete() && held.is_in_progress());
        let told = watcher.told.load(Ordering::Acquire);
        assert_eq!((told, watcher.chunks_seen.load(Ordering::Acquire)), (64, 64), "one message for each chunk");
    }

    #[test]
    fn a_withdrawn_file_holds_nothing_and_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let held = shared(&folder.path().join("file"));
        let opened = held.open().unwrap();
        assert!(held.holds(ChunkIndex(0)) && !held.holds(ChunkIndex(1)));
        held.withdraw();
        assert!(held.is_withdrawn() && !held.holds(ChunkIndex(0)) && held.is_complete());
        assert!(matches!(held.open(), Err(ReadError::Withdrawn)));
        assert!(matches!(held.is_as_hashed(ChunkIndex(0)), Err(ReadError::Withdrawn)));
        assert!(opened.read(0, &mut [0; 7]).is_ok(), "a block that is being read is finished");
    }

    #[test]
    fn readers_share_one_descriptor_and_open_it_again_later() {
        let folder = tempfile::tempdir().unwrap();
        let held = shared(&folder.path().join("file"));
        let file = |opened: &Reader| match opened {
            Reader::File(file, Some(_)) => Arc::as_ptr(file),
            _ => panic!("a finished file with its identity"),
        };
        let first = held.open().unwrap();
        let second = held.open().unwrap();
        assert_eq!(file(&first), file(&second));
        drop((first, second));
        let state = held.lock();
        let Location::Finished { open, .. } = &state.location else { panic!("a finished file") };
        assert!(open.upgrade().is_none(), "nobody reads, so no descriptor is kept");
    }

    #[test]
    fn a_listing_is_read_within_its_bytes_only() {
        let bytes: Arc<[u8]> = b"listing".as_slice().into();
        let manifest = crate::files::hashing::manifest_of_bytes(&bytes).unwrap();
        let held = SharedFile::listing(Arc::new(manifest), PathBuf::from("/d"), bytes, "d.listing".to_owned());
        let opened = held.open().unwrap();
        for (offset, len, expected) in [
            (0, 7, Some("listing")),
            (4, 3, Some("ing")),
            (7, 0, Some("")),
            (0, 8, None),
            (8, 0, None),
            (u64::MAX, 1, None),
        ] {
            let mut buffer = vec![0; len];
            let found = opened.read(offset, &mut buffer);
            match expected {
                Some(text) => assert!(found.is_ok() && buffer == text.as_bytes(), "{offset} {len}"),
                None => assert!(matches!(found, Err(ReadError::Changed)), "{offset} {len}"),
            }
        }
        assert!(held.is_as_hashed(ChunkIndex(0)).unwrap() && !held.is_in_progress());
        assert_eq!((held.path(), held.file_of(ChunkIndex(0))), (PathBuf::from("/d"), Some(PathBuf::from("/d"))));
    }
}
