//! Removes from a part all files that do not belong to the download: those of an earlier selection, and foreign ones.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, FileType};
use std::io;
use std::path::Path;

use super::Tree;

/// The expected entry of a folder: a folder with these paths below it, or a file.
enum Expected<'a> {
    Folder(&'a [Cow<'a, str>]),
    File,
}

impl Expected<'_> {
    fn is(&self, kind: FileType) -> bool {
        match self {
            Self::Folder(_) => kind.is_dir(),
            Self::File => kind.is_file(),
        }
    }
}

impl Tree {
    /// Removes all but the selected files and folders. Fails if one of them is missing.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        // The path of an empty folder gets a slash at its end. So it is parsed like a folder with nothing below it.
        let entries = self.selected().entries();
        let paths = entries.map(|(_, entry)| match entry.file() {
            Some(_) => Cow::Borrowed(entry.path.as_str()),
            None => Cow::Owned(format!("{}/", entry.path)),
        });
        sweep(&self.path, 0, &paths.collect::<Vec<_>>())
    }
}

/// Sweeps one folder. `paths` are those of its entries, in the order of a listing. The folder's own path is the first
/// `prefix` bytes of each. Only expected folders are entered, so a listing's depth bounds the recursion.
fn sweep(folder: &Path, prefix: usize, paths: &[Cow<'_, str>]) -> io::Result<()> {
    let mut expected = children(prefix, paths);
    for found in fs::read_dir(folder)? {
        let found = found?;
        let kind = found.file_type()?;
        let name = found.file_name();
        match name.to_str().and_then(|name| expected.remove_entry(name)) {
            Some((name, Expected::Folder(below))) if kind.is_dir() => {
                sweep(&found.path(), prefix + name.len() + 1, below)?;
            }
            Some((_, child)) if child.is(kind) => {}
            Some(_) => return Err(vanished(&found.path())),
            // Neither call follows a symbolic link.
            None if kind.is_dir() => fs::remove_dir_all(found.path())?,
            None => fs::remove_file(found.path())?,
        }
    }
    match expected.keys().next() {
        None => Ok(()),
        Some(name) => Err(vanished(&folder.join(name))),
    }
}

fn children<'a>(prefix: usize, paths: &'a [Cow<'a, str>]) -> BTreeMap<&'a str, Expected<'a>> {
    let mut children = BTreeMap::new();
    let mut rest = paths;
    while let Some(first) = rest.first() {
        let below = &first[prefix..];
        let (name, child, count) = match below.split_once('/') {
            None => (below, Expected::File, 1),
            Some((name, _)) => {
                // The paths in one folder stand together.
                let start = &first[..prefix + name.len() + 1];
                let count = rest.iter().take_while(|path| path.starts_with(start)).count();
                (name, Expected::Folder(&rest[..count]), count)
            }
        };
        // An empty folder's own entry has no name here.
        if !name.is_empty() {
            children.insert(name, child);
        }
        rest = &rest[count..];
    }
    children
}

fn vanished(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} no longer exists", path.display()))
}
