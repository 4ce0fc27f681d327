//! What is kept of it: a file of lines, a later one counting more than an earlier. `HASH` is restricted, `+HASH` public again, `?HASH` not
//! heard of unless something is said already.
//!
//! What changes is appended and synced; now and then the file is written anew, without what counts no more. Several processes may append.
//! A line that a crash cut off was never acknowledged, and is dropped. The first one cannot be: the file is made with it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
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
/// A mark, a hash in hex and the line's end: so much a crash can leave of a line, and less.
const LINE_BYTES_MAX: u64 = 66;
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
        let (path, bytes) = (self.path(), self.bytes()?);
        let lines = lines(news.iter().copied());
        // A new file is made so that it is there after a power cut.
        let written = if bytes == 0 { write_atomically(&path, &lines) } else { append_to(&path, &lines) };
        written.map_err(NodeError::local("writing", &path))?;
        if bytes > self.rewrite_at { self.rewrite() } else { Ok(()) }
    }

    /// Writes it without the lines that count no more.
    fn rewrite(&mut self) -> Result<(), NodeError> {
        let (path, standings) = (self.path(), self.read()?);
        let lines = lines(standings.into_iter());
        write_atomically(&path, &lines).map_err(NodeError::local("writing", &path))?;
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
        let whole = whole_lines(text.as_bytes()).ok_or_else(|| damaged(&path))?;
        let mut standings = Standings::new();
        for line in text[..whole].lines() {
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

/// Puts lines in the place of what a crash left of a line.
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

/// How many of the bytes are whole lines; `None` where what follows them is more than a crash leaves.
fn whole_lines(bytes: &[u8]) -> Option<usize> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let is_cut_off = whole > 0 && ((bytes.len() - whole) as u64) < LINE_BYTES_MAX;
    (is_cut_off || bytes.is_empty()).then_some(whole)
}

fn lines(standings: impl Iterator<Item = (FileHash, Standing)>) -> Vec<u8> {
    let line = |(hash, standing)| match standing {
        Standing::Public => format!("+{hash}\n"),
        Standing::Unheard => format!("?{hash}\n"),
        Standing::Restricted => format!("{hash}\n"),
    };
    standings.map(line).collect::<String>().into_bytes()
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
        // More than a line without its end is no crash's.
        fs::write(&path, [whole.as_slice(), &[b'0'; 66]].concat()).unwrap();
        assert!(List::open(folder.path()).is_err() && list.append(&[(file(3), Restricted)]).is_err());
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
        for bytes in [&b"half a ha"[..], b"half a ha\n", b"+\n", b"\n", b"\xff\n"] {
            fs::write(folder.path().join(FILE_NAME), bytes).unwrap();
            assert!(List::open(folder.path()).is_err(), "{bytes:?}");
        }
    }
}
