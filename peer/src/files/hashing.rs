//! Computes the manifest of a local file, or of a directory's files as one pack, and reads each byte once.
//!
//! One thread reads, and others hash the same buffers. Each byte goes into two digests, the chunk's and the whole
//! file's. Processors with SHA instructions compute both in one pass, see `digest`. On other processors the chunks are
//! hashed on several cores.

pub(crate) mod digest;
mod pipeline;
mod tree;
mod walk;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use peernet_engine::collection::{CollectionError, PathError};
use peernet_engine::ids::ByteCount;
use peernet_engine::manifest::{Geometry, Manifest, ManifestError};

use crate::cancel::Cancel;
use crate::files::FileIdentity;

pub(crate) use tree::{HashedTree, hash_tree, manifest_of_bytes};
pub(crate) use walk::{Found, Walked, walk};

/// The progress of hashing a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashProgress {
    /// The number of bytes read so far.
    pub done: u64,
    /// The number of bytes in total.
    pub total: u64,
}

/// The reason that a manifest cannot be computed.
#[derive(Debug)]
pub enum HashError {
    /// The file cannot be opened or read.
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The path is a folder, a pipe or a device.
    NotAFile(PathBuf),
    /// The file changed while it was read. It can be hashed again when it no longer changes.
    Changed(PathBuf),
    /// The file is too large for a manifest.
    TooLarge(ManifestError),
    /// A file or folder has a name that a collection does not permit.
    Name {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        why: PathError,
    },
    /// The directory exceeds the limits of a collection.
    Collection(CollectionError),
    /// [`Cancel::cancel`] was called.
    Cancelled,
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NotAFile(path) => write!(f, "{}: not a regular file", path.display()),
            Self::Changed(path) => write!(f, "{}: the file changed while it was read", path.display()),
            Self::TooLarge(error) => write!(f, "{error}"),
            Self::Name { path, why } => write!(f, "{path:?}: {why}"),
            Self::Collection(error) => write!(f, "{error}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for HashError {}

/// Hashes the file at `path`. `progress` is called on this thread, at most once per chunk.
///
/// On processors without SHA instructions, up to `workers` threads (0 counts as 1) hash chunks beside the thread that
/// hashes the whole file.
pub fn hash_file(
    path: &Path,
    workers: usize,
    progress: &mut dyn FnMut(HashProgress),
    cancel: &Cancel,
) -> Result<Manifest, HashError> {
    hash_file_identified(path, workers, progress, cancel).map(|(manifest, _)| manifest)
}

/// As [`hash_file`], and returns the identity that the file had before and after.
pub fn hash_file_identified(
    path: &Path,
    workers: usize,
    progress: &mut dyn FnMut(HashProgress),
    cancel: &Cancel,
) -> Result<(Manifest, FileIdentity), HashError> {
    let io_error = |error| HashError::Io { path: path.to_owned(), error };
    // To open a pipe would block for ever, so the kind of the file is checked first.
    if !std::fs::metadata(path).map_err(io_error)?.is_file() {
        return Err(HashError::NotAFile(path.to_owned()));
    }
    let file = File::open(path).map_err(io_error)?;
    let before = FileIdentity::of(&file.metadata().map_err(io_error)?);
    let geometry = Geometry::for_size(ByteCount(before.size)).map_err(HashError::TooLarge)?;
    let manifest =
        pipeline::manifest_of(&file, geometry, workers.max(1), progress, cancel).map_err(|failure| failure.at(path))?;
    let after = FileIdentity::of(&file.metadata().map_err(io_error)?);
    if before == after { Ok((manifest, before)) } else { Err(HashError::Changed(path.to_owned())) }
}
