//! What is kept of it: a file of lines, a later one counting more than an earlier. `HASH` is restricted, `+HASH` public again, `?HASH` not
//! heard of unless something is said already.
//!
//! What changes is appended and synced; now and then the file is written anew, without what counts no more. Several processes may append.
//! A line that a crash cut off was never acknowledged, and is dropped.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use peernet_engine::ids::FileHash;

use crate::error::NodeError;
use crate::home::write_atomically;
use crate::upload::Standing;

/// Records of shares end otherwise.
const FILE_NAME: &str = "restricted.list";
const LOCK_NAME: &str = "restricted.lock";
/// Two million lines: as many count no more as still do when it is written anew.
const FILE_BYTES_MAX: u64 = 132 << 20;
/// Up to this size it is never written anew.
const REWRITE_BYTES: u64 = 256 << 10;

/// What is known of files; what is public is not kept.
pub(super) type Standings = BTreeMap<FileHash, Standing>;

/// See the module.
#[derive(Debug)]
pub(super) struct List {
    folder: PathBuf,
    /// At which size it is written anew.
    rewrite_at: u64,
}

impl List {
    /// The list in a folder, and what it says. What cannot be read is an error: it would be served to everyone.
    pub(super) fn open(folder: &Path) -> Result<(Self, Standings), NodeError> {
        let list = Self { folder: folder.to_owned(), rewrite_at: REWRITE_BYTES };
        let standings = list.read()?;
        Ok((list, standings))
    }

    /// Keeps what is new.
    pub(super) fn append(&mut self, news: &[(FileHash, Standing)]) -> Result<(), NodeError> {
        let _one_at_a_time = self.lock()?;
        let bytes = self.bytes()?;
        let lines: String = news.iter().map(|(hash, standing)| format!("{}{hash}\n", mark(*standing))).collect();
        if bytes == 0 {
            // Made so that it is there after a power cut.
            let path = self.path();
            return write_atomically(&path, lines.as_bytes()).map_err(NodeError::local("writing", &path));
        }
        self.append_lines(&lines).map_err(NodeError::local("writing", &self.path()))?;
        if bytes > self.rewrite_at { self.rewrite() } else { Ok(()) }
    }

    fn append_lines(&self, lines: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(self.path())?;
        let end = end_of_lines(&file)?;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        file.write_all(lines.as_bytes())?;
        file.sync_data()
    }

    /// Writes it without the lines that count no more.
    fn rewrite(&mut self) -> Result<(), NodeError> {
        let (path, standings) = (self.path(), self.read()?);
        let lines: String = standings.iter().map(|(hash, standing)| format!("{}{hash}\n", mark(*standing))).collect();
        write_atomically(&path, lines.as_bytes()).map_err(NodeError::local("writing", &path))?;
        self.rewrite_at = REWRITE_BYTES.max(2 * lines.len() as u64);
        Ok(())
    }

    fn read(&self) -> Result<Standings, NodeError> {
        let path = self.path();
        let text = match self.bytes()? {
            0 => String::new(),
            1..=FILE_BYTES_MAX => fs::read_to_string(&path).map_err(NodeError::local("reading", &path))?,
            _ => return Err(damaged(&path)),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut standings = Standings::new();
        for line in whole.lines() {
            take(&mut standings, line).ok_or_else(|| damaged(&path))?;
        }
        Ok(standings)
    }

    /// 0 where there is none.
    fn bytes(&self) -> Result<u64, NodeError> {
        match fs::metadata(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            found => found.map(|found| found.len()).map_err(NodeError::local("reading", &self.path())),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE_NAME)
    }

    /// Held for a moment only, so it is waited for.
    fn lock(&self) -> Result<File, NodeError> {
        let path = self.folder.join(LOCK_NAME);
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let locked = open.and_then(|file| file.lock().map(|()| file));
        locked.map_err(NodeError::local("locking", &path))
    }
}

/// Where the last whole line ends: nearly always at the end of the file.
fn end_of_lines(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut last = [0];
    while end > 0 {
        file.read_exact_at(&mut last, end - 1)?;
        if last == *b"\n" {
            break;
        }
        end -= 1;
    }
    Ok(end)
}

fn mark(standing: Standing) -> &'static str {
    match standing {
        Standing::Public => "+",
        Standing::Unheard => "?",
        Standing::Restricted => "",
    }
}

