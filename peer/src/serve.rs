//! Serving files to callers: the threads, queues and limits of one server, without gRPC.
//!
//! `crate::grpc` takes calls and hands them in here: `Fetch` calls as a [`stream::Stream`], single calls as a
//! [`calls::Call`]. Disk threads ([`workers`]) serve both. `peernet_engine::serving` decides what is sent next; this room
//! reads the disk, holds the locks and reads the clock.

mod authorize;
mod budget;
pub(crate) mod call_queue;
pub(crate) mod caller;
pub(crate) mod calls;
mod complaints;
mod counters;
mod flow;
mod pace;
mod refusal;
mod render;
pub(crate) mod stream;
mod workers;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use peernet_engine::memory::Use;
use peernet_engine::rate_limit::Rate;
use peernet_engine::serving::BLOCK_BYTES_SMALL;

pub(crate) use self::authorize::Presented;
use self::budget::Budget;
pub(crate) use self::budget::Permit;
use self::call_queue::CallQueue;
use self::complaints::Complaints;
use self::counters::Counters;
pub use self::counters::UploadCounters;
use self::flow::Flow;
use self::pace::Pace;
pub(crate) use self::refusal::{Refusal, RefusalCode};
pub(crate) use self::render::Rendered;
use self::stream::Streams;
pub(crate) use self::workers::{Pump, Workers};
use crate::identity::Membership;
use crate::throttle::Throttle;
use crate::transfers::{Calls, Upload};
use crate::upload::{Shelf, UploadLimits};

/// The state that all parts of one server share.
pub(crate) struct Core {
    shelf: Arc<dyn Shelf>,
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

/// Memory for what is read from the disk. Each use has its own, so that slow readers of one kind do not starve another.
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
        shelf: Arc<dyn Shelf>,
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
            shelf,
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

    /// Whether no caller is owed a chunk at the moment.
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
