//! How a file is known to be the one that was hashed, without reading it again.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Size and time of the last change. A file with another identity than at its hashing is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970-01-01 UTC of the last change of its content.
    pub modified_s: i64,
    /// Nanoseconds beside them.
    pub modified_ns: i64,
}

impl FileIdentity {
    /// Of an open file.
    pub fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.size(), modified_s: metadata.mtime(), modified_ns: metadata.mtime_nsec() }
    }

    /// Of what `path` leads to.
    pub fn of_path(path: &Path) -> std::io::Result<Self> {
        Ok(Self::of(&std::fs::metadata(path)?))
    }
}

/// What became of a file that was hashed, or of the first of several that is not what it was.
#[derive(Debug)]
pub(crate) enum Look {
    /// It is as it was.
    Same,
    /// It has another identity.
    Changed(PathBuf),
    /// It has the same identity and other bytes, as someone found who read it. `None`: one of several files has.
    Altered(Option<PathBuf>),
    /// It is not there.
    Gone(PathBuf),
    /// Nobody can say.
    Unreadable(PathBuf, io::Error),
}

impl Look {
    /// Of what `path` is or leads to, as the caller found it.
    pub(crate) fn at(path: &Path, identity: FileIdentity, found: io::Result<Metadata>) -> Self {
        match found.map(|metadata| FileIdentity::of(&metadata)) {
            Ok(now) if now == identity => Self::Same,
            Ok(_) => Self::Changed(path.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Gone(path.to_owned()),
            Err(error) => Self::Unreadable(path.to_owned(), error),
        }
    }
}
