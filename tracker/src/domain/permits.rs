//! A fixed number of permits for database work, granted in the order of the requests.
//!
//! Requests beyond the permits wait in a queue and not on the database's locks, which keeps the tail of latency short. The queue is fair,
//! because an unfair one starves some connections under load (docs/ARCHITECTURE.md).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_threads::Blocking;
use prometheus::Histogram;

use crate::ops::metrics::histogram;
use crate::store::StoreError;

/// The longest that a request waits for a permit.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The most requests that wait. A connection waits at most once, so this is the connection limit of the HTTP server.
const WAITING_MAX: usize = 4_096;

/// The permits.
pub struct Permits {
    state: Mutex<State>,
    waits: Histogram,
}

struct State {
    free: usize,
    waiting: VecDeque<(u64, Sender<()>)>,
    next_number: u64,
}

/// A permit. Dropping it passes it to the next request.
pub struct Permit<'a> {
    permits: &'a Permits,
}

impl Permits {
    /// Creates `count` permits, at least one.
    pub fn new(count: usize) -> Self {
        let help = "Time a request waits for its turn to work on the database.";
        let waits = histogram("peernet_database_wait_seconds", help);
        Self { state: Mutex::new(State { free: count.max(1), waiting: VecDeque::new(), next_number: 0 }), waits }
    }

    /// Returns the times that requests waited for a permit, including those that got none.
    pub fn waits(&self) -> &Histogram {
        &self.waits
    }

    /// Returns the number of requests that wait.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Waits for a permit, at most five seconds; [`StoreError::Busy`] when none came or too many wait already.
    pub fn take(&self, blocking: &Blocking) -> Result<Permit<'_>, StoreError> {
        self.take_within(blocking, WAIT_MAX)
    }

    /// Takes a permit, does `work` and passes the permit on.
    pub fn with<T>(&self, blocking: &Blocking, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let _permit = self.take(blocking)?;
        work()
    }

    fn take_within(&self, _: &Blocking, wait: Duration) -> Result<Permit<'_>, StoreError> {
        let busy = || StoreError::Busy("too many requests wait for the database");
        let (number, turn) = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                self.waits.observe(0.0);
                return Ok(Permit { permits: self });
            }
            if state.waiting.len() >= WAITING_MAX {
                return Err(busy());
            }
            state.join_queue()
        };
        let begun = Instant::now();
        let came = turn.recv_timeout(wait).is_ok() || self.lock().leave_queue(number, &turn);
        self.waits.observe(begun.elapsed().as_secs_f64());
        // Not `then_some`: it would create a permit in any case, and dropping that would pass it on.
        if came { Ok(Permit { permits: self }) } else { Err(busy()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn join_queue(&mut self) -> (u64, Receiver<()>) {
        let (hand_over, turn) = bounded(1);
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.push_back((number, hand_over));
        (number, turn)
    }

    /// Stops waiting. Returns true when the permit arrived at the same moment, because permits are passed under this lock.
    fn leave_queue(&mut self, number: u64, turn: &Receiver<()>) -> bool {
        self.waiting.retain(|(other, _)| *other != number);
        turn.try_recv().is_ok()
    }

    fn pass_on(&mut self) {
        while let Some((_, hand_over)) = self.waiting.pop_front() {
            if hand_over.try_send(()).is_ok() {
                return;
            }
        }
        self.free += 1;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.permits.lock().pass_on();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn waiting_requests_are_served_in_order() {
        let permits = Permits::new(1);
        let (order_sender, order) = bounded(8);
        std::thread::scope(|scope| {
            let first = permits.take(&Blocking::declare()).expect("one is free");
            for number in 0..4 {
                let permits = &permits;
                let order_sender = order_sender.clone();
                scope.spawn(move || {
                    let _permit =
                        permits.take_within(&Blocking::declare(), Duration::from_secs(30)).expect("its turn comes");
                    order_sender.send(number).expect("the test listens");
                });
                while permits.lock().waiting.len() <= number {
                    std::thread::yield_now();
                }
            }
            drop(first);
        });
        drop(order_sender);
        assert_eq!(order.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn timeouts_neither_lose_nor_multiply_permits() {
        let permits = Permits::new(2);
        let out = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for index in 0..8u64 {
                let permits = &permits;
                let out = &out;
                let most = &most;
                scope.spawn(move || {
                    for round in 0..500 {
                        let Ok(_permit) =
                            permits.take_within(&Blocking::declare(), Duration::from_micros((index * round) % 40))
                        else {
                            continue;
                        };
                        most.fetch_max(out.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        out.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
        let state = permits.lock();
        assert_eq!((state.free, state.waiting.len()), (2, 0));
    }
}
