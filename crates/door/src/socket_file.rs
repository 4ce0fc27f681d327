//! The socket file: in a folder that only its owner can enter, and never taken from a living process.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// The folder's mode.
const PRIVATE: u32 = 0o700;

/// Listens on `path`. Creates or checks its folder first, and removes a socket that no process listens on.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(PRIVATE).create(folder)?;
    }
    let mode = fs::metadata(folder)?.permissions().mode() & 0o777;
    if mode & !PRIVATE != 0 {
        let why = format!("{}: mode is {mode:o}, must be 700 for a local socket", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    remove_stale(path)?;
    UnixListener::bind(path)
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        let why = format!("{}: exists and is not a socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    if UnixStream::connect(path).is_ok() {
        let why = format!("{}: another process listens on it", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
    }
    fs::remove_file(path)
}
