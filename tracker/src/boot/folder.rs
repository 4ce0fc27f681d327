//! The data folder. It is made with mode 0700 and closed to other accounts, because it holds keys. It is locked while a
//! tracker keeps its lease log, and perhaps its database, there.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use super::StartError;
use crate::base::files;

/// The file that is locked. The lock ends with the process, however it ends; the file stays.
const LOCK_FILE: &str = "tracker.lock";

/// A lock on a data folder that keeps off other trackers and restores until it is dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock, or fails at once if another process has it.
    pub(crate) fn take(folder: &Path) -> Result<Self, StartError> {
        let failed = |error| StartError::DataDir(folder.to_owned(), error);
        let file = files::private().truncate(false).open(folder.join(LOCK_FILE)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StartError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

pub(crate) fn prepare(path: &Path) -> Result<(), StartError> {
    make(path).and_then(|()| check(path)).map_err(|error| StartError::DataDir(path.to_owned(), error))
}

#[cfg(unix)]
fn make(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Closes a folder that other accounts may read: container volumes come with mode 0755.
#[cfg(unix)]
fn check(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { fs::set_permissions(path, fs::Permissions::from_mode(0o700)) }
}

#[cfg(not(unix))]
fn check(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("the folder").permissions().mode() & 0o777
    }

    #[test]
    fn a_data_folder_is_made_and_closed_to_others() {
        let outer = tempfile::tempdir().expect("a folder");
        let new = outer.path().join("a").join("b");
        prepare(&new).expect("the parent is ours");
        assert_eq!(mode(&new), 0o700);
        for before in [0o755, 0o750, 0o701, 0o700] {
            fs::set_permissions(&new, fs::Permissions::from_mode(before)).expect("the folder is ours");
            prepare(&new).expect("the folder is ours");
            assert_eq!(mode(&new), 0o700, "{before:o}");
        }
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_refused() {
        let outer = tempfile::tempdir().expect("a folder");
        let path = outer.path().join("file");
        fs::write(&path, "").expect("the folder is ours");
        let error = prepare(&path).expect_err("it is a file");
        assert!(matches!(&error, StartError::DataDir(named, _) if *named == path), "{error}");
    }

    #[test]
    fn one_process_locks_a_folder_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = FolderLock::take(folder.path()).expect("the folder is free");
        let error = FolderLock::take(folder.path()).expect_err("it is locked");
        assert!(matches!(&error, StartError::InUse(named) if named == folder.path()), "{error}");
        drop(lock);
        FolderLock::take(folder.path()).expect("the folder is free again");
        assert!(folder.path().join(LOCK_FILE).exists(), "the file stays");
    }
}
