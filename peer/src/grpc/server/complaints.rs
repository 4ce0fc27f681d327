//! Complaints of callers that a chunk came whole and wrong: heard on the completion-queue thread, looked into on a thread
//! of their own, which holds up nobody.
//!
//! Size and time of a file may be what they were while its bytes are not: a disk forgets, a program writes in place and
//! sets the time back. The peers who are sent such bytes notice first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::ids::ChunkIndex;
use peernet_engine::serving::admission::PeerKey;
use peernet_engine::serving::complaints::{self as engine, Limits, Verdict};

use super::Core;
use super::waiting::without_port;
use crate::upload::Held;

/// Chunks to be read again that wait for the thread; the engine's bounds are reached long before. Full: what comes is
/// counted and not looked into.
const CHECKS_WAITING_MAX: usize = 64;

/// What one server heard.
pub(super) struct Complaints {
    admission: Mutex<engine::Complaints>,
    checks: Sender<Check>,
    waiting: Receiver<Check>,
    heard: AtomicU64,
    checked: AtomicU64,
    upheld: AtomicU64,
}

struct Check {
    held: Arc<Held>,
    chunk: ChunkIndex,
}

impl Complaints {
    pub(super) fn new() -> Self {
        let (checks, waiting) = bounded(CHECKS_WAITING_MAX);
        let admission = Mutex::new(engine::Complaints::new(Limits::default()));
        let (heard, checked, upheld) = Default::default();
        Self { admission, checks, waiting, heard, checked, upheld }
    }

    /// Counts complaints that were received.
    pub(super) fn count(&self, received: u64) {
        self.heard.fetch_add(received, Ordering::Relaxed);
    }

    /// Queues those of these chunks of `held` that are to be read again. `address` is the caller's. Does not block.
    pub(super) fn hear(&self, now: Instant, address: &str, held: &Arc<Held>, chunks: &[ChunkIndex]) {
        let caller = PeerKey(without_port(address).to_owned());
        for chunk in chunks {
            let verdict = self.admission().admit(now, &caller, held.manifest().id(), *chunk);
            if verdict == Verdict::Check {
                // A full queue drops the complaint: see `CHECKS_WAITING_MAX`.
                let _ = self.checks.try_send(Check { held: Arc::clone(held), chunk: *chunk });
            }
        }
    }

    fn admission(&self) -> MutexGuard<'_, engine::Complaints> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many were heard, how many chunks were read again for them, and how many of these were wrong here.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (of(&self.heard), of(&self.checked), of(&self.upheld))
    }
}

/// The thread: looks into one complaint after the other.
pub(super) fn look_into(core: &Core, stop: &Receiver<()>) {
    loop {
        crossbeam_channel::select! {
            recv(core.complaints.waiting) -> check => match check {
                Ok(Check { held, chunk }) => look_at(core, &held, chunk),
                Err(_) => return,
            },
            recv(stop) -> _ => return,
        }
    }
}

fn look_at(core: &Core, held: &Held, chunk: ChunkIndex) {
    if !held.holds(chunk) {
        return;
    }
    let right = held.is_as_hashed(chunk);
    if let Ok(false) = right {
        core.complaints.upheld.fetch_add(1, Ordering::Relaxed);
        core.shelf.altered(held, chunk);
    }
    if right.is_err() {
        core.shelf.spoiled(held);
    }
    core.complaints.checked.fetch_add(1, Ordering::Release);
}
