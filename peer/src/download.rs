//! One download: from a file hash to a file with exactly that hash under its final name.
//!
//! The scheduler (`peernet_engine::download`) decides which chunk comes from whom; what is here moves bytes. The
//! calling thread owns the scheduler and waits for one event at a time. Beside it run one thread per source, which
//! receives and verifies, one that writes what they received, one that computes the whole file's hash behind the writes,
//! and one that syncs what is written and then says so in the journal. All end before [`fetch`] returns.

mod error;
mod event;
mod event_loop;
mod expected;
mod leave;
mod manifest;
mod pipeline;
mod progress;
mod session;
mod source;
mod source_table;
mod stage_times;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use peernet_engine::cause::Cause;
use peernet_engine::download::Limits;
use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId, PeerId};
use peernet_engine::manifest::Manifest;

use crate::cancel::Cancel;
use crate::part::Selected;
use crate::throttle::{SpeedLimits, Throttle};
use crate::upload::{FileIdentity, Held};

use crate::connect::Dial;
use crate::discovery::{Directory, Plan};
pub use error::FetchError;
#[cfg(feature = "cli")]
pub(crate) use pipeline::hash::PIECE_BYTES;
pub use pipeline::hash::Sink;
pub use progress::{FetchProgress, Phase, SourceProgress};
pub(crate) use session::local_copy::Nearby;
pub(crate) use session::without_bytes;

/// What to download and where to.
pub struct FetchJob {
    /// Which file.
    pub file_hash: FileHash,
    /// The manifest a link named: then no other is believed, and every chunk is right from the first byte.
    pub manifest_id: Option<ManifestId>,
    /// A plan already asked for; otherwise the directory is asked.
    pub plan: Option<Plan>,
    /// Where the bytes gather, in the folder of `final_path` or at least on its file system. The journal lies beside it.
    pub part_path: PathBuf,
    /// Where the whole file appears, at once. Never overwritten: something there is [`FetchError::Exists`].
    pub final_path: PathBuf,
    /// Whom it may speak to; by default nobody.
    pub dial: Dial,
    /// Numbers of the scheduler and of the calls.
    pub limits: FetchLimits,
    /// This peer's own account, which is no source.
    pub own_peer: Option<PeerId>,
    /// Decides among equals; give random bits.
    pub seed: u64,
    /// The limits it shares with the rest of the node; by default none.
    pub throttle: Arc<Throttle>,
    /// Called once with the growing file, when its manifest is known, for the shelf of a server: it is served while it
    /// is fetched. It becomes a finished one by itself, or is withdrawn when the download ends otherwise.
    pub on_growing: Option<Box<dyn FnOnce(Arc<Held>) + Send>>,
    /// Gets the file's bytes in order as they are verified: safe from the first byte with `manifest_id`, and otherwise
    /// proven only by the end of the download ([`FetchError::DeliveredWrong`]). While it blocks, the download cannot end.
    pub sink: Option<Sink>,
    /// The file is the pack of a directory, of which these files are wanted: `part_path` and `final_path` are folders.
    pub(crate) selected: Option<Selected>,
    /// Where bytes of it may lie already.
    pub(crate) nearby: Option<Box<dyn Nearby>>,
    /// A file that turns out to be larger is not fetched.
    pub(crate) size_max: Option<u64>,
    /// Leave no file: what is at `part_path` has no name from the moment it is opened, and is gone with the process however
    /// that ends. There is no resuming, and `final_path` is not used.
    pub passing: bool,
}

impl FetchJob {
    /// A job with default limits and nothing optional. Say in `dial` whom it may speak to.
    pub fn new(file_hash: FileHash, part_path: PathBuf, final_path: PathBuf, seed: u64) -> Self {
        Self {
            file_hash,
            manifest_id: None,
            plan: None,
            part_path,
            final_path,
            dial: Dial::default(),
            limits: FetchLimits::default(),
            own_peer: None,
            seed,
            throttle: Throttle::new(&SpeedLimits::default()),
            on_growing: None,
            sink: None,
            selected: None,
            nearby: None,
            size_max: None,
            passing: false,
        }
    }
}

/// Bounds and times of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchLimits {
    /// The scheduler's.
    pub scheduler: Limits,
    /// How long connecting to one address may take.
    pub connect_timeout: Duration,
    /// How long one `DownloadChunk` of a version 1 source may take: it may queue us for 15 s.
    pub chunk_call_timeout: Duration,
    /// How often [`FetchProgress`] is told, at most.
    pub progress_interval: Duration,
    /// What is written is synced and journalled at the latest after so many bytes ...
    pub sync_bytes: u64,
    /// ... or after this time, whichever comes first.
    pub sync_interval: Duration,
    /// Whether what the journal says, and the finished file, survive a power cut. Without, they survive the end of the
    /// process by any means, and nobody waits for the disk.
    pub survive_power_cut: bool,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            scheduler: Limits::default(),
            connect_timeout: Duration::from_secs(5),
            chunk_call_timeout: Duration::from_secs(40),
            progress_interval: Duration::from_millis(100),
            sync_bytes: 64 << 20,
            sync_interval: Duration::from_secs(2),
            survive_power_cut: true,
        }
    }
}

/// A finished download.
#[derive(Debug)]
pub struct Fetched {
    /// Where the file is.
    pub path: PathBuf,
    /// Its manifest, proven by the file: good for sharing it on without hashing it again.
    pub manifest: Arc<Manifest>,
    /// What the file's identity is, for sharing it on.
    pub identity: FileIdentity,
    /// The growing file that was offered, now a finished one; `None` without `on_growing` or a manifest to begin with.
    pub held: Option<Arc<Held>>,
    /// What its sources call it, not sanitised; may be empty.
    pub file_name: String,
    /// Payload bytes that came over the network and were right.
    pub bytes_fetched: u64,
    /// Bytes that an earlier run had left.
    pub bytes_resumed: u64,
    /// Bytes that were copied from elsewhere on this machine.
    pub bytes_copied: u64,
    /// Right bytes per source, in the order the sources were met.
    pub bytes_by_source: Vec<(PeerId, u64)>,
    /// From the call to the end.
    pub took: Duration,
}

/// How one chunk went with one source: material for feedback and receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchReport {
    /// About whom.
    pub peer: PeerId,
    /// Of which file.
    pub file_hash: FileHash,
    /// Which chunk.
    pub chunk: ChunkIndex,
    /// `Ok` for a verified chunk. Never [`Cause::LocalDisk`].
    pub result: Result<(), Cause>,
}

/// Downloads. Blocks until the file is there, or cannot be had, or `cancel` says stop (then within a second); in every
/// case but the first the part and its journal stay, and the same job goes on from them.
pub fn fetch(
    job: FetchJob,
    directory: &dyn Directory,
    progress: &mut dyn FnMut(&FetchProgress),
    cancel: &Cancel,
) -> Result<Fetched, FetchError> {
    manifest::run(job, directory, progress, cancel)
}
