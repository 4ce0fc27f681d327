//! How far a download is, for whoever shows it.

use std::time::Duration;

use peernet_engine::bottleneck::Bottleneck;
use peernet_engine::ids::PeerId;

use crate::transfers::Transport;

/// What a download is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Asking for sources and the manifest.
    LookingUp,
    /// Reading again what an earlier run left, because something about it was not right.
    CheckingPart,
    /// Copying what lies elsewhere on this machine.
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
    /// Busy with what.
    pub phase: Phase,
    /// Bytes of the file; unknown for a file of version 1 until its last chunk is there.
    pub bytes_total: Option<u64>,
    /// Verified bytes, those of earlier runs included. For a file of unknown size its chunks count as 1 MiB each.
    pub bytes_done: u64,
    /// Of these, bytes an earlier run had left.
    pub bytes_resumed: u64,
    /// Chunks of the file; 0 while looking up.
    pub chunks_total: u32,
    /// Verified chunks.
    pub chunks_done: u32,
    /// Bytes per second, lately.
    pub rate: f64,
    /// Since the call.
    pub elapsed: Duration,
    /// Everyone asked or to be asked.
    pub sources: Vec<SourceProgress>,
    /// How long it will still take at this rate, where that can be said.
    pub eta: Option<Duration>,
    /// What slowed it in the last seconds.
    pub bottleneck: Bottleneck,
    /// A sentence about what slows or blocks it, when something does.
    pub note: Option<String>,
}

/// One source in a [`FetchProgress`].
#[derive(Debug, Clone, PartialEq)]
pub struct SourceProgress {
    /// Its account.
    pub peer: PeerId,
    /// The address in use, or the first one.
    pub address: String,
    /// How it is spoken to.
    pub transport: Transport,
    /// It speaks version 1.
    pub v1: bool,
    /// Bytes per second, lately.
    pub rate: f64,
    /// Chunks asked for and not yet there.
    pub in_flight: u32,
    /// Verified chunks it sent.
    pub chunks: u32,
    /// Verified bytes it sent.
    pub bytes: u64,
}
