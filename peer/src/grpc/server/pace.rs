//! The upload limit: who waits for it, and the thread that hands over what became free.
//!
//! Neither the disk threads nor gRPC's wait here. A stream or call whose bytes do not fit yet is put down, and the disk
//! threads go on with others; when it is its turn (`engine::serving::pacing::Turns`), this thread gives it back to them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::rate_limit::Rate;
use peernet_engine::serving::pacing::{Turns, Verdict};

use super::Core;
use super::calls::Call;
use super::stream::Stream;
use super::waiting::Running;

/// Who shares a turn: every stream has its own, the calls of one address share one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Payer {
    Stream(u64),
    Caller(String),
}

/// What waits. At most [`crate::upload::UploadLimits::streams_max`] streams, each once, and as many calls as may run.
enum Job {
    Stream(Weak<Stream>),
    Call(Box<Call>, Running),
}

/// The limit of one server.
pub(super) struct Pace {
    turns: Mutex<Turns<Payer, Job>>,
    /// Spares everyone the lock while there is no limit.
    is_limited: AtomicBool,
    /// The server stops: whoever has to wait is dropped.
    is_closed: AtomicBool,
    wake: Sender<()>,
    woken: Receiver<()>,
}

impl Pace {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        let (wake, woken) = bounded(1);
        let turns = Mutex::new(Turns::new(Instant::now(), rate));
        let (is_limited, is_closed) = (AtomicBool::new(rate.is_some()), AtomicBool::new(false));
        Self { turns, is_limited, is_closed, wake, woken }
    }

    pub(super) fn set_rate(&self, rate: Option<Rate>) {
        let mut turns = self.lock();
        turns.set_rate(Instant::now(), rate);
        // Those who wait are let go by the thread in any case.
        self.is_limited.store(rate.is_some(), Ordering::Release);
        drop(turns);
        self.wake();
    }

    pub(super) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Acquire)
    }

    /// How many of `len` bytes the stream may send now; `None` when it has to wait, and [`Stream::turn`] comes later.
    pub(super) fn ask(&self, number: u64, stream: &Weak<Stream>, len: u32) -> Option<u32> {
        if !self.is_limited() {
            return Some(len);
        }
        let job = Job::Stream(Weak::clone(stream));
        let verdict = self.lock().ask(Instant::now(), Payer::Stream(number), job, u64::from(len), true);
        match verdict {
            Verdict::Now(bytes, _) => Some(narrow(bytes)),
            Verdict::Later => {
                self.wake();
                None
            }
        }
    }

    /// The call, when its `len` bytes may be sent now; otherwise it waits and is resumed later.
    pub(super) fn ask_for_call(&self, call: Call, running: Running, len: u32) -> Option<(Call, Running)> {
        let (payer, job) = (Payer::Caller(call.address.clone()), Job::Call(Box::new(call), running));
        let verdict = self.lock().ask(Instant::now(), payer, job, u64::from(len), false);
        if let Verdict::Now(_, Job::Call(call, running)) = verdict {
            return Some((*call, running));
        }
        match self.is_closed.load(Ordering::Acquire) {
            true => self.close(),
            false => self.wake(),
        }
        None
    }

    /// Bytes that were allowed and are not sent after all.
    pub(super) fn give_back(&self, len: u32) {
        if len > 0 && self.is_limited() {
            self.lock().give_back(Instant::now(), u64::from(len));
        }
    }

    /// The stream is no more.
    pub(super) fn forget(&self, number: u64) {
        if self.is_limited() {
            self.lock().forget(Instant::now(), &Payer::Stream(number));
        }
    }

    /// Drops what waits, now and from now on; its callers are told that this peer stops.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let waiting = self.lock().clear();
        // Without the lock: what is dropped may come back to ask.
        drop(waiting);
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting()
    }

    fn wake(&self) {
        // A full channel is a wake-up that is still to be seen.
        let _ = self.wake.try_send(());
    }

    fn lock(&self) -> MutexGuard<'_, Turns<Payer, Job>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread: until `stop` is dropped.
pub(super) fn keep(core: &Core, stop: &Receiver<()>) {
    let pace = &core.pace;
    loop {
        let turn = pace.lock().next(Instant::now());
        if let Some((job, bytes)) = turn {
            hand_over(core, job, narrow(bytes));
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

fn hand_over(core: &Core, job: Job, len: u32) {
    match job {
        Job::Stream(stream) => match stream.upgrade() {
            Some(stream) => stream.turn(len),
            None => core.pace.give_back(len),
        },
        Job::Call(call, running) => core.waiting.resume(Call { paid: len, ..*call }, running),
    }
}

/// Nobody asks for more than a chunk.
fn narrow(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
