//! Counters of the process since its start, for metrics and statistics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    by_class: [AtomicU64; 6],
    /// Accounts that were made.
    pub registered: AtomicU64,
    /// Successful logins.
    pub logged_in: AtomicU64,
    /// Logins with a wrong password or an unknown account.
    pub login_failed: AtomicU64,
}

impl Counters {
    /// Counts an answer by its status.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).min(self.by_class.len() - 1);
        self.by_class[class].fetch_add(1, Ordering::Relaxed);
    }

    /// The number of answers with a status of this class: 2 for 2xx and so on, up to 5.
    pub fn answers(&self, class: usize) -> u64 {
        self.by_class.get(class).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Adds one to a counter.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_the_class_of_their_status() {
        let counters = Counters::default();
        for status in [100, 200, 201, 204, 304, 400, 404, 499, 500, 503, 599, 600, u16::MAX, 7] {
            counters.answered(status);
        }
        let counts: Vec<u64> = (0..7).map(|class| counters.answers(class)).collect();
        assert_eq!(counts, [1, 1, 3, 1, 3, 5, 0], "a status past 5xx counts as 5xx");
    }

    #[test]
    fn counters_of_events_are_independent() {
        let counters = Counters::default();
        Counters::count(&counters.registered);
        Counters::count(&counters.login_failed);
        Counters::count(&counters.login_failed);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((read(&counters.registered), read(&counters.logged_in), read(&counters.login_failed)), (1, 0, 2));
    }
}
