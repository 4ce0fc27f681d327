//! One serving node per folder: a lock that the system lets go of when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;

use super::Home;
use crate::error::NodeError;

/// Held while a node serves the folder's shares.
#[derive(Debug)]
pub(crate) struct HomeLock {
    _file: File,
}

impl HomeLock {
    /// Takes it, or says who has it; never waits.
    pub(crate) fn take(home: &Home) -> Result<Self, NodeError> {
        home.prepare()?;
        let path = home.lock_file();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(NodeError::local("opening", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(NodeError::InUse(format!(
                "a daemon already serves {}; `peernet status` shows it, or give this one its own PEERNET_HOME",
                home.state_folder().display()
            ))),
            Err(TryLockError::Error(error)) => Err(NodeError::local("locking", &path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_node_on_the_same_folder_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let first = HomeLock::take(&home).unwrap();
        assert!(matches!(HomeLock::take(&home), Err(NodeError::InUse(_))));
        drop(first);
        HomeLock::take(&home).unwrap();
    }
}
