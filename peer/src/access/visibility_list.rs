//! The visibility list: a text file of lines in the folder of the shares. A later line overrides an earlier one.
//!
//! | line | meaning |
//! |---|---|
//! | `HASH` | the file is restricted |
//! | `+HASH` | the file is public again |
//! | `?HASH` | the file's visibility is unknown, unless an earlier line says more |
//!
//! Changes are appended and synced. When the file has doubled, it is rewritten without the lines that no longer count.
//! Several processes may append. A crash may cut off the last line. That change was never acknowledged, so the line is
//! dropped. The first line cannot be cut off, because the file is created with it in one step.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use peernet_engine::access::KnownVisibility;
use peernet_engine::ids::FileHash;

use crate::home::write_atomically;

/// The suffix differs from that of share records, which lie in the same folder.
const FILE_NAME: &str = "restricted.list";
const LOCK_NAME: &str = "restricted.lock";
/// Two million lines. A rewrite allows as many obsolete lines as lines that count.
const FILE_BYTES_MAX: u64 = 132 << 20;
/// A mark, a hash in hex and the line's end. A crash leaves less than this of a line.
const LINE_BYTES_MAX: u64 = 66;
/// A smaller file is never rewritten.
const REWRITE_BYTES: u64 = 256 << 10;

/// The visibility of each file in the list. Public files have no entry.
pub(super) type Entries = BTreeMap<FileHash, KnownVisibility>;

/// The reason that the visibility list cannot be read or changed.
#[derive(Debug)]
pub enum VisibilityError {
    /// The disk or the file system failed.
    Io {
        /// The attempted act, such as "reading".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The file at this path is not a visibility list.
    Damaged(PathBuf),
}

impl VisibilityError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, error }
    }
}

impl fmt::Display for VisibilityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, path, error } => write!(f, "{doing} {}: {error}", path.display()),
            Self::Damaged(path) => write!(
                f,
                "{} is damaged; it records which shared files are not public: remove it only if all of them are public",
                path.display()
            ),
        }
    }
}

impl std::error::Error for VisibilityError {}

/// The list in one folder.
#[derive(Debug)]
pub(super) struct VisibilityList {
    folder: PathBuf,
    /// The size beyond which the file is rewritten.
    rewrite_at: u64,
}

impl VisibilityList {
    /// Opens the list of a folder and reads its entries. An unreadable list is an error: if it were taken for an empty
    /// one, restricted files would become public.
    pub(super) fn open(folder: &Path) -> Result<(Self, Entries), VisibilityError> {
        let list = Self { folder: folder.to_owned(), rewrite_at: REWRITE_BYTES };
        let entries = list.read()?;
        Ok((list, entries))
    }

    /// Appends changes. They survive a power cut once this returns.
    pub(super) fn append(&mut self, changes: &[(FileHash, KnownVisibility)]) -> Result<(), VisibilityError> {
        let _lock = self.lock()?;
        let path = self.path();
        let bytes = self.bytes()?;
        let lines = lines(changes.iter().copied());
        // A new file has to be there after a power cut, with its folder entry.
        let written = if bytes == 0 { write_atomically(&path, &lines) } else { append_to(&path, &lines) };
        written.map_err(VisibilityError::io("writing", &path))?;
        if bytes > self.rewrite_at { self.rewrite() } else { Ok(()) }
    }

    /// Rewrites the file without the lines that no longer count.
    fn rewrite(&mut self) -> Result<(), VisibilityError> {
        let path = self.path();
        let lines = lines(self.read()?.into_iter());
        write_atomically(&path, &lines).map_err(VisibilityError::io("writing", &path))?;
        self.rewrite_at = REWRITE_BYTES.max(2 * lines.len() as u64);
        Ok(())
    }

    fn read(&self) -> Result<Entries, VisibilityError> {
        let path = self.path();
        let damaged = || VisibilityError::Damaged(path.clone());
        let text = match self.bytes()? {
            0 => String::new(),
            1..=FILE_BYTES_MAX => fs::read_to_string(&path).map_err(VisibilityError::io("reading", &path))?,
            _ => return Err(damaged()),
        };
        let whole = whole_lines(text.as_bytes()).ok_or_else(damaged)?;
        let mut entries = Entries::new();
        for line in text[..whole].lines() {
            apply(&mut entries, line).ok_or_else(damaged)?;
        }
        Ok(entries)
    }

