//! The queue of single calls in front of the disk threads: who is served next is the engine's to say, fairly between
//! callers, so that one that asks for a thousand chunks does not hold up one that asks for one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::serving::admission::{Admission, JobId, Limits, PeerKey, Verdict};

use super::calls::Call;
use crate::upload::UploadLimits;

/// Calls of one server that wait or are being served.
pub(super) struct Waiting {
    state: Mutex<State>,
    wake: Sender<()>,
    woken: Receiver<()>,
}

struct State {
    admission: Admission,
    calls: BTreeMap<JobId, Call>,
    /// Running ones that waited for the upload limit and may go on. No more than may run.
    resumed: VecDeque<(Call, Running)>,
    next: u64,
}

/// A call being served, until its answer is with gRPC: dropping it makes room for the next.
pub(super) struct Running {
    waiting: Arc<Waiting>,
    job: JobId,
}

impl Waiting {
    pub(super) fn new(limits: &UploadLimits) -> Self {
        let (wake, woken) = bounded(1);
        let queued_max = limits.calls_waiting_max;
        let of_engine = Limits::default();
        let admission = Admission::new(Limits {
            queued_max,
            queued_per_peer_max: of_engine.queued_per_peer_max.min(queued_max),
            wait_max: limits.call_wait_max,
            ..of_engine
        });
        Self {
            state: Mutex::new(State { admission, calls: BTreeMap::new(), resumed: VecDeque::new(), next: 0 }),
            wake,
            woken,
        }
    }

    /// Queues a call; false when there is no room, and then the call is dropped.
    pub(super) fn enqueue(&self, call: Call) -> bool {
        let mut state = self.lock();
        let job = JobId(state.next);
        state.next += 1;
        match state.admission.enqueue(Instant::now(), job, PeerKey(call.address.clone())) {
            Verdict::Full => false,
            Verdict::Accepted => {
                state.calls.insert(job, call);
                drop(state);
                self.wake();
                true
            }
        }
    }

    /// Becomes ready when [`Waiting::next`] may have something.
    pub(super) fn woken(&self) -> &Receiver<()> {
        &self.woken
    }

    /// The next call to serve now.
    pub(super) fn next(self: &Arc<Self>) -> Option<(Call, Running)> {
        let mut state = self.lock();
        if let Some(resumed) = state.resumed.pop_front() {
            return Some(resumed);
        }
        let job = state.admission.next(Instant::now())?;
        let call = state.calls.remove(&job)?;
        drop(state);
        // There may be one for another disk thread as well.
        self.wake();
        Some((call, Running { waiting: Arc::clone(self), job }))
    }

    /// How many calls are served now.
    pub(super) fn running(&self) -> usize {
        self.lock().admission.running()
    }

    /// A running call goes on.
    pub(super) fn resume(&self, call: Call, running: Running) {
        self.lock().resumed.push_back((call, running));
        self.wake();
    }

    /// Drops the calls that nobody is there any more to resume: they know this queue, and would keep it for ever.
    pub(super) fn close(&self) {
        let resumed = std::mem::take(&mut self.lock().resumed);
        // Without the lock, which their end takes.
        drop(resumed);
    }

    /// The calls that waited too long.
    pub(super) fn expired(&self) -> Vec<Call> {
        let mut state = self.lock();
        let jobs = state.admission.expired(Instant::now());
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

impl Drop for Running {
    fn drop(&mut self) {
        self.waiting.lock().admission.finished(self.job);
        self.waiting.wake();
    }
}

/// The caller as people write it.
pub(super) fn readable(peer: &str) -> String {
    let address = peer.split_once(':').map_or(peer, |(_, address)| address);
    address.replace("%5B", "[").replace("%5D", "]")
}

/// gRPC names a caller `ipv4:1.2.3.4:567` or `ipv6:%5B::1%5D:567`.
pub(super) fn without_port(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_told_apart_by_address_and_shown_as_people_write_them() {
        for (peer, without, shown) in [
            ("ipv4:1.2.3.4:567", "ipv4:1.2.3.4", "1.2.3.4:567"),
            ("ipv6:%5B::1%5D:567", "ipv6:%5B::1%5D", "[::1]:567"),
            ("", "", ""),
        ] {
            assert_eq!((without_port(peer), readable(peer).as_str()), (without, shown));
        }
    }
}
