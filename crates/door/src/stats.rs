//! What the door counts, for metrics and for tests.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::admission::Admission;

/// Counts since the door was opened, but for `connections_open` and `connections_waiting`, which are gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DoorStats {
    /// Connections open now.
    pub connections_open: usize,
    /// Connections that wait now for another one of their client to end.
    pub connections_waiting: usize,
    /// Connections admitted.
    pub connections: u64,
    /// Connections turned away because the door was full.
    pub turned_away_full: u64,
    /// Connections turned away because their address had too many, at once or after waiting.
    pub turned_away_address: u64,
    /// Failed accepts, and connections that could not be taken in.
    pub accept_errors: u64,
    /// Requests handed to the service.
    pub requests: u64,
    /// Requests refused before the service saw them, timeouts included.
    pub refused: u64,
    /// Requests whose head or body did not arrive in time.
    pub timeouts: u64,
    /// Answers that could not be written, or not in time.
    pub write_failures: u64,
    /// Panics of the service, which are answered 500, and of the door's threads, of which there should be none.
    pub panics: u64,
}

/// The counters behind [`DoorStats`].
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) connections: Count,
    pub(crate) turned_away_full: Count,
    pub(crate) turned_away_address: Count,
    pub(crate) accept_errors: Count,
    pub(crate) requests: Count,
    pub(crate) refused: Count,
    pub(crate) timeouts: Count,
    pub(crate) write_failures: Count,
    pub(crate) panics: Count,
}

impl Counters {
    pub(crate) fn snapshot(&self, admission: &Admission) -> DoorStats {
        DoorStats {
            connections_open: admission.open_count(),
            connections_waiting: admission.waiting_count(),
            connections: self.connections.value(),
            turned_away_full: self.turned_away_full.value(),
            turned_away_address: self.turned_away_address.value(),
            accept_errors: self.accept_errors.value(),
            requests: self.requests.value(),
            refused: self.refused.value(),
            timeouts: self.timeouts.value(),
            write_failures: self.write_failures.value(),
            panics: self.panics.value(),
        }
    }
}

/// One counter; orders nothing.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
