//! The lock that lets one node at a time serve a folder. The system releases it when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use crossbeam_channel::after;

use super::{Home, HomeError};

/// The number of attempts to take the lock. A failure may be due to [`HomeLock::is_taken`], which holds it for a
/// moment.
const ATTEMPTS: u32 = 5;
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// The lock of a folder whose shares this node serves. Dropping it releases it.
#[derive(Debug)]
pub(crate) struct HomeLock {
    _file: File,
}

impl HomeLock {
    /// Takes the lock, or fails within a tenth of a second with [`HomeError::Served`].
    pub(crate) fn take(home: &Home) -> Result<Self, HomeError> {
        home.prepare()?;
        let path = home.lock_file();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(HomeError::io("opening", &path))?;
        for _ in 0..ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                // The holder may be a process that only checks if the lock is free.
                Err(TryLockError::WouldBlock) => drop(after(PAUSE).recv()),
                Err(TryLockError::Error(error)) => return Err(HomeError::io("locking", &path)(error)),
            }
        }
        Err(HomeError::Served(home.state_folder().to_owned()))
    }

    /// Reports whether a node serves the folder or is about to.
    #[cfg(feature = "cli")]
    pub(crate) fn is_taken(home: &Home) -> bool {
        let looked = File::open(home.lock_file()).map(|file| file.try_lock_shared());
        matches!(looked, Ok(Err(TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_node_on_a_folder_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let first = HomeLock::take(&home).unwrap();
        #[cfg(feature = "cli")]
        assert!(HomeLock::is_taken(&home));
        assert!(matches!(HomeLock::take(&home), Err(HomeError::Served(_))));
        drop(first);
        #[cfg(feature = "cli")]
        assert!(!HomeLock::is_taken(&home));
        HomeLock::take(&home).unwrap();
    }
}
