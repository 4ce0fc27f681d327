//! The identity of a file: how to recognise the file that was hashed without reading it again.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Size and time of the last change. A file is served only while its identity is that of the time it was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    /// The size in bytes.
    pub size: u64,
    /// The last change of its content: whole seconds since 1970-01-01 UTC.
    pub modified_s: i64,
    /// The nanoseconds of that time, below 10^9.
    pub modified_ns: i64,
}

impl FileIdentity {
    /// Returns the identity that these metadata give.
    pub fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.size(), modified_s: metadata.mtime(), modified_ns: metadata.mtime_nsec() }
    }

    /// Returns the identity of the file at `path`. Links are followed.
    pub fn of_path(path: &Path) -> std::io::Result<Self> {
        Ok(Self::of(&std::fs::metadata(path)?))
    }
}

/// The result of checking a file that was hashed, or the first bad result of several files.
#[derive(Debug)]
pub(crate) enum Look {
    /// The file is as it was.
    Same,
    /// The file has another identity.
    Changed(PathBuf),
    /// The file has the same identity but other bytes, which a reader found. `None`: it is one of several files.
    Altered(Option<PathBuf>),
    /// The file does not exist.
    Gone(PathBuf),
    /// The file cannot be checked.
    Unreadable(PathBuf, io::Error),
}

impl Look {
    /// Compares the metadata that the caller found at `path`.
    pub(crate) fn at(path: &Path, identity: FileIdentity, found: io::Result<Metadata>) -> Self {
        match found.map(|metadata| FileIdentity::of(&metadata)) {
            Ok(now) if now == identity => Self::Same,
            Ok(_) => Self::Changed(path.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Gone(path.to_owned()),
            Err(error) => Self::Unreadable(path.to_owned(), error),
        }
    }
}
