//! The queue of single calls in front of the disk threads. `peernet_engine::serving::admission` decides which call is
//! next, fairly between callers, so that one that asks for a thousand chunks does not hold up one that asks for a
//! single chunk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::serving::admission::{Admission, JobId, Limits, PeerKey, Verdict};

use super::calls::Call;
use crate::serve::UploadLimits;

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

    /// Drops the calls that no thread will resume any more. Their slots refer to this queue, and would keep it for
    /// ever.
    pub(super) fn close(&self) {
        let resumed = std::mem::take(&mut self.lock().resumed);
        // The lock is free here, because the end of a call takes it.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peernet_protos::grpc::ManifestRequest;

    use super::*;
    use crate::serve::caller::Caller;
    use crate::serve::calls::{Reply, ReplyTo, Request};
    use crate::serve::{Presented, Refusal};

    /// A caller that does not look at its reply.
    struct Unread;

    impl<T> ReplyTo<T> for Unread {
        fn is_too_late(&self) -> bool {
            false
        }

        fn send(self: Box<Self>, _: Result<Reply<T>, Refusal>) {}
    }

    fn call(address: &str) -> Call {
        Call {
            question: Request::Manifest(ManifestRequest::default(), Box::new(Unread)),
            address: address.to_owned(),
            presented: Presented::new(Caller::Plaintext, None),
            allowance: 0,
        }
    }

    fn queue(calls_waiting_max: usize) -> Arc<CallQueue> {
        Arc::new(CallQueue::new(&UploadLimits { calls_waiting_max, ..UploadLimits::default() }))
    }

    #[test]
    fn a_full_queue_refuses_and_a_started_call_makes_room() {
        let now = Instant::now();
        let queue = queue(2);
        assert_eq!(["a", "a", "b"].map(|address| queue.enqueue(now, call(address))), [true, true, false]);
        let first = queue.next(now).unwrap();
        assert!(queue.enqueue(now, call("b")));
        assert_eq!(queue.running(), 1);
        let address = |running: RunningCall| running.call.address;
        assert_eq!(queue.next(now).map(address).as_deref(), Some("a"));
        assert_eq!(queue.next(now).map(address).as_deref(), Some("b"));
        drop(first);
        assert_eq!(queue.running(), 0);
    }

    #[test]
    fn a_resumed_call_comes_before_the_queue() {
        let now = Instant::now();
        let queue = queue(9);
        queue.enqueue(now, call("a"));
        let waits_for_limit = queue.next(now).unwrap();
        queue.enqueue(now, call("b"));
        queue.resume(waits_for_limit);
        let order: Vec<String> = std::iter::from_fn(|| queue.next(now)).map(|running| running.call.address).collect();
        assert_eq!(order, ["a", "b"]);
    }

    #[test]
    fn a_call_that_waited_too_long_is_returned_once() {
        let now = Instant::now();
        let queue = queue(9);
        queue.enqueue(now, call("a"));
        let late = now + UploadLimits::default().call_wait_max + Duration::from_secs(1);
        assert_eq!((queue.expired(late).len(), queue.expired(late).len()), (1, 0));
        assert!(queue.next(late).is_none());
    }

    #[test]
    fn a_closed_queue_keeps_no_call() {
        let now = Instant::now();
        let queue = queue(9);
        queue.enqueue(now, call("a"));
        let running = queue.next(now).unwrap();
        queue.resume(running);
        assert_eq!(queue.running(), 1);
        queue.close();
        assert_eq!(queue.running(), 0);
        assert_eq!(Arc::strong_count(&queue), 1, "a call that is kept would keep the queue");
    }

    #[test]
    fn callers_take_turns_however_many_calls_each_has() {
        let now = Instant::now();
        let queue = queue(99);
        for (address, count) in [("a", 6), ("b", 1), ("c", 3)] {
            (0..count).for_each(|_| assert!(queue.enqueue(now, call(address))));
        }
        let next = || queue.next(now).map(|running| running.call.address);
        let order: Vec<String> = std::iter::from_fn(next).collect();
        assert_eq!(order.len(), 10);
        let mut firsts = order[..3].to_vec();
        firsts.sort();
        assert_eq!(firsts, ["a", "b", "c"], "{order:?}");
        assert_eq!(order[7..], ["a", "a", "a"], "{order:?}");
    }

    #[test]
    fn every_call_is_started_once_by_many_threads() {
        let now = Instant::now();
        let queue = queue(400);
        let started = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for number in 0..4 {
                let queue = &queue;
                scope.spawn(move || (0..50).for_each(|_| assert!(queue.enqueue(now, call(&number.to_string())))));
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    while started.load(std::sync::atomic::Ordering::Acquire) < 200 {
                        match queue.next(now) {
                            Some(_running) => drop(started.fetch_add(1, std::sync::atomic::Ordering::AcqRel)),
                            None => std::thread::yield_now(),
                        }
                    }
                });
            }
        });
        assert!(queue.next(now).is_none() && queue.running() == 0);
        assert_eq!(Arc::strong_count(&queue), 1);
    }
}
