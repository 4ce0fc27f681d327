//! Settlements: batches of the engine in transactions of the store.

use std::panic::{AssertUnwindSafe, catch_unwind};

use peernet_engine::economy::{
    Changes, Event, LedgerRow, Needs, Outcome, Rules, SUPPLY_MT, TICKET_LIFE, TicketId, Totals, WorkingSet, needs,
};
use peernet_engine::ids::{ByteCount, ChunkIndex};
use peernet_engine::manifest::Geometry;
use peernet_engine::time::UnixMillis;
use peernet_tracker::store::{Store, StoreError, Write};

use super::support::{HOUR_MS, NOW, account, file, later, on_both, peer, write};

/// Applies a batch of events as a settlement does.
pub(super) fn settle(store: &dyn Store, now: UnixMillis, events: &[Event]) -> Result<Vec<Outcome>, StoreError> {
    let mut outcomes = Vec::new();
    store.settle(&needs(events), &mut |set| {
        outcomes = set.apply_batch(now, &Rules::default(), events);
        set.changes()
    })?;
    Ok(outcomes)
}

pub(super) fn open(of: u8, at: u8, chunks: u64) -> Event {
    Event::OpenTicket {
        account: peer(of),
        file_hash: file(at),
        geometry: Geometry::new(ByteCount(chunks << 20), 1 << 20).unwrap(),
        sources: (1..=9).map(peer).collect(),
        new_id: TicketId([of.wrapping_mul(16).wrapping_add(at); 16]),
    }
}

pub(super) fn success(reporter: u8, target: u8, at: u8, chunks: &[u32]) -> Event {
    Event::Success {
        reporter: peer(reporter),
        target: peer(target),
        file_hash: file(at),
        chunks: chunks.iter().copied().map(ChunkIndex).collect(),
    }
}

fn failure(reporter: u8, target: u8, at: u8, chunk: u32) -> Event {
    let reporter = peer(reporter);
    let target = peer(target);
    Event::Failure { reporter, target, file_hash: file(at), chunk: ChunkIndex(chunk), garbage: chunk.is_multiple_of(2) }
}

pub(super) fn with_accounts(store: &dyn Store, count: u8) {
    write(store, &(1..=count).map(|n| Write::create_account(account(n, None))).collect::<Vec<_>>());
}

fn sum(totals: Totals) -> i64 {
    totals.balances_mt + totals.escrow_mt + totals.treasury_mt
}

fn balance(store: &dyn Store, n: u8) -> i64 {
    store.ledger(peer(n)).unwrap().unwrap().balance_mt
}

#[test]
fn a_ticket_is_paid_from_its_escrow_and_closed_after_its_life() {
    on_both(|name, store| {
        with_accounts(&*store, 3);
        settle(&*store, NOW, &[open(1, 1, 4)]).unwrap();
        assert_eq!(balance(&*store, 1), 16_000, "{name}");
        settle(&*store, NOW, &[success(1, 2, 1, &[0, 3]), failure(1, 3, 1, 1)]).unwrap();
        assert_eq!((balance(&*store, 1), balance(&*store, 2)), (16_000, 21_900), "{name}");
        assert_eq!(store.ledger_totals().unwrap().escrow_mt, 2_000, "{name}");
        assert_eq!([1, 2].map(|n| store.escrow_mt(peer(n)).unwrap()), [2_000, 0], "{name}");
        let before = store.ledger_totals().unwrap();
        settle(&*store, NOW, &[success(1, 2, 1, &[0, 3])]).unwrap();
        assert_eq!(store.ledger_totals().unwrap(), before, "{name}: a replay moves nothing");

        let end = NOW.plus(TICKET_LIFE);
        assert_eq!(store.expired_tickets(later(1), 10).unwrap(), [], "{name}");
        assert_eq!(store.expired_tickets(end, 10).unwrap(), [(peer(1), file(1))], "{name}");
        let close = Event::CloseExpired { account: peer(1), file_hash: file(1) };
        let outcomes = settle(&*store, UnixMillis(end.0 + 2 * HOUR_MS), &[close]).unwrap();
        assert_eq!(outcomes, [Outcome::Closed { returned_mt: 2_000 }], "{name}");
        assert_eq!(store.expired_tickets(end, 10).unwrap(), [], "{name}");
        assert_eq!(balance(&*store, 1), 18_000, "{name}");
        assert_eq!((sum(store.ledger_totals().unwrap()), store.audit().unwrap()), (SUPPLY_MT, vec![]), "{name}");
    });
}

