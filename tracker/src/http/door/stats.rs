//! What the door counts, for metrics and for tests.

use std::sync::atomic::{AtomicU64, Ordering};

use super::admission::Admission;

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
pub(super) struct Counters {
    pub(super) connections: Count,
    pub(super) turned_away_full: Count,
    pub(super) turned_away_address: Count,
    pub(super) accept_errors: Count,
    pub(super) requests: Count,
    pub(super) refused: Count,
    pub(super) timeouts: Count,
    pub(super) write_failures: Count,
    pub(super) panics: Count,
}

impl Counters {
    pub(super) fn snapshot(&self, admission: &Admission) -> DoorStats {
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
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
