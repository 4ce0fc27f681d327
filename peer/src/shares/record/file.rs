//! The stored record of a shared file, in JSON. It checks itself: its manifest must have the id that the record is
//! named after.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE64;
use peernet_engine::ids::ByteCount;
use peernet_engine::manifest::Manifest;
use serde::{Deserialize, Serialize};

use super::{StoredPath, id_in_name};
use crate::files::FileIdentity;
use crate::files::SharedFile;

/// The largest record. The most chunk hashes, 16,384, are 700 KB in base64.
const RECORD_BYTES_MAX: u64 = 2 << 20;
const VERSION: u32 = 1;

/// A shared file, and its identity when it was hashed.
#[derive(Debug, Clone)]
pub(in crate::shares) struct FileRecord {
    pub(in crate::shares) manifest: Arc<Manifest>,
    pub(in crate::shares) path: PathBuf,
    pub(in crate::shares) identity: FileIdentity,
    pub(in crate::shares) file_name: String,
    pub(in crate::shares) added_at: u64,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    #[serde(flatten)]
    path: StoredPath,
    file_name: String,
    size: u64,
    modified_s: i64,
    modified_ns: i64,
    added_at: u64,
    file_hash: String,
    chunk_size: u32,
    chunk_hashes: String,
}

impl FileRecord {
    /// Returns the file, ready to be served.
    pub(super) fn shared_file(&self) -> Arc<SharedFile> {
        SharedFile::complete(Arc::clone(&self.manifest), self.path.clone(), self.identity, self.file_name.clone())
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let stored = Stored {
            version: VERSION,
            path: StoredPath::of(&self.path),
            file_name: self.file_name.clone(),
            size: self.manifest.geometry().size().0,
            modified_s: self.identity.modified_s,
            modified_ns: self.identity.modified_ns,
            added_at: self.added_at,
            file_hash: self.manifest.file_hash().to_string(),
            chunk_size: self.manifest.geometry().chunk_size(),
            chunk_hashes: BASE64.encode(&self.manifest.hash_bytes()),
        };
        let mut bytes = serde_json::to_vec_pretty(&stored).expect("strings and numbers only");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a record. The error is a clause for a message.
    pub(super) fn load(file: &Path) -> Result<Self, String> {
        if fs::metadata(file).map_err(|e| e.to_string())?.len() > RECORD_BYTES_MAX {
            return Err("too large to be the record of a share".to_owned());
        }
        let bytes = fs::read(file).map_err(|e| e.to_string())?;
        let record = Self::from_bytes(&bytes)?;
        if id_in_name(file) == Some(record.manifest.id()) {
            Ok(record)
        } else {
            Err("the record of a share is damaged".to_owned())
        }
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let stored: Stored =
            serde_json::from_slice(bytes).map_err(|e| format!("the record of a share is damaged: {e}"))?;
        if stored.version != VERSION {
            return Err(format!(
                "the record of a share has version {}, which this program does not know",
                stored.version
            ));
        }
        let damaged = |error: &dyn std::fmt::Display| format!("the record of a share is damaged: {error}");
        let hashes = BASE64.decode(stored.chunk_hashes.as_bytes()).map_err(|e| damaged(&e))?;
        let file_hash = stored.file_hash.parse().map_err(|e| damaged(&e))?;
        let manifest = Manifest::from_parts(file_hash, ByteCount(stored.size), stored.chunk_size, &hashes);
        let path = stored.path.parse().map_err(|e| damaged(&e))?;
        Ok(Self {
            manifest: Arc::new(manifest.map_err(|e| damaged(&e))?),
            path,
            identity: FileIdentity {
                size: stored.size,
                modified_s: stored.modified_s,
                modified_ns: stored.modified_ns,
            },
            file_name: stored.file_name,
            added_at: stored.added_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use peernet_engine::ids::{ChunkHash, FileHash};
    use peernet_engine::manifest::Geometry;

    /// A share of a file of three chunks, which need not exist.
    fn record(path: &str) -> FileRecord {
        let geometry = Geometry::new(ByteCount((2 << 20) + 5), 1 << 20).unwrap();
        let hashes = [1, 2, 3].map(|number| ChunkHash([number; 32])).to_vec();
        FileRecord {
            manifest: Arc::new(Manifest::new(FileHash([9; 32]), geometry, hashes).unwrap()),
            path: path.into(),
            identity: FileIdentity { size: (2 << 20) + 5, modified_s: -1, modified_ns: 999_999_999 },
            file_name: "näme \"quoted\"".to_owned(),
            added_at: u64::MAX,
        }
    }

    fn parts(record: &FileRecord) -> (&Manifest, &Path, FileIdentity, &str, u64) {
        (&record.manifest, &record.path, record.identity, &record.file_name, record.added_at)
    }

    #[test]
    fn a_stored_record_is_read_back_the_same() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["/d/a.bin", "/", "", "/d/ü\n\"x\""] {
            let record = record(path);
            let file = folder.path().join(format!("{}.json", record.manifest.id()));
            fs::write(&file, record.to_bytes()).unwrap();
            assert_eq!(parts(&FileRecord::load(&file).unwrap()), parts(&record), "{path:?}");
        }
    }

    #[test]
    fn a_damaged_record_never_gives_another_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let record = record("/d/a.bin");
        let file = folder.path().join(format!("{}.json", record.manifest.id()));
        let whole = record.to_bytes();
        for cut in 0..whole.len() - 1 {
            fs::write(&file, &whole[..cut]).unwrap();
            let error = FileRecord::load(&file).unwrap_err();
            assert!(error.starts_with("the record of a share is damaged"), "{cut}: {error}");
        }
        for place in 0..whole.len() {
            let mut bent = whole.clone();
            bent[place] ^= 1;
            fs::write(&file, &bent).unwrap();
            if let Ok(found) = FileRecord::load(&file) {
                assert_eq!(found.manifest, record.manifest, "{place}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_record_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let record = record("/d/a.bin");
        let file = folder.path().join(format!("{}.json", record.manifest.id()));
        let text = String::from_utf8(record.to_bytes()).unwrap();
        let hash = record.manifest.file_hash().to_string();
        for (from, to, expected) in [
            (
                "\"version\": 1",
                "\"version\": 2",
                "the record of a share has version 2, which this program does not know",
            ),
            (
                hash.as_str(),
                "none",
                "the record of a share is damaged: not a SHA-256: expected 64 lower-case hexadecimal digits",
            ),
            ("\"size\": 2097157", "\"size\": 2097156", "the record of a share is damaged"),
        ] {
            assert!(text.contains(from), "{from}");
            fs::write(&file, text.replace(from, to)).unwrap();
            assert_eq!(FileRecord::load(&file).unwrap_err(), expected);
        }
        fs::write(&file, " ".repeat(RECORD_BYTES_MAX as usize + 1)).unwrap();
        assert_eq!(FileRecord::load(&file).unwrap_err(), "too large to be the record of a share");
        let renamed = folder.path().join(format!("{}.json", "0".repeat(64)));
        fs::write(&renamed, &text).unwrap();
        assert_eq!(FileRecord::load(&renamed).unwrap_err(), "the record of a share is damaged");
    }
}
