//! Shared budgets: bytes of large bodies and replies, and places for streamed replies.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use peernet_threads::lock;

use crate::link::Client;

/// Bytes that all connections together may use for one purpose.
#[derive(Debug, Default)]
pub(crate) struct ByteBudget {
    used: AtomicUsize,
}

/// A part of a [`ByteBudget`], given back on drop.
#[derive(Debug)]
pub(crate) struct ByteShare<'a> {
    budget: &'a ByteBudget,
    bytes: usize,
}

impl ByteBudget {
    /// Takes `bytes`; `None` if then more than `bytes_max` were in use.
    pub(crate) fn take(&self, bytes: usize, bytes_max: usize) -> Option<ByteShare<'_>> {
        let taken = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= bytes_max);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).ok()?;
        Some(ByteShare { budget: self, bytes })
    }
}

impl Drop for ByteShare<'_> {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The places for streamed replies: a number in total and a number per client.
#[derive(Debug)]
pub(crate) struct StreamPlaces {
    total_max: usize,
    per_client_max: usize,
    taken: Mutex<HashMap<Client, usize>>,
    total: AtomicUsize,
}

/// One stream's place, given back on drop.
#[derive(Debug)]
pub(crate) struct StreamPlace {
    places: Arc<StreamPlaces>,
    client: Client,
}

impl StreamPlaces {
    pub(crate) fn new(total_max: usize, per_client_max: usize) -> Self {
        Self { total_max, per_client_max, taken: Mutex::default(), total: AtomicUsize::new(0) }
    }

    /// Takes a place for `client`; `None` if all are taken, or the client has its share.
    pub(crate) fn take(self: &Arc<Self>, client: Client) -> Option<StreamPlace> {
        let mut taken = lock(&self.taken);
        let total = self.total.load(Ordering::Relaxed);
        let of_client = taken.get(&client).copied().unwrap_or(0);
        if total >= self.total_max || of_client >= self.per_client_max {
            return None;
        }
        taken.insert(client, of_client + 1);
        self.total.store(total + 1, Ordering::Relaxed);
        Some(StreamPlace { places: Arc::clone(self), client })
    }

    /// Streams that are open now.
    pub(crate) fn open_count(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.taken);
        if let Some(of_client) = taken.get_mut(&self.client) {
            *of_client -= 1;
            if *of_client == 0 {
                taken.remove(&self.client);
            }
        }
        self.places.total.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shared_up_to_the_bound() {
        let budget = ByteBudget::default();
        let first = budget.take(60, 100).expect("the budget is unused");
        assert!(budget.take(41, 100).is_none());
        assert!(budget.take(usize::MAX, 100).is_none());
        drop(first);
        assert!(budget.take(100, 100).is_some());
    }

    #[test]
    fn streams_have_a_total_and_a_share_per_client() {
        let client = |text: &str| Client::of(Some(text.parse().expect(text)));
        let places = Arc::new(StreamPlaces::new(3, 2));
        let first = places.take(client("10.0.0.1")).expect("all are free");
        let _second = places.take(client("10.0.0.1")).expect("the client has one");
        assert!(places.take(client("10.0.0.1")).is_none(), "the client has its share");
        let _third = places.take(client("10.0.0.2")).expect("one is free");
        assert!(places.take(client("10.0.0.3")).is_none(), "all are taken");
        assert_eq!(places.open_count(), 3);
        drop(first);
        assert!(places.take(client("10.0.0.1")).is_some());
        assert_eq!(places.open_count(), 2);
    }

    #[test]
    fn a_client_without_streams_leaves_no_entry() {
        let places = Arc::new(StreamPlaces::new(3, 2));
        drop(places.take(Client::of(None)));
        assert!(lock(&places.taken).is_empty());
    }

    #[test]
    fn shares_of_a_budget_add_up_on_many_threads() {
        const THREADS: usize = 4;
        const BYTES_MAX: usize = 100;
        let budget = ByteBudget::default();
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let budget = &budget;
                let most = &most;
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let bytes = 1 + (round * 7 + thread * 13) % 60;
                        let share = budget.take(bytes, BYTES_MAX);
                        most.fetch_max(budget.used.load(Ordering::Relaxed), Ordering::Relaxed);
                        assert!(share.is_none_or(|share| share.bytes == bytes));
                    }
                });
            }
        });
        assert_eq!(budget.used.load(Ordering::Relaxed), 0, "every share came back");
        assert!(most.load(Ordering::Relaxed) <= BYTES_MAX);
    }

    #[test]
    fn an_empty_budget_gives_only_nothing() {
        let budget = ByteBudget::default();
        assert!(budget.take(1, 0).is_none());
        assert!(budget.take(0, 0).is_some());
        let all = budget.take(usize::MAX, usize::MAX).expect("nothing is in use");
        assert!(budget.take(1, usize::MAX).is_none(), "the sum does not overflow");
        drop(all);
        assert!(budget.take(1, usize::MAX).is_some());
    }
}
