//! The data folder: made with mode 0700, refused where others could read keys in it.

use std::fs;
use std::io;
use std::path::Path;

use super::StartError;

pub(super) fn prepare(path: &Path) -> Result<(), StartError> {
    make(path).and_then(|()| check(path)).map_err(|error| StartError::DataDir(path.to_owned(), error))
}

#[cfg(unix)]
fn make(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// A folder of ours that is open to others is closed: container volumes come with mode 0755.
#[cfg(unix)]
fn check(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { fs::set_permissions(path, fs::Permissions::from_mode(0o700)) }
}

#[cfg(not(unix))]
fn check(_path: &Path) -> io::Result<()> {
    Ok(())
}