/// Takes in a line; `None` where it is none.
fn take(standings: &mut Standings, line: &str) -> Option<()> {
    if let Some(hash) = line.strip_prefix('+') {
        standings.remove(&hash.parse().ok()?);
    } else if let Some(hash) = line.strip_prefix('?') {
        standings.entry(hash.parse().ok()?).or_insert(Standing::Unheard);
    } else {
        standings.insert(line.parse().ok()?, Standing::Restricted);
    }
    Some(())
}

fn damaged(file: &Path) -> NodeError {
    NodeError::Failed(format!(
        "{} is damaged: it says which shared files are not public. Remove it only if all of them are",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::Standing::{Public, Restricted, Unheard};
    use super::*;

    fn file(number: u16) -> FileHash {
        let mut hash = [0; 32];
        hash[..2].copy_from_slice(&number.to_be_bytes());
        FileHash(hash)
    }

    fn said_in(folder: &Path) -> Vec<(FileHash, Standing)> {
        List::open(folder).unwrap().1.into_iter().collect()
    }

    #[test]
    fn a_later_line_counts_more_but_for_what_only_says_that_nothing_was_heard() {
        let folder = tempfile::tempdir().unwrap();
        let (mut list, nothing) = List::open(folder.path()).unwrap();
        assert!(nothing.is_empty());
        list.append(&[(file(1), Unheard), (file(2), Restricted), (file(3), Restricted)]).unwrap();
        list.append(&[(file(2), Unheard), (file(3), Public), (file(1), Restricted)]).unwrap();
        assert_eq!(said_in(folder.path()), [(file(1), Restricted), (file(2), Restricted)]);
        list.append(&[(file(2), Public)]).unwrap();
        list.append(&[(file(2), Unheard)]).unwrap();
        assert_eq!(said_in(folder.path()), [(file(1), Restricted), (file(2), Unheard)]);
    }

    #[test]
    fn a_line_that_was_cut_off_is_dropped_and_what_follows_is_not_lost_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut list, _) = List::open(folder.path()).unwrap();
        list.append(&[(file(1), Restricted), (file(2), Restricted)]).unwrap();
        let path = folder.path().join(FILE_NAME);
        let whole = fs::read(&path).unwrap();
        for cut in [whole.len() - 1, whole.len() - 30, whole.len() - 64] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(said_in(folder.path()), [(file(1), Restricted)], "{cut}");
            list.append(&[(file(3), Restricted)]).unwrap();
            assert_eq!(said_in(folder.path()), [(file(1), Restricted), (file(3), Restricted)], "{cut}");
        }
        fs::write(&path, b"half a ha").unwrap();
        list.append(&[(file(3), Restricted)]).unwrap();
        assert_eq!(said_in(folder.path()), [(file(3), Restricted)]);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let (mut list, _) = List::open(folder.path()).unwrap();
        let all = |standing| (0..1_000).map(move |number| (file(number), standing));
        for _ in 0..20 {
            list.append(&all(Restricted).chain(all(Public)).collect::<Vec<_>>()).unwrap();
            list.append(&[(file(7), Restricted)]).unwrap();
            assert!(list.bytes().unwrap() < REWRITE_BYTES + 140_000);
        }
        assert_eq!(said_in(folder.path()), [(file(7), Restricted)]);
    }

    #[test]
    fn a_damaged_list_is_no_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        for bytes in [&b"half a ha\n"[..], b"+\n", b"\n", b"\xff\n"] {
            fs::write(folder.path().join(FILE_NAME), bytes).unwrap();
            assert!(List::open(folder.path()).is_err(), "{bytes:?}");
        }
    }
}
