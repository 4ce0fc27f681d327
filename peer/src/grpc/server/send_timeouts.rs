//! Time-outs for sends. gRPC has no timer for them, so a thread looks at a list now and then.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{AbortHandle, Abortable};

/// The sends under way, each with its time-out. There is at most one for each call, so the list is bounded. All clones
/// are one list.
#[derive(Clone, Default)]
pub(super) struct SendTimeouts {
    entries: Arc<Mutex<Entries>>,
}

#[derive(Default)]
struct Entries {
    next: u64,
    by_number: BTreeMap<u64, (Instant, AbortHandle)>,
}

impl SendTimeouts {
    /// Returns the output of `future`, or `None` when `timeout` passed first; then the future is dropped.
    pub(super) async fn within<F: Future>(&self, timeout: Duration, future: F) -> Option<F::Output> {
        let (handle, registration) = AbortHandle::new_pair();
        let number = self.add(Instant::now() + timeout, handle);
        let output = Abortable::new(future, registration).await.ok();
        self.lock().by_number.remove(&number);
        output
    }

    /// Ends the sends that are overdue.
    pub(super) fn end_overdue(&self, now: Instant) {
        let overdue: Vec<AbortHandle> = {
            let entries = self.lock();
            entries.by_number.values().filter(|(due, _)| *due <= now).map(|(_, handle)| handle.clone()).collect()
        };
        for handle in overdue {
            handle.abort();
        }
    }

    fn add(&self, due: Instant, handle: AbortHandle) -> u64 {
        let mut entries = self.lock();
        let number = entries.next;
        entries.next += 1;
        entries.by_number.insert(number, (due, handle));
        number
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
