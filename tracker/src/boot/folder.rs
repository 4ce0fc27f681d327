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
