//! Finds the files and empty folders of a directory that is to be shared, in the order of a listing.
//!
//! Symbolic links are not followed, because they may lead out of the directory or in circles. They and special files
//! are skipped and counted. All other files are included, also hidden ones. A name that a collection does not permit is
//! an error. Otherwise the file would be missing at the other end without notice.

use std::fs::{self, DirEntry};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use peernet_engine::collection::{CollectionError, ENTRIES_MAX, PathError, check_path};

use super::HashError;
use crate::cancel::Cancel;
use crate::files::FileIdentity;

/// The bit of a file's mode that lets its owner run it.
const EXECUTABLE: u32 = 0o100;

/// The content of a directory.
#[derive(Debug)]
pub(crate) struct Walked {
    /// Files and empty folders, ascending by the bytes of their paths.
    pub(crate) entries: Vec<Found>,
    /// The number of symbolic links and special files.
    pub(crate) left_out: u64,
}

/// A file, or an empty folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The path from the directory on, with `/` between components.
    pub(crate) path: String,
    /// The file's identity; `None` for a folder.
    pub(crate) identity: Option<FileIdentity>,
    /// Whether the file's mode lets its owner run it.
    pub(crate) executable: bool,
}

/// Finds all files and empty folders below `root`.
pub(crate) fn walk(root: &Path, cancel: &Cancel) -> Result<Walked, HashError> {
    let mut walk = Walk { found: Walked { entries: Vec::new(), left_out: 0 }, cancel };
    // An empty directory is a collection without entries.
    walk.folder(root, "")?;
    let mut walked = walk.found;
    walked.entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(walked)
}

struct Walk<'a> {
    found: Walked,
    cancel: &'a Cancel,
}

impl Walk<'_> {
    /// Walks a folder. Returns whether a file or folder was found in it. The limit on path depth bounds the recursion.
    fn folder(&mut self, folder: &Path, path: &str) -> Result<bool, HashError> {
        let failed = |error| HashError::Io { path: folder.to_owned(), error };
        if self.cancel.is_cancelled() {
            return Err(HashError::Cancelled);
        }
        let mut is_empty = true;
        for entry in fs::read_dir(folder).map_err(failed)? {
            is_empty &= !self.entry(&entry.map_err(failed)?, path)?;
        }
        Ok(!is_empty)
    }

    /// Adds an entry. Returns false for one that is skipped.
    fn entry(&mut self, entry: &DirEntry, parent: &str) -> Result<bool, HashError> {
        let failed = |error| HashError::Io { path: entry.path(), error };
        let kind = entry.file_type().map_err(failed)?;
        if !kind.is_file() && !kind.is_dir() {
            self.found.left_out += 1;
            return Ok(false);
        }
        let path = path_of(entry, parent)?;
        if kind.is_dir() {
            if !self.folder(&entry.path(), &path)? {
                self.push(Found { path, identity: None, executable: false })?;
            }
        } else {
            // This reads the entry itself, also if it has become a link meanwhile.
            let metadata = entry.metadata().map_err(failed)?;
            let executable = metadata.permissions().mode() & EXECUTABLE != 0;
            self.push(Found { path, identity: Some(FileIdentity::of(&metadata)), executable })?;
        }
        Ok(true)
    }

    fn push(&mut self, found: Found) -> Result<(), HashError> {
        self.found.entries.push(found);
        match self.found.entries.len() {
            ..=ENTRIES_MAX => Ok(()),
            count => Err(HashError::Collection(CollectionError::TooManyEntries(count))),
        }
    }
}

fn path_of(entry: &DirEntry, parent: &str) -> Result<String, HashError> {
    let bad = |path: PathBuf, why| HashError::Name { path, why };
    let name = entry.file_name();
    let name = name.to_str().ok_or_else(|| bad(entry.path(), PathError::NotUtf8))?;
    let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
    check_path(&path).map_err(|why| bad(entry.path(), why))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn shown(root: &Path) -> Vec<String> {
        let walked = walk(root, &Cancel::new()).unwrap();
        let one = |found: &Found| {
            let kind = match (found.identity, found.executable) {
                (None, _) => "folder".to_owned(),
                (Some(identity), false) => identity.size.to_string(),
                (Some(identity), true) => format!("{} x", identity.size),
            };
            format!("{} {kind}", found.path)
        };
        let mut all: Vec<_> = walked.entries.iter().map(one).collect();
        all.push(format!("{} left out", walked.left_out));
        all
    }

    #[test]
    fn files_and_empty_folders_are_found_in_order_without_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(shown(root), ["0 left out"]);
        for path in ["b/c", "b/full/d", "empty", "only links"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in [".hidden", "b-", "b/full/Größe", "run.sh"] {
            fs::write(root.join(path), path).unwrap();
        }
        fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("/", root.join("up")).unwrap();
        symlink(root.join("b"), root.join("only links/loop")).unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();
        let expected = [
            ".hidden 7",
            "b- 2",
            "b/c folder",
            "b/full/Größe 14",
            "b/full/d folder",
            "empty folder",
            "only links folder",
            "run.sh 6 x",
            "3 left out",
        ];
        assert_eq!(shown(root), expected);
    }

    #[test]
    fn a_forbidden_name_is_an_error_that_names_it() {
        for (name, why) in [
            (&b"caf\xe9"[..], PathError::NotUtf8),
            (b"back\\slash", PathError::Component),
            (b"line\nbreak", PathError::Component),
            (b"nul.txt", PathError::Component),
            (b"ends.", PathError::Component),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("sub").join(OsStr::from_bytes(name));
            fs::create_dir(folder.path().join("sub")).unwrap();
            fs::write(&path, "x").unwrap();
            let error = walk(folder.path(), &Cancel::new()).unwrap_err();
            assert!(
                matches!(&error, HashError::Name { path: named, why: is } if *named == path && *is == why),
                "{error}"
            );
        }
    }

    #[test]
    fn a_directory_that_is_too_deep_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("d/".repeat(70))).unwrap();
        let error = walk(folder.path(), &Cancel::new()).unwrap_err();
        assert!(matches!(error, HashError::Name { why: PathError::TooDeep, .. }), "{error}");
    }

    #[test]
    fn a_walk_can_be_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(matches!(walk(folder.path(), &cancel), Err(HashError::Cancelled)));
    }
}
