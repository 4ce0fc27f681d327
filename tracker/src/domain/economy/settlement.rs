//! Settlements: the group commit of ledger, tickets and evidence.
//!
//! Lookups that open tickets and reports of downloaders bring events. A group of them is one transaction: the store loads the rows, the
//! rules of `peernet_engine::economy` change them, and the store saves them. Only after the commit the memory learns the new rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use peernet_engine::economy::{Event, LedgerRow, Needs, Outcome, Rules, TICKET_GRACE, WorkingSet, needs};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;

use super::memory::{CachedTicket, Memory};
use super::or_log;
use crate::commit::group::{Bounds, CommitLoop, Transaction};
use crate::ops::log;
use crate::store::{Ledger, StoreError};

/// The most requests that wait. A group takes up to 1,000 events in some ten milliseconds, so this is about a second of work.
pub(super) const JOBS_QUEUED_MAX: usize = 4_096;

pub(super) const BOUNDS: Bounds = Bounds {
    queue: "reports",
    full: "too many reports are waiting",
    jobs_queued_max: JOBS_QUEUED_MAX,
    // The jobs bound it: each is one request body.
    queued_weight_max: usize::MAX,
    // Events. Bounds the transaction, and the wait of the requests in it.
    group_weight_max: 1_000,
    inline: false,
    // Requests of a failed settlement are answered 503 or 500. Reporting again is safe, because nothing counts twice.
    retry_singly: false,
};

/// The interval at which expired tickets are closed.
const CHORE_EVERY: Duration = Duration::from_secs(60);
/// The most expired tickets that are closed at a time. The next time closes more.
const CLOSED_MAX: usize = 1_000;
/// The interval at which the dividend is tried. The store pays it once a day.
const DIVIDEND_EVERY: Duration = Duration::from_secs(3_600);

/// The part of the reputation that its thread runs: pass it to [`run`].
pub(crate) type SettlementLoop = CommitLoop<Settlements>;

/// The transaction, and the memory that follows it.
pub(crate) struct Settlements {
    pub(super) store: Arc<dyn Ledger>,
    pub(super) clock: fn() -> UnixMillis,
    pub(super) rules: Rules,
    pub(super) memory: Memory,
    /// Events that changed nothing, since the start.
    pub(super) ignored: AtomicU64,
}

/// Settles until the handle is closed and the queued requests are answered.
pub(crate) fn run(commit_loop: SettlementLoop) {
    let mut paid_at = None;
    commit_loop.run_with_chore(CHORE_EVERY, |commit_loop| {
        close_expired(commit_loop);
        pay_dividend(commit_loop.transaction(), &mut paid_at);
    });
}

/// Returns the escrow of expired tickets to their accounts.
fn close_expired(commit_loop: &SettlementLoop) {
    let events = commit_loop.transaction().expired();
    if events.is_empty() {
        return;
    }
    if let Err(error) = commit_loop.commit_here(&events, ()) {
        log::warn("reputation", "expired tickets stay open until the next attempt", &[("why", &error)]);
    }
}

fn pay_dividend(settlements: &Settlements, paid_at: &mut Option<Instant>) {
    if paid_at.is_some_and(|at| at.elapsed() < DIVIDEND_EVERY) {
        return;
    }
    *paid_at = Some(Instant::now());
    match settlements.store.pay_dividend((settlements.clock)()) {
        Ok(0) => {}
        Ok(paid_mt) => log::info("reputation", "dividend paid", &[("mt", &paid_mt)]),
        Err(error) => log::warn("reputation", "the dividend waits", &[("why", &error)]),
    }
}

impl Transaction for Settlements {
    type Item = Event;
    type Outcome = Outcome;
    type Demand = ();

    fn weight(_: &Event) -> usize {
        1
    }

    fn commit(&self, events: &[Event], (): ()) -> Result<Vec<Outcome>, StoreError> {
        let now = (self.clock)();
        let needs = needs(events);
        let mut committed = Committed::default();
        self.store.settle(&needs, &mut |set| {
            let outcomes = set.apply_batch(now, &self.rules, events);
            committed = Committed::of(set, &needs, now, outcomes);
            set.changes()
        })?;
        Ok(self.remember(now, committed))
    }
}

impl Settlements {
    /// Returns the events that close tickets whose grace period is over. Before that the rules would refuse them.
    pub(super) fn expired(&self) -> Vec<Event> {
        let before = (self.clock)().minus(TICKET_GRACE);
        let expired = or_log(self.store.expired_tickets(before, CLOSED_MAX), "expired tickets could not be read");
        expired.into_iter().map(|(account, file_hash)| Event::CloseExpired { account, file_hash }).collect()
    }

    fn remember(&self, now: UnixMillis, committed: Committed) -> Vec<Outcome> {
        let ignored = committed.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Ignored(_))).count();
        self.ignored.fetch_add(ignored as u64, Ordering::Relaxed);
        for row in committed.ledgers {
            self.memory.keep_ledger(now, row.peer, Some(row));
        }
        for ((account, file), ticket) in committed.tickets {
            self.memory.keep_ticket(account, file, ticket);
        }
        for demotion in committed.demotions {
            self.memory.keep_demotion(demotion.caller, demotion.target, demotion.until);
        }
        committed.outcomes
    }
}

/// The rows that the memory learns after a commit.
#[derive(Default)]
struct Committed {
    outcomes: Vec<Outcome>,
    ledgers: Vec<LedgerRow>,
    tickets: Vec<((PeerId, FileHash), Option<CachedTicket>)>,
    demotions: Vec<Demotion>,
}

/// A peer that comes last in an account's lookups.
struct Demotion {
    caller: PeerId,
    target: PeerId,
    until: UnixMillis,
}

impl Committed {
    fn of(set: &WorkingSet, needs: &Needs, now: UnixMillis, outcomes: Vec<Outcome>) -> Self {
        let ticket = |key: &(PeerId, FileHash)| (*key, set.ticket(key.0, key.1).map(|row| CachedTicket::of(row, now)));
        let demotion = |key: &(PeerId, PeerId)| {
            set.pair(key.0, key.1).map(|row| Demotion { caller: key.0, target: key.1, until: row.demoted_until })
        };
        Self {
            outcomes,
            ledgers: needs.ledgers.iter().filter_map(|peer| set.ledger(*peer).cloned()).collect(),
            tickets: needs.tickets.iter().map(ticket).collect(),
            demotions: needs.pairs.iter().filter_map(demotion).collect(),
        }
    }
}
