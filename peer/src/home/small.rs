//! The small files of a node: read within a bound, written as JSON and replaced whole.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::{HomeError, private_folder, write_atomically};

/// Reads a file; `None` if there is none. A file of more than `bytes_max` bytes is an error, because no node writes
/// one.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, HomeError> {
    let failed = HomeError::io("reading", path);
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
        Ok(metadata) if metadata.len() > bytes_max => {
            Err(HomeError::TooLarge { path: path.to_owned(), bytes: metadata.len(), bytes_max })
        }
        Ok(_) => fs::read(path).map(Some).map_err(failed),
    }
}

/// Replaces a file, and makes its folder if there is none. `value` holds only strings, numbers and lists.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), HomeError> {
    if let Some(folder) = path.parent() {
        private_folder(folder)?;
    }
    let mut bytes = serde_json::to_vec_pretty(value).expect("strings and numbers only");
    bytes.push(b'\n');
    write_atomically(path, &bytes).map_err(HomeError::io("writing", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_bound_and_not_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        assert_eq!(read_bounded(&path, 4).unwrap(), None);
        fs::write(&path, "1234").unwrap();
        assert_eq!(read_bounded(&path, 4).unwrap(), Some(b"1234".to_vec()));
        fs::write(&path, "12345").unwrap();
        let error = read_bounded(&path, 4).unwrap_err();
        assert!(matches!(error, HomeError::TooLarge { bytes: 5, bytes_max: 4, .. }), "{error:?}");
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_an_error_of_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::create_dir(&path).unwrap();
        assert!(matches!(read_bounded(&path, 1 << 20), Err(HomeError::Io { doing: "reading", .. })));
        assert!(matches!(write_json(&path, &"x"), Err(HomeError::Io { doing: "writing", .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_an_error_of_the_system() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state"), "").unwrap();
        let written = write_json(&folder.path().join("state/f"), &"x");
        assert!(matches!(written, Err(HomeError::Io { doing: "making the folder", .. })), "{written:?}");
    }

    #[test]
    fn json_replaces_the_file_whole_and_ends_with_a_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/f");
        for value in ["a longer value", "x"] {
            write_json(&path, &value).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("\"{value}\"\n"));
        }
    }
}
