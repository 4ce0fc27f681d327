//! The job of a download, its limits and its result.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use peernet_engine::download::Limits;
use peernet_engine::ids::{FileHash, ManifestId, PeerId};
use peernet_engine::manifest::Manifest;

use crate::connect::Dial;
use crate::discovery::Plan;
use crate::download::{Nearby, Sink};
use crate::files::FileIdentity;
use crate::files::SharedFile;
use crate::files::part::Selected;
use crate::throttle::{SpeedLimits, Throttle};

/// The task of a download: the file, its target, and the settings.
pub struct FetchJob {
    /// The file.
    pub file_hash: FileHash,
    /// The manifest that a link named. No other is believed then, and every chunk is right from the first byte.
    pub manifest_id: Option<ManifestId>,
    /// A plan that was asked for already; otherwise the provider is asked.
    pub plan: Option<Plan>,
    /// The file in which the bytes gather, on the file system of `final_path`. The journal lies beside it.
    pub part_path: PathBuf,
    /// The path at which the whole file appears, at once. A file that is there is not replaced: `FetchError::Exists`.
    pub final_path: PathBuf,
    /// The transports it may use; by default none.
    pub dial: Dial,
    /// Bounds and times.
    pub limits: FetchLimits,
    /// The account of this node, which is no source.
    pub own_peer: Option<PeerId>,
    /// Decides among equal choices; give random bits.
    pub seed: u64,
    /// The rate limits that it shares with the rest of the node; by default none.
    pub throttle: Arc<Throttle>,
    /// Called once with the growing file, when its manifest is known, so that a server can offer it while it is
    /// fetched. It becomes a finished file by itself, or is withdrawn when the download fails.
    pub on_growing: Option<Box<dyn FnOnce(Arc<SharedFile>) + Send>>,
    /// Gets the file's bytes in order as they are verified. With `manifest_id` they are right from the first byte;
    /// without, only the end of the download proves them (`FetchError::DeliveredWrong`). The download cannot end while
    /// it blocks.
    pub sink: Option<Sink>,
    /// The wanted files, where the file is the pack of a directory. `part_path` and `final_path` are folders then.
    pub(crate) selected: Option<Selected>,
    /// Places on this machine where bytes of the file may lie already.
    pub(crate) nearby: Option<Box<dyn Nearby>>,
    /// The most bytes accepted; a larger file is not fetched.
    pub(crate) size_max: Option<u64>,
    /// GrantCache no file. The part has no name from the moment it is opened, so it is gone with the process however
    /// that ends. There is no resuming, and `final_path` is not used.
    pub passing: bool,
}

impl FetchJob {
    /// A job with default limits and nothing optional. Set `dial`, because by default it may call no source.
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
    /// The scheduler's own bounds.
    pub scheduler: Limits,
    /// The longest time to connect to one address.
    pub connect_timeout: Duration,
    /// The longest time of one `DownloadChunk` call: a version 1 source may queue it for 15 s.
    pub chunk_call_timeout: Duration,
    /// The shortest time between two snapshots of the progress.
    pub progress_interval: Duration,
    /// Written chunks are synced and named in the journal at the latest after so many bytes,
    pub sync_bytes: u64,
    /// or after this time.
    pub sync_interval: Duration,
    /// Whether the journalled chunks and the finished file survive a power cut. Without, they survive any end of the
    /// process, and the download does not wait for syncs.
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
    /// The path of the file.
    pub path: PathBuf,
    /// The file's manifest, proven by the file, so that it can be shared without hashing it again.
    pub manifest: Arc<Manifest>,
    /// Size and modification time of the file, for sharing it.
    pub identity: FileIdentity,
    /// The growing file that was offered, finished now; `None` without `on_growing`, or without a manifest at the
    /// beginning.
    pub shared_file: Option<Arc<SharedFile>>,
    /// The name that its sources give it, not sanitised; may be empty.
    pub file_name: String,
    /// Payload bytes that came over the network and were right.
    pub bytes_fetched: u64,
    /// Bytes of an earlier run.
    pub bytes_resumed: u64,
    /// Bytes that were copied from elsewhere on this machine.
    pub bytes_copied: u64,
    /// Verified bytes by source, in the order the sources were met.
    pub bytes_by_source: Vec<(PeerId, u64)>,
    /// Time from the call to the end.
    pub took: Duration,
}
