//! Providers of a download's sources, manifest and grant, and the receivers of its reports.
//!
//! These are four jobs with a trait each, because a provider need not do all of them: a list of peers on the LAN knows
//! sources and signs no grants. A download takes one [`Discovery`], which does all four. [`Combined`] makes one of
//! several providers. The [`tracker`] is the first provider.
//!
//! Every call may block for some seconds and has a time-out of its own. A provider that asks a network gives up when
//! its download is cancelled, because the download ends only when the call has returned.

pub(crate) mod askers;
mod combined;
mod plan;
pub(crate) mod tracker;

use std::fmt;

use peernet_engine::cause::Cause;
use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId, PeerId};
use peernet_engine::manifest::Manifest;

use crate::access::GrantToken;

#[cfg(test)]
pub(crate) use plan::testing;

pub(crate) use combined::Combined;
pub use peernet_engine::download::Protocol;
pub(crate) use plan::sources_under;
pub use plan::{Plan, PlannedManifest, Source, V1Listing};

/// Finds the sources of a file.
pub trait SourceDiscovery: Send + Sync {
    /// Returns the sources of the file now, under each of its manifests.
    fn plan(&self, file_hash: FileHash) -> Result<Plan, DiscoveryError>;

    /// Returns version 1's listing of the file; `None` where there is none.
    fn v1_listing(&self, file_hash: FileHash) -> Result<Option<V1Listing>, DiscoveryError>;
}

/// Knows manifests by their ids.
pub trait ManifestProvider: Send + Sync {
    /// Returns a manifest. The caller checks it against the id.
    fn manifest(&self, id: ManifestId) -> Result<Manifest, DiscoveryError>;
}

/// Issues grants, which sources of non-public files ask for.
pub trait GrantProvider: Send + Sync {
    /// Returns a grant for the file; `None` from a provider that issues none.
    fn grant(&self, _file_hash: FileHash) -> Result<Option<GrantToken>, DiscoveryError> {
        Ok(None)
    }
}

/// Takes the results of transfers, as feedback about the sources.
pub trait ReportSink: Send + Sync {
    /// Queues reports, or drops them when the queue is full. Never blocks.
    fn report(&self, reports: Vec<FetchReport>);
}

/// The result of one chunk with one source: material for feedback and receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchReport {
    /// The source.
    pub peer: PeerId,
    /// The file.
    pub file_hash: FileHash,
    /// The chunk.
    pub chunk: ChunkIndex,
    /// `Ok` for a verified chunk. Never [`Cause::LocalDisk`].
    pub result: Result<(), Cause>,
}

/// All that a download asks. Every type that does the four jobs is one.
pub trait Discovery: SourceDiscovery + ManifestProvider + GrantProvider + ReportSink {}

impl<T: SourceDiscovery + ManifestProvider + GrantProvider + ReportSink + ?Sized> Discovery for T {}

/// The reason that a provider has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryError {
    /// No peer ever announced the file.
    NotFound,
    /// The provider will not answer this node: not logged in, not allowed, or the request is wrong. Trying again is no
    /// use.
    Refused(String),
    /// The provider cannot be reached or is overloaded. A running download goes on with the sources it knows.
    Unreachable(String),
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no peer shares this file"),
            Self::Refused(why) | Self::Unreachable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for DiscoveryError {}
