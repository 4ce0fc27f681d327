//! The files of one SQLite database, as they are moved together.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What SQLite keeps beside a database while it is in use.
const SIDE_FILES: [&str; 2] = ["-wal", "-shm"];

/// Moves what is beside a database; nothing may be there.
pub(in crate::store) fn rename_side_files(from: &Path, to: &Path) -> io::Result<()> {
    SIDE_FILES.into_iter().try_for_each(|suffix| rename_if_there(&with_suffix(from, suffix), &with_suffix(to, suffix)))
}

/// Moves a file, if there is one.
pub(in crate::store) fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The path with this at the end of its name.
pub(in crate::store) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
