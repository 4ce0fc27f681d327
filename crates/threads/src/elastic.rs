//! Threads that come and go: counted, and waited for all together.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::lock;

/// Threads of one kind whose number changes while the process runs, such as the workers of a pool.
///
/// A thread that ends gives its stack back at once. A [`crate::Group`] keeps the handle of each of its threads until it joins
/// them, and with it the stack.
#[derive(Debug, Default)]
pub struct ElasticGroup {
    running: Mutex<usize>,
    none_running: Condvar,
}

/// Counts its thread as ended, by return or by panic.
struct CountsEnd(Arc<ElasticGroup>);

impl Drop for CountsEnd {
    fn drop(&mut self) {
        let mut running = lock(&self.0.running);
        *running -= 1;
        if *running == 0 {
            self.0.none_running.notify_all();
        }
    }
}

impl ElasticGroup {
    /// Spawns a thread under `name` (Linux shows its first 15 bytes) with a stack of `stack_bytes`. Fails when the system has no
    /// more threads.
    pub fn spawn(
        self: &Arc<Self>,
        name: impl Into<String>,
        stack_bytes: usize,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        *lock(&self.running) += 1;
        // Where the spawn fails, this is dropped with the closure, and the thread is not counted.
        let counts_end = CountsEnd(Arc::clone(self));
        let thread = Builder::new().name(name.into()).stack_size(stack_bytes);
        thread.spawn(move || {
            let _counts_end = counts_end;
            body();
        })?;
        Ok(())
    }

    /// The number of threads that have not ended.
    pub fn running(&self) -> usize {
        *lock(&self.running)
    }

    /// Waits until every thread has ended, at most `timeout`. Returns the number of threads that are left.
    pub fn wait_until_ended(&self, timeout: Duration) -> usize {
        let deadline = Instant::now() + timeout;
        let mut running = lock(&self.running);
        while *running > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            running = self.none_running.wait_timeout(running, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *running
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop_pair;

    const STACK_BYTES: usize = 64 * 1024;
    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn threads_are_counted_until_they_end() {
        let (stopper, signal) = stop_pair();
        let group = Arc::<ElasticGroup>::default();
        for _ in 0..3 {
            let signal = signal.clone();
            group.spawn("waits", STACK_BYTES, move || assert!(signal.wait(PATIENCE))).expect("a thread");
        }
        assert_eq!((group.running(), group.wait_until_ended(Duration::from_millis(1))), (3, 3));
        drop(stopper);
        assert_eq!((group.wait_until_ended(PATIENCE), group.running()), (0, 0));
    }

    #[test]
    fn a_panicked_thread_counts_as_ended() {
        let group = Arc::<ElasticGroup>::default();
        group.spawn("panics", STACK_BYTES, || std::panic::resume_unwind(Box::new("quietly"))).expect("a thread");
        assert_eq!(group.wait_until_ended(PATIENCE), 0);
    }

    #[test]
    fn an_empty_group_is_not_waited_for() {
        assert_eq!(ElasticGroup::default().wait_until_ended(PATIENCE), 0);
    }

    #[test]
    fn many_short_threads_leave_nothing_behind() {
        let group = Arc::<ElasticGroup>::default();
        let done = Arc::new(Mutex::new(0));
        for _ in 0..100 {
            let done = Arc::clone(&done);
            group.spawn("short", STACK_BYTES, move || *lock(&done) += 1).expect("a thread");
        }
        assert_eq!(group.wait_until_ended(PATIENCE), 0);
        assert_eq!(*lock(&done), 100);
    }

    #[test]
    fn a_thread_may_spawn_its_successor() {
        let group = Arc::<ElasticGroup>::default();
        let (sender, ended) = std::sync::mpsc::channel();
        let successor = Arc::clone(&group);
        let body = move || {
            successor
                .spawn("second", STACK_BYTES, move || sender.send(()).expect("the test listens"))
                .expect("a thread");
        };
        group.spawn("first", STACK_BYTES, body).expect("a thread");
        ended.recv_timeout(PATIENCE).expect("the second thread ran");
        assert_eq!(group.wait_until_ended(PATIENCE), 0);
    }

    #[test]
    fn a_thread_that_cannot_start_is_not_counted() {
        let group = Arc::<ElasticGroup>::default();
        let refused = group.spawn("huge", usize::MAX / 4, || {});
        assert!(refused.is_err(), "no machine has that much memory for a stack");
        assert_eq!(group.running(), 0);
    }
}
