//! Serving files to callers: the threads, queues and limits of one server, without gRPC.
//!
//! `crate::grpc` takes calls and hands them in here: `Fetch` calls as a [`stream::Stream`], single calls as a
//! [`calls::Call`]. Disk threads ([`workers`]) serve both. `peernet_engine::serving` decides which block is sent next;
//! this room reads the disk, holds the locks and reads the clock.

mod authorize;
mod budget;
pub(crate) mod call_queue;
pub(crate) mod caller;
pub(crate) mod calls;
mod complaints;
mod counters;
mod pace;
mod refusal;
mod render;
pub(crate) mod stream;
mod uploads;
mod workers;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peernet_engine::access::KnownVisibility;
use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId};
use peernet_engine::memory::Use;
use peernet_engine::rate_limit::Rate;
use peernet_engine::serving::BLOCK_BYTES_SMALL;

pub(crate) use self::authorize::Presented;
use self::budget::Budget;
pub(crate) use self::budget::Permit;
use self::call_queue::CallQueue;
use self::complaints::Complaints;
use self::counters::Counters;
pub(crate) use self::counters::UploadCounters;
use self::pace::Pace;
pub(crate) use self::refusal::{Refusal, RefusalCode};
pub(crate) use self::render::Rendered;
use self::stream::Streams;
use self::uploads::Flow;
pub(crate) use self::uploads::{Calls, Upload};
pub(crate) use self::workers::{Pump, Workers};
use crate::access::Membership;
use crate::files::SharedFile;
use crate::throttle::Throttle;

/// The list of files on offer. Only the server's disk threads call it, so it may take a lock, but not wait long.
pub trait FileCatalog: Send + Sync {
    /// Returns the file, under this manifest where one is named.
    fn find(&self, file_hash: FileHash, manifest_id: Option<ManifestId>) -> Option<Arc<SharedFile>>;

    /// Returns the visibility of the file, shared here or not.
    fn visibility(&self, _file_hash: FileHash) -> KnownVisibility {
        KnownVisibility::Public
    }

    /// Withdraws a file that changed, vanished or cannot be read any more. May be called more than once.
    fn withdraw_unreadable(&self, file: &SharedFile);

    /// Withdraws a file that has another hash for `chunk` than at the share, although size and time are unchanged.
    fn withdraw_altered(&self, file: &SharedFile, chunk: ChunkIndex);
}

/// Bounds of one server. A call beyond them is refused with `RESOURCE_EXHAUSTED`, or waits for a bounded time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadLimits {
    /// `Fetch` calls served at once, as far as there is memory for a block of 64 KiB each.
    pub streams_max: usize,
    /// `DownloadChunk` and `GetManifest` calls that may wait for a disk thread. Version 1 sends up to 1,024 at once.
    pub calls_waiting_max: usize,
    /// The time for which such a call waits before it is refused. Version 1 gives up after 15 s.
    pub call_wait_max: Duration,
    /// Chunk ranges that a `Fetch` call may have asked for and not yet received.
    pub ranges_wanted_max: usize,
    /// The time for which a `Fetch` call may want nothing before it is closed.
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

/// The state that all parts of one server share.
pub(crate) struct Core {
    catalog: Arc<dyn FileCatalog>,
    limits: UploadLimits,
    is_stopping: AtomicBool,
    memory: Budgets,
    pub(crate) streams: Streams,
    calls: SingleCalls,
    complaints: Complaints,
    pace: Pace,
    counters: Counters,
    /// `None` where everything is plaintext.
    membership: Option<Arc<Membership>>,
}

/// Memory for blocks and chunks that are read from the disk. Each use has its own, so that slow readers of one kind do
/// not starve another.
struct Budgets {
    /// For single calls.
    calls: Budget,
    /// For `Fetch` calls.
    streams: Budget,
    /// For the one small block that every `Fetch` call may always have.
    small_blocks: Budget,
}

/// Calls that have one reply.
struct SingleCalls {
    queue: Arc<CallQueue>,
    /// Payload of `DownloadChunk`.
    flow: Mutex<Flow>,
}

impl Core {
    pub(crate) fn new(
        catalog: Arc<dyn FileCatalog>,
        limits: UploadLimits,
        throttle: &Throttle,
        membership: Option<Arc<Membership>>,
    ) -> Self {
        let now = Instant::now();
        let budget = |of| Budget::new(throttle.memory().clone(), of);
        let memory = Budgets {
            calls: budget(Use::Calls),
            streams: budget(Use::Streams),
            small_blocks: budget(Use::SmallBlocks),
        };
        Self {
            catalog,
            is_stopping: AtomicBool::new(false),
            memory,
            streams: Streams::new(throttle.connections().clone()),
            calls: SingleCalls { queue: Arc::new(CallQueue::new(&limits)), flow: Mutex::new(Flow::new(now)) },
            complaints: Complaints::new(),
            pace: Pace::new(now, limits.rate_max),
            counters: Counters::default(),
            membership,
            limits,
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Takes no more calls, tells the callers of `Fetch` that this peer leaves, and drops the calls that wait for the
    /// upload limit.
    pub(crate) fn begin_to_stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        for stream in self.streams.all() {
            stream.stop(Refusal::stopping());
        }
        self.pace.close();
    }

    /// Ends every wait for memory.
    pub(crate) fn close_memory(&self) {
        self.memory.calls.close();
        self.memory.streams.close();
    }

    /// Queues a single call; false when it is refused.
    pub(crate) fn enqueue(&self, call: calls::Call) -> bool {
        !self.is_stopping() && self.calls.queue.enqueue(Instant::now(), call)
    }

    /// Counts a call or chunk that was refused.
    pub(crate) fn count_refused(&self) {
        self.counters.count_refused();
    }

    /// Counts a `Fetch` call that began.
    pub(crate) fn count_stream(&self) {
        self.counters.count_stream();
    }

    /// The counters so far.
    pub(crate) fn counters(&self) -> UploadCounters {
        self.counters.snapshot(self.streams.count().into(), self.complaints.counts())
    }

    /// Returns true if no caller is owed a chunk at the moment.
    pub(crate) fn is_idle(&self) -> bool {
        self.streams.all().iter().all(|stream| stream.owes_nothing())
    }

    /// The `Fetch` calls that have a file, oldest first, and version 1's calls together.
    pub(crate) fn uploads(&self) -> (Vec<Upload>, Calls) {
        let streams = self.streams.all();
        let running = self.calls.queue.running();
        let flow = self.calls_flow();
        let now = Instant::now();
        let calls = Calls { running, rate: flow.rate(now), bytes: flow.bytes() };
        (streams.iter().filter_map(|stream| stream.upload(now)).collect(), calls)
    }

    /// Changes the limit on payload bytes a second, over all calls; `None` lifts it.
    pub(crate) fn set_rate_max(&self, rate: Option<Rate>) {
        self.pace.set_rate(Instant::now(), rate);
    }

    /// Number of calls that wait for the upload limit.
    #[cfg(test)]
    pub(crate) fn waiting_for_turn(&self) -> usize {
        self.pace.waiting()
    }

    fn calls_flow(&self) -> MutexGuard<'_, Flow> {
        self.calls.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most `Fetch` calls that may be served: each may always have one small block.
    fn streams_max(&self) -> usize {
        self.limits.streams_max.min(self.memory.small_blocks.kept() / BLOCK_BYTES_SMALL as usize)
    }
}
