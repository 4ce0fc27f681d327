//! The part of a directory's download: a folder in which each file grows at its final place, so its bytes are written
//! once.
//!
//! The download sees one file, the pack. The listing's layout maps its bytes to the files. The folder is hostile
//! ground: another program may have changed it. So paths are opened one component at a time and never through a
//! symbolic link, and a file with a second name is not written to.
//!
//! The pack's chunks may contain bytes of files that are not selected. These bytes go into a sparse file beside the
//! folder, the spare, so that every chunk can be read again. The spare is removed at the end.

mod behind;
mod proof;
mod put;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peernet_engine::bitmap::Bitmap;
use peernet_engine::collection::{Collection, Entry, EntryKind, FileEntry, Layout, Segment};
use peernet_engine::ids::{ByteCount, ChunkIndex};
use peernet_engine::manifest::Geometry;

use self::behind::Behind;
pub(crate) use self::behind::Gathered;
pub(crate) use self::proof::Proof;
use super::sys::{allocate, make_folder_at, open_at, sync_file_system, try_lock};

/// Files that are kept open. To open a file again costs microseconds, and descriptors are scarce.
const OPEN_FILES_MAX: usize = 64;
/// Folders that are kept open, to open files in them.
const OPEN_FOLDERS_MAX: usize = 64;
/// The largest number of files that are synced one by one. For more, the whole file system is synced.
const SYNCED_ALONE_MAX: usize = 32;
/// Files larger than this have their space reserved when they are created.
const RESERVED_FROM: u64 = 1 << 20;
/// The suffix of the spare's name, after the folder's name.
const SPARE_SUFFIX: &str = ".spare";

/// The files of a collection that a download fetches. Invariant: one flag for each entry.
#[derive(Clone)]
pub(crate) struct Selected {
    pub(crate) collection: Arc<Collection>,
    flags: Arc<[bool]>,
}

impl Selected {
    /// Selects the entries whose path `wants` accepts.
    pub(crate) fn of(collection: Arc<Collection>, wants: impl Fn(&str) -> bool) -> Self {
        let flags = collection.entries().iter().map(|entry| wants(&entry.path)).collect();
        Self { collection, flags }
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.flags.iter().all(|flag| *flag)
    }

    pub(crate) fn has(&self, entry: usize) -> bool {
        self.flags.get(entry).is_some_and(|flag| *flag)
    }

    /// Returns the selected entries with their indexes.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (usize, &Entry)> + '_ {
        self.collection.entries().iter().enumerate().filter(|(place, _)| self.has(*place))
    }

    /// Returns the number of selected files.
    pub(crate) fn file_count(&self) -> usize {
        self.entries().filter(|(_, entry)| entry.file().is_some()).count()
    }

    /// Returns the size of the selected files in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.entries().map(|(_, entry)| entry.size()).sum()
    }

    /// Returns the pack's chunks that contain bytes of selected files.
    pub(crate) fn chunks(&self) -> Bitmap {
        let pack = &self.collection.pack;
        let layout = self.collection.layout();
        let geometry = Geometry::new(ByteCount(pack.size.0), pack.chunk_size).expect("checked with the listing");
        if self.is_everything() {
            return Bitmap::full(geometry.chunk_count());
        }
        let mut chunks = Bitmap::empty(geometry.chunk_count());
        for chunk in self.entries().flat_map(|(place, _)| layout.chunks_of(place)).collect::<BTreeSet<ChunkIndex>>() {
            chunks.insert(chunk);
        }
        chunks
    }

    /// Returns bytes that identify the selection; `None` if it is everything.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        (!self.is_everything()).then(|| self.flags.iter().map(|flag| u8::from(*flag)).collect())
    }
}

/// The folder of a directory's download, and its open files.
pub(crate) struct Tree {
    selected: Selected,
    layout: Layout,
    path: PathBuf,
    root: Arc<File>,
    /// `None` if all files are selected, or the tree is only read.
    spare: Option<File>,
    writable: bool,
    folders: Mutex<BTreeMap<String, Arc<File>>>,
    files: Mutex<BTreeMap<usize, Arc<File>>>,
    unsynced: Mutex<Unsynced>,
    behind: Behind,
    /// By entry: whether the file was created and hashed here, and not written to since.
    proven: Box<[AtomicBool]>,
}

#[derive(Default)]
struct Unsynced {
    files: BTreeSet<usize>,
    /// Whether files were created, or more were written than are synced one by one.
    many: bool,
    spare: bool,
}

impl Tree {
    /// Opens or creates the folder, and locks it against other processes. `None` if another process has locked it.
    pub(crate) fn open(path: &Path, selected: Selected) -> io::Result<Option<Self>> {
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let root = open_folder(path)?;
        if !try_lock(&root)? {
            return Ok(None);
        }
        let spare = if selected.is_everything() { None } else { Some(open_spare(path)?) };
        Ok(Some(Self::with(path, root, selected, spare, true)))
    }

