//! The invariants as functions over rows, for tests and for operators that check the ledger.
//!
//! I5 (applying a batch again changes nothing) is about operations, not rows, so the tests check it. All others are
//! here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ids::PeerId;

use super::rows::{LedgerRow, Masses, PairRow, TicketId, TicketRow, TreasuryRow};
use super::rules::{FINES_PER_TICKET_MT, LISTED_MAX, SUPPLY_MT};
use super::score::{ESTABLISHED_SCORE, LISTED_SCORE, Tier, recompute};

/// The largest difference between a stored score and the recomputed one.
const SCORE_TOLERANCE: f64 = 1e-9;

/// The sums over all rows of one snapshot, in milli-tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// The sum of all accounts' balances.
    pub balances_mt: i64,
    /// The sum of all tickets' escrow.
    pub escrow_mt: i64,
    /// The treasury's balance.
    pub treasury_mt: i64,
}

/// An invariant that does not hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Violation {
    /// I1: the sum is not the supply. Carries the sum.
    Supply(i64),
    /// I2: the treasury, or its count of grants or fees, is negative.
    NegativeTreasury,
    /// I2: an account's balance or count is negative.
    NegativeBalance(PeerId),
    /// I2, I3: a mass is negative or not a number.
    Mass(PeerId),
    /// I3: a score is not from 0 to 1.
    Score(PeerId),
    /// I4: a ticket holds or paid more than its chunks cost, or a negative amount, or fined more than the rules allow.
    Ticket(TicketId),
    /// I6: an account is among the sources of its own ticket, or reported on itself; or a source is listed twice.
    SelfDealing(PeerId),
    /// I7: hearsay took an account below its bound.
    Hearsay(PeerId),
    /// I8: the stored score differs from the score of the evidence.
    StoredScore(PeerId),
    /// An account's count of open tickets is wrong.
    TicketsOpen(PeerId),
    /// A ticket or a pair names an account that has no row.
    Orphan(PeerId),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Supply(sum) => write!(f, "I1: {sum} mt exist, {SUPPLY_MT} were issued"),
            Self::NegativeTreasury => write!(f, "I2: the treasury is negative"),
            Self::NegativeBalance(peer) => write!(f, "I2: account {peer} has a negative amount"),
            Self::Mass(peer) => write!(f, "I2: account {peer} has evidence that is negative or not a number"),
            Self::Score(peer) => write!(f, "I3: the score of {peer} is not from 0 to 1"),
            Self::Ticket(id) => write!(f, "I4: ticket {} holds, paid or fined more than its bounds allow", hex(id)),
            Self::SelfDealing(peer) => write!(f, "I6: account {peer} deals with itself or lists a source twice"),
            Self::Hearsay(peer) => write!(f, "I7: hearsay took {peer} below its tier"),
            Self::StoredScore(peer) => {
                write!(f, "I8: the stored score of {peer} differs from the score of the evidence")
            }
            Self::TicketsOpen(peer) => write!(f, "account {peer} counts its open tickets wrongly"),
            Self::Orphan(peer) => write!(f, "account {peer} is named but has no ledger row"),
        }
    }
}

fn hex(id: &TicketId) -> String {
    data_encoding::HEXLOWER.encode(&id.0)
}

