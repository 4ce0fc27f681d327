//! The queue of single calls in front of the disk threads. `peernet_engine::serving::admission` decides which call is next,
//! fairly between callers, so that one that asks for a thousand chunks does not hold up one that asks for a single chunk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::serving::admission::{Admission, JobId, Limits, PeerKey, Verdict};

use super::calls::Call;
use crate::upload::UploadLimits;

/// Calls of one server that wait or are being served.
pub(crate) struct CallQueue {
    state: Mutex<State>,
    wake: Sender<()>,
    woken: Receiver<()>,
}

struct State {
    admission: Admission,
    calls: BTreeMap<JobId, Call>,
    /// Running calls that waited for the upload limit and may go on. There are no more than may run.
    resumed: VecDeque<RunningCall>,
    next: u64,
}

/// A call being served.
pub(super) struct RunningCall {
    pub(super) call: Call,
    pub(super) slot: CallSlot,
}

/// The place of a call among those being served, until its reply is with gRPC. Dropping it makes room for the next.
pub(crate) struct CallSlot {
    queue: Arc<CallQueue>,
    job: JobId,
}

impl CallQueue {
    pub(super) fn new(limits: &UploadLimits) -> Self {
        let (wake, woken) = bounded(1);
        let queued_max = limits.calls_waiting_max;
        let defaults = Limits::default();
        let admission = Admission::new(Limits {
            queued_max,
            queued_per_peer_max: defaults.queued_per_peer_max.min(queued_max),
            wait_max: limits.call_wait_max,
            ..defaults
        });
        let state = State { admission, calls: BTreeMap::new(), resumed: VecDeque::new(), next: 0 };
        Self { state: Mutex::new(state), wake, woken }
    }

    /// Queues a call; false when there is no room, and then the call is dropped.
    pub(super) fn enqueue(&self, now: Instant, call: Call) -> bool {
        let mut state = self.lock();
        let job = JobId(state.next);
        state.next += 1;
        match state.admission.enqueue(now, job, PeerKey(call.address.clone())) {
            Verdict::Full => false,
            Verdict::Accepted => {
                state.calls.insert(job, call);
                drop(state);
                self.wake();
                true
            }
        }
    }

    /// Becomes ready when [`CallQueue::next`] may have a call.
    pub(super) fn woken(&self) -> &Receiver<()> {
        &self.woken
    }

    /// Starts the next call.
    pub(super) fn next(self: &Arc<Self>, now: Instant) -> Option<RunningCall> {
        let mut state = self.lock();
        if let Some(resumed) = state.resumed.pop_front() {
            return Some(resumed);
        }
        let job = state.admission.next(now)?;
        let call = state.calls.remove(&job)?;
        drop(state);
        // There may be one for another disk thread as well.
        self.wake();
        Some(RunningCall { call, slot: CallSlot { queue: Arc::clone(self), job } })
    }

    /// Number of calls being served.
    pub(super) fn running(&self) -> usize {
        self.lock().admission.running()
    }

    /// Queues a running call that goes on.
    pub(super) fn resume(&self, running: RunningCall) {
        self.lock().resumed.push_back(running);
        self.wake();
    }

    /// Drops the calls that no thread will resume any more. Their slots refer to this queue, and would keep it for ever.
    pub(super) fn close(&self) {
        let resumed = std::mem::take(&mut self.lock().resumed);
        // Without the lock, which their end takes.
        drop(resumed);
    }

    /// Removes and returns the calls that waited too long.
    pub(super) fn expired(&self, now: Instant) -> Vec<Call> {
        let mut state = self.lock();
        let jobs = state.admission.expired(now);
        jobs.iter().filter_map(|job| state.calls.remove(job)).collect()
    }

    fn wake(&self) {
        // A full channel is a wake-up that is still to be seen.
        let _ = self.wake.try_send(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CallSlot {
    fn drop(&mut self) {
        self.queue.lock().admission.finished(self.job);
        self.queue.wake();
    }
}
