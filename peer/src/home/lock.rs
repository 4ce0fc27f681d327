//! One serving node per folder: a lock that the system lets go of when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use crossbeam_channel::after;

use super::Home;
use crate::error::NodeError;

/// How often taking it is tried, and the pause between: [`HomeLock::is_taken`] holds it for a moment.
const ATTEMPTS: u32 = 5;
const LOOK_MAX: Duration = Duration::from_millis(20);

/// Held while a node serves the folder's shares.
#[derive(Debug)]
pub(crate) struct HomeLock {
    _file: File,
}

impl HomeLock {
    /// Takes it, or says who has it, within a tenth of a second.
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
        for _ in 0..ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                // It may be no more than someone's look at it.
                Err(TryLockError::WouldBlock) => drop(after(LOOK_MAX).recv()),
                Err(TryLockError::Error(error)) => return Err(NodeError::local("locking", &path)(error)),
            }
        }
        Err(NodeError::InUse(format!(
            "a daemon already serves {}; `peernet status` shows it, or give this one its own PEERNET_HOME",
            home.state_folder().display()
        )))
    }

    /// Whether a node serves the folder, or is just about to.
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
    fn a_second_node_on_the_same_folder_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let first = HomeLock::take(&home).unwrap();
        #[cfg(feature = "cli")]
        assert!(HomeLock::is_taken(&home));
        assert!(matches!(HomeLock::take(&home), Err(NodeError::InUse(_))));
        drop(first);
        #[cfg(feature = "cli")]
        assert!(!HomeLock::is_taken(&home));
        HomeLock::take(&home).unwrap();
    }
}
