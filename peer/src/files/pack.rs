//! The pack of a shared directory: one file for other peers, whose bytes lie in many files here.
//!
//! After each read from a file, the file is checked to be the one that was hashed. Few files are open at once, however
//! many there are.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use peernet_engine::collection::{Collection, Layout, Segment};

use super::{FileIdentity, FileState, ReadError, check_identity, read_exact};

/// The files of one pack that are kept open. To open a file again costs microseconds, and descriptors are scarce.
const OPEN_FILES_MAX: usize = 4;

/// The files of a shared directory, in the order of the entries of its listing.
pub struct PackFiles {
    root: PathBuf,
    files: Vec<PackFile>,
    layout: Layout,
}

/// A file, or an empty folder, which has no bytes and no identity.
struct PackFile {
    path: Box<str>,
    identity: Option<FileIdentity>,
}

/// The reason that bytes of a pack cannot be read, and the file that they are from.
#[derive(Debug)]
pub(crate) struct PackError {
    pub(crate) path: PathBuf,
    pub(crate) error: ReadError,
}

impl PackFiles {
    /// Combines entries, each with its path and, for a file, its identity when it was hashed. `chunk_size` is the
    /// pack's.
    pub(crate) fn new(
        root: PathBuf,
        entries: impl IntoIterator<Item = (Box<str>, Option<FileIdentity>)>,
        chunk_size: u32,
    ) -> Self {
        let files: Vec<_> = entries.into_iter().map(|(path, identity)| PackFile { path, identity }).collect();
        let sizes = files.iter().map(|file| file.identity.map_or(0, |identity| identity.size));
        let layout = Layout::new(sizes, chunk_size);
        Self { root, files, layout }
    }

    /// Reads the identities of the files of a directory that was just made as the listing says.
    pub fn of(root: &Path, collection: &Collection) -> io::Result<Self> {
        let one = |entry: &peernet_engine::collection::Entry| {
            let identity = match entry.file() {
                Some(file) => Some(identity_of(&root.join(&entry.path), file.size.0)?),
                None => None,
            };
            Ok((entry.path.as_str().into(), identity))
        };
        let entries = collection.entries().iter().map(one).collect::<io::Result<Vec<_>>>()?;
        Ok(Self::new(root.to_owned(), entries, collection.pack.chunk_size))
    }

    /// Returns the path of the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns where each file's bytes lie in the pack.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the file that `len` bytes of the pack from `offset` on lie in; `None` if they lie in several.
    pub(crate) fn only_file_in(&self, offset: u64, len: u64) -> Option<PathBuf> {
        let mut entries = self.layout.segments(offset, len).map(|segment| segment.entry);
        let first = entries.next()?;
        entries.all(|entry| entry == first).then(|| self.root.join(&*self.files[first].path))
    }

    /// Returns the identity of each file when it was hashed; `None` for a folder.
    pub(crate) fn identities(&self) -> impl Iterator<Item = Option<FileIdentity>> + '_ {
        self.files.iter().map(|file| file.identity)
    }

    /// Checks all files. Returns the first that has changed, or else the first that is gone or unreadable.
    pub(crate) fn look(&self) -> FileState {
        let mut missing = None;
        for file in &self.files {
            let Some(identity) = file.identity else { continue };
            let path = self.root.join(&*file.path);
            match FileState::at(&path, identity, fs::symlink_metadata(&path)) {
                FileState::Same => {}
                FileState::Changed(path) => return FileState::Changed(path),
                gone => missing = missing.or(Some(gone)),
            }
        }
        missing.unwrap_or(FileState::Same)
    }
}

fn identity_of(path: &Path, size: u64) -> io::Result<FileIdentity> {
    let metadata = fs::symlink_metadata(path)?;
    match metadata.is_file() && metadata.len() == size {
        true => Ok(FileIdentity::of(&metadata)),
        false => Err(io::Error::other(format!("{} is not the file that was written", path.display()))),
    }
}

/// A pack that is being read, with a few of its files open. All of its readers share it.
pub(crate) struct OpenPack {
    files: Arc<PackFiles>,
    open: Mutex<Vec<(usize, Arc<File>)>>,
}

impl OpenPack {
    pub(crate) fn new(files: Arc<PackFiles>) -> Self {
        Self { files, open: Mutex::default() }
    }

