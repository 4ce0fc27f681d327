//! The rows of one batch in memory, and which of them changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{FileHash, PeerId};
use crate::time::UnixMillis;

use super::event::{Changes, Event, Outcome};
use super::feedback::Report;
use super::rows::{LedgerRow, PairRow, TicketId, TicketRow, TreasuryRow};
use super::rules::Rules;
use super::tickets::Lookup;

/// The rows of a batch. A row that [`needs`](super::needs) names and that is not there does not exist.
#[derive(Debug, Clone)]
pub struct WorkingSet {
    pub(super) treasury: TreasuryRow,
    pub(super) ledgers: BTreeMap<PeerId, LedgerRow>,
    pub(super) tickets: BTreeMap<(PeerId, FileHash), TicketRow>,
    pub(super) pairs: BTreeMap<(PeerId, PeerId), PairRow>,
    pub(super) closed: BTreeSet<TicketId>,
    loaded: Loaded,
}

/// The rows as they were loaded: a change is a difference, so none can be forgotten.
#[derive(Debug, Clone)]
struct Loaded {
    treasury: TreasuryRow,
    ledgers: BTreeMap<PeerId, LedgerRow>,
    tickets: BTreeMap<(PeerId, FileHash), TicketRow>,
    pairs: BTreeMap<(PeerId, PeerId), PairRow>,
}

impl WorkingSet {
    /// Takes the loaded rows, in any order.
    pub fn new(treasury: TreasuryRow, ledgers: Vec<LedgerRow>, tickets: Vec<TicketRow>, pairs: Vec<PairRow>) -> Self {
        let loaded = Loaded {
            treasury,
            ledgers: ledgers.into_iter().map(|row| (row.peer, row)).collect(),
            tickets: tickets.into_iter().map(|row| ((row.account, row.file_hash), row)).collect(),
            pairs: pairs.into_iter().map(|row| ((row.reporter, row.target), row)).collect(),
        };
        Self {
            treasury: loaded.treasury.clone(),
            ledgers: loaded.ledgers.clone(),
            tickets: loaded.tickets.clone(),
            pairs: loaded.pairs.clone(),
            closed: BTreeSet::new(),
            loaded,
        }
    }

    /// Applies a batch and returns one outcome per event, in the order given. Within the batch, expired tickets are
    /// closed first, then lookups open theirs, then feedback settles. So a batch that is applied again finds the same
    /// tickets (I5).
    pub fn apply_batch(&mut self, now: UnixMillis, rules: &Rules, events: &[Event]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; events.len()];
        for phase in 0..3 {
            for (event, outcome) in events.iter().zip(&mut outcomes) {
                if phase_of(event) == phase {
                    *outcome = Some(self.apply(now, rules, event));
                }
            }
        }
        outcomes.into_iter().map(|outcome| outcome.expect("every event has a phase below 3")).collect()
    }

    /// Applies one event.
    pub fn apply(&mut self, now: UnixMillis, rules: &Rules, event: &Event) -> Outcome {
        match *event {
            Event::OpenTicket { account, file_hash, geometry, ref sources, new_id } => {
                self.open_ticket(now, &Lookup { account, file_hash, geometry, sources, new_id })
            }
            Event::Success { reporter, target, file_hash, ref chunks } => {
                self.success(now, Report { reporter, target, file_hash }, chunks)
            }
            Event::Failure { reporter, target, file_hash, chunk, garbage } => {
                self.failure(now, rules, Report { reporter, target, file_hash }, chunk, garbage)
            }
            Event::CloseExpired { account, file_hash } => self.close_expired(now, account, file_hash),
        }
    }

    /// The rows that differ from the loaded ones. Taken before the commit; the set is not used after it.
    pub fn changes(&self) -> Changes {
        Changes {
            closed: self.closed.iter().copied().collect(),
            tickets: changed(&self.loaded.tickets, &self.tickets),
            ledgers: changed(&self.loaded.ledgers, &self.ledgers),
            pairs: changed(&self.loaded.pairs, &self.pairs),
            treasury: (self.treasury != self.loaded.treasury).then(|| self.treasury.clone()),
        }
    }

    /// An account's row in its current state.
    pub fn ledger(&self, peer: PeerId) -> Option<&LedgerRow> {
        self.ledgers.get(&peer)
    }

    /// A ticket in its current state.
    pub fn ticket(&self, account: PeerId, file_hash: FileHash) -> Option<&TicketRow> {
        self.tickets.get(&(account, file_hash))
    }

    /// A pair's row in its current state.
    pub fn pair(&self, reporter: PeerId, target: PeerId) -> Option<&PairRow> {
        self.pairs.get(&(reporter, target))
    }

    /// The treasury in its current state.
    pub fn treasury(&self) -> &TreasuryRow {
        &self.treasury
    }
}

fn phase_of(event: &Event) -> u8 {
    match event {
        Event::CloseExpired { .. } => 0,
        Event::OpenTicket { .. } => 1,
        Event::Success { .. } | Event::Failure { .. } => 2,
    }
}

fn changed<K: Ord, V: PartialEq + Clone>(before: &BTreeMap<K, V>, after: &BTreeMap<K, V>) -> Vec<V> {
    after.iter().filter(|(key, row)| before.get(key) != Some(row)).map(|(_, row)| row.clone()).collect()
}