#[test]
fn every_column_is_read_as_it_was_saved() {
    on_both(|name, store| {
        with_accounts(&*store, 4);
        let events =
            [open(1, 1, 9), open(2, 1, 9), success(1, 2, 1, &[0, 8]), failure(1, 3, 1, 2), failure(2, 1, 1, 1)];
        let needs = needs(&events);
        let mut saved = None;
        let apply = &mut |set: &mut WorkingSet| {
            set.apply_batch(NOW, &Rules::default(), &events);
            let mut changes = set.changes();
            fill(&mut changes);
            saved = Some(changes.clone());
            changes
        };
        store.settle(&needs, apply).unwrap();
        let saved = saved.unwrap();
        let read = &mut |set: &mut WorkingSet| {
            for row in &saved.tickets {
                assert_eq!(set.ticket(row.account, row.file_hash), Some(row), "{name}");
            }
            for row in &saved.ledgers {
                assert_eq!(set.ledger(row.peer), Some(row), "{name}");
            }
            for row in &saved.pairs {
                assert_eq!(set.pair(row.reporter, row.target), Some(row), "{name}");
            }
            assert_eq!(Some(set.treasury()), saved.treasury.as_ref(), "{name}");
            Changes::default()
        };
        store.settle(&needs, read).unwrap();
        assert_eq!((saved.tickets.len(), saved.pairs.len()), (2, 3), "{name}");
        let until = saved.pairs[0].demoted_until;
        assert_eq!(store.demotions(peer(1), NOW).unwrap()[0], (saved.pairs[0].target, until), "{name}");
        assert_eq!(store.demotions(peer(1), UnixMillis(i64::MAX)).unwrap(), [], "{name}");
    });
}

/// Returns rows in which every number is different, so that swapped columns are noticed.
fn fill(changes: &mut Changes) {
    let mut next = 0;
    let mut number = || {
        next += 1;
        next
    };
    for row in &mut changes.ledgers {
        (row.root, row.established_once) = (number() % 2 == 1, number() % 3 == 1);
        (row.balance_mt, row.tickets_open, row.opened_in_minute) = (number(), number(), number());
        (row.minute_started_at.0, row.masses.at.0) = (number(), number());
        row.score = 1.0 / number() as f64;
        fill_masses(&mut row.masses, &mut number);
    }
    for row in &mut changes.pairs {
        (row.demoted_until.0, row.masses.at.0) = (NOW.0 + number(), number());
        fill_masses(&mut row.masses, &mut number);
    }
    for row in &mut changes.tickets {
        (row.escrow_mt, row.paid_mt, row.fined_mt) = (number(), number(), number());
        (row.opened_at.0, row.renewed_at.0, row.expires_at.0) = (number(), number(), number());
    }
    if let Some(row) = &mut changes.treasury {
        (row.balance_mt, row.hour, row.granted_in_hour_mt, row.fees_day) = (number(), number(), number(), number());
        (row.fees_mt, row.fees_before_mt, row.dividend_day) = (number(), number(), number());
    }
}

fn fill_masses(masses: &mut peernet_engine::economy::Masses, number: &mut impl FnMut() -> i64) {
    let fields = [&mut masses.sessions, &mut masses.proofs, &mut masses.garbage];
    let more = [&mut masses.root_failures, &mut masses.root_successes, &mut masses.hearsay];
    fields.into_iter().chain(more).for_each(|field| *field = number() as f64 / 3.0);
}

/// A change that only a defect in the rules could make.
type Spoil = fn(&mut Changes);

#[test]
fn a_settlement_with_a_negative_row_saves_nothing() {
    let spoils: [(&str, Spoil); 5] = [
        ("balance", |changes| changes.ledgers.last_mut().unwrap().balance_mt = -1),
        ("escrow", |changes| changes.tickets[0].escrow_mt = -1),
        ("treasury", |changes| changes.treasury.as_mut().unwrap().balance_mt = -1),
        ("score", |changes| changes.ledgers[0].score = 1.1),
        ("unknown account", |changes| {
            changes.ledgers.push(LedgerRow::new(peer(99), 0, NOW));
        }),
    ];
    on_both(|name, store| {
        with_accounts(&*store, 3);
        settle(&*store, NOW, &[open(1, 1, 4)]).unwrap();
        let before = store.ledger_totals().unwrap();
        for (what, spoil) in spoils {
            let events = [success(1, 2, 1, &[0])];
            let result = store.settle(&needs(&events), &mut |set| {
                set.apply_batch(NOW, &Rules::default(), &events);
                let mut changes = set.changes();
                spoil(&mut changes);
                changes
            });
            assert!(matches!(result, Err(StoreError::Failed(_))), "{name}: {what}: {result:?}");
            assert_eq!(store.ledger_totals().unwrap(), before, "{name}: {what}");
            assert_eq!(store.audit().unwrap(), [], "{name}: {what}");
        }
    });
}

