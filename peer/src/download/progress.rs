//! Snapshots of a running download.

use std::time::Duration;

use peernet_engine::bottleneck::Bottleneck;
use peernet_engine::ids::PeerId;

use peernet_engine::candidate::Transport;

/// The work that a download is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Asking for sources and the manifest.
    LookingUp,
    /// Reading the chunks of an earlier run again, because something about the part was wrong.
    CheckingPart,
    /// Copying chunks that lie elsewhere on this machine.
    Copying,
    /// Fetching chunks.
    Fetching,
    /// Every chunk is there; the whole file's hash is being finished.
    Verifying,
    /// Syncing, and giving the file its name.
    Finishing,
}

/// A snapshot of a download.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchProgress {
    /// The present work.
    pub phase: Phase,
    /// Bytes of the wanted chunks; unknown for a file of version 1 until its last chunk is there.
    pub bytes_total: Option<u64>,
    /// Verified bytes, those of earlier runs included. For a file of unknown size its chunks count as 1 MiB each.
    pub bytes_done: u64,
    /// The part of them that an earlier run had left.
    pub bytes_resumed: u64,
    /// Chunks of the file; 0 while looking up.
    pub chunks_total: u32,
    /// Verified chunks.
    pub chunks_done: u32,
    /// Bytes per second in the last seconds.
    pub rate: f64,
    /// Time since the call.
    pub elapsed: Duration,
    /// The sources that are asked or may be asked.
    pub sources: Vec<SourceProgress>,
    /// The remaining time at this rate, where it can be estimated.
    pub eta: Option<Duration>,
    /// The stage that slowed it in the last seconds.
    pub bottleneck: Bottleneck,
    /// A sentence about an obstacle, when there is one.
    pub note: Option<String>,
}

/// One source in a [`FetchProgress`].
#[derive(Debug, Clone, PartialEq)]
pub struct SourceProgress {
    /// The account of the source.
    pub peer: PeerId,
    /// The address in use, or the first one.
    pub address: String,
    /// Whether the connection is encrypted.
    pub transport: Transport,
    /// Whether it speaks version 1.
    pub v1: bool,
    /// Bytes per second in the last seconds.
    pub rate: f64,
    /// Chunks that were requested and have not come yet.
    pub in_flight: u32,
    /// Verified chunks it sent.
    pub chunks: u32,
    /// Verified bytes it sent.
    pub bytes: u64,
}
