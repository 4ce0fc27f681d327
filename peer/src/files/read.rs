//! Reads from a file that must still be the one that was hashed.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::FileIdentity;

/// The reason that a chunk cannot be read.
#[derive(Debug)]
pub(crate) enum ReadError {
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

/// Fails unless the open file has `identity` and still has a name. The path of a deleted file leads to another file, if
/// to any more, even while a descriptor keeps its bytes readable.
pub(crate) fn check_identity(file: &File, identity: FileIdentity) -> Result<(), ReadError> {
    let now = file.metadata().map_err(ReadError::Io)?;
    if now.nlink() > 0 && FileIdentity::of(&now) == identity { Ok(()) } else { Err(ReadError::Changed) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_read_past_the_end_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "content").unwrap();
        let file = File::open(&path).unwrap();
        for (offset, len, expected) in
            [(0, 7, Some("content")), (3, 4, Some("tent")), (7, 0, Some("")), (0, 8, None), (7, 1, None)]
        {
            let mut buffer = vec![0; len];
            let found = read_exact(&file, offset, &mut buffer);
            match expected {
                Some(text) => assert!(found.is_ok() && buffer == text.as_bytes(), "{offset} {len}"),
                None => assert!(matches!(found, Err(ReadError::Changed)), "{offset} {len}"),
            }
        }
    }

    #[test]
    fn a_file_keeps_its_identity_until_it_changes_or_loses_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "content").unwrap();
        let file = File::open(&path).unwrap();
        let identity = FileIdentity::of_path(&path).unwrap();
        assert!(check_identity(&file, identity).is_ok());
        for other in [
            FileIdentity { size: identity.size + 1, ..identity },
            FileIdentity { modified_s: identity.modified_s + 1, ..identity },
            FileIdentity { modified_ns: identity.modified_ns ^ 1, ..identity },
        ] {
            assert!(matches!(check_identity(&file, other), Err(ReadError::Changed)), "{other:?}");
        }
        let second_name = folder.path().join("second");
        fs::hard_link(&path, &second_name).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(check_identity(&file, identity).is_ok(), "it still has a name");
        fs::remove_file(&second_name).unwrap();
        assert!(matches!(check_identity(&file, identity), Err(ReadError::Changed)));
    }

    #[test]
    fn messages_say_what_became_of_the_file() {
        for (error, expected) in [
            (ReadError::Changed, "the shared file has changed"),
            (ReadError::Withdrawn, "the file is no longer shared"),
            (
                ReadError::Io(io::ErrorKind::PermissionDenied.into()),
                "the shared file cannot be read: permission denied",
            ),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }
}
