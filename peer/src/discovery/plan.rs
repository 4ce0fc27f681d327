//! What a download needs to know from outside: sources, manifests and a place to report to.

use std::fmt;

use peernet_engine::download::Has;
use peernet_engine::ids::{ByteCount, ChunkHash, FileHash, ManifestId, PeerId};
use peernet_engine::manifest::Manifest;

use crate::download::FetchReport;
use crate::grants::Grant;
use crate::transfers::Transport;

/// Someone who says it holds a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its account.
    pub peer: PeerId,
    /// `host:port`, best first; what is not that form is not dialled.
    pub addresses: Vec<String>,
    /// What is spoken there.
    pub transport: Transport,
    /// It speaks `DownloadChunk` only, which is always plaintext.
    pub v1: bool,
    /// What it said it holds.
    pub has: Has,
}

/// One manifest of a plan and who serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedManifest {
    /// Which one.
    pub id: ManifestId,
    /// Bytes of the file, if it is true.
    pub size: ByteCount,
    /// Bytes of a chunk.
    pub chunk_size: u32,
    /// Best first.
    pub sources: Vec<Source>,
}

/// Who serves a file, under which manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The name suggested for it; not sanitised.
    pub file_name: String,
    /// The most widely held first.
    pub manifests: Vec<PlannedManifest>,
    /// Whether version 1's listing has it.
    pub v1_listed: bool,
    /// Whether it is not for everyone: then it is passed on to those only who show a grant.
    pub restricted: bool,
}

/// Version 1's view of a file: chunks of 1 MiB of which only the hashes are known, so that its size is known when the
/// last chunk is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1Listing {
    /// Of every chunk, in order; at least one.
    pub chunk_hashes: Vec<ChunkHash>,
    /// Who holds what; best first.
    pub sources: Vec<Source>,
}

/// Why the directory has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryError {
    /// Nobody ever announced it.
    NotFound,
    /// It will not answer us: not logged in, not allowed, or the request is wrong. Trying again is no use.
    Refused(String),
    /// It cannot be reached or is overloaded. A running download goes on with the sources it knows.
    Unreachable(String),
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("nobody shares this file"),
            Self::Refused(why) | Self::Unreachable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for DirectoryError {}

/// Where a download learns about its file: the tracker, or a list of known peers. Each call may block for a few
/// seconds, has a time-out of its own, and is made from a thread of the download that has nothing else to do. The
/// download ends only when the call has: an implementation that asks a network gives up when its download is cancelled.
pub trait Directory: Send + Sync {
    /// Who serves the file now.
    fn plan(&self, file_hash: FileHash) -> Result<Plan, DirectoryError>;

    /// The manifest with this id; the caller checks it against the id.
    fn manifest(&self, id: ManifestId) -> Result<Manifest, DirectoryError>;

    /// Version 1's listing, where there is one.
    fn v1_listing(&self, file_hash: FileHash) -> Result<Option<V1Listing>, DirectoryError>;

    /// Leave to fetch the file, to be shown to its sources; `None` from who gives none.
    fn grant(&self, _file_hash: FileHash) -> Result<Option<Grant>, DirectoryError> {
        Ok(None)
    }

    /// Takes reports for feedback. Never blocks: queues them, or drops them when the queue is full.
    fn report(&self, reports: Vec<FetchReport>);
}
