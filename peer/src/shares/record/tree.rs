//! The stored record of a shared directory: a line of JSON, then the listing. It checks itself: the listing's manifest
//! must have the id that the record is named after, and the pack's manifest the id in the listing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE64;
use peernet_engine::collection::{Collection, Entry, LISTING_BYTES_MAX, LISTING_SUFFIX, PACK_SUFFIX};
use peernet_engine::manifest::Manifest;
use serde::{Deserialize, Serialize};

use super::{StoredPath, id_in_name};
use crate::files::SharedFile;
use crate::files::hashing::manifest_of_bytes;
use crate::files::{FileIdentity, PackFiles};

/// The largest record: a listing, and before it up to 5 MB for the times of 262,144 files and 16,384 chunk hashes.
const RECORD_BYTES_MAX: u64 = LISTING_BYTES_MAX as u64 + (8 << 20);
const VERSION: u32 = 1;
/// The length of one file's time in bytes: seconds and nanoseconds.
const TIME_LEN: usize = 8 + 4;

/// A shared directory, and the identities of its files when they were hashed.
pub(in crate::shares) struct TreeRecord {
    pub(in crate::shares) listing: Arc<[u8]>,
    pub(in crate::shares) listing_manifest: Arc<Manifest>,
    pub(in crate::shares) pack_manifest: Arc<Manifest>,
    pub(in crate::shares) files: Arc<PackFiles>,
    /// The name of the directory for other members.
    pub(in crate::shares) name: String,
    pub(in crate::shares) added_at: u64,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    #[serde(flatten)]
    path: StoredPath,
    name: String,
    added_at: u64,
    /// The chunk hashes of the pack.
    chunk_hashes: String,
    /// The time of the last change of each file, in the order of the listing, [`TIME_LEN`] bytes each.
    times: String,
}

impl TreeRecord {
    pub(in crate::shares) fn listing_name(&self) -> String {
        format!("{}{LISTING_SUFFIX}", self.name)
    }

    /// Returns the listing, ready to be served.
    pub(super) fn shared_file(&self) -> Arc<SharedFile> {
        let manifest = Arc::clone(&self.listing_manifest);
        let root = self.files.root().to_owned();
        SharedFile::listing(manifest, root, Arc::clone(&self.listing), self.listing_name())
    }

    /// Returns the pack, ready to be served.
    pub(super) fn pack(&self) -> Arc<SharedFile> {
        let name = format!("{}{PACK_SUFFIX}", self.name);
        SharedFile::pack(Arc::clone(&self.pack_manifest), Arc::clone(&self.files), name)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let times = self.files.identities().flatten().flat_map(time_bytes).collect::<Vec<u8>>();
        let stored = Stored {
            version: VERSION,
            path: StoredPath::of(self.files.root()),
            name: self.name.clone(),
            added_at: self.added_at,
            chunk_hashes: BASE64.encode(&self.pack_manifest.hash_bytes()),
            times: BASE64.encode(&times),
        };
        let mut bytes = serde_json::to_vec(&stored).expect("strings and numbers only");
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.listing);
        bytes
    }

    /// Reads a record. The error is a clause for a message.
    pub(super) fn load(file: &Path) -> Result<Self, String> {
        if fs::metadata(file).map_err(|e| e.to_string())?.len() > RECORD_BYTES_MAX {
            return Err("too large to be the record of a share".to_owned());
        }
        let bytes = fs::read(file).map_err(|e| e.to_string())?;
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged(&"it has no listing"))?;
        let line = &bytes[..end];
        let listing = &bytes[end + 1..];
        let stored: Stored = serde_json::from_slice(line).map_err(|e| damaged(&e))?;
        if stored.version != VERSION {
            let version = stored.version;
            return Err(format!("the record of a share has version {version}, which this program does not know"));
        }
        let record = Self::from_parts(&stored, listing)?;
        match id_in_name(file) == Some(record.listing_manifest.id()) {
            true => Ok(record),
            false => Err(damaged(&"it has another listing")),
        }
    }

    fn from_parts(stored: &Stored, listing: &[u8]) -> Result<Self, String> {
        let listing_manifest = manifest_of_bytes(listing).map_err(|e| damaged(&e))?;
        let collection = Collection::decode(listing).map_err(|e| damaged(&e))?;
        let hashes = BASE64.decode(stored.chunk_hashes.as_bytes()).map_err(|e| damaged(&e))?;
        let pack = &collection.pack;
        let pack_manifest = Manifest::from_parts(pack.file_hash, pack.size, pack.chunk_size, &hashes);
        let pack_manifest = pack_manifest.map_err(|e| damaged(&e))?;
        if pack_manifest.id() != pack.manifest_id {
            return Err(damaged(&"it has another pack"));
        }
        let times = BASE64.decode(stored.times.as_bytes()).map_err(|e| damaged(&e))?;
        let root = stored.path.parse().map_err(|e| damaged(&e))?;
        Ok(Self {
            files: Arc::new(files(root, &collection, &times).ok_or_else(|| damaged(&"times are missing"))?),
            listing: listing.into(),
            listing_manifest: Arc::new(listing_manifest),
            pack_manifest: Arc::new(pack_manifest),
            name: stored.name.clone(),
            added_at: stored.added_at,
        })
    }
}

fn damaged(error: &dyn std::fmt::Display) -> String {
    format!("the record of a share is damaged: {error}")
}

fn time_bytes(identity: FileIdentity) -> [u8; TIME_LEN] {
    let mut bytes = [0; TIME_LEN];
    let (seconds, nanoseconds) = bytes.split_at_mut(8);
    seconds.copy_from_slice(&identity.modified_s.to_be_bytes());
    // Nanoseconds are below 10^9, so they fit 32 bits.
    nanoseconds.copy_from_slice(&(identity.modified_ns as u32).to_be_bytes());
    bytes
}

/// Combines a collection with one time for each file. `None` for more or fewer times.
fn files(root: PathBuf, collection: &Collection, times: &[u8]) -> Option<PackFiles> {
    let (times, rest) = times.as_chunks::<TIME_LEN>();
    if !rest.is_empty() || times.len() != collection.file_count() {
        return None;
    }
    let mut times = times.iter();
    let one = |entry: &Entry| {
        let identity = match entry.file() {
            Some(file) => Some(identity(file.size.0, times.next()?)),
            None => None,
        };
        Some((entry.path.as_str().into(), identity))
    };
    let entries = collection.entries().iter().map(one).collect::<Option<Vec<_>>>()?;
    Some(PackFiles::new(root, entries, collection.pack.chunk_size))
}

fn identity(size: u64, time: &[u8; TIME_LEN]) -> FileIdentity {
    let [a, b, c, d, e, f, g, h, ns @ ..] = *time;
    let modified_s = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
    FileIdentity { size, modified_s, modified_ns: i64::from(u32::from_be_bytes(ns)) }
}
