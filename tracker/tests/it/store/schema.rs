//! The tables: equal in both dialects, and created once even by concurrent trackers.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread;

use peernet_engine::economy::SUPPLY_MT;
use peernet_testkit::postgres::fresh_database;
use peernet_tracker::store::postgres::{PoolLimits, PostgresStore};
use peernet_tracker::store::sqlite::SqliteStore;
use peernet_tracker::store::{Accounts as _, Store, StoreError, Write, Written};

use super::support::{NOW, account, later, listing, on_both, postgres, write};

#[test]
fn both_dialects_have_the_same_tables_and_columns() {
    let url = fresh_database();
    drop(postgres(&url));
    let mut client = ::postgres::Client::connect(&url, ::postgres::NoTls).unwrap();
    let sql =
        "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = 'public'";
    let in_postgres: BTreeSet<(String, String)> =
        client.query(sql, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracker.db");
    SqliteStore::open(&path).unwrap().migrate(NOW).unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    let sql = "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'";
    let mut statement = file.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let in_sqlite: BTreeSet<(String, String)> = rows.map(Result::unwrap).collect();

    // SQLite has no table of other trackers, because no other tracker can use the file.
    let shared: BTreeSet<(String, String)> =
        in_postgres.into_iter().filter(|(table, _)| !["trackers", "swarm_news"].contains(&table.as_str())).collect();
    assert!(shared.len() > 60, "{shared:?}");
    assert_eq!(shared, in_sqlite);
}

#[test]
fn migrating_again_changes_nothing() {
    on_both(|name, store| {
        write(&*store, &[Write::create_account(account(1, None))]);
        let before = store.ledger_totals().unwrap();
        store.migrate(later(1)).unwrap();
        assert_eq!(store.ledger_totals().unwrap(), before, "{name}");
    });
}

fn migrate_at_once(stores: Vec<Arc<dyn Store>>) {
    thread::scope(|scope| {
        let threads: Vec<_> = stores.iter().map(|store| scope.spawn(|| store.migrate(NOW).unwrap())).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    for store in stores {
        assert_eq!(store.ledger_totals().unwrap().treasury_mt, SUPPLY_MT);
    }
}

#[test]
fn trackers_that_start_together_create_the_tables_once() {
    let url = fresh_database();
    let open = |_| PostgresStore::open(&url, PoolLimits::default()).unwrap() as Arc<dyn Store>;
    migrate_at_once((0..6).map(open).collect());
    let folder = tempfile::tempdir().unwrap();
    let open = |_| SqliteStore::open(&folder.path().join("tracker.db")).unwrap() as Arc<dyn Store>;
    migrate_at_once((0..3).map(open).collect());
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let url = fresh_database();
    let store = postgres(&url);
    let mut client = ::postgres::Client::connect(&url, ::postgres::NoTls).unwrap();
    client.batch_execute("UPDATE schema_version SET version = 1000").unwrap();
    assert!(matches!(store.migrate(NOW), Err(StoreError::Failed(why)) if why.contains("1000")));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracker.db");
    let store = SqliteStore::open(&path).unwrap();
    store.migrate(NOW).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("UPDATE schema_version SET version = 1000").unwrap();
    assert!(matches!(store.migrate(NOW), Err(StoreError::Failed(why)) if why.contains("1000")));
}

#[test]
fn a_sqlite_file_is_private_and_keeps_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracker.db");
    let store = SqliteStore::open(&path).unwrap();
    store.migrate(NOW).unwrap();
    let batch = [Write::create_account(account(1, Some("a:1"))), Write::SealV1(listing(1, 1, later(9)))];
    assert_eq!(write(&*store, &batch), [Written::Done, Written::Done]);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", entry.path().display());
    }
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    store.migrate(NOW).unwrap();
    assert_eq!(store.account_by_address("a:1").unwrap(), Some(account(1, Some("a:1"))));
    assert_eq!(super::support::listings(&*store, NOW).len(), 1);
}

#[test]
fn errors_of_opening_do_not_quote_the_password() {
    let folder = tempfile::tempdir().unwrap();
    assert!(SqliteStore::open(&folder.path().join("missing").join("tracker.db")).is_err());
    std::fs::write(folder.path().join("no.db"), [b'x'; 4096]).unwrap();
    assert!(matches!(SqliteStore::open(&folder.path().join("no.db")), Err(StoreError::Failed(_))));
    for url in ["postgres://u:secret@h:port/d", "host=h password=secret nonsense=1", "secret"] {
        match PostgresStore::open(url, PoolLimits::default()) {
            Err(StoreError::Failed(why)) => assert!(!why.contains("secret"), "{why}"),
            other => panic!("{url}: {:?}", other.err()),
        }
    }
}