    /// Fills `buffer` from `offset` of the pack on.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), PackError> {
        let mut rest = buffer;
        for segment in self.files.layout.segments(offset, rest.len() as u64) {
            // A segment is no longer than the buffer, so its length fits a usize.
            let (bytes, after) = rest.split_at_mut(segment.len as usize);
            self.read_segment(segment, bytes).map_err(|error| PackError { path: self.path(segment.entry), error })?;
            rest = after;
        }
        match rest.is_empty() {
            true => Ok(()),
            false => {
                let error = ReadError::Io(io::ErrorKind::UnexpectedEof.into());
                Err(PackError { path: self.files.root.clone(), error })
            }
        }
    }

    fn read_segment(&self, segment: Segment, bytes: &mut [u8]) -> Result<(), ReadError> {
        let identity = self.files.files[segment.entry].identity.ok_or(ReadError::Changed)?;
        let file = match self.known(segment.entry) {
            Some(file) => file,
            None => Arc::new(open_here(&self.path(segment.entry)).map_err(ReadError::Io)?),
        };
        read_exact(&file, segment.offset, bytes)?;
        check_identity(&file, identity)?;
        self.keep(segment, file, identity.size);
        Ok(())
    }

    fn path(&self, entry: usize) -> PathBuf {
        self.files.root.join(&*self.files.files[entry].path)
    }

    fn known(&self, entry: usize) -> Option<Arc<File>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().find(|(known, _)| *known == entry).map(|(_, file)| Arc::clone(file))
    }

    /// Keeps a file open unless its end has been read.
    fn keep(&self, segment: Segment, file: Arc<File>, size: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(known, _)| *known != segment.entry);
        if segment.offset + segment.len < size {
            open.push((segment.entry, file));
        }
        if open.len() > OPEN_FILES_MAX {
            open.remove(0);
        }
    }
}