    /// Returns the file's size; 0 if there is no file.
    fn bytes(&self) -> Result<u64, VisibilityError> {
        match fs::metadata(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            found => found.map(|found| found.len()).map_err(VisibilityError::io("reading", &self.path())),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE_NAME)
    }

    /// Locks the list against other processes. Each holds the lock for one change only, so waiting for it is short.
    fn lock(&self) -> Result<File, VisibilityError> {
        let path = self.folder.join(LOCK_NAME);
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let locked = open.and_then(|file| file.lock().map(|()| file));
        locked.map_err(VisibilityError::io("locking", &path))
    }
}

/// Appends lines, in place of a last line that a crash cut off.
fn append_to(path: &Path, lines: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let bytes = file.metadata()?.len();
    let mut tail = vec![0; bytes.min(LINE_BYTES_MAX) as usize];
    let tail_at = bytes - tail.len() as u64;
    file.read_exact_at(&mut tail, tail_at)?;
    let whole = whole_lines(&tail).ok_or_else(|| io::Error::other("its last line has no end"))?;
    let end = tail_at + whole as u64;
    file.set_len(end)?;
    file.write_all_at(lines, end)?;
    file.sync_data()
}

/// Returns how many of the bytes are whole lines. `None` means that more follows them than a crash can leave.
fn whole_lines(bytes: &[u8]) -> Option<usize> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let is_cut_off = whole > 0 && ((bytes.len() - whole) as u64) < LINE_BYTES_MAX;
    (is_cut_off || bytes.is_empty()).then_some(whole)
}

fn lines(entries: impl Iterator<Item = (FileHash, KnownVisibility)>) -> Vec<u8> {
    let line = |(hash, visibility)| match visibility {
        KnownVisibility::Public => format!("+{hash}\n"),
        KnownVisibility::Unknown => format!("?{hash}\n"),
        KnownVisibility::Restricted => format!("{hash}\n"),
    };
    entries.map(line).collect::<String>().into_bytes()
}

