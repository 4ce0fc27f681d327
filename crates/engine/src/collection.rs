//! Collections: a directory as two files of the swarm.
//!
//! The **listing** is small. It names every file with its size, hashes and executable bit, and every empty folder. The
//! **pack** is the bytes of all files as one virtual file with an ordinary manifest. So ten thousand small files travel
//! like one large file, without a round trip, manifest or lease for each. [`Layout`] maps each file's bytes to the
//! pack. It depends on the sizes only, so it is not part of the listing.
//!
//! ```text
//! listing  "peernet-collection-v1\0"  pack: file_hash 32  manifest_id 32  size u64  chunk_size u32
//!          entry count u32  entries, strictly ascending by the bytes of their paths            numbers big-endian
//! entry    kind u8 (0 file, 1 executable file, 2 empty folder)  path_len u16  path
//!          and for files: size u64  file_hash 32  manifest_id 32, the file's own, as if it were shared alone
//! ```
//!
//! One tree has one listing: [`Collection::encode`] returns exactly the bytes that [`Collection::decode`] accepted.

mod decode;
mod layout;
mod path;

use std::fmt;

use crate::ids::{ByteCount, FileHash, ManifestId};
use crate::manifest::Geometry;

pub use self::layout::{Layout, Piece, Segment};
pub use self::path::{PathError, check as check_path};

/// The longest listing, in bytes.
pub const LISTING_BYTES_MAX: usize = 64 << 20;
/// The most files and empty folders in a collection.
pub const ENTRIES_MAX: usize = 262_144;
/// The longest path of an entry, in bytes.
pub const PATH_BYTES_MAX: usize = 1_024;
/// The most components of a path.
pub const PATH_DEPTH_MAX: usize = 64;
/// The suffix of a listing's name in the swarm, after the directory's name.
pub const LISTING_SUFFIX: &str = ".peernet-collection";
/// The suffix of a pack's name in the swarm, after the directory's name.
pub const PACK_SUFFIX: &str = ".peernet-pack";

/// The first bytes of every listing.
const DOMAIN: &[u8] = b"peernet-collection-v1\0";
/// Bytes before the entries.
const HEAD_LEN: usize = DOMAIN.len() + 32 + 32 + 8 + 4 + 4;
/// Bytes of an entry before its path.
const ENTRY_HEAD_LEN: usize = 1 + 2;
/// Bytes of a file's entry behind its path.
const FILE_TAIL_LEN: usize = 8 + 32 + 32;

const KIND_FILE: u8 = 0;
const KIND_EXECUTABLE: u8 = 1;
const KIND_FOLDER: u8 = 2;

/// The reason that bytes or entries do not form a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectionError {
    /// Not a listing, or one that is cut off.
    NotAListing,
    /// A listing of a later format.
    Version,
    /// Bytes follow the last entry.
    Trailing,
    /// A kind of entry this version does not know.
    Kind(u8),
    /// The listing is longer than [`LISTING_BYTES_MAX`].
    TooLong(usize),
    /// More than [`ENTRIES_MAX`].
    TooManyEntries(usize),
    /// An entry has a forbidden path.
    Path {
        /// The path, with unprintable bytes replaced.
        path: String,
        /// The reason.
        why: PathError,
    },
    /// The entry does not sort after its predecessor.
    Order(String),
    /// The entry is a file or an empty folder, and other entries lie below it.
    NotAFolder(String),
    /// The files do not add up to the pack.
    Sum {
        /// The size of the pack in bytes.
        pack: u64,
        /// The sum of the files in bytes; `None` if it overflows.
        files: Option<u64>,
    },
    /// The pack is too large for a manifest, or its chunk size is wrong.
    Geometry {
        /// The size of the pack in bytes.
        size: u64,
        /// The size of its chunks in bytes.
        chunk_size: u32,
    },
}

impl fmt::Display for CollectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAListing => f.write_str("not the listing of a collection, or truncated"),
            Self::Version => f.write_str("the listing was written by a newer version of PeerNet"),
            Self::Trailing => f.write_str("the listing has bytes after its last entry"),
            Self::Kind(kind) => write!(f, "the listing has an entry of unknown kind {kind}"),
            Self::TooLong(len) => {
                write!(f, "the listing is {len} bytes; the limit is {LISTING_BYTES_MAX}")
            }
            Self::TooManyEntries(count) => {
                write!(f, "the directory has {count} files and empty folders; the limit is {ENTRIES_MAX}")
            }
            Self::Path { path, why } => write!(f, "{path:?}: {why}"),
            Self::Order(path) => write!(f, "{path:?} is listed twice or out of order"),
            Self::NotAFolder(path) => write!(f, "{path:?} is not a folder, but other entries lie below it"),
            Self::Sum { pack, files: Some(files) } => write!(f, "the pack is {pack} bytes, but its files are {files}"),
            Self::Sum { files: None, .. } => f.write_str("the sum of the file sizes does not fit 64 bits"),
            Self::Geometry { size, chunk_size } => {
                write!(
                    f,
                    "a pack of {size} bytes cannot have chunks of {chunk_size}; the limit of a collection is 256 GiB"
                )
            }
        }
    }
}

impl std::error::Error for CollectionError {}

