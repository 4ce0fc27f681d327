//! Many threads, and several trackers on one PostgreSQL database.

use std::thread;
use std::time::{Duration, Instant};

use peernet_engine::economy::{SUPPLY_MT, TicketId};
use peernet_testkit::postgres::fresh_database;
use peernet_tracker::store::{Durability, Store, Write, Written};

use super::books::{open, settle, success, with_accounts};
use super::support::{NOW, account, file, later, lease, manifest, on_both, peer, postgres, survivors, write};

const THREADS: u8 = 8;

#[test]
fn of_many_who_register_one_address_at_once_one_owns_it() {
    on_both(|name, store| {
        let register = |n: u8| {
            let durability = if n.is_multiple_of(2) { Durability::Synced } else { Durability::Relaxed };
            store.write(NOW, &[Write::CreateAccount(account(n, Some("same:1")))], durability).unwrap().remove(0)
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
fn writers_readers_and_settlements_at_once_lose_nothing() {
    on_both(|name, store| {
        with_accounts(&*store, 9);
        let one_round = |n: u8, round: u8| {
            let batch = [
                Write::PutManifest(manifest(n, 1 + round, "shared", NOW)),
                Write::PutLease(lease(n, round, &[0], later(9))),
                Write::CreateAccount(account(100 + n * 10 + round, None)),
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
        assert_eq!(survivors(&*store, NOW).len(), 40, "{name}");
        assert_eq!(store.audit().unwrap(), [], "{name}");
        let totals = store.ledger_totals().unwrap();
        assert_eq!(totals.balances_mt + totals.escrow_mt + totals.treasury_mt, SUPPLY_MT, "{name}");
    });
}

#[test]
fn trackers_that_write_the_same_rows_in_opposite_orders_both_succeed() {
    let url = fresh_database();
    let (one, two) = (postgres(&url), postgres(&url));
    let batch = |reversed: bool| {
        // Each lease is a run of its own: a departure between them keeps them apart.
        let mut numbers: Vec<u8> = (0..6).collect();
        if reversed {
            numbers.reverse();
        }
        let pair =
            |n: u8| [Write::PutLease(lease(n, 1, &[0], later(9))), Write::Leave { peer: peer(200), files: None }];
        numbers.into_iter().flat_map(pair).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        for (store, reversed) in [(&one, false), (&two, true)] {
            let batch = batch(reversed);
            scope.spawn(move || (0..30).for_each(|_| drop(write(&**store, &batch))));
        }
    });
    assert_eq!(survivors(&*one, NOW).len(), 6);
}

#[test]
fn one_tracker_of_a_database_is_the_reputation_writer_until_it_ends() {
    let url = fresh_database();
    let (one, two) = (postgres(&url), postgres(&url));
    assert!(one.hold_reputation_lock().unwrap());
    assert!(!two.hold_reputation_lock().unwrap());
    assert!(one.hold_reputation_lock().unwrap(), "asking again keeps it");
    drop(one);
    // The server frees it when it notices that the connection has ended.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !two.hold_reputation_lock().unwrap() {
        assert!(Instant::now() < deadline, "the lock was not passed on");
        thread::yield_now();
    }
    let elsewhere = postgres(&fresh_database());
    assert!(elsewhere.hold_reputation_lock().unwrap(), "another database is another swarm");
}
