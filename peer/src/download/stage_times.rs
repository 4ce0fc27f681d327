//! The time that the threads of one download spend in each stage, from which the bottleneck is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peernet_engine::bottleneck::Spent;

/// Sums over all threads of a download, counted with relaxed atomics because they are on the path of every block.
#[derive(Debug)]
pub(crate) struct StageTimes {
    begun: Instant,
    /// Nanoseconds, like the next two.
    disk: AtomicU64,
    own_limit: AtomicU64,
    hashing: AtomicU64,
    waits: Mutex<Waits>,
}

/// Waits for sources. Those that are still going on count too, because the user should see that a source is silent.
#[derive(Debug, Default)]
struct Waits {
    ended: Duration,
    going_on: u32,
    /// The sum of the beginnings of those that go on, counted from the beginning of the download.
    begun: Duration,
}

impl Default for StageTimes {
    fn default() -> Self {
        let disk = AtomicU64::new(0);
        let own_limit = AtomicU64::new(0);
        let hashing = AtomicU64::new(0);
        Self { begun: Instant::now(), disk, own_limit, hashing, waits: Mutex::default() }
    }
}

impl StageTimes {
    pub(crate) fn disk(&self, span: Duration) {
        add(&self.disk, span);
    }

    pub(crate) fn hashing(&self, span: Duration) {
        add(&self.hashing, span);
    }

    /// Runs a short wait for the user's rate limit.
    pub(crate) fn while_held_back<T>(&self, wait: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let out = wait();
        add(&self.own_limit, begun.elapsed());
        out
    }

    /// Runs a wait for a source.
    pub(crate) fn while_waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        let begun = self.begun.elapsed();
        {
            let mut waits = self.waits();
            waits.going_on += 1;
            waits.begun += begun;
        }
        let out = wait();
        let now = self.begun.elapsed();
        let mut waits = self.waits();
        waits.going_on -= 1;
        waits.begun -= begun;
        waits.ended += now.saturating_sub(begun);
        out
    }

    /// The sums so far.
    pub(crate) fn sums(&self) -> Spent {
        let read = |counter: &AtomicU64| Duration::from_nanos(counter.load(Ordering::Relaxed));
        let waits = self.waits();
        let going_on = (self.begun.elapsed() * waits.going_on).saturating_sub(waits.begun);
        Spent {
            disk: read(&self.disk),
            sources: waits.ended + going_on,
            own_limit: read(&self.own_limit),
            hashing: read(&self.hashing),
        }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counter: &AtomicU64, span: Duration) {
    counter.fetch_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_goes_on_is_counted_once() {
        let counters = StageTimes::default();
        let pause = Duration::from_millis(30);
        let a_while = || {
            let _a_moment = crossbeam_channel::after(pause).recv();
        };
        let within = counters.while_waiting(|| {
            a_while();
            counters.sums().sources
        });
        assert!(within >= pause);
        let after = counters.sums().sources;
        assert!(after >= within);
        counters.while_held_back(a_while);
        assert_eq!(counters.sums().sources, after);
        assert!(counters.sums().own_limit >= pause);
    }
}
