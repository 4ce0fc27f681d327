//! Taking out of a part what is not of the download: files of an earlier choice, and whatever else was put there.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::Tree;

impl Tree {
    /// Afterwards the folder holds the wanted files and folders, and nothing else.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        let mut expected = BTreeSet::new();
        for (_, entry) in self.selected().entries() {
            let path = entry.path.as_str();
            expected.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
            expected.insert(path);
        }
        sweep(&self.path, "", &expected)
    }
}

/// Goes into expected folders only, which are no deeper than a listing may be.
fn sweep(folder: &Path, relative: &str, expected: &BTreeSet<&str>) -> io::Result<()> {
    for found in fs::read_dir(folder)? {
        let found = found?;
        let (path, kind) = (found.path(), found.file_type()?);
        let name = found.file_name();
        let below =
            name.to_str().map(|name| if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") });
        match below.filter(|below| expected.contains(below.as_str())) {
            Some(below) if kind.is_dir() => sweep(&path, &below, expected)?,
            Some(_) => {}
            // Neither of these follows a symbolic link.
            None if kind.is_dir() => fs::remove_dir_all(&path)?,
            None => fs::remove_file(&path)?,
        }
    }
    Ok(())
}
