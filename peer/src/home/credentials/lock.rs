//! One process at a time changes the credentials: a lock that the system lets go of when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::after;

use crate::error::NodeError;

/// Longer than whoever holds it may take to ask the tracker, with all that it tries again.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Held from reading the file to writing it.
#[derive(Debug)]
pub(crate) struct CredentialsLock {
    _file: File,
}

impl CredentialsLock {
    pub(super) fn take(path: &Path) -> Result<Self, NodeError> {
        Self::take_within(path, WAIT_MAX)
    }

    fn take_within(path: &Path, longest: Duration) -> Result<Self, NodeError> {
        let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        let file = opened.map_err(NodeError::local("opening", path))?;
        let deadline = Instant::now() + longest;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => drop(after(LOOK_EVERY).recv()),
                Err(TryLockError::WouldBlock) => {
                    let path = path.display();
                    return Err(NodeError::InUse(format!("another process holds {path} for long: is it stopped?")));
                }
                Err(TryLockError::Error(error)) => return Err(NodeError::local("locking", path)(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it_and_nobody_waits_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = CredentialsLock::take(&path).unwrap();
        let refused = CredentialsLock::take_within(&path, LOOK_EVERY * 2);
        assert!(matches!(refused, Err(NodeError::InUse(_))), "{refused:?}");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| CredentialsLock::take(&path).is_ok());
            drop(first);
            assert!(second.join().unwrap());
        });
    }
}
