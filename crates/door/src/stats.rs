//! Counters of the door, for metrics and for tests.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::door::Shared;

/// Counters since the door was opened, and gauges (`…_open`, `connections_waiting`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DoorStats {
    /// Connections open now.
    pub connections_open: usize,
    /// Connections that wait now for another one of their client to end.
    pub connections_waiting: usize,
    /// Streamed replies open now.
    pub streams_open: usize,
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
    /// Requests refused before the service saw them, timeouts included, and streams beyond their limits.
    pub refused: u64,
    /// Requests whose head or body did not arrive in time.
    pub timeouts: u64,
    /// Replies that could not be written, or not in time.
    pub write_failures: u64,
    /// Streamed replies begun.
    pub streams: u64,
    /// Streamed replies cut because their client stalled or their producer was silent.
    pub streams_cut: u64,
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
    pub(crate) streams: Count,
    pub(crate) streams_cut: Count,
    pub(crate) panics: Count,
}

impl Shared {
    pub(crate) fn stats(&self) -> DoorStats {
        let counters = &self.counters;
        DoorStats {
            connections_open: self.admission.open_count(),
            connections_waiting: self.admission.waiting_count(),
            streams_open: self.streams.open_count(),
            connections: counters.connections.value(),
            turned_away_full: counters.turned_away_full.value(),
            turned_away_address: counters.turned_away_address.value(),
            accept_errors: counters.accept_errors.value(),
            requests: counters.requests.value(),
            refused: counters.refused.value(),
            timeouts: counters.timeouts.value(),
            write_failures: counters.write_failures.value(),
            streams: counters.streams.value(),
            streams_cut: counters.streams_cut.value(),
            panics: counters.panics.value(),
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
