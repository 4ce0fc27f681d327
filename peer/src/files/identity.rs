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
pub(crate) enum FileState {
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

impl FileState {
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

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_check_tells_changed_gone_and_unreadable_files_apart() {
        let path = Path::new("some/file");
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("file");
        fs::write(&real, "content").unwrap();
        let metadata = || fs::metadata(&real);
        let identity = FileIdentity::of_path(&real).unwrap();
        let other = FileIdentity { size: 8, ..identity };
        let failed = |kind: io::ErrorKind| Err(io::Error::from(kind));
        assert!(matches!(FileState::at(path, identity, metadata()), FileState::Same));
        assert!(matches!(FileState::at(path, other, metadata()), FileState::Changed(named) if named == path));
        assert!(
            matches!(FileState::at(path, identity, failed(io::ErrorKind::NotFound)), FileState::Gone(named) if named == path)
        );
        let unreadable = FileState::at(path, identity, failed(io::ErrorKind::PermissionDenied));
        assert!(matches!(unreadable, FileState::Unreadable(named, _) if named == path));
    }

    #[test]
    fn the_identity_depends_on_content_times_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "content").unwrap();
        let before = FileIdentity::of_path(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        let renamed = folder.path().join("renamed");
        fs::rename(&path, &renamed).unwrap();
        assert_eq!(FileIdentity::of_path(&renamed).unwrap(), before);
    }
}
