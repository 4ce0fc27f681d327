//! Where the threads of one download spend their time, counted as cheaply as it can be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peernet_engine::bottleneck::Spent;

/// Sums over all threads of a download.
#[derive(Debug)]
pub(crate) struct SpentCounters {
    begun: Instant,
    /// In nanoseconds, like the next two.
    disk: AtomicU64,
    own_limit: AtomicU64,
    hashing: AtomicU64,
    waits: Mutex<Waits>,
}

/// Waits for sources. They may be long, and those that go on count too: a silent source is what is to be seen.
#[derive(Debug, Default)]
struct Waits {
    over: Duration,
    going_on: u32,
    /// The sum of their beginnings, from that of the download.
    begun: Duration,
}

impl Default for SpentCounters {
    fn default() -> Self {
        let (disk, own_limit, hashing) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { begun: Instant::now(), disk, own_limit, hashing, waits: Mutex::default() }
    }
}

impl SpentCounters {
    pub(crate) fn disk(&self, span: Duration) {
        add(&self.disk, span);
    }

    pub(crate) fn hashing(&self, span: Duration) {
        add(&self.hashing, span);
    }

    /// Runs what waits for the user's limit: short waits.
    pub(crate) fn while_held_back<T>(&self, wait: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let out = wait();
        add(&self.own_limit, begun.elapsed());
        out
    }

    /// Runs what waits for a source.
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
        waits.over += now.saturating_sub(begun);
        out
    }

    /// The sums so far.
    pub(crate) fn sums(&self) -> Spent {
        let read = |counter: &AtomicU64| Duration::from_nanos(counter.load(Ordering::Relaxed));
        let waits = self.waits();
        let going_on = (self.begun.elapsed() * waits.going_on).saturating_sub(waits.begun);
        Spent {
            disk: read(&self.disk),
            sources: waits.over + going_on,
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
    fn a_wait_that_goes_on_is_counted_and_once() {
        let counters = SpentCounters::default();
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