/// The pack of a collection, as the listing names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pack {
    /// SHA-256 of the pack.
    pub file_hash: FileHash,
    /// The id of the pack's manifest.
    pub manifest_id: ManifestId,
    /// The sum of all file sizes.
    pub size: ByteCount,
    /// Bytes of every chunk but the last, as [`Geometry::for_size`] chooses it.
    pub chunk_size: u32,
}

/// A file or an empty folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The relative path. Its components are separated by `/`, and each satisfies [`crate::names::is_safe`].
    pub path: String,
    /// A file with its hashes, or a folder.
    pub kind: EntryKind,
}

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File(FileEntry),
    /// An empty folder. Other folders are implied by the files in them.
    Folder,
}

/// A file of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileEntry {
    /// The file's size.
    pub size: ByteCount,
    /// Whether the file is marked as a program.
    pub executable: bool,
    /// SHA-256 of its bytes.
    pub file_hash: FileHash,
    /// The id of the file's own manifest, as if the file were shared alone.
    pub manifest_id: ManifestId,
}

impl Entry {
    /// Returns the entry's file; `None` for a folder.
    pub fn file(&self) -> Option<&FileEntry> {
        match &self.kind {
            EntryKind::File(file) => Some(file),
            EntryKind::Folder => None,
        }
    }

    /// Returns the entry's bytes in the pack; 0 for a folder.
    pub fn size(&self) -> u64 {
        self.file().map_or(0, |file| file.size.0)
    }

    fn encoded_len(&self) -> usize {
        let tail = if self.file().is_some() { FILE_TAIL_LEN } else { 0 };
        ENTRY_HEAD_LEN + self.path.len() + tail
    }
}

/// The listing of a directory. Invariant: all that [`Collection::new`] checks holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// The bytes of all files.
    pub pack: Pack,
    entries: Vec<Entry>,
}

impl Collection {
    /// Checks the order of the entries, their paths, sizes and bounds. Repairs nothing.
    pub fn new(pack: Pack, entries: Vec<Entry>) -> Result<Self, CollectionError> {
        if entries.len() > ENTRIES_MAX {
            return Err(CollectionError::TooManyEntries(entries.len()));
        }
        let len = entries.iter().fold(HEAD_LEN, |len, entry| len.saturating_add(entry.encoded_len()));
        if len > LISTING_BYTES_MAX {
            return Err(CollectionError::TooLong(len));
        }
        path::check_all(entries.iter().map(|entry| entry.path.as_str()))?;
        check_sizes(&pack, &entries)?;
        Ok(Self { pack, entries })
    }

    /// Reads a listing; see the head of this module. Allocates in proportion to `bytes`, whatever counts they claim.
    pub fn decode(bytes: &[u8]) -> Result<Self, CollectionError> {
        decode::decode(bytes)
    }

    /// Writes the listing.
    pub fn encode(&self) -> Vec<u8> {
        let len = HEAD_LEN + self.entries.iter().map(Entry::encoded_len).sum::<usize>();
        let mut out = Vec::with_capacity(len);
        out.extend_from_slice(DOMAIN);
        out.extend_from_slice(self.pack.file_hash.as_bytes());
        out.extend_from_slice(self.pack.manifest_id.as_bytes());
        out.extend_from_slice(&self.pack.size.0.to_be_bytes());
        out.extend_from_slice(&self.pack.chunk_size.to_be_bytes());
        let count = u32::try_from(self.entries.len()).expect("checked by the constructor");
        out.extend_from_slice(&count.to_be_bytes());
        for entry in &self.entries {
            encode_entry(entry, &mut out);
        }
        out
    }

    /// Returns the entries, ascending by the bytes of their paths.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns where the files lie in the pack. Entries are numbered as in [`Collection::entries`].
    pub fn layout(&self) -> Layout {
        Layout::new(self.entries.iter().map(Entry::size), self.pack.chunk_size)
    }

    /// Returns how many entries are files.
    pub fn file_count(&self) -> usize {
        self.entries.iter().filter(|entry| entry.file().is_some()).count()
    }
}

fn check_sizes(pack: &Pack, entries: &[Entry]) -> Result<(), CollectionError> {
    let sum = entries.iter().try_fold(0_u64, |sum, entry| sum.checked_add(entry.size()));
    if sum != Some(pack.size.0) {
        return Err(CollectionError::Sum { pack: pack.size.0, files: sum });
    }
    match Geometry::for_size(pack.size) {
        Ok(geometry) if geometry.chunk_size() == pack.chunk_size => Ok(()),
        _ => Err(CollectionError::Geometry { size: pack.size.0, chunk_size: pack.chunk_size }),
    }
}

fn encode_entry(entry: &Entry, out: &mut Vec<u8>) {
    out.push(match entry.kind {
        EntryKind::File(FileEntry { executable: false, .. }) => KIND_FILE,
        EntryKind::File(FileEntry { executable: true, .. }) => KIND_EXECUTABLE,
        EntryKind::Folder => KIND_FOLDER,
    });
    let path_len = u16::try_from(entry.path.len()).expect("checked by the constructor");
    out.extend_from_slice(&path_len.to_be_bytes());
    out.extend_from_slice(entry.path.as_bytes());
    if let Some(file) = entry.file() {
        out.extend_from_slice(&file.size.0.to_be_bytes());
        out.extend_from_slice(file.file_hash.as_bytes());
        out.extend_from_slice(file.manifest_id.as_bytes());
    }
}

#[cfg(test)]
mod tests;
