//! I1 to I8 under random events, replays, crashes and waits.

use std::collections::{BTreeMap, BTreeSet};

use peernet_engine::economy::{
    Complaints, Event, Ignored, LedgerRow, NoTicket, Outcome, TicketId, Violation, dividend,
};
use proptest::prelude::*;

use super::*;

/// Accounts 1 to 6 exist (1 is a root), 7 does not; file n has n chunks, the last one short.
const ACCOUNTS: u8 = 6;

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Act>),
    Crash(Vec<Act>),
    Wait(i64),
    Register(u8),
    PayDividend,
}

#[derive(Debug, Clone)]
enum Act {
    Lookup { account: u8, file: u8, sources: Vec<u8> },
    Success { reporter: u8, target: u8, file: u8, chunks: Vec<u32> },
    Failure { reporter: u8, target: u8, file: u8, chunk: u32, garbage: bool },
    Close { account: u8, file: u8 },
}

fn any_act() -> impl Strategy<Value = Act> {
    let account = || 1..=ACCOUNTS + 1;
    let a_file = || 0u8..5;
    prop_oneof![
        3 => (account(), a_file(), prop::collection::vec(account(), 0..6))
            .prop_map(|(account, file, sources)| Act::Lookup { account, file, sources }),
        6 => (account(), account(), a_file(), prop::collection::vec(0u32..6, 0..4))
            .prop_map(|(reporter, target, file, chunks)| Act::Success { reporter, target, file, chunks }),
        3 => (account(), account(), a_file(), 0u32..6, any::<bool>()).prop_map(
            |(reporter, target, file, chunk, garbage)| Act::Failure { reporter, target, file, chunk, garbage }
        ),
        1 => (account(), a_file()).prop_map(|(account, file)| Act::Close { account, file }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let acts = || prop::collection::vec(any_act(), 0..25);
    prop_oneof![
        8 => acts().prop_map(Step::Commit),
        2 => acts().prop_map(Step::Crash),
        4 => prop_oneof![Just(1), 0..2 * MINUTE_MS, 0..10 * HOUR_MS, 0..20 * DAY_MS, -HOUR_MS..0].prop_map(Step::Wait),
        1 => (20u8..40).prop_map(Step::Register),
        1 => Just(Step::PayDividend),
    ]
}

fn events_of(books: &mut Books, acts: &[Act]) -> Vec<Event> {
    let ids = |list: &[u8]| list.iter().copied().map(peer).collect::<Vec<_>>();
    let mut event_of = |act: &Act| match act {
        Act::Lookup { account, file: n, sources } => {
            let size = (u64::from(*n) * 2 * MIB).saturating_sub(MIB / 2) / 2;
            books.lookup(peer(*account), file(*n), size, &ids(sources))
        }
        Act::Success { reporter, target, file: n, chunks } => success(peer(*reporter), peer(*target), file(*n), chunks),
        Act::Failure { reporter, target, file: n, chunk, garbage } => Event::Failure {
            reporter: peer(*reporter),
            target: peer(*target),
            file_hash: file(*n),
            chunk: ChunkIndex(*chunk),
            garbage: *garbage,
        },
        Act::Close { account, file: n } => Event::CloseExpired { account: peer(*account), file_hash: file(*n) },
    };
    acts.iter().map(&mut event_of).collect()
}

/// Every account has `balance_mt`, so that escrow and fines meet empty purses as well as full ones.
fn start(complaints: Complaints, balance_mt: i64) -> Books {
    let mut books = Books::with_accounts(complaints, ACCOUNTS);
    for row in books.ledgers.values_mut() {
        books.treasury.balance_mt += row.balance_mt - balance_mt;
        row.balance_mt = balance_mt;
    }
    books.ledgers.get_mut(&peer(1)).expect("registered").root = true;
    books
}

fn any_balance_mt() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 1i64..6_000, Just(20_000), Just(1_000_000)]
}

fn any_policy() -> impl Strategy<Value = Complaints> {
    prop_oneof![Just(Complaints::Bounded), Just(Complaints::Evidence)]
}

/// The payments under each ticket, counted from the outcomes, not from the engine's own ledgers.
#[derive(Default)]
struct Paid {
    chunks: BTreeMap<TicketId, u32>,
    amounts_mt: BTreeMap<TicketId, i64>,
}

impl Paid {
    fn add(&mut self, books: &Books, events: &[Event], outcomes: &[Outcome]) {
        for (event, outcome) in events.iter().zip(outcomes) {
            let Event::Success { reporter, file_hash, .. } = event else { continue };
            let Outcome::Settled { new_chunks, paid_mt, .. } = outcome else { continue };
            let mut open = books.tickets.values().filter(|t| t.account == *reporter && t.file_hash == *file_hash);
            let id = open.next().expect("it settled").id;
            *self.chunks.entry(id).or_default() += new_chunks;
            *self.amounts_mt.entry(id).or_default() += paid_mt;
        }
        for ticket in books.tickets.values() {
            let chunks = self.chunks.get(&ticket.id).copied().unwrap_or(0);
            assert_eq!(chunks, ticket.paid.len(), "I4: each chunk once");
            let amount_mt = self.amounts_mt.get(&ticket.id).copied().unwrap_or(0);
            assert!(amount_mt <= ticket.settled_price_mt(), "I4: no more than the price");
        }
    }
}

fn assert_no_one_reported_on_itself(events: &[Event], outcomes: &[Outcome]) {
    for (event, outcome) in events.iter().zip(outcomes) {
        if let Event::Success { reporter, target, .. } | Event::Failure { reporter, target, .. } = event {
            assert!(reporter != target || *outcome == Outcome::Ignored(Ignored::SelfReport), "I6: {outcome:?}");
        }
    }
}