/// Checks all invariants over all rows of one snapshot.
pub fn audit(
    treasury: &TreasuryRow,
    ledgers: &[LedgerRow],
    tickets: &[TicketRow],
    pairs: &[PairRow],
) -> Result<(), Vec<Violation>> {
    let mut found = audit_totals(&totals(treasury, ledgers, tickets));
    found.extend(audit_treasury(treasury));
    let mut pairs_of: BTreeMap<PeerId, Vec<&PairRow>> = BTreeMap::new();
    for pair in pairs {
        pairs_of.entry(pair.target).or_default().push(pair);
    }
    for row in ledgers {
        found.extend(audit_ledger(row, pairs_of.get(&row.peer).into_iter().flatten().copied()));
    }
    found.extend(tickets.iter().flat_map(audit_ticket));
    found.extend(audit_references(ledgers, tickets, pairs));
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn totals(treasury: &TreasuryRow, ledgers: &[LedgerRow], tickets: &[TicketRow]) -> Totals {
    Totals {
        balances_mt: ledgers.iter().map(|row| row.balance_mt).fold(0, i64::saturating_add),
        escrow_mt: tickets.iter().map(|row| row.escrow_mt).fold(0, i64::saturating_add),
        treasury_mt: treasury.balance_mt,
    }
}

/// Checks I1, from sums that a store can compute.
pub fn audit_totals(totals: &Totals) -> Vec<Violation> {
    let sum = totals.balances_mt.saturating_add(totals.escrow_mt).saturating_add(totals.treasury_mt);
    violation(sum != SUPPLY_MT, Violation::Supply(sum))
}

fn audit_treasury(row: &TreasuryRow) -> Vec<Violation> {
    let least = row.balance_mt.min(row.granted_in_hour_mt).min(row.fees_mt).min(row.fees_before_mt);
    violation(least < 0, Violation::NegativeTreasury)
}

/// Checks I2, I3, I6, I7 and I8 for one account, given all pair rows whose target it is.
pub fn audit_ledger<'a>(row: &LedgerRow, pairs: impl IntoIterator<Item = &'a PairRow>) -> Vec<Violation> {
    let peer = row.peer;
    let pairs: Vec<&PairRow> = pairs.into_iter().collect();
    let evidence = recompute(pairs.iter().copied(), row.masses.at);
    let differs =
        [row.masses.score() - row.score, evidence.score() - row.score].iter().any(|d| d.abs() > SCORE_TOLERANCE);
    [
        violation(row.balance_mt.min(row.tickets_open).min(row.opened_in_minute) < 0, Violation::NegativeBalance(peer)),
        violation(!is_sound(&row.masses) || pairs.iter().any(|pair| !is_sound(&pair.masses)), Violation::Mass(peer)),
        violation(!(0.0..=1.0).contains(&row.score), Violation::Score(peer)),
        violation(pairs.iter().any(|pair| pair.reporter == peer), Violation::SelfDealing(peer)),
        violation(hearsay_went_too_far(&row.masses, row.score), Violation::Hearsay(peer)),
        violation(differs, Violation::StoredScore(peer)),
    ]
    .concat()
}

/// Checks I2, I4 and I6 for one ticket.
pub fn audit_ticket(row: &TicketRow) -> Vec<Violation> {
    let shape = row.paid.count() == row.geometry.chunk_count() && row.sources.len() <= LISTED_MAX;
    let amounts = (0..=row.settled_price_mt()).contains(&row.paid_mt)
        && (0..=row.unpaid_price_mt()).contains(&row.escrow_mt)
        && (0..=FINES_PER_TICKET_MT).contains(&row.fined_mt);
    let listed: BTreeSet<PeerId> = row.sources.iter().map(|source| source.peer).collect();
    let listed_well = listed.len() == row.sources.len() && !listed.contains(&row.account);
    let mut found = violation(!shape || !amounts, Violation::Ticket(row.id));
    found.extend(violation(!listed_well, Violation::SelfDealing(row.account)));
    found
}

fn audit_references(ledgers: &[LedgerRow], tickets: &[TicketRow], pairs: &[PairRow]) -> Vec<Violation> {
    let mut open: BTreeMap<PeerId, i64> = ledgers.iter().map(|row| (row.peer, 0)).collect();
    let mut orphans: BTreeSet<PeerId> = BTreeSet::new();
    for ticket in tickets {
        match open.get_mut(&ticket.account) {
            Some(count) => *count += i64::from(!ticket.paid.is_full()),
            None => _ = orphans.insert(ticket.account),
        }
    }
    orphans.extend(pairs.iter().flat_map(|pair| [pair.reporter, pair.target]).filter(|peer| !open.contains_key(peer)));
    let miscounted = ledgers.iter().filter(|row| open.get(&row.peer) != Some(&row.tickets_open));
    let miscounted = miscounted.map(|row| Violation::TicketsOpen(row.peer));
    orphans.into_iter().map(Violation::Orphan).chain(miscounted).collect()
}

fn is_sound(masses: &Masses) -> bool {
    let Masses { sessions, proofs, garbage, root_failures, root_successes, hearsay, at: _ } = *masses;
    [sessions, proofs, garbage, root_failures, root_successes, hearsay].iter().all(|m| m.is_finite() && *m >= 0.0)
}

fn hearsay_went_too_far(masses: &Masses, score: f64) -> bool {
    let without = Masses { hearsay: 0.0, ..*masses }.standing();
    let floor = match without.tier {
        Tier::Established => ESTABLISHED_SCORE,
        Tier::Known | Tier::Unknown => LISTED_SCORE,
        Tier::Unlisted => 0.0,
    };
    score < floor - SCORE_TOLERANCE
}

fn violation(is: bool, what: Violation) -> Vec<Violation> {
    if is { vec![what] } else { Vec::new() }
}
