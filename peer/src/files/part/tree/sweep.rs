//! Taking out of a part what is not of the download: files of an earlier choice, and whatever else was put there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, FileType};
use std::io;
use std::path::Path;

use super::Tree;

/// What a folder should have under a name: a folder of these entries, or a file.
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
    /// Afterwards the folder holds the wanted files and folders, and nothing else. An error if one of them is not there.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        // An empty folder reads like a folder with nothing below it.
        let entries = self.selected().entries();
        let paths = entries.map(|(_, entry)| match entry.file() {
            Some(_) => Cow::Borrowed(entry.path.as_str()),
            None => Cow::Owned(format!("{}/", entry.path)),
        });
        sweep(&self.path, 0, &paths.collect::<Vec<_>>())
    }
}

/// `paths` are of entries in this folder, whose own path is the first `prefix` bytes of each; and as a listing's are, in
/// order. Goes into expected folders only, which are no deeper than a listing may be.
fn sweep(folder: &Path, prefix: usize, paths: &[Cow<'_, str>]) -> io::Result<()> {
    let mut expected = children(prefix, paths);
    for found in fs::read_dir(folder)? {
        let found = found?;
        let (kind, name) = (found.file_type()?, found.file_name());
        match name.to_str().and_then(|name| expected.remove_entry(name)) {
            Some((name, Expected::Folder(below))) if kind.is_dir() => {
                sweep(&found.path(), prefix + name.len() + 1, below)?;
            }
            Some((_, child)) if child.is(kind) => {}
            Some(_) => return Err(vanished(&found.path())),
            // Neither of these follows a symbolic link.
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
                // Whatever begins with the same folder stands together.
                let start = &first[..prefix + name.len() + 1];
                let count = rest.iter().take_while(|path| path.starts_with(start)).count();
                (name, Expected::Folder(&rest[..count]), count)
            }
        };
        // The folder's own entry, when it is an empty one.
        if !name.is_empty() {
            children.insert(name, child);
        }
        rest = &rest[count..];
    }
    children
}

fn vanished(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not there any more", path.display()))
}
