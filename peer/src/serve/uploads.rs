//! Snapshots of the calls being served, for the status of a node.

use std::time::Duration;

use peernet_engine::candidate::Transport;
use peernet_engine::ids::{FileHash, PeerId};

/// A `Fetch` call being served.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    /// The file.
    pub file_hash: FileHash,
    /// The name of the file here; may be empty.
    pub file_name: String,
    /// The caller's `address:port`.
    pub address: String,
    /// The protection of the connection.
    pub transport: Transport,
    /// The caller's account, where that is proven.
    pub peer: Option<PeerId>,
    /// Recent rate of payload, in bytes a second.
    pub rate: f64,
    /// Payload bytes since the call began.
    pub bytes: u64,
    /// Time since the call began.
    pub age: Duration,
}

/// Version 1's calls, one for each chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Calls {
    /// Calls being served now.
    pub running: usize,
    /// Recent rate of payload over all calls, in bytes a second.
    pub rate: f64,
    /// Payload bytes since the server began.
    pub bytes: u64,
}
