//! Reads from a file that must still be the one that was hashed.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::FileIdentity;

/// Why a chunk cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// The file is not the one that was hashed any more.
    Changed,
    /// The file is no longer shared.
    Withdrawn,
    /// The disk or the file system failed.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("the shared file has changed"),
            Self::Withdrawn => f.write_str("the file is no longer shared"),
            Self::Io(error) => write!(f, "the shared file cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Fills `buffer` from `offset` on. A file that ends earlier has changed.
pub(crate) fn read_exact(file: &File, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
    match file.read_exact_at(buffer, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ReadError::Changed),
        result => result.map_err(ReadError::Io),
    }
}

/// Fails unless the open file has `identity` and still has a name. A deleted file is not what its path leads to any
/// more, even while a descriptor keeps its bytes readable.
pub(crate) fn check_identity(file: &File, identity: FileIdentity) -> Result<(), ReadError> {
    let now = file.metadata().map_err(ReadError::Io)?;
    if now.nlink() > 0 && FileIdentity::of(&now) == identity { Ok(()) } else { Err(ReadError::Changed) }
}
