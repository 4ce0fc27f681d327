//! Writes whole small files: each is created, written, hashed and closed at once.
//!
//! A file that was created here and has the listing's hash is not read again at the end. All other files, such as one
//! that exists already, are written in pieces and read again.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use peernet_engine::collection::{FileEntry, Segment};
use peernet_engine::ids::FileHash;

use super::proof::set_executable;
use super::{Tree, file_mode, in_the_way, lock, open_at};
use crate::files::hashing::digest::Digest;

/// The folder of the last file. Most files lie in the same folder as the file before.
type LastFolder<'a> = Option<(&'a str, Arc<File>)>;

impl Tree {
    /// Writes `bytes` of the pack from `at` on.
    pub(super) fn put(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        let mut at = at;
        let mut folder = None;
        for segment in self.layout.segments(at, bytes.len() as u64) {
            let (piece, after) = rest.split_at(segment.len as usize);
            if !self.put_whole(segment, piece, &mut folder)? {
                self.write_segment(segment, piece, at)?;
            }
            (rest, at) = (after, at + segment.len);
        }
        // The flag is set at the end. A sync meanwhile would clear it, although later files were not written yet.
        lock(&self.unsynced).many = true;
        if rest.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Creates a selected file that consists of this piece. Returns false if the piece is not all of a selected file,
    /// or if a file of that name exists.
    fn put_whole<'a>(&'a self, segment: Segment, piece: &[u8], last: &mut LastFolder<'a>) -> io::Result<bool> {
        let entry = self.entry(segment.entry);
        let Some(listed) = entry.file().filter(|file| self.selected.has(segment.entry) && file.size.0 == segment.len)
        else {
            return Ok(false);
        };
        let (parent, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        let folder = match last {
            Some((path, folder)) if *path == parent => folder,
            _ => &last.insert((parent, self.folder(parent, true)?)).1,
        };
        // A file that this call creates has no second name, and no link leads to it.
        let made = open_at(folder, name, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, file_mode(listed));
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(in_the_way(error, &entry.path)),
            Ok(file) => {
                file.write_all_at(piece, 0)?;
                self.check_new(segment.entry, listed, &file, piece)?;
                Ok(true)
            }
        }
    }

    /// Sets the executable bits of a new file, and notes whether it has the listing's hash.
    fn check_new(&self, place: usize, listed: &FileEntry, file: &File, bytes: &[u8]) -> io::Result<()> {
        if listed.executable {
            // The process's umask may have removed some of them.
            set_executable(file, file.metadata()?.permissions().mode(), true)?;
        }
        let mut digest = Digest::new();
        digest.update(bytes);
        let right = FileHash(digest.finish()) == listed.file_hash;
        self.proven[place].store(right, Ordering::Release);
        Ok(())
    }
}
