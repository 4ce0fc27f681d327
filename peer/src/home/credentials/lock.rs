//! The lock under which one process at a time changes the credentials. The system releases it when the process ends,
//! however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::after;

use crate::home::HomeError;

/// The longest wait for the lock. A call of the tracker with all its retries takes less.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// The pause between two attempts.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The lock of the credentials, held from reading the file to writing it.
#[derive(Debug)]
pub(crate) struct CredentialsLock {
    _file: File,
}

impl CredentialsLock {
    pub(super) fn take(path: &Path) -> Result<Self, HomeError> {
        Self::take_within(path, WAIT_MAX)
    }

    fn take_within(path: &Path, longest: Duration) -> Result<Self, HomeError> {
        let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        let file = opened.map_err(HomeError::io("opening", path))?;
        let deadline = Instant::now() + longest;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => drop(after(LOOK_EVERY).recv()),
                Err(TryLockError::WouldBlock) => {
                    return Err(HomeError::Locked { path: path.to_owned(), waited: longest });
                }
                Err(TryLockError::Error(error)) => return Err(HomeError::io("locking", path)(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_holds_the_lock_and_waits_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = CredentialsLock::take(&path).unwrap();
        let refused = CredentialsLock::take_within(&path, LOOK_EVERY * 2);
        assert!(matches!(refused, Err(HomeError::Locked { .. })), "{refused:?}");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| CredentialsLock::take(&path).is_ok());
            drop(first);
            assert!(second.join().unwrap());
        });
    }
}