fn run(books: &mut Books, steps: &[Step]) {
    let mut paid = Paid::default();
    for step in steps {
        match step {
            Step::Commit(acts) => {
                let events = events_of(books, acts);
                let outcomes = books.commit(&events);
                paid.add(books, &events, &outcomes);
                assert_no_one_reported_on_itself(&events, &outcomes);
                assert!(!outcomes.contains(&Outcome::NoTicket(NoTicket::Limited)), "too few files for that");
                let (_, again) = books.attempt(&events);
                assert!(again.is_empty(), "I5: {again:?}");
            }
            Step::Crash(acts) => {
                let events = events_of(books, acts);
                assert_eq!(books.attempt(&events), books.attempt(&events), "a crash leaves no trace");
            }
            Step::Wait(span_ms) => books.wait(*span_ms),
            Step::Register(n) => {
                if !books.ledgers.contains_key(&peer(*n)) {
                    books.register(peer(*n));
                }
            }
            Step::PayDividend => pay_dividend(books),
        }
        books.audited();
    }
}

fn pay_dividend(books: &mut Books) {
    let mut rows: Vec<LedgerRow> = books.ledgers.values().cloned().collect();
    dividend(&mut books.treasury, &mut rows, books.now);
    assert_eq!(dividend(&mut books.treasury, &mut rows, books.now), 0, "I5: once a day");
    books.ledgers = rows.into_iter().map(|row| (row.peer, row)).collect();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn i1_to_i8_hold_after_any_events_replays_and_crashes(
        complaints in any_policy(), balance_mt in any_balance_mt(), steps in prop::collection::vec(any_step(), 0..40),
    ) {
        run(&mut start(complaints, balance_mt), &steps);
    }

    #[test]
    fn feedback_comes_to_the_same_in_one_batch_as_one_by_one(
        complaints in any_policy(),
        balance_mt in any_balance_mt(),
        lookups in prop::collection::vec(any_act().prop_filter("lookups", |a| matches!(a, Act::Lookup { .. })), 0..20),
        feedback in prop::collection::vec(
            any_act().prop_filter("feedback", |a| matches!(a, Act::Success { .. } | Act::Failure { .. })), 0..40),
    ) {
        let mut together = start(complaints, balance_mt);
        let lookups = events_of(&mut together, &lookups);
        together.commit(&lookups);
        let feedback = events_of(&mut together, &feedback);
        let mut singly = together.clone();
        let one_by_one: Vec<Outcome> = feedback.iter().map(|event| singly.one(event.clone())).collect();
        prop_assert_eq!(together.commit(&feedback), one_by_one);
        prop_assert_eq!((together.ledgers, together.tickets), (singly.ledgers, singly.tickets));
    }
}

#[test]
fn the_audit_finds_each_kind_of_damage() {
    let mut books = start(Complaints::Bounded, 20_000);
    books.open(peer(2), file(1), 2 * MIB, &[peer(3)]);
    books.one(success(peer(2), peer(3), file(1), &[0]));
    books.audited();
    check_damage(&books, Violation::Supply(1_000_000_000_001), |b| b.treasury.balance_mt += 1);
    check_damage(&books, Violation::NegativeTreasury, |b| b.treasury.fees_mt = -1);
    check_damage(&books, Violation::NegativeBalance(peer(4)), |b| b.ledger(4).balance_mt = -1);
    check_damage(&books, Violation::Mass(peer(3)), |b| b.ledger(3).masses.hearsay = f64::NAN);
    check_damage(&books, Violation::Score(peer(3)), |b| b.ledger(3).score = 1.5);
    check_damage(&books, Violation::StoredScore(peer(3)), |b| b.ledger(3).score += 1e-6);
    check_damage(&books, Violation::StoredScore(peer(3)), |b| b.pairs.clear());
    check_damage(&books, Violation::Hearsay(peer(3)), |b| b.ledger(3).score = 0.39);
    check_damage(&books, Violation::TicketsOpen(peer(2)), |b| b.ledger(2).tickets_open = 0);
    let id = *books.tickets.keys().next().expect("one ticket");
    check_damage(&books, Violation::Ticket(id), |b| b.ticket().paid_mt += 1);
    check_damage(&books, Violation::Ticket(id), |b| b.ticket().escrow_mt += 1);
    check_damage(&books, Violation::Ticket(id), |b| b.ticket().escrow_mt = -1);
    check_damage(&books, Violation::SelfDealing(peer(2)), |b| b.ticket().sources[0].peer = peer(2));
    check_damage(&books, Violation::Orphan(peer(2)), |b| _ = b.ledgers.remove(&peer(2)));
}

fn check_damage(books: &Books, expected: Violation, damage: impl FnOnce(&mut Books)) {
    let mut books = books.clone();
    damage(&mut books);
    let ledgers: Vec<LedgerRow> = books.ledgers.values().cloned().collect();
    let tickets: Vec<_> = books.tickets.values().cloned().collect();
    let pairs: Vec<_> = books.pairs.values().cloned().collect();
    let found = audit(&books.treasury, &ledgers, &tickets, &pairs).expect_err("damaged");
    assert!(found.contains(&expected), "{expected}: {found:?}");
    let texts: BTreeSet<String> = found.iter().map(ToString::to_string).collect();
    assert!(!texts.is_empty());
}

impl Books {
    fn ledger(&mut self, n: u8) -> &mut LedgerRow {
        self.ledgers.get_mut(&peer(n)).expect("registered")
    }

    fn ticket(&mut self) -> &mut TicketRow {
        self.tickets.values_mut().next().expect("one ticket")
    }
}
