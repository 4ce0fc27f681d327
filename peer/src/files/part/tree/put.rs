//! Writing whole small files: each made, written, hashed and closed in one go.
//!
//! A file that was made here and has the listing's hash needs no reading in the end. Whatever else there is, in a file's
//! place or of it, goes the long way.

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

/// The folder of the last file: most have their neighbours beside them.
type LastFolder<'a> = Option<(&'a str, Arc<File>)>;

impl Tree {
    /// Writes `bytes` of the pack from `at` on.
    pub(super) fn put(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut rest, mut at, mut folder) = (bytes, at, None);
        for segment in self.layout.segments(at, bytes.len() as u64) {
            let (piece, after) = rest.split_at(segment.len as usize);
            if !self.put_whole(segment, piece, &mut folder)? {
                self.write_segment(segment, piece, at)?;
            }
            (rest, at) = (after, at + segment.len);
        }
        // Not before: a sync in between has not seen all of it.
        lock(&self.unsynced).many = true;
        if rest.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Makes a wanted file of which this is all. False when it is not, or something has its name already.
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
        // It is new, so nobody else has it under another name, and no link leads to it.
        let made = open_at(folder, name, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, file_mode(listed));
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(in_the_way(error, &entry.path)),
            Ok(file) => {
                file.write_all_at(piece, 0)?;
                self.judge(segment.entry, listed, &file, piece)?;
                Ok(true)
            }
        }
    }

    fn judge(&self, place: usize, listed: &FileEntry, file: &File, bytes: &[u8]) -> io::Result<()> {
        if listed.executable {
            // The process's mask may have left some of it out.
            set_executable(file, file.metadata()?.permissions().mode(), true)?;
        }
        let mut digest = Digest::new();
        digest.update(bytes);
        let right = FileHash(digest.finish()) == listed.file_hash;
        self.proven[place].store(right, Ordering::Release);
        Ok(())
    }
}