/// Applies one line. `None` means that the text is not a line of a list.
fn apply(entries: &mut Entries, line: &str) -> Option<()> {
    if let Some(hash) = line.strip_prefix('+') {
        entries.remove(&hash.parse().ok()?);
    } else if let Some(hash) = line.strip_prefix('?') {
        entries.entry(hash.parse().ok()?).or_insert(KnownVisibility::Unknown);
    } else {
        entries.insert(line.parse().ok()?, KnownVisibility::Restricted);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::KnownVisibility::{Public, Restricted, Unknown};
    use super::*;

    fn file(number: u16) -> FileHash {
        let mut hash = [0; 32];
        hash[..2].copy_from_slice(&number.to_be_bytes());
        FileHash(hash)
    }

    /// The entries that a start in this folder would read.
    fn entries(folder: &Path) -> Vec<(FileHash, KnownVisibility)> {
        VisibilityList::open(folder).unwrap().1.into_iter().collect()
    }

    #[test]
    fn a_later_line_overrides_except_one_that_says_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let (mut list, none) = VisibilityList::open(folder.path()).unwrap();
        assert!(none.is_empty());
        list.append(&[(file(1), Unknown), (file(2), Restricted), (file(3), Restricted)]).unwrap();
        list.append(&[(file(2), Unknown), (file(3), Public), (file(1), Restricted)]).unwrap();
        assert_eq!(entries(folder.path()), [(file(1), Restricted), (file(2), Restricted)]);
        list.append(&[(file(2), Public)]).unwrap();
        list.append(&[(file(2), Unknown)]).unwrap();
        assert_eq!(entries(folder.path()), [(file(1), Restricted), (file(2), Unknown)]);
    }

    #[test]
    fn the_stored_lines_are_these() {
        let folder = tempfile::tempdir().unwrap();
        let (mut list, _) = VisibilityList::open(folder.path()).unwrap();
        list.append(&[(file(1), Restricted)]).unwrap();
        list.append(&[(file(2), Unknown), (file(1), Public)]).unwrap();
        let text = fs::read_to_string(folder.path().join("restricted.list")).unwrap();
        assert_eq!(text, format!("{}\n?{}\n+{}\n", file(1), file(2), file(1)));
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (mut list, _) = VisibilityList::open(folder.path()).unwrap();
        list.append(&[(file(1), Restricted), (file(2), Restricted)]).unwrap();
        let path = folder.path().join(FILE_NAME);
        let whole = fs::read(&path).unwrap();
        for cut in [whole.len() - 1, whole.len() - 30, whole.len() - 64] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(entries(folder.path()), [(file(1), Restricted)], "{cut}");
            list.append(&[(file(3), Restricted)]).unwrap();
            assert_eq!(entries(folder.path()), [(file(1), Restricted), (file(3), Restricted)], "{cut}");
        }
    }

    #[test]
    fn more_than_a_torn_line_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let (mut list, _) = VisibilityList::open(folder.path()).unwrap();
        list.append(&[(file(1), Restricted)]).unwrap();
        let path = folder.path().join(FILE_NAME);
        let bytes = [fs::read(&path).unwrap(), vec![b'0'; LINE_BYTES_MAX as usize]].concat();
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(VisibilityList::open(folder.path()), Err(VisibilityError::Damaged(_))));
        assert!(list.append(&[(file(3), Restricted)]).is_err());
        assert_eq!(fs::read(&path).unwrap(), bytes, "a damaged file is left for the user to look at");
    }

    #[test]
    fn every_prefix_of_the_file_reads_as_its_whole_lines() {
        // A process that is killed while it appends leaves the first line, and any part of the rest.
        let folder = tempfile::tempdir().unwrap();
        let (mut list, _) = VisibilityList::open(folder.path()).unwrap();
        list.append(&[(file(1), Restricted)]).unwrap();
        list.append(&[(file(2), Restricted), (file(1), Public), (file(3), Unknown)]).unwrap();
        let path = folder.path().join(FILE_NAME);
        let whole = fs::read(&path).unwrap();
        for cut in 65..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            let expected: &[_] = match lines {
                1 => &[(file(1), Restricted)],
                2 => &[(file(1), Restricted), (file(2), Restricted)],
                3 => &[(file(2), Restricted)],
                _ => &[(file(2), Restricted), (file(3), Unknown)],
            };
            assert_eq!(entries(folder.path()), expected, "{cut}");
        }
    }

    #[test]
    fn the_file_is_rewritten_when_it_has_doubled() {
        let folder = tempfile::tempdir().unwrap();
        let (mut list, _) = VisibilityList::open(folder.path()).unwrap();
        let all = |visibility| (0..1_000).map(move |number| (file(number), visibility));
        for _ in 0..20 {
            list.append(&all(Restricted).chain(all(Public)).collect::<Vec<_>>()).unwrap();
            list.append(&[(file(7), Restricted)]).unwrap();
            assert!(list.bytes().unwrap() < REWRITE_BYTES + 140_000);
        }
        assert_eq!(entries(folder.path()), [(file(7), Restricted)]);
    }

    #[test]
    fn a_rewrite_waits_until_as_many_lines_are_obsolete() {
        let folder = tempfile::tempdir().unwrap();
        let (mut list, _) = VisibilityList::open(folder.path()).unwrap();
        let all: Vec<_> = (0..8_000).map(|number| (file(number), Restricted)).collect();
        list.append(&all).unwrap();
        let counting = list.bytes().unwrap();
        assert!(counting > REWRITE_BYTES);
        list.append(&[(file(1), Restricted)]).unwrap();
        assert_eq!((list.bytes().unwrap(), list.rewrite_at), (counting, 2 * counting));
        // All lines still count, so the next appends only grow the file.
        list.append(&[(file(1), Restricted), (file(2), Restricted)]).unwrap();
        assert_eq!(list.bytes().unwrap(), counting + 2 * 65);
    }

    #[test]
    fn a_crash_during_a_rewrite_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let (mut list, _) = VisibilityList::open(folder.path()).unwrap();
        list.append(&[(file(1), Restricted)]).unwrap();
        // A rewrite writes beside the file and renames. Killed before the rename it leaves the half file.
        fs::write(folder.path().join(format!("{FILE_NAME}.1-0.tmp")), b"half a ha").unwrap();
        assert_eq!(entries(folder.path()), [(file(1), Restricted)]);
        list.append(&[(file(2), Restricted)]).unwrap();
        assert_eq!(entries(folder.path()), [(file(1), Restricted), (file(2), Restricted)]);
    }

    #[test]
    fn a_damaged_list_is_not_an_empty_list() {
        let folder = tempfile::tempdir().unwrap();
        for bytes in [&b"half a ha"[..], b"half a ha\n", b"+\n", b"\n", b"\xff\n"] {
            fs::write(folder.path().join(FILE_NAME), bytes).unwrap();
            assert!(VisibilityList::open(folder.path()).is_err(), "{bytes:?}");
        }
    }

    use peernet_engine::random::Rng;

    #[test]
    fn any_changes_are_read_back_as_the_last_word_on_each_file() {
        for seed in 0..10 {
            let mut rng = Rng::new(seed);
            let folder = tempfile::tempdir().unwrap();
            let (mut list, _) = VisibilityList::open(folder.path()).unwrap();
            let mut model = Entries::new();
            for _ in 0..30 {
                let mut change = || {
                    let visibility = [Public, Restricted, Unknown][rng.below(3) as usize];
                    (file(rng.below(12) as u16), visibility)
                };
                let changes: Vec<_> = (0..4).map(|_| change()).collect();
                list.append(&changes).unwrap();
                for (file, visibility) in changes {
                    match visibility {
                        Public => drop(model.remove(&file)),
                        Restricted => drop(model.insert(file, Restricted)),
                        Unknown => drop(model.entry(file).or_insert(Unknown)),
                    }
                }
            }
            assert_eq!(VisibilityList::open(folder.path()).unwrap().1, model, "seed {seed}");
            list.rewrite().unwrap();
            assert_eq!(VisibilityList::open(folder.path()).unwrap().1, model, "a rewrite changes nothing, seed {seed}");
            assert_eq!(list.bytes().unwrap(), lines(model.into_iter()).len() as u64, "seed {seed}");
        }
    }

    #[test]
    fn no_flipped_byte_makes_a_restricted_file_public() {
        let folder = tempfile::tempdir().unwrap();
        let (mut list, _) = VisibilityList::open(folder.path()).unwrap();
        list.append(&[0x1111, 0x2222, 0x4444].map(|number| (file(number), Restricted))).unwrap();
        let path = folder.path().join(FILE_NAME);
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() - 1 {
            for flip in [1, 2, 0x80] {
                let mut bent = whole.clone();
                bent[place] ^= flip;
                fs::write(&path, &bent).unwrap();
                // A digit may become another digit. Then another file is restricted, and the number of files stays.
                if let Ok((_, entries)) = VisibilityList::open(folder.path()) {
                    assert_eq!(entries.len(), 3, "{place} {flip}");
                    assert!(entries.values().all(|visibility| *visibility == Restricted), "{place} {flip}");
                }
            }
        }
    }

    #[test]
    fn lists_of_two_processes_keep_the_changes_of_both() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for half in 0..2 {
                let folder = folder.path();
                scope.spawn(move || {
                    let (mut list, _) = VisibilityList::open(folder).unwrap();
                    (0..40).for_each(|number| list.append(&[(file(2 * number + half), Restricted)]).unwrap());
                });
            }
        });
        let expected: Vec<_> = (0..80).map(|number| (file(number), Restricted)).collect();
        assert_eq!(entries(folder.path()), expected);
    }

    #[test]
    fn what_is_wrong_with_the_list_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let message = |error: VisibilityError| error.to_string().replace(folder.path().to_str().unwrap(), "HOME");
        fs::write(folder.path().join(FILE_NAME), "no hash\n").unwrap();
        let damaged = "HOME/restricted.list is damaged; it records which shared files are not public: remove it only if all \
                       of them are public";
        assert_eq!(VisibilityList::open(folder.path()).map_err(message).err().as_deref(), Some(damaged));
        fs::remove_file(folder.path().join(FILE_NAME)).unwrap();
        fs::create_dir(folder.path().join(LOCK_NAME)).unwrap();
        let (mut list, _) = VisibilityList::open(folder.path()).unwrap();
        let locked = list.append(&[(file(1), Restricted)]).map_err(message);
        assert_eq!(locked, Err("locking HOME/restricted.lock: Is a directory (os error 21)".to_owned()));
    }
}
