//! PostgreSQL stops and starts again.

use std::thread;
use std::time::{Duration, Instant};

use peernet_engine::economy::{Changes, Needs};
use peernet_testkit::postgres::{Postgres, fresh_database};
use peernet_tracker::store::postgres::{PoolLimits, PostgresStore};
use peernet_tracker::store::{Accounts as _, Durability, Ledger as _, Result, Store, StoreError, Write, Written};

use super::support::{NOW, account, later, listing, listings, peer, postgres};

/// The bound of any call while the server is down.
const BOUND: Duration = Duration::from_secs(8);

/// Opens and uses every connection of the pool.
fn warm(store: &PostgresStore) {
    thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| (0..20).for_each(|_| drop(store.account(peer(1)).unwrap())))));
    });
}

/// Makes every kind of call, and returns their results.
fn calls(store: &PostgresStore) -> Vec<(&'static str, Result<()>)> {
    let account = Write::create_account(account(77, None));
    vec![
        ("ping", store.ping()),
        ("read", store.account(peer(1)).map(drop)),
        ("write", store.write(NOW, &[account], Durability::Synced).map(drop)),
        ("settle", store.settle(&Needs::default(), &mut |_| Changes::default())),
        ("exchange", store.replication().map_or(Ok(()), |exchange| exchange.trackers(NOW).map(drop))),
        ("migrate", store.migrate(NOW)),
    ]
}

fn expect_all_well(store: &PostgresStore, when: &str) {
    for (what, result) in calls(store) {
        assert!(result.is_ok(), "{when}: {what}: {result:?}");
    }
}

fn expect_unavailable(store: &PostgresStore, when: &str) {
    for (what, result) in calls_timed(store) {
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{when}: {what}: {result:?}");
    }
}

/// Waits until the store answers again. The pool retries at intervals of at most 1.5 s.
fn wait_until_back(store: &PostgresStore) {
    let deadline = Instant::now() + BOUND;
    while let Err(error) = store.ping() {
        assert!(Instant::now() < deadline, "still {error}");
    }
}

fn calls_timed(store: &PostgresStore) -> Vec<(&'static str, Result<()>)> {
    let begun = Instant::now();
    let results = calls(store);
    let each = begun.elapsed() / u32::try_from(results.len()).unwrap();
    assert!(each < BOUND, "{each:?} a call");
    results
}

#[test]
fn connections_killed_by_the_server_are_replaced() {
    let url = fresh_database();
    let store = postgres(&url);
    let mut admin = ::postgres::Client::connect(&url, ::postgres::NoTls).unwrap();
    for round in 0..3 {
        warm(&store);
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let killed: i64 = admin.query_one(sql, &[]).unwrap().get(0);
        assert!(killed >= 1, "{killed}");
        // The server ends them when it likes. No call may fail meanwhile.
        warm(&store);
        let round_account = Write::create_account(account(round, None));
        assert_eq!(store.write(NOW, &[round_account], Durability::Synced).unwrap(), [Written::Done]);
    }
}

#[test]
fn a_stopped_server_is_unavailable_and_used_again_later() {
    let mut server = Postgres::start();
    let store = postgres(&server.fresh_database());
    store.write(NOW, &[Write::create_account(account(1, None))], Durability::Synced).unwrap();
    warm(&store);
    expect_all_well(&store, "at first");
    server.stop();
    expect_unavailable(&store, "stopped");
    server.restart();
    wait_until_back(&store);
    expect_all_well(&store, "started again");
    assert_eq!(store.account(peer(1)).unwrap(), Some(account(1, None)));
}

#[test]
fn acknowledged_writes_survive_a_kill_of_the_server() {
    let mut server = Postgres::start();
    let store = postgres(&server.fresh_database());
    // The synced batch makes the relaxed batch before it durable.
    store.write(NOW, &[Write::SealV1(listing(1, 1, later(9)))], Durability::Relaxed).unwrap();
    store.write(NOW, &[Write::create_account(account(1, None))], Durability::Synced).unwrap();
    server.kill9();
    expect_unavailable(&store, "killed");
    server.restart();
    wait_until_back(&store);
    assert_eq!(store.account(peer(1)).unwrap(), Some(account(1, None)));
    assert_eq!(listings(&*store, NOW).len(), 1);
    assert_eq!(store.audit().unwrap(), []);
    expect_all_well(&store, "started again");
}

#[test]
fn a_store_may_be_opened_before_its_server_is_up() {
    let mut server = Postgres::start();
    let url = server.fresh_database();
    server.stop();
    let store = PostgresStore::open(&url, PoolLimits::default()).unwrap();
    assert!(matches!(store.migrate(NOW), Err(StoreError::Unavailable(_))));
    server.restart();
    wait_until_back(&store);
    store.migrate(NOW).unwrap();
}

#[test]
fn waits_for_locked_rows_are_bounded() {
    let url = fresh_database();
    let store = postgres(&url);
    let mut other = ::postgres::Client::connect(&url, ::postgres::NoTls).unwrap();
    let mut holding = other.transaction().unwrap();
    holding.execute("SELECT 1 FROM treasury FOR UPDATE", &[]).unwrap();
    let begun = Instant::now();
    let refused = store.settle(&Needs::default(), &mut |_| Changes::default());
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(begun.elapsed() < BOUND);
    holding.rollback().unwrap();
    store.settle(&Needs::default(), &mut |_| Changes::default()).unwrap();
}
