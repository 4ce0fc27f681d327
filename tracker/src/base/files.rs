//! Files that only their owner may read, and folders synced so that a new name survives a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;

/// Options to open a file for writing; a new file gets mode 0600.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Syncs the folder of a file, so that its name is as durable as its bytes.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Makes a file that only its owner may read, complete or not at all. A file that exists stays as it is.
pub(crate) fn write_once(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = write_draft(path, bytes)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder_of(path),
    }
}

/// Like [`write_once`], but replaces a file that exists.
pub(crate) fn write_over(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::rename(write_draft(path, bytes)?, path)?;
    sync_folder_of(path)
}

fn write_draft(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let draft = path.with_extension(format!("draft-{}", process::id()));
    let mut file = private().truncate(true).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(draft)
}

/// Returns whether accounts other than its owner may read or write a file.
pub(crate) fn is_exposed(metadata: &fs::Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0;
    #[cfg(not(unix))]
    false
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("the file").permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_written_once_and_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        write_once(&path, b"first").expect("the folder is empty");
        write_once(&path, b"second").expect("the file exists already");
        assert_eq!(fs::read(&path).expect("the file"), b"first");
        assert_eq!((mode(&path), names(folder.path())), (0o600, vec!["key".to_owned()]), "no draft is left");
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("certificate");
        for text in ["a longer first text", "short", ""] {
            write_over(&path, text.as_bytes()).expect("the folder is ours");
            assert_eq!(fs::read_to_string(&path).expect("the file"), text);
        }
        assert_eq!((mode(&path), names(folder.path())), (0o600, vec!["certificate".to_owned()]));
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("none").join("key");
        for result in [write_once(&path, b""), write_over(&path, b""), sync_folder_of(&path)] {
            assert_eq!(result.expect_err("the folder does not exist").kind(), io::ErrorKind::NotFound);
        }
        sync_folder_of(&folder.path().join("any")).expect("the folder exists");
    }

    #[test]
    fn files_that_others_may_read_or_write_are_exposed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        write_once(&path, b"").expect("the folder is empty");
        for (mode, expected) in
            [(0o600, false), (0o400, false), (0o700, false), (0o640, true), (0o604, true), (0o602, true), (0o601, true)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
            assert_eq!(is_exposed(&fs::metadata(&path).expect("the file")), expected, "{mode:o}");
        }
    }
}
