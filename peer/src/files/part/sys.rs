//! System calls that the standard library does not offer.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Locks the open file for this process until it is closed. Returns false if another process has locked it.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: the descriptor is open as long as `file` is borrowed, and flock touches no memory of ours.
    let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EWOULDBLOCK) => Ok(false),
        // Some network file systems have no locks. A second process is then not kept out, but all chunks are verified.
        Some(libc::ENOLCK | libc::ENOSYS | libc::EOPNOTSUPP) => Ok(true),
        _ => Err(error),
    }
}

/// Makes the file `len` bytes long and reserves the space, so that a full disk is noticed at the start. If the file
/// system cannot reserve space, only the length is set.
pub(crate) fn allocate(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)?;
    let Ok(signed) = libc::off_t::try_from(len) else { return Ok(()) };
    if len == 0 {
        return Ok(());
    }
    // SAFETY: as above; fallocate with mode 0 never changes bytes that are in the file.
    let result = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, signed) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL | libc::EINTR) => Ok(()),
        _ => Err(error),
    }
}

/// Renames `from` to `to` in one step. If `to` exists, the error is `AlreadyExists` and nothing changes.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let old = c_path(from)?;
    let new = c_path(to)?;
    // SAFETY: both are strings that end in NUL and live until the call returns.
    let result =
        unsafe { libc::renameat2(libc::AT_FDCWD, old.as_ptr(), libc::AT_FDCWD, new.as_ptr(), libc::RENAME_NOREPLACE) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // An old kernel or another file system cannot do it. A hard link never replaces a file either, and a folder is
        // renamed over an empty one that is created for it.
        Some(libc::EINVAL | libc::ENOSYS) if from.is_dir() => {
            std::fs::create_dir(to)?;
            std::fs::rename(from, to)
        }
        Some(libc::EINVAL | libc::ENOSYS) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        _ => Err(error),
    }
}

/// Exchanges the names of two files or folders in one step. Returns false if the file system cannot.
pub(crate) fn exchange(one: &Path, other: &Path) -> io::Result<bool> {
    let a = c_path(one)?;
    let b = c_path(other)?;
    // SAFETY: both are strings that end in NUL and live until the call returns.
    let result =
        unsafe { libc::renameat2(libc::AT_FDCWD, a.as_ptr(), libc::AT_FDCWD, b.as_ptr(), libc::RENAME_EXCHANGE) };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::ENOSYS) => Ok(false),
        _ => Err(error),
    }
}

/// Opens `name` in an open folder without following a symbolic link. `mode` counts if the file is created.
pub(super) fn open_at(folder: &File, name: &str, flags: libc::c_int, mode: libc::mode_t) -> io::Result<File> {
    let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: `folder` is open as long as it is borrowed, and `name` ends in NUL and lives until the call returns.
    let descriptor = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), flags, mode) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just opened the descriptor, so nothing else owns it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// Creates the folder `name` in an open folder, unless it exists.
pub(super) fn make_folder_at(folder: &File, name: &str) -> io::Result<()> {
    let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: as above.
    let result = unsafe { libc::mkdirat(folder.as_raw_fd(), name.as_ptr(), 0o777) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

/// Syncs the whole file system of an open file. For ten thousand small files this is far faster than one sync for each.
pub(super) fn sync_file_system(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `file` is borrowed, and the call touches no memory of ours.
    let result = unsafe { libc::syncfs(file.as_raw_fd()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("a");
        let to = folder.path().join("b");
        std::fs::write(&from, "new").unwrap();
        std::fs::write(&to, "old").unwrap();
        assert_eq!(rename_new(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&to).unwrap(), b"old");
        std::fs::remove_file(&to).unwrap();
        rename_new(&from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"new");
        assert!(!from.exists());
    }

    #[test]
    fn two_folders_exchange_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let a = folder.path().join("a");
        let b = folder.path().join("b");
        std::fs::create_dir(&a).unwrap();
        std::fs::write(a.join("in a"), "").unwrap();
        std::fs::create_dir(&b).unwrap();
        assert_eq!(rename_new(&a, &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        if exchange(&a, &b).unwrap() {
            assert!(b.join("in a").exists() && !a.join("in a").exists());
        }
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = File::open(folder.path()).unwrap();
        std::fs::create_dir(folder.path().join("real")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("real"), folder.path().join("link")).unwrap();
        assert!(open_at(&root, "link", libc::O_RDONLY | libc::O_DIRECTORY, 0).is_err());
        assert!(open_at(&root, "real", libc::O_RDONLY | libc::O_DIRECTORY, 0).is_ok());
        make_folder_at(&root, "real").unwrap();
    }

    #[test]
    fn a_lock_is_of_one_open_file_until_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let open = || File::options().create(true).truncate(false).write(true).open(&path).unwrap();
        let first = open();
        assert!(
            try_lock(&first).unwrap() && try_lock(&first).unwrap(),
            "a second lock of the same file is the same lock"
        );
        let second = open();
        assert!(!try_lock(&second).unwrap());
        drop(first);
        assert!(try_lock(&second).unwrap());
    }

    #[test]
    fn reserved_space_keeps_the_bytes_and_sets_the_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        for (before, len) in [(&b"bytes"[..], 5), (b"bytes", 3), (b"bytes", 0), (b"", 1 << 20), (b"bytes", 100)] {
            std::fs::write(&path, before).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            allocate(&file, len).unwrap();
            let after = std::fs::read(&path).unwrap();
            let kept = before.len().min(len as usize);
            assert_eq!((after.len() as u64, &after[..kept]), (len, &before[..kept]));
            assert!(after[kept..].iter().all(|byte| *byte == 0), "{len}");
        }
        let read_only = File::open(&path).unwrap();
        assert!(allocate(&read_only, 1).is_err());
    }

    #[test]
    fn names_with_a_nul_byte_never_reach_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let root = File::open(folder.path()).unwrap();
        let odd = folder.path().join("a\0b");
        for result in [
            rename_new(&odd, folder.path()),
            rename_new(folder.path(), &odd),
            exchange(&odd, &odd).map(drop),
            open_at(&root, "a\0b", libc::O_RDONLY, 0).map(drop),
            make_folder_at(&root, "a\0b"),
        ] {
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn what_is_absent_is_neither_renamed_nor_exchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("here"), "x").unwrap();
        assert_eq!(rename_new(&path("absent"), &path("new")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(exchange(&path("here"), &path("absent")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(rename_new(&path("here"), &path("no folder/new")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(path("here").exists() && !path("new").exists());
        let root = File::open(folder.path()).unwrap();
        let file_in_the_way = make_folder_at(&root, "here");
        assert!(file_in_the_way.is_ok(), "what it is shows when it is opened");
        assert!(open_at(&root, "here", libc::O_RDONLY | libc::O_DIRECTORY, 0).is_err());
    }
}