    /// Opens a folder that is only read.
    pub(crate) fn at(path: &Path, selected: Selected) -> io::Result<Self> {
        Ok(Self::with(path, open_folder(path)?, selected, None, false))
    }

    fn with(path: &Path, root: File, selected: Selected, spare: Option<File>, writable: bool) -> Self {
        Self {
            layout: selected.collection.layout(),
            proven: selected.collection.entries().iter().map(|_| AtomicBool::new(false)).collect(),
            selected,
            path: path.to_owned(),
            root: Arc::new(root),
            spare,
            writable,
            folders: Mutex::default(),
            files: Mutex::default(),
            unsynced: Mutex::default(),
            behind: Behind::default(),
        }
    }

    pub(crate) fn selected(&self) -> &Selected {
        &self.selected
    }

    pub(super) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut rest = bytes;
        let mut at = at;
        for segment in self.layout.segments(at, bytes.len() as u64) {
            let (piece, after) = rest.split_at(segment.len as usize);
            self.write_segment(segment, piece, at)?;
            (rest, at) = (after, at + segment.len);
        }
        if rest.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn write_segment(&self, segment: Segment, piece: &[u8], at: u64) -> io::Result<()> {
        match &self.spare {
            Some(spare) if !self.selected.has(segment.entry) => {
                spare.write_all_at(piece, at)?;
                lock(&self.unsynced).spare = true;
            }
            _ => {
                self.proven[segment.entry].store(false, Ordering::Release);
                let file = self.file(segment.entry, true)?;
                file.write_all_at(piece, segment.offset)?;
                self.keep(segment.entry, segment.len, file);
                self.wrote(segment.entry);
            }
        }
        Ok(())
    }

    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let len = buffer.len() as u64;
        self.wait_until_written(at, at.saturating_add(len));
        let mut rest = buffer;
        let mut at = at;
        for segment in self.layout.segments(at, len) {
            let (piece, after) = rest.split_at_mut(segment.len as usize);
            match &self.spare {
                Some(spare) if !self.selected.has(segment.entry) => spare.read_exact_at(piece, at)?,
                _ => {
                    let file = self.file(segment.entry, false).map_err(as_end)?;
                    file.read_exact_at(piece, segment.offset)?;
                    self.keep(segment.entry, segment.len, file);
                }
            }
            (rest, at) = (after, at + segment.len);
        }
        if rest.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Fills `buffer` from `offset` of one file.
    pub(crate) fn read_of(&self, entry: usize, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let file = self.file(entry, false)?;
        file.read_exact_at(buffer, offset)?;
        self.keep(entry, buffer.len() as u64, file);
        Ok(())
    }

    /// Tells whether every selected empty folder exists.
    pub(crate) fn has_its_folders(&self) -> bool {
        let mut folders = self.selected.entries().filter(|(_, entry)| entry.file().is_none());
        folders.all(|(_, entry)| self.folder(&entry.path, false).is_ok())
    }

    pub(super) fn is_empty(&self) -> io::Result<bool> {
        let spare_len = self.spare.as_ref().map_or(Ok(0), |spare| spare.metadata().map(|metadata| metadata.len()))?;
        Ok(spare_len == 0 && fs::read_dir(&self.path)?.next().is_none())
    }

