//! Which files are not for everyone, as far as the tracker has said so; kept beside the shares, so that a restart without a tracker does not
//! forget it: one file with a hash on each line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use peernet_engine::ids::FileHash;

use crate::error::NodeError;
use crate::home::write_atomically;

/// Records of shares end otherwise.
const FILE_NAME: &str = "restricted.list";
/// A million hashes.
const FILE_BYTES_MAX: u64 = 65 << 20;

/// The marks. Where there are none, asking takes no lock.
#[derive(Debug, Default)]
pub(super) struct Restricted {
    /// `None`: nothing is kept on disk.
    file: Option<PathBuf>,
    count: AtomicUsize,
    files: Mutex<BTreeSet<FileHash>>,
}

impl Restricted {
    /// Those of a folder. What cannot be read is an error: it would be served to everyone.
    pub(super) fn load(folder: &Path) -> Result<Self, NodeError> {
        let file = folder.join(FILE_NAME);
        let text = match fs::metadata(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(NodeError::local("reading", &file)(error)),
            Ok(found) if found.len() > FILE_BYTES_MAX => return Err(damaged(&file)),
            Ok(_) => fs::read_to_string(&file).map_err(NodeError::local("reading", &file))?,
        };
        let files: BTreeSet<FileHash> =
            text.lines().map(str::parse).collect::<Result<_, _>>().map_err(|_| damaged(&file))?;
        let count = AtomicUsize::new(files.len());
        Ok(Self { file: Some(file), count, files: Mutex::new(files) })
    }

    pub(super) fn contains(&self, file_hash: FileHash) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.lock().contains(&file_hash)
    }

    /// Of `files`, exactly those that `is_restricted` says are from now on. In memory at once, whatever the disk says.
    pub(super) fn set(&self, files: &[FileHash], is_restricted: &dyn Fn(FileHash) -> bool) -> Result<(), NodeError> {
        let mut known = self.lock();
        let mut changed = false;
        for file in files {
            changed |= if is_restricted(*file) { known.insert(*file) } else { known.remove(file) };
        }
        if changed { self.keep(&known) } else { Ok(()) }
    }

    /// Forgets what is not shared any more.
    pub(super) fn retain(&self, is_shared: &dyn Fn(FileHash) -> bool) -> Result<(), NodeError> {
        let mut known = self.lock();
        let before = known.len();
        known.retain(|file| is_shared(*file));
        if known.len() == before { Ok(()) } else { self.keep(&known) }
    }

    fn keep(&self, known: &BTreeSet<FileHash>) -> Result<(), NodeError> {
        self.count.store(known.len(), Ordering::Release);
        let Some(file) = &self.file else { return Ok(()) };
        let text: String = known.iter().map(|hash| format!("{hash}\n")).collect();
        write_atomically(file, text.as_bytes()).map_err(NodeError::local("writing", file))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<FileHash>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn damaged(file: &Path) -> NodeError {
    NodeError::Failed(format!(
        "{} is damaged: it says which shared files are not public. Remove it only if all of them are",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: u8) -> FileHash {
        FileHash([number; 32])
    }

    #[test]
    fn what_is_said_of_some_files_leaves_the_others_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let restricted = Restricted::load(folder.path()).unwrap();
        assert!(!restricted.contains(file(1)));
        restricted.set(&[file(1), file(2)], &|_| true).unwrap();
        restricted.set(&[file(2), file(3)], &|asked| asked == file(3)).unwrap();
        let check = |restricted: &Restricted, expected: [bool; 3]| {
            assert_eq!([1, 2, 3].map(|number| restricted.contains(file(number))), expected);
        };
        check(&restricted, [true, false, true]);
        let again = Restricted::load(folder.path()).unwrap();
        check(&again, [true, false, true]);
        again.retain(&|asked| asked == file(3)).unwrap();
        check(&Restricted::load(folder.path()).unwrap(), [false, false, true]);
    }

    #[test]
    fn a_damaged_list_is_no_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), "half a ha").unwrap();
        assert!(Restricted::load(folder.path()).is_err());
    }
}
