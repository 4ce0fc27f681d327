//! The stored record of one share: a file, or a directory, whose listing and pack are served together.

mod file;
mod tree;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::{BASE64, DecodeError};
use peernet_engine::ids::ManifestId;
use peernet_engine::manifest::Manifest;
use serde::{Deserialize, Serialize};

use super::Key;
use super::error::ShareError;
use crate::files::FileState;
use crate::files::SharedFile;
use crate::home::{HomeError, write_atomically};

pub(super) use file::FileRecord;
pub(super) use tree::TreeRecord;

/// The extension of the records of files.
const FILE_EXTENSION: &str = "json";
/// The extension of the records of directories. Versions that know only files ignore them.
const TREE_EXTENSION: &str = "collection";

/// A share, and the identities of its files when they were hashed.
#[derive(Clone)]
pub(super) enum Record {
    File(FileRecord),
    Tree(Arc<TreeRecord>),
}

impl Record {
    /// Returns the manifest of the file or listing.
    pub(super) fn manifest(&self) -> &Arc<Manifest> {
        match self {
            Self::File(file) => &file.manifest,
            Self::Tree(tree) => &tree.listing_manifest,
        }
    }

    pub(super) fn key(&self) -> Key {
        key(self.manifest())
    }

    /// Returns the key of a directory's pack.
    pub(super) fn pack_key(&self) -> Option<Key> {
        self.tree().map(|tree| key(&tree.pack_manifest))
    }

    pub(super) fn tree(&self) -> Option<&Arc<TreeRecord>> {
        match self {
            Self::File(_) => None,
            Self::Tree(tree) => Some(tree),
        }
    }

    /// Returns the path of the file or directory.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(file) => &file.path,
            Self::Tree(tree) => tree.files.root(),
        }
    }

    pub(super) fn added_at(&self) -> u64 {
        match self {
            Self::File(file) => file.added_at,
            Self::Tree(tree) => tree.added_at,
        }
    }

    /// Returns the name of the file or listing for other members.
    pub(super) fn file_name(&self) -> String {
        match self {
            Self::File(file) => file.file_name.clone(),
            Self::Tree(tree) => tree.listing_name(),
        }
    }

    /// Returns the file or listing, ready to be served.
    pub(super) fn shared_file(&self) -> Arc<SharedFile> {
        match self {
            Self::File(file) => file.shared_file(),
            Self::Tree(tree) => tree.shared_file(),
        }
    }

    /// Returns a directory's pack, ready to be served.
    pub(super) fn pack(&self) -> Option<Arc<SharedFile>> {
        self.tree().map(|tree| tree.pack())
    }

    /// Checks whether the files are as they were.
    pub(super) fn look(&self) -> FileState {
        match self {
            Self::File(file) => FileState::at(&file.path, file.identity, fs::metadata(&file.path)),
            Self::Tree(tree) => tree.files.look(),
        }
    }

    /// Tells whether both are the same share, and not only shares of the same content.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => one.identity == other.identity && one.path == other.path,
            (Self::Tree(one), Self::Tree(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Writes it into `folder`.
    pub(super) fn save(&self, folder: &Path) -> Result<(), ShareError> {
        let file = self.file_in(folder);
        let bytes = match self {
            Self::File(record) => record.to_bytes(),
            Self::Tree(record) => record.to_bytes(),
        };
        write_atomically(&file, &bytes).map_err(|error| HomeError::io("writing", &file)(error).into())
    }

    /// Removes it from `folder`, if it is there.
    pub(super) fn forget(&self, folder: &Path) -> Result<(), ShareError> {
        let file = self.file_in(folder);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(HomeError::io("removing", &file)(error).into())
            }
            _ => Ok(()),
        }
    }

    fn file_in(&self, folder: &Path) -> PathBuf {
        let extension = match self {
            Self::File(_) => FILE_EXTENSION,
            Self::Tree(_) => TREE_EXTENSION,
        };
        folder.join(format!("{}.{extension}", self.manifest().id()))
    }

    /// Reads a record. `None` for a file with another extension. The error is a clause for a message.
    pub(super) fn load(file: &Path) -> Option<Result<Self, String>> {
        let record = match file.extension()?.to_str()? {
            FILE_EXTENSION => FileRecord::load(file).map(Self::File),
            TREE_EXTENSION => TreeRecord::load(file).map(|tree| Self::Tree(Arc::new(tree))),
            _ => return None,
        };
        Some(record)
    }
}

fn key(manifest: &Manifest) -> Key {
    (manifest.file_hash(), manifest.id())
}

/// Returns the manifest id that a record's file is named after.
fn id_in_name(file: &Path) -> Option<ManifestId> {
    file.file_stem()?.to_str()?.parse().ok()
}

/// A path in JSON.
#[derive(Serialize, Deserialize)]
struct StoredPath {
    /// The path as text. If the path is not UTF-8, this is only for people, and `path_bytes` counts.
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
}

impl StoredPath {
    fn of(path: &Path) -> Self {
        let bytes = path.to_str().is_none().then(|| BASE64.encode(path.as_os_str().as_bytes()));
        Self { path: path.to_string_lossy().into_owned(), path_bytes: bytes }
    }

    fn parse(&self) -> Result<PathBuf, DecodeError> {
        match &self.path_bytes {
            Some(text) => Ok(OsString::from_vec(BASE64.decode(text.as_bytes())?).into()),
            None => Ok(PathBuf::from(&self.path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_any_encoding_is_stored_and_read_back() {
        for bytes in [&b"/d/a.bin"[..], b"", b"/d/\xff\xfe", b"\xc3", "/ü/\u{10348}".as_bytes(), b"a\nb\"c\\d"] {
            let path = PathBuf::from(OsString::from_vec(bytes.to_vec()));
            let text = serde_json::to_string(&StoredPath::of(&path)).unwrap();
            let stored: StoredPath = serde_json::from_str(&text).unwrap();
            assert_eq!(stored.parse().unwrap(), path, "{text}");
            assert_eq!(stored.path_bytes.is_some(), path.to_str().is_none(), "{text}");
        }
        let broken = StoredPath { path: "/d".to_owned(), path_bytes: Some("!".to_owned()) };
        assert!(broken.parse().is_err(), "the text is only for people");
    }

    #[test]
    fn only_the_two_extensions_are_records() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "a.JSON", "restricted.list", "restricted.lock", "a.json.1-0.tmp", ".json", ".collection"] {
            fs::write(folder.path().join(name), "{").unwrap();
            assert!(Record::load(&folder.path().join(name)).is_none(), "{name}");
        }
        for name in ["a.json", "a.collection", "absent.json"] {
            if !name.starts_with("absent") {
                fs::write(folder.path().join(name), "{").unwrap();
            }
            assert!(Record::load(&folder.path().join(name)).is_some_and(|record| record.is_err()), "{name}");
        }
        let id = ManifestId([0xab; 32]);
        assert_eq!(id_in_name(Path::new(&format!("/d/{id}.json"))), Some(id));
        for name in ["", "/d/.json", "/d/ab.json", "/d/AB.json"] {
            assert_eq!(id_in_name(Path::new(name)), None, "{name}");
        }
    }
}