#[test]
fn a_panic_in_a_settlement_saves_nothing() {
    on_both(|name, store| {
        with_accounts(&*store, 2);
        let before = store.ledger_totals().unwrap();
        for _ in 0..6 {
            let panicking = &mut |_: &mut WorkingSet| -> Changes { panic!("a defect in the rules") };
            let unwound = catch_unwind(AssertUnwindSafe(|| store.settle(&needs(&[open(1, 1, 1)]), panicking)));
            assert!(unwound.is_err(), "{name}");
        }
        assert_eq!(store.ledger_totals().unwrap(), before, "{name}");
        settle(&*store, NOW, &[open(1, 1, 1)]).unwrap();
        assert_eq!(balance(&*store, 1), 19_000, "{name}: the locks are free again");
    });
}

#[test]
fn a_settlement_without_needs_loads_only_the_treasury() {
    on_both(|name, store| {
        let mut seen = 0;
        let look = &mut |set: &mut WorkingSet| {
            seen = set.treasury().balance_mt;
            Changes::default()
        };
        store.settle(&Needs::default(), look).unwrap();
        assert_eq!(seen, SUPPLY_MT, "{name}");
    });
}

#[test]
fn the_dividend_is_paid_once_a_day_to_serving_accounts() {
    const DAY_MS: i64 = 24 * HOUR_MS;
    on_both(|name, store| {
        with_accounts(&*store, 4);
        // The fees of today come from sessions of three reporters with peer 4.
        for n in 1..=3 {
            settle(&*store, NOW, &[open(n, 1, 9), success(n, 4, 1, &[0, 1, 2, 3, 4, 5, 6, 7, 8])]).unwrap();
        }
        assert_eq!(store.pay_dividend(NOW).unwrap(), 0, "{name}: no fees yesterday");
        // The balance of peer 4 is too high for a dividend.
        let spend = |events: &[Event]| settle(&*store, later(1), events).unwrap();
        for at in 2..9 {
            spend(&[open(4, at, 20), success(4, 1, at, &(0..20).collect::<Vec<_>>())]);
        }
        let poor = balance(&*store, 4);
        let paid = store.pay_dividend(later(DAY_MS)).unwrap();
        assert!(paid > 0, "{name}: {poor} mt before");
        assert_eq!(store.pay_dividend(later(DAY_MS)).unwrap(), 0, "{name}");
        assert_eq!(balance(&*store, 4), poor + paid, "{name}");
        assert_eq!((sum(store.ledger_totals().unwrap()), store.audit().unwrap()), (SUPPLY_MT, vec![]), "{name}");
    });
}

#[test]
fn the_ledger_balances_after_any_batches() {
    on_both(|name, store| {
        with_accounts(&*store, 9);
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut below = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        let mut now = NOW;
        for round in 0..40 {
            now = UnixMillis(now.0 + 1_000 * below(7_200) as i64);
            let mut events = Vec::new();
            for _ in 0..1 + below(30) {
                let a = below(11) as u8;
                let b = below(11) as u8;
                let at = below(4) as u8;
                let chunk = below(20) as u32;
                events.push(match below(4) {
                    0 => open(a, at, 1 + below(16)),
                    1 => failure(a, b, at, chunk),
                    2 => Event::CloseExpired { account: peer(a), file_hash: file(at) },
                    _ => success(a, b, at, &[chunk, chunk + 1]),
                });
            }
            // The id of a ticket is random and used once.
            for (at, event) in events.iter_mut().enumerate() {
                if let Event::OpenTicket { new_id, .. } = event {
                    new_id.0[..2].copy_from_slice(&[round, at as u8]);
                }
            }
            settle(&*store, now, &events).unwrap();
            assert_eq!(sum(store.ledger_totals().unwrap()), SUPPLY_MT, "{name}: round {round}");
        }
        assert_eq!(store.audit().unwrap(), [], "{name}");
    });
}