/// Opens a file without blocking and without following a link. A pipe in its place must not hold the thread, and a link
/// would lead to another file.
fn open_here(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const CHUNK: usize = 1 << 20;

    struct Tree {
        folder: tempfile::TempDir,
        files: Vec<(&'static str, Vec<u8>)>,
    }

    impl Tree {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let bytes = |seed: usize, len: usize| (0..len).map(|i| (i * 31 + seed) as u8).collect::<Vec<u8>>();
            let files = vec![("a", bytes(1, 5)), ("b", bytes(2, 2 * CHUNK + 3)), ("c", vec![]), ("d", bytes(3, CHUNK))];
            files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
            Self { folder, files }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn open(&self) -> OpenPack {
            let identity = |name: &str| FileIdentity::of_path(&self.path(name)).unwrap();
            let entries = self.files.iter().map(|(name, _)| ((*name).into(), Some(identity(name))));
            OpenPack::new(Arc::new(PackFiles::new(self.folder.path().to_owned(), entries, CHUNK as u32)))
        }

        /// The bytes of the pack that the layout promises.
        fn pack(&self) -> Vec<u8> {
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| &self.files[i].1[..]);
            [&b[..2 * CHUNK], d, a, &b[2 * CHUNK..], c].concat()
        }
    }

    fn read(pack: &OpenPack, at: usize, len: usize) -> Result<Vec<u8>, PackError> {
        let mut buffer = vec![0; len];
        pack.read(at as u64, &mut buffer).map(|()| buffer)
    }

    #[test]
    fn any_range_reads_from_the_files_it_lies_in() {
        let tree = Tree::new();
        let pack = tree.open();
        let expected = tree.pack();
        assert!(read(&pack, 0, expected.len()).unwrap() == expected);
        for (at, len) in [(0, 0), (1, 7), (CHUNK - 1, 2), (2 * CHUNK - 1, 3), (3 * CHUNK - 2, 9), (3 * CHUNK + 7, 1)] {
            assert!(read(&pack, at, len).unwrap() == expected[at..at + len], "{at} {len}");
        }
        assert!(read(&pack, expected.len(), 1).is_err());
        assert!(pack.open.lock().unwrap().len() <= OPEN_FILES_MAX);
    }

    #[test]
    fn a_changed_missing_or_linked_file_is_named() {
        let tree = Tree::new();
        let aside = tree.path("aside");
        let check = |spoil: &dyn Fn(&Path), looks: fn(FileState) -> Option<PathBuf>| {
            let pack = tree.open();
            let path = tree.path("a");
            assert!(matches!(pack.files.look(), FileState::Same));
            spoil(&path);
            let error = read(&pack, 3 * CHUNK, 8).unwrap_err();
            assert_eq!((error.path, looks(pack.files.look())), (path.clone(), Some(path.clone())));
            assert!(read(&pack, 0, CHUNK).is_ok(), "the others are as they were");
            fs::remove_file(&path).ok();
            fs::write(&path, &tree.files[0].1).unwrap();
        };
        let changed = |look| if let FileState::Changed(path) = look { Some(path) } else { None };
        let gone = |look| if let FileState::Gone(path) = look { Some(path) } else { None };
        check(&|path| fs::write(path, "other and longer").unwrap(), changed);
        check(&|path| fs::remove_file(path).unwrap(), gone);
        check(
            &|path| {
                fs::rename(path, &aside).unwrap();
                symlink(&aside, path).unwrap();
            },
            changed,
        );
    }

    #[test]
    fn the_only_file_of_a_range_is_named() {
        let tree = Tree::new();
        let pack = tree.open();
        let end = tree.pack().len() as u64;
        for (at, len, expected) in [
            (0, CHUNK as u64, Some("b")),
            (0, 2 * CHUNK as u64, Some("b")),
            (2 * CHUNK as u64 - 1, 2, None),
            (2 * CHUNK as u64, CHUNK as u64, Some("d")),
            (3 * CHUNK as u64, 5, Some("a")),
            (3 * CHUNK as u64, 6, None),
            (end - 1, 1, Some("b")),
            (0, end, None),
            (end, 1, None),
            (0, 0, None),
        ] {
            assert_eq!(pack.files.only_file_in(at, len), expected.map(|name| tree.path(name)), "{at} {len}");
        }
    }

    #[test]
    fn many_readers_of_one_pack_read_the_same_bytes() {
        let tree = Tree::new();
        let pack = tree.open();
        let expected = tree.pack();
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let pack = &pack;
                let expected = &expected;
                scope.spawn(move || {
                    let mut rng = peernet_engine::random::Rng::new(seed);
                    for _ in 0..100 {
                        let at = rng.below(expected.len() as u64) as usize;
                        let len = rng.below((expected.len() - at).min(70_000) as u64 + 1) as usize;
                        assert!(read(pack, at, len).unwrap() == expected[at..at + len], "{at} {len}");
                        assert!(pack.open.lock().unwrap().len() <= OPEN_FILES_MAX);
                    }
                });
            }
        });
    }

    #[test]
    fn a_read_beyond_the_end_names_the_directory() {
        let tree = Tree::new();
        let pack = tree.open();
        let end = tree.pack().len();
        for (at, len) in [(end, 1), (end - 1, 2), (2 * end, 1)] {
            let error = read(&pack, at, len).unwrap_err();
            let eof = matches!(&error.error, ReadError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof);
            assert!(eof && error.path == tree.folder.path(), "{at} {len}: {error:?}");
        }
        assert_eq!(read(&pack, end, 0).unwrap(), b"");
    }

    #[test]
    fn a_written_file_must_have_the_size_of_its_entry() {
        let tree = Tree::new();
        let wrong = |name: &str| format!("{} is not the file that was written", tree.path(name).display());
        assert_eq!(identity_of(&tree.path("a"), 5).unwrap(), FileIdentity::of_path(&tree.path("a")).unwrap());
        assert_eq!(identity_of(&tree.path("a"), 6).unwrap_err().to_string(), wrong("a"));
        symlink(tree.path("a"), tree.path("link")).unwrap();
        assert_eq!(identity_of(&tree.path("link"), 5).unwrap_err().to_string(), wrong("link"));
        fs::create_dir(tree.path("folder")).unwrap();
        let size = fs::metadata(tree.path("folder")).unwrap().len();
        assert_eq!(identity_of(&tree.path("folder"), size).unwrap_err().to_string(), wrong("folder"));
        assert_eq!(identity_of(&tree.path("absent"), 0).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
