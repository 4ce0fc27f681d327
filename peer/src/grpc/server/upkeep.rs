//! Time-outs for futures, without a timer in gRPC: a thread that looks at a list every now and then.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{AbortHandle, Abortable};

/// The list of what must end by when. As long as the list of calls that are sending, and so bounded by them.
#[derive(Clone, Default)]
pub(super) struct Upkeep {
    entries: Arc<Mutex<Entries>>,
}

#[derive(Default)]
struct Entries {
    next: u64,
    by_number: BTreeMap<u64, (Instant, AbortHandle)>,
}

impl Upkeep {
    /// `future`'s output, or `None` when `timeout` passed first; then the future is dropped.
    pub(super) async fn within<F: Future>(&self, timeout: Duration, future: F) -> Option<F::Output> {
        let (handle, registration) = AbortHandle::new_pair();
        let number = self.add(Instant::now() + timeout, handle);
        let output = Abortable::new(future, registration).await.ok();
        self.lock().by_number.remove(&number);
        output
    }

    /// Ends what is overdue.
    pub(super) fn look(&self, now: Instant) {
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