    /// Tells whether the files are long enough for all of these ranges.
    pub(super) fn is_long_enough(&self, ranges: impl Iterator<Item = (u64, u64)>) -> io::Result<bool> {
        let spare_len = self.spare.as_ref().map_or(Ok(0), |spare| spare.metadata().map(|metadata| metadata.len()))?;
        let mut last: Option<(usize, u64)> = None;
        for (mut at, len) in ranges {
            for segment in self.layout.segments(at, len) {
                at += segment.len;
                let long_enough = if self.spare.is_some() && !self.selected.has(segment.entry) {
                    spare_len >= at
                } else {
                    let len = last.filter(|(entry, _)| *entry == segment.entry).map(|(_, len)| len);
                    let len = len.unwrap_or_else(|| self.len_of(segment.entry));
                    last = Some((segment.entry, len));
                    len >= segment.offset + segment.len
                };
                if !long_enough {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn len_of(&self, entry: usize) -> u64 {
        let path = self.path.join(&self.entry(entry).path);
        fs::symlink_metadata(path).ok().filter(|metadata| metadata.is_file()).map_or(0, |metadata| metadata.len())
    }

    /// Syncs all bytes that were written since the last sync.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.finish_writing()?;
        let Unsynced { files, many, spare } = std::mem::take(&mut *lock(&self.unsynced));
        if let Some(file) = self.spare.as_ref().filter(|_| spare) {
            file.sync_data()?;
        }
        if many {
            return sync_file_system(&self.root);
        }
        for entry in files {
            self.file(entry, true)?.sync_data()?;
        }
        Ok(())
    }

    /// Creates the selected empty files and empty folders. No chunk has bytes of them.
    pub(crate) fn make_empty_ones(&self) -> io::Result<()> {
        for (place, entry) in self.selected.entries() {
            match entry.kind {
                EntryKind::Folder => drop(self.folder(&entry.path, true)?),
                EntryKind::File(file) if file.size.0 == 0 => drop(self.file(place, true)?),
                EntryKind::File(_) => {}
            }
        }
        lock(&self.unsynced).many = true;
        Ok(())
    }

    /// Removes the spare. It is no failure if that is impossible, because the download is complete.
    pub(crate) fn remove_spare(&self) {
        if self.spare.is_some() {
            let _untidy = fs::remove_file(spare_path(&self.path));
        }
    }

    fn entry(&self, place: usize) -> &Entry {
        &self.selected.collection.entries()[place]
    }

    fn wrote(&self, entry: usize) {
        let mut unsynced = lock(&self.unsynced);
        if !unsynced.many {
            unsynced.files.insert(entry);
            unsynced.many = unsynced.files.len() > SYNCED_ALONE_MAX;
        }
    }

    /// Opens the file of an entry. With `make`, creates it if it does not exist.
    fn file(&self, place: usize, make: bool) -> io::Result<Arc<File>> {
        if let Some(file) = lock(&self.files).get(&place) {
            return Ok(Arc::clone(file));
        }
        let entry = self.entry(place);
        let (parent, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        let folder = self.folder(parent, make)?;
        let how = if self.writable { libc::O_RDWR } else { libc::O_RDONLY };
        let making = if make { libc::O_CREAT } else { 0 };
        let file = open_at(&folder, name, how | making, entry.file().map_or(0o666, file_mode));
        let file = file.map_err(|error| in_the_way(error, &entry.path))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || (make && metadata.nlink() != 1) {
            return Err(io::Error::other(format!("{} is not a file of this download", entry.path)));
        }
        if make {
            self.fit(&file, metadata.len(), entry.size())?;
        }
        Ok(Arc::new(file))
    }

    /// Reserves the space of a new file, and truncates one that is too long.
    fn fit(&self, file: &File, len: u64, size: u64) -> io::Result<()> {
        if len == 0 {
            lock(&self.unsynced).many = true;
        }
        match len {
            0 if size > RESERVED_FROM => allocate(file, size),
            len if len > size => file.set_len(size),
            _ => Ok(()),
        }
    }

    /// Keeps a file open for its next piece, unless this piece was all of it.
    fn keep(&self, entry: usize, len: u64, file: Arc<File>) {
        if len < self.entry(entry).size() {
            let mut files = lock(&self.files);
            if files.len() >= OPEN_FILES_MAX && !files.contains_key(&entry) {
                files.clear();
            }
            files.insert(entry, file);
        }
    }

    /// Opens the folder at a relative path, one component at a time.
    fn folder(&self, path: &str, make: bool) -> io::Result<Arc<File>> {
        if path.is_empty() {
            return Ok(Arc::clone(&self.root));
        }
        if let Some(folder) = lock(&self.folders).get(path) {
            return Ok(Arc::clone(folder));
        }
        let mut folder = Arc::clone(&self.root);
        for name in path.split('/') {
            folder = Arc::new(step_into(&folder, name, make).map_err(|error| in_the_way(error, path))?);
        }
        let mut folders = lock(&self.folders);
        if folders.len() >= OPEN_FOLDERS_MAX {
            folders.clear();
        }
        folders.insert(path.to_owned(), Arc::clone(&folder));
        Ok(folder)
    }
}

/// Returns the mode of a new file. The process's umask removes bits from it.
fn file_mode(file: &FileEntry) -> libc::mode_t {
    if file.executable { 0o777 } else { 0o666 }
}

fn step_into(folder: &File, name: &str, make: bool) -> io::Result<File> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    match open_at(folder, name, flags, 0) {
        Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
            make_folder_at(folder, name)?;
            open_at(folder, name, flags, 0)
        }
        result => result,
    }
}

fn open_folder(path: &Path) -> io::Result<File> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn spare_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SPARE_SUFFIX);
    name.into()
}

fn open_spare(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).custom_flags(libc::O_NOFOLLOW);
    options.open(spare_path(path))
}

/// Explains errors that a link, or a file in place of a folder, causes.
fn in_the_way(error: io::Error, path: &str) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ELOOP | libc::ENOTDIR) => {
            io::Error::other(format!("a symbolic link or a file is in the way of {path}"))
        }
        _ => error,
    }
}

/// Treats a missing file like one that is too short.
fn as_end(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => io::ErrorKind::UnexpectedEof.into(),
        _ => error,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use {behind::tests::open_without_writers, tests::many_files};
