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
