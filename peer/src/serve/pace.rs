//! The upload limit: the streams and calls that wait for it, and the thread that gives them their turn.
//!
//! Neither the disk threads nor gRPC's wait here. A stream or call whose bytes do not fit yet is set aside, and the
//! disk threads go on with others. When its turn comes (`peernet_engine::serving::pacing`), this thread hands it back
//! to them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::rate_limit::Rate;
use peernet_engine::serving::pacing::{Turns, Verdict};

use super::Core;
use super::call_queue::RunningCall;
use super::stream::Stream;

/// A group that shares turns: each stream is one, and all calls of one address are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Stream(u64),
    Address(String),
}

/// A stream or call that waits. There are at most [`crate::serve::UploadLimits::streams_max`] streams, each once, and
/// as many calls as may run.
enum Job {
    Stream(Weak<Stream>),
    Call(Box<RunningCall>),
}

/// The limit of one server.
pub(super) struct Pace {
    turns: Mutex<Turns<Group, Job>>,
    /// Spares every caller the lock while there is no limit.
    is_limited: AtomicBool,
    /// The server stops: jobs that would wait are dropped.
    is_closed: AtomicBool,
    wake: Sender<()>,
    woken: Receiver<()>,
}

impl Pace {
    pub(super) fn new(now: Instant, rate: Option<Rate>) -> Self {
        let (wake, woken) = bounded(1);
        Self {
            turns: Mutex::new(Turns::new(now, rate)),
            is_limited: AtomicBool::new(rate.is_some()),
            is_closed: AtomicBool::new(false),
            wake,
            woken,
        }
    }

    pub(super) fn set_rate(&self, now: Instant, rate: Option<Rate>) {
        let mut turns = self.lock();
        turns.set_rate(now, rate);
        // The thread serves the jobs that wait in any case.
        self.is_limited.store(rate.is_some(), Ordering::Release);
        drop(turns);
        self.wake();
    }

    pub(super) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Acquire)
    }

    /// Returns how many of `len` bytes a stream may send now. `None`: it has to wait, and [`Stream::turn`] comes later.
    pub(super) fn ask(&self, now: Instant, number: u64, stream: &Weak<Stream>, len: u32) -> Option<u32> {
        if !self.is_limited() {
            return Some(len);
        }
        let job = Job::Stream(Weak::clone(stream));
        let verdict = self.lock().ask(now, Group::Stream(number), job, u64::from(len), true);
        match verdict {
            Verdict::Now(bytes, _) => Some(narrow(bytes)),
            Verdict::Later => {
                self.wake();
                None
            }
        }
    }

    /// Returns the call when its `len` bytes may be sent now. Otherwise it waits and is resumed later.
    pub(super) fn ask_for_call(&self, now: Instant, running: RunningCall, len: u32) -> Option<RunningCall> {
        let group = Group::Address(running.call.address.clone());
        let job = Job::Call(Box::new(running));
        let verdict = self.lock().ask(now, group, job, u64::from(len), false);
        if let Verdict::Now(_, Job::Call(running)) = verdict {
            return Some(*running);
        }
        match self.is_closed.load(Ordering::Acquire) {
            true => self.close(),
            false => self.wake(),
        }
        None
    }

    /// Takes back bytes that were allowed and are not sent after all.
    pub(super) fn give_back(&self, now: Instant, len: u32) {
        if len > 0 && self.is_limited() {
            self.lock().give_back(now, u64::from(len));
        }
    }

    /// Forgets a stream that is no more.
    pub(super) fn forget(&self, now: Instant, number: u64) {
        if self.is_limited() {
            self.lock().forget(now, &Group::Stream(number));
        }
    }

    /// Drops the jobs that wait, now and from now on. Their callers are told that this peer stops.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let waiting = self.lock().clear();
        // The lock is free here, because the end of a job may take it.
        drop(waiting);
    }

    /// Number of jobs that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting()
    }

    fn wake(&self) {
        // A full channel is a wake-up that is still to be seen.
        let _ = self.wake.try_send(());
    }

    fn lock(&self) -> MutexGuard<'_, Turns<Group, Job>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands out turns, until `stop` is closed.
pub(super) fn keep(core: &Core, stop: &Receiver<()>) {
    let pace = &core.pace;
    loop {
        let now = Instant::now();
        let turn = pace.lock().next(now);
        if let Some((job, bytes)) = turn {
            hand_over(core, now, job, narrow(bytes));
            continue;
        }
        let due = pace.lock().deadline();
        let timer = due.map_or_else(crossbeam_channel::never, crossbeam_channel::at);
        crossbeam_channel::select! {
            recv(timer) -> _ => {}
            recv(pace.woken) -> _ => {}
            recv(stop) -> _ => return,
        }
    }
}

fn hand_over(core: &Core, now: Instant, job: Job, len: u32) {
    match job {
        Job::Stream(stream) => match stream.upgrade() {
            Some(stream) => stream.turn(now, len),
            None => core.pace.give_back(now, len),
        },
        Job::Call(mut running) => {
            running.call.allowance = len;
            core.calls.queue.resume(*running);
        }
    }
}

/// A job asks for no more than a chunk, which fits.
fn narrow(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
