//! The manifest of a local file, or of a directory's files as one, from one read of it.
//!
//! One thread reads and others hash the same buffers, so that a byte is read once and hashed twice: in one pass where the
//! processor can, see `digest`, and otherwise on as many cores as there are.

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

/// How far a hashing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashProgress {
    /// Bytes read and hashed.
    pub done: u64,
    /// Bytes of the file.
    pub total: u64,
}

/// Why a file has no manifest.
#[derive(Debug)]
pub enum HashError {
    /// It cannot be opened or read.
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is a folder, a pipe or a device.
    NotAFile(PathBuf),
    /// It changed while it was read; hash it again when it is at rest.
    Changed(PathBuf),
    /// It does not fit a manifest.
    TooLarge(ManifestError),
    /// It lies in a directory that is to be shared, and cannot be part of a collection under this name.
    Name {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong with its name.
        why: PathError,
    },
    /// The directory does not fit a collection.
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

/// Hashes the file at `path`: where both digests of a byte cannot be had in one pass, with up to `workers` threads for its
/// chunks beside one for the whole (0 is taken as 1).
/// `progress` is called on this thread, at most once per chunk.
pub fn hash_file(
    path: &Path,
    workers: usize,
    progress: &mut dyn FnMut(HashProgress),
    cancel: &Cancel,
) -> Result<Manifest, HashError> {
    hash_file_identified(path, workers, progress, cancel).map(|(manifest, _)| manifest)
}

/// As [`hash_file`], and says what the file's identity was, before and after alike.
pub fn hash_file_identified(
    path: &Path,
    workers: usize,
    progress: &mut dyn FnMut(HashProgress),
    cancel: &Cancel,
) -> Result<(Manifest, FileIdentity), HashError> {
    let io_error = |error| HashError::Io { path: path.to_owned(), error };
    // A pipe would block the open for ever, so what it is comes first.
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
