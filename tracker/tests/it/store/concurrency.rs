//! Concurrent threads, and several trackers on one PostgreSQL database.

use std::thread;

use peernet_engine::economy::{SUPPLY_MT, TicketId};
use peernet_testkit::postgres::fresh_database;
use peernet_tracker::store::{Durability, Ledger as _, StoreError, Write, Written};

use super::ledger::{open, settle, success, with_accounts};
use super::support::{NOW, account, file, later, listing, listings, manifest, on_both, peer, postgres, write};

const THREADS: u8 = 8;

#[test]
fn concurrent_registrations_of_an_address_have_one_winner() {
    on_both(|name, store| {
        let register = |n: u8| {
            let durability = if n.is_multiple_of(2) { Durability::Synced } else { Durability::Relaxed };
            store.write(NOW, &[Write::create_account(account(n, Some("same:1")))], durability).unwrap().remove(0)
        };
        let written: Vec<Written> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || register(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let owner = store.account_by_address("same:1").unwrap().unwrap();
        for (n, written) in written.into_iter().enumerate() {
            if owner.id == peer(n as u8) {
                assert_eq!(written, Written::Done, "{name}");
            } else {
                assert_eq!(written, Written::AddressTaken(Box::new(owner.clone())), "{name}");
            }
        }
        assert_eq!(store.audit().unwrap(), [], "{name}");
    });
}

#[test]
fn concurrent_writes_reads_and_settlements_lose_nothing() {
    on_both(|name, store| {
        with_accounts(&*store, 9);
        let one_round = |n: u8, round: u8| {
            let batch = [
                Write::PutManifest(manifest(n, 1 + round, "shared", NOW)),
                Write::SealV1(listing(n, round, later(9))),
                Write::create_account(account(100 + n * 10 + round, None)),
            ];
            store.write(NOW, &batch, Durability::Relaxed).unwrap();
            let mut ticket = open(n + 1, round, 2);
            if let peernet_engine::economy::Event::OpenTicket { new_id, .. } = &mut ticket {
                *new_id = TicketId([n * 16 + round; 16]);
            }
            settle(&*store, NOW, &[ticket, success(n + 1, (n + 1) % 8 + 1, round, &[0, 1])]).unwrap();
            assert!(store.manifests_of(file(n)).unwrap().len() > usize::from(round), "{name}");
        };
        thread::scope(|scope| {
            (0..THREADS).for_each(|n| drop(scope.spawn(move || (0..5).for_each(|round| one_round(n, round)))));
        });
        assert_eq!(listings(&*store, NOW).len(), 40, "{name}");
        assert_eq!(store.audit().unwrap(), [], "{name}");
        let totals = store.ledger_totals().unwrap();
        assert_eq!(totals.balances_mt + totals.escrow_mt + totals.treasury_mt, SUPPLY_MT, "{name}");
    });
}

#[test]
fn opposite_write_orders_of_two_trackers_do_not_deadlock() {
    let url = fresh_database();
    let one = postgres(&url);
    let two = postgres(&url);
    let batch = |reversed: bool| {
        // A departure between two listings makes each listing a run of its own.
        let mut numbers: Vec<u8> = (0..6).collect();
        if reversed {
            numbers.reverse();
        }
        let pair = |n: u8| [Write::SealV1(listing(n, 1, later(9))), Write::Leave { peer: peer(200), files: None }];
        numbers.into_iter().flat_map(pair).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        for (store, reversed) in [(&one, false), (&two, true)] {
            let batch = batch(reversed);
            scope.spawn(move || (0..30).for_each(|_| drop(write(&**store, &batch))));
        }
    });
    assert_eq!(listings(&*one, NOW).len(), 6);
}

#[test]
fn another_tracker_settles_when_one_dies_while_settling() {
    let url = fresh_database();
    let store = postgres(&url);
    let needs = peernet_engine::economy::Needs::default();
    // The locks of a tracker that is killed during a settlement.
    let mut dying = ::postgres::Client::connect(&url, ::postgres::NoTls).unwrap();
    dying.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(x'7065657265740003'::bigint)").unwrap();
    let refused = store.settle(&needs, &mut |_| unreachable!("it is not this tracker's turn"));
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    drop(dying);
    let mut settled = false;
    store
        .settle(&needs, &mut |_| {
            settled = true;
            peernet_engine::economy::Changes::default()
        })
        .unwrap();
    assert!(settled);
}
