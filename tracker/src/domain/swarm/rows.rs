//! Leases and version 1 chunks as they are logged and replicated.

use std::sync::Arc;

use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkHash, FileHash, ManifestId, PeerId};
use peernet_engine::time::UnixMillis;

use super::Location;

/// A lease: `peer` holds the chunks `have` of a manifest until `expires_at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// The holder.
    pub peer: PeerId,
    /// The held file.
    pub file_hash: FileHash,
    /// The manifest that the chunks belong to.
    pub manifest_id: ManifestId,
    /// The address at which the holder serves.
    pub location: Arc<Location>,
    /// The holder's site label.
    pub site: Option<String>,
    /// The held chunks.
    pub have: Bitmap,
    /// The end of the lease.
    pub expires_at: UnixMillis,
}

/// One chunk of a version 1 announce, kept until all chunks of the file were announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1Chunk {
    /// The announcer.
    pub peer: PeerId,
    /// The announced file.
    pub file_hash: FileHash,
    /// The number of chunks that the announcer says the file has; at most 16,384.
    pub total_chunks: u32,
    /// The chunk's index, below `total_chunks`.
    pub index: u32,
    /// The chunk's hash.
    pub chunk_hash: ChunkHash,
    /// The file name that the announcer gave.
    pub file_name: String,
    /// The end of the lease.
    pub expires_at: UnixMillis,
}
