//! The files that this peer serves: the interface between the server and the list of shared files.

mod callers;
mod held;
mod recheck;

use std::sync::Arc;
use std::time::Duration;

use peernet_engine::access::KnownVisibility;
use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId};
use peernet_engine::rate_limit::Rate;

pub(crate) use callers::Callers;
pub use held::Held;
pub(crate) use held::{Opened, Watcher};

/// The list of files on offer. Only the server's disk threads call it, so it may take a lock, but not wait long.
pub trait Shelf: Send + Sync {
    /// Returns the file, under this manifest where one is named.
    fn held(&self, file_hash: FileHash, manifest_id: Option<ManifestId>) -> Option<Arc<Held>>;

    /// How visible the file is, whether it is shared here or not.
    fn visibility(&self, _file_hash: FileHash) -> KnownVisibility {
        KnownVisibility::Public
    }

    /// Withdraws a file that changed, vanished or cannot be read any more. May be called more than once.
    fn spoiled(&self, held: &Held);

    /// Withdraws a file whose size and time are unchanged, but whose chunk, read again, is not what was hashed.
    fn altered(&self, held: &Held, chunk: ChunkIndex);
}

/// Bounds of one server. A call beyond them is refused with `RESOURCE_EXHAUSTED`, or waits for a bounded time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadLimits {
    /// `Fetch` calls served at once, as far as there is memory for a block of 64 KiB each: see [`crate::memory`].
    pub streams_max: usize,
    /// `DownloadChunk` and `GetManifest` calls that may wait for a disk thread. Version 1 sends up to 1,024 at once.
    pub calls_waiting_max: usize,
    /// How long such a call waits before it is refused. Version 1 gives up after 15 s.
    pub call_wait_max: Duration,
    /// Chunk ranges that a `Fetch` call may have asked for and not yet received.
    pub ranges_wanted_max: usize,
    /// How long a `Fetch` call may want nothing before it is closed.
    pub stream_idle_max: Duration,
    /// Threads that read the disk.
    pub disk_threads: usize,
    /// Payload bytes a second over all calls, shared equally by those that want more. Changed later with
    /// [`crate::grpc::PeerServer::set_rate_max`].
    pub rate_max: Option<Rate>,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            streams_max: 256,
            calls_waiting_max: 2_048,
            call_wait_max: Duration::from_secs(15),
            ranges_wanted_max: 1_024,
            stream_idle_max: Duration::from_secs(600),
            disk_threads: 2,
            rate_max: None,
        }
    }
}
