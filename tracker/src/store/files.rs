//! Files: their names, their manifests, and version 1 listings.

use peernet_engine::ids::{ChunkHash, FileHash, ManifestId, PeerId};
use peernet_engine::manifest::Manifest;
use peernet_engine::time::UnixMillis;

use super::Result;

/// The most manifests of a file that one read returns.
pub const MANIFESTS_MAX: usize = 64;
/// The most files of one page of a search.
pub const SEARCH_LIMIT_MAX: usize = 100;
/// The approximate size of a manifest's row without its hashes, in bytes. The step from schema version 1 counts the same.
pub const MANIFEST_ROW_BYTES: u64 = 256;

/// A file's name and sizes, for plans and search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMeta {
    /// SHA-256 of the file.
    pub file_hash: FileHash,
    /// The name that its first announcer gave.
    pub file_name: String,
    /// The manifest, size in bytes and chunk size of a version 2 file; `None` where only version 1 peers announced it.
    pub manifest: Option<(ManifestId, u64, u32)>,
    /// The time of its first announce.
    pub created_at: UnixMillis,
}

/// A stored manifest and the name it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// Chunk hashes and sizes.
    pub manifest: Manifest,
    /// The file name that its first announcer gave.
    pub file_name: String,
    /// The account that announced it first.
    pub announced_by: PeerId,
    /// The time of its first announce.
    pub created_at: UnixMillis,
}

impl StoredManifest {
    /// Returns the bytes that count towards its announcer's metadata: the hashes, and a row with a name.
    pub fn metadata_bytes(&self) -> u64 {
        self.manifest.chunk_hashes().len() as u64 * 32 + MANIFEST_ROW_BYTES
    }
}

/// A file whose every chunk one version 1 peer has announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1Listing {
    /// The announcer.
    pub peer: PeerId,
    /// The announced file.
    pub file_hash: FileHash,
    /// The name that the announcer gave.
    pub file_name: String,
    /// The hashes of all chunks in order. Chunks have 1 MiB; the length of the last one is unknown.
    pub chunk_hashes: Vec<ChunkHash>,
    /// The end of the lease.
    pub expires_at: UnixMillis,
    /// The time of the first announce.
    pub created_at: UnixMillis,
}

/// A page of a search by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    /// Words that must all be in the name, case-insensitively; at most 8 count.
    pub words: Vec<String>,
    /// The account that searches. Files that it may not see are left out.
    pub caller: PeerId,
    /// The most files to return, bounded by [`SEARCH_LIMIT_MAX`].
    pub limit: usize,
    /// Only files that come after this (created_at, file_hash) in the newest-first order.
    pub after: Option<(UnixMillis, FileHash)>,
}

/// Reads manifests, file names and version 1 listings.
pub trait Files {
    /// Returns a manifest by its id.
    fn manifest(&self, id: ManifestId) -> Result<Option<StoredManifest>>;

    /// Returns name, size and id of each manifest of a file, oldest first, at most [`MANIFESTS_MAX`].
    ///
    /// Where only version 1 peers announced the whole file, there is one row without a manifest. Empty for an unknown file.
    fn manifests_of(&self, file_hash: FileHash) -> Result<Vec<FileMeta>>;

    /// Returns files by name, newest first.
    fn search(&self, query: &SearchQuery) -> Result<Vec<FileMeta>>;

    /// Calls `each` with every version 1 listing that has not expired by `now`. Used at start.
    fn listings(&self, now: UnixMillis, each: &mut dyn FnMut(V1Listing)) -> Result<()>;

    /// Deletes version 1 listings that expired before `now`. Returns the number of deleted rows.
    fn prune_listings(&self, now: UnixMillis) -> Result<u64>;
}
