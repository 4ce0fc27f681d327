//! The final check that every selected file has the hash in the listing. Files are read again on all cores, except
//! those that were hashed when they were written.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, available_parallelism};

use peernet_engine::collection::FileEntry;
use peernet_engine::ids::FileHash;

use super::Tree;
use crate::cancel::Cancel;
use crate::files::hashing::digest::Digest;

/// The bytes that are read at once: few enough to stay in the cache between reading and hashing.
const PIECE_BYTES: usize = 256 << 10;

/// The result of the check.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Every file is right.
    Right,
    /// The file at this path is wrong. Others may be wrong too.
    Wrong(String),
    Cancelled,
}

impl Tree {
    /// Checks every selected file. In a part, also sets the executable bits as the listing says.
    pub(crate) fn prove(&self, cancel: &Cancel) -> io::Result<Proof> {
        self.finish_writing()?;
        let unproven = self.selected().entries().filter(|(place, _)| !self.proven[*place].load(Ordering::Acquire));
        let files: Vec<(usize, FileEntry)> =
            unproven.filter_map(|(place, entry)| Some((place, *entry.file()?))).collect();
        let next = AtomicUsize::new(0);
        let found: Mutex<io::Result<Proof>> = Mutex::new(Ok(Proof::Right));
        let work = || {
            let mut buffer = vec![0; PIECE_BYTES];
            while let Some((place, file)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = self.prove_one(*place, file, &mut buffer, cancel);
                if !matches!(result, Ok(Proof::Right)) {
                    *found.lock().unwrap_or_else(PoisonError::into_inner) = result;
                    next.store(files.len(), Ordering::Relaxed);
                }
            }
        };
        let workers = available_parallelism().map_or(1, |n| n.get()).min(files.len());
        thread::scope(|scope| {
            for number in 1..workers {
                // If a thread cannot be spawned, the others do its work.
                let _ = thread::Builder::new().name(format!("prove-{number}")).spawn_scoped(scope, work);
            }
            work();
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn prove_one(&self, place: usize, file: &FileEntry, buffer: &mut [u8], cancel: &Cancel) -> io::Result<Proof> {
        let wrong = || Ok(Proof::Wrong(self.entry(place).path.clone()));
        let open = match self.file(place, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return wrong(),
            result => result?,
        };
        let metadata = open.metadata()?;
        if metadata.len() != file.size.0 {
            return wrong();
        }
        if self.writable {
            set_executable(&open, metadata.permissions().mode(), file.executable)?;
        }
        match hash_of(&open, file.size.0, buffer, cancel)? {
            None => Ok(Proof::Cancelled),
            Some(hash) if hash == file.file_hash => Ok(Proof::Right),
            Some(_) => wrong(),
        }
    }
}

fn hash_of(file: &File, size: u64, buffer: &mut [u8], cancel: &Cancel) -> io::Result<Option<FileHash>> {
    let mut digest = Digest::new();
    let mut at = 0;
    while at < size {
        if cancel.is_cancelled() {
            return Ok(None);
        }
        let piece_len = (buffer.len() as u64).min(size - at);
        let piece = &mut buffer[..piece_len as usize];
        file.read_exact_at(piece, at)?;
        digest.update(piece);
        at += piece_len;
    }
    Ok(Some(FileHash(digest.finish())))
}

/// Sets or clears the executable bits. A class of users that may read the file may then run it, as if it had been
/// created executable.
pub(super) fn set_executable(file: &File, mode: u32, executable: bool) -> io::Result<()> {
    let is = mode & 0o100 != 0;
    if is == executable {
        return Ok(());
    }
    let mode = if executable { mode | (mode & 0o444) >> 2 } else { mode & !0o111 };
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}
