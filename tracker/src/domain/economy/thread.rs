//! The thread "reputation": settles the queued events in one transaction, then answers every waiting request.
//!
//! Each job has a requester that waits. A batch is what is queued at the moment, up to its bound, so batches grow with
//! load and no job waits for company.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, select};
use peernet_engine::economy::{Event, LedgerRow, Needs, Outcome, TICKET_GRACE, WorkingSet, needs};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;

use super::memory::CachedTicket;
use super::{Answer, Inbox, Job, Shared, or_log};
use crate::ops::log;
use crate::store::StoreError;

/// The most events of one batch. It bounds the transaction and the wait of its requesters.
const EVENTS_PER_BATCH_MAX: usize = 1_000;
/// How often expired tickets are closed.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// The most expired tickets closed at a time; the next round closes the rest.
const SWEEP_MAX: usize = 1_000;
/// How often the dividend is tried; the store pays it once a day.
const DIVIDEND_EVERY: Duration = Duration::from_secs(3_600);

/// Runs until `stop` is disconnected and what was queued before has been answered.
pub fn run(inbox: Inbox, stop: &Receiver<()>) {
    let Inbox { jobs, shared } = inbox;
    let (mut swept_at, mut paid_at, mut left_over) = (Instant::now(), None, None);
    loop {
        match left_over.take().map_or_else(|| next(&jobs, stop), Next::Job) {
            Next::Job(first) => left_over = shared.settle_with(first, &jobs),
            Next::Idle => {}
            Next::Stop => break,
        }
        if swept_at.elapsed() >= SWEEP_EVERY {
            swept_at = Instant::now();
            shared.close_expired();
            shared.pay_dividend(&mut paid_at);
        }
    }
    left_over = jobs.try_recv().ok();
    while let Some(job) = left_over {
        left_over = shared.settle_with(job, &jobs).or_else(|| jobs.try_recv().ok());
    }
}

enum Next {
    Job(Job),
    Idle,
    Stop,
}

fn next(jobs: &Receiver<Job>, stop: &Receiver<()>) -> Next {
    select! {
        recv(jobs) -> job => job.map_or(Next::Stop, Next::Job),
        recv(stop) -> _ => Next::Stop,
        default(SWEEP_EVERY) => Next::Idle,
    }
}

/// The changes that the memory takes in after a commit.
#[derive(Default)]
struct Committed {
    outcomes: Vec<Outcome>,
    ledgers: Vec<LedgerRow>,
    tickets: Vec<((PeerId, FileHash), Option<CachedTicket>)>,
    demotions: Vec<(PeerId, PeerId, UnixMillis)>,
}

impl Shared {
    /// Settles `first` and the queued jobs that fit. Returns a job that did not fit.
    fn settle_with(&self, first: Job, queued: &Receiver<Job>) -> Option<Job> {
        let mut batch = vec![first];
        let mut count = batch[0].events.len();
        let mut left_over = None;
        while left_over.is_none()
            && let Ok(job) = queued.try_recv()
        {
            if count + job.events.len() > EVENTS_PER_BATCH_MAX {
                left_over = Some(job);
            } else {
                count += job.events.len();
                batch.push(job);
            }
        }
        self.settle(batch);
        left_over
    }

    fn settle(&self, mut batch: Vec<Job>) {
        let sizes: Vec<usize> = batch.iter().map(|job| job.events.len()).collect();
        let events: Vec<Event> = batch.iter_mut().flat_map(|job| std::mem::take(&mut job.events)).collect();
        // A panic rolled the transaction back. The thread goes on, because no other thread settles.
        let done = catch_unwind(AssertUnwindSafe(|| self.commit(&events)));
        match done.unwrap_or_else(|_| Err(panicked())) {
            Ok(mut outcomes) => {
                for (job, size) in batch.into_iter().zip(sizes) {
                    let rest = outcomes.split_off(size.min(outcomes.len()));
                    answer(job, Ok(std::mem::replace(&mut outcomes, rest)));
                }
            }
            Err(refusal) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                batch.into_iter().for_each(|job| answer(job, Err(refusal.clone())));
            }
        }
    }

    /// Settles the events in one transaction, and updates the memory only after its commit.
    fn commit(&self, events: &[Event]) -> Answer {
        let (now, needs) = ((self.clock)(), needs(events));
        let mut committed = Committed::default();
        self.store.settle(&needs, &mut |set| {
            let outcomes = set.apply_batch(now, &self.rules, events);
            committed = Committed::of(set, &needs, now, outcomes);
            set.changes()
        })?;
        self.counters.batches.fetch_add(1, Ordering::Relaxed);
        self.counters.events.fetch_add(events.len() as u64, Ordering::Relaxed);
        Ok(self.remember(now, committed))
    }

    fn remember(&self, now: UnixMillis, committed: Committed) -> Vec<Outcome> {
        let ignored = committed.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Ignored(_))).count();
        self.counters.ignored.fetch_add(ignored as u64, Ordering::Relaxed);
        for row in committed.ledgers {
            self.memory.keep_ledger(now, row.peer, Some(row));
        }
        for (key, ticket) in committed.tickets {
            self.memory.keep_ticket(key, ticket);
        }
        for (caller, target, until) in committed.demotions {
            self.memory.keep_demotion(caller, target, until);
        }
        committed.outcomes
    }

    /// Closes expired tickets and returns their escrow.
    pub(super) fn close_expired(&self) {
        // The rules refuse to close a ticket within its grace period, so only older ones are asked for.
        let before = (self.clock)().minus(TICKET_GRACE);
        let expired = or_log(self.store.expired_tickets(before, SWEEP_MAX), "expired tickets could not be read");
        if expired.is_empty() {
            return;
        }
        let events = expired.into_iter().map(|(account, file_hash)| Event::CloseExpired { account, file_hash });
        let (nobody, _) = bounded(1);
        self.settle(vec![Job { events: events.collect(), answer: nobody }]);
    }

    fn pay_dividend(&self, paid_at: &mut Option<Instant>) {
        if paid_at.is_some_and(|at| at.elapsed() < DIVIDEND_EVERY) {
            return;
        }
        *paid_at = Some(Instant::now());
        match self.store.pay_dividend((self.clock)()) {
            Ok(0) => {}
            Ok(paid_mt) => log::info("reputation", "dividend paid", &[("mt", &paid_mt)]),
            Err(error) => log::warn("reputation", "the dividend waits", &[("why", &error)]),
        }
    }
}

impl Committed {
    fn of(set: &WorkingSet, needs: &Needs, now: UnixMillis, outcomes: Vec<Outcome>) -> Self {
        let ticket = |key: &(PeerId, FileHash)| (*key, set.ticket(key.0, key.1).map(|row| CachedTicket::of(row, now)));
        let demotion = |key: &(PeerId, PeerId)| set.pair(key.0, key.1).map(|row| (key.0, key.1, row.demoted_until));
        Self {
            outcomes,
            ledgers: needs.ledgers.iter().filter_map(|peer| set.ledger(*peer).cloned()).collect(),
            tickets: needs.tickets.iter().map(ticket).collect(),
            demotions: needs.pairs.iter().filter_map(demotion).collect(),
        }
    }
}

fn panicked() -> StoreError {
    log::error("reputation", "a batch panicked and was not applied", &[]);
    StoreError::Failed("a batch of the reputation thread panicked and was not applied".to_owned())
}

fn answer(job: Job, answer: Answer) {
    // If the requester has stopped waiting, the answer is dropped; the commit stands.
    let _gone = job.answer.try_send(answer);
}
