//! The files of one SQLite database, which are renamed together.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The suffixes of the files that SQLite keeps beside a database in use.
const SIDE_FILES: [&str; 2] = ["-wal", "-shm"];

/// Renames the side files of a database. The new names must be free.
pub(crate) fn rename_side_files(from: &Path, to: &Path) -> io::Result<()> {
    SIDE_FILES.into_iter().try_for_each(|suffix| rename_if_there(&with_suffix(from, suffix), &with_suffix(to, suffix)))
}

/// Renames a file, if it exists.
pub(crate) fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns the path with a suffix at the end of its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
