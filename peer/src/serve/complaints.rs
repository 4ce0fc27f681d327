//! Complaints of callers that a chunk came whole and wrong. A thread of their own checks them, which holds up no call.
//!
//! A file may keep its size and time while its bytes change: a disk forgets, or a program writes in place and sets the
//! time back. Peers that are sent such bytes notice first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::ids::ChunkIndex;
use peernet_engine::serving::admission::PeerKey;
use peernet_engine::serving::complaints::{self as engine, Limits, Verdict};

use super::Core;
use super::caller::without_port;
use super::counters::ComplaintCounts;
use crate::files::SharedFile;

/// Chunks that wait to be read again. The engine's bounds are reached long before. A complaint that finds the queue
/// full is counted and not checked.
const CHECKS_WAITING_MAX: usize = 64;

/// The complaints of one server.
pub(super) struct Complaints {
    admission: Mutex<engine::Complaints>,
    checks: Sender<Check>,
    waiting: Receiver<Check>,
    received: AtomicU64,
    checked: AtomicU64,
    upheld: AtomicU64,
}

/// A chunk to be read again.
struct Check {
    file: Arc<SharedFile>,
    chunk: ChunkIndex,
}

impl Complaints {
    pub(super) fn new() -> Self {
        let (checks, waiting) = bounded(CHECKS_WAITING_MAX);
        Self {
            admission: Mutex::new(engine::Complaints::new(Limits::default())),
            checks,
            waiting,
            received: AtomicU64::new(0),
            checked: AtomicU64::new(0),
            upheld: AtomicU64::new(0),
        }
    }

    /// Counts complaints that were received.
    pub(super) fn count(&self, received: u64) {
        self.received.fetch_add(received, Ordering::Relaxed);
    }

    /// Queues those of these chunks that are to be read again. `address` is the caller's. Does not block.
    pub(super) fn admit(&self, now: Instant, address: &str, file: &Arc<SharedFile>, chunks: &[ChunkIndex]) {
        let caller = PeerKey(without_port(address).to_owned());
        for chunk in chunks {
            let verdict = self.admission().admit(now, &caller, file.manifest().id(), *chunk);
            if verdict == Verdict::Check {
                // A full queue drops the complaint: see `CHECKS_WAITING_MAX`.
                let _ = self.checks.try_send(Check { file: Arc::clone(file), chunk: *chunk });
            }
        }
    }

    pub(super) fn counts(&self) -> ComplaintCounts {
        ComplaintCounts {
            received: self.received.load(Ordering::Relaxed),
            checked: self.checked.load(Ordering::Acquire),
            upheld: self.upheld.load(Ordering::Relaxed),
        }
    }

    fn admission(&self) -> MutexGuard<'_, engine::Complaints> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks one complaint after the other, until `stop` is closed.
pub(super) fn check_all(core: &Core, stop: &Receiver<()>) {
    loop {
        crossbeam_channel::select! {
            recv(core.complaints.waiting) -> check => match check {
                Ok(check) => check_one(core, &check),
                Err(_) => return,
            },
            recv(stop) -> _ => return,
        }
    }
}

fn check_one(core: &Core, Check { file, chunk }: &Check) {
    if !file.holds(*chunk) {
        return;
    }
    match file.is_as_hashed(*chunk) {
        Ok(true) => {}
        Ok(false) => {
            core.complaints.upheld.fetch_add(1, Ordering::Relaxed);
            core.catalog.withdraw_altered(file, *chunk);
        }
        Err(_) => core.catalog.withdraw_unreadable(file),
    }
    core.complaints.checked.fetch_add(1, Ordering::Release);
}
