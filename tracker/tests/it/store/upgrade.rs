//! The upgrade of a database with version 1 of the tables keeps all its rows.

use std::sync::Arc;

use peernet_engine::access::Visibility;
use peernet_engine::economy::SUPPLY_MT;
use peernet_engine::ids::ManifestId;
use peernet_testkit::postgres::fresh_database;
use peernet_tracker::store::SCHEMA_VERSION;
use peernet_tracker::store::accounts::AccountWrite;
use peernet_tracker::store::policies::PolicyWrite;
use peernet_tracker::store::postgres::{PoolLimits, PostgresStore};
use peernet_tracker::store::sqlite::SqliteStore;
use peernet_tracker::store::{Store, Write, Written};

use super::support::{HOUR_MS, NOW, account, device, file, later, manifest, peer, signature, write};

const POSTGRES: &str = include_str!("version1/postgres.sql");
const SQLITE: &str = include_str!("version1/sqlite.sql");

/// Two accounts with a grant each, and three manifests of 4, 2 and 0 chunks that they announced.
fn rows(bytes: impl Fn(u8, usize) -> String) -> String {
    let mut sql = format!("INSERT INTO schema_version VALUES (1, 1, {});", NOW.0);
    let treasury = SUPPLY_MT - 30_000;
    sql += &format!("INSERT INTO treasury VALUES (1, {treasury}, 0, 0, 0, 0, 0, 0);");
    for (n, address, balance) in [(1, "'a:1'", 20_000), (2, "NULL", 10_000)] {
        let id = bytes(n, 16);
        sql += &format!("INSERT INTO accounts VALUES ({id}, {address}, '$2b$10$hash-of-{n}', {n}, {});", NOW.0);
        sql += &format!(
            "INSERT INTO ledger VALUES ({id}, {balance}, false, false, {at}, 0, 0, 0, 0, 0, 0, {at}, 0.5, 0, 0, 0);",
            at = NOW.0
        );
    }
    for (n, chunks, by) in [(1_u8, 4, 1), (2, 2, 1), (3, 0, 2)] {
        let hash = bytes(n, 32);
        let id = bytes(n + 100, 32);
        let hashes = bytes(n, 32 * chunks);
        let size = (chunks as u64) << 20;
        sql += &format!("INSERT INTO files VALUES ({hash}, 'f{n}', 'f{n}', {});", NOW.0);
        sql += &format!(
            "INSERT INTO manifests VALUES ({hash}, {id}, 'f{n}', {size}, 1048576, {hashes}, {by}, {at});",
            by = bytes(by, 16),
            at = NOW.0
        );
    }
    sql
}

fn hex(byte: u8, count: usize) -> String {
    format!("{byte:02x}").repeat(count)
}

fn version_1_postgres() -> Arc<dyn Store> {
    let url = fresh_database();
    let mut client = ::postgres::Client::connect(&url, ::postgres::NoTls).unwrap();
    client.batch_execute(POSTGRES).unwrap();
    let bytes = |byte, count: usize| match count {
        16 => format!("'{}'::uuid", hex(byte, 16)),
        _ => format!("'\\x{}'::bytea", hex(byte, count)),
    };
    client.batch_execute(&rows(bytes)).unwrap();
    PostgresStore::open(&url, PoolLimits { connections: 4 }).unwrap()
}

fn version_1_sqlite(folder: &std::path::Path) -> Arc<dyn Store> {
    let path = folder.join("tracker.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch(SQLITE).unwrap();
    database.execute_batch(&rows(|byte, count| format!("x'{}'", hex(byte, count)))).unwrap();
    drop(database);
    SqliteStore::open(&path).unwrap()
}

fn check(name: &str, store: &dyn Store) {
    assert_eq!(store.facts().unwrap().schema_version, Some(1), "{name}");
    store.migrate(later(HOUR_MS)).unwrap();
    store.migrate(later(2 * HOUR_MS)).unwrap();
    let facts = store.facts().unwrap();
    assert_eq!((facts.schema_version, facts.newest_at), (Some(SCHEMA_VERSION), Some(later(HOUR_MS))), "{name}");

    // The old rows exist.
    let first = store.account_by_address("a:1").unwrap().unwrap();
    assert_eq!((first.id, first.generation, first.password_hash.as_str()), (peer(1), 1, "$2b$10$hash-of-1"), "{name}");
    assert_eq!(store.ledger(peer(2)).unwrap().unwrap().balance_mt, 10_000, "{name}");
    let totals = store.ledger_totals().unwrap();
    assert_eq!((totals.balances_mt, totals.treasury_mt), (30_000, SUPPLY_MT - 30_000), "{name}: the treasury is kept");
    assert_eq!(store.manifests_of(file(1)).unwrap().len(), 1, "{name}");

    // New columns and tables are filled from the old rows.
    assert_eq!(store.metadata_bytes(peer(1)).unwrap(), 6 * 32 + 2 * 256, "{name}");
    assert_eq!(store.metadata_bytes(peer(2)).unwrap(), 256, "{name}");
    assert_eq!(store.suspended().unwrap(), [], "{name}");
    let suspend = AccountWrite::Suspend { id: peer(1), reason: "test".into() };
    let batch = [
        Write::Account(suspend),
        Write::create_account(account(9, None)),
        Write::PutManifest(manifest(9, 2, "new", NOW)),
    ];
    assert_eq!(write(store, &batch), [Written::Done, Written::Done, Written::Done], "{name}");
    assert_eq!(store.suspended().unwrap(), [peer(1)], "{name}");
    assert_eq!(store.metadata_bytes(peer(1)).unwrap(), 8 * 32 + 3 * 256, "{name}");

    // Old accounts can have devices.
    assert_eq!(store.devices(peer(2), NOW).unwrap(), [], "{name}");
    let device = Write::Account(AccountWrite::AddDevice { device: device(1, 2), generation: 2 });
    assert_eq!(write(store, &[device]), [Written::Done], "{name}");
    assert_eq!(store.devices(peer(2), NOW).unwrap().len(), 1, "{name}");

    // Old files are public, and belong to their announcers.
    assert_eq!(store.policy_sequence().unwrap(), 0, "{name}");
    let policy = store.policy(file(3)).unwrap().unwrap();
    assert_eq!((policy.owner, policy.visibility), (peer(2), Visibility::Public), "{name}");
    let withdraw = PolicyWrite::Withdraw { file_hash: file(3), caller: peer(2), files_max: 1 };
    assert_eq!(write(store, &[Write::Policy(withdraw)]), [Written::Done], "{name}");
    assert_eq!(store.policy_sequence().unwrap(), 1, "{name}");

    // Old manifests have no signatures, and old accounts can sign them.
    let id = ManifestId([103; 32]);
    assert_eq!(store.signatures(id).unwrap(), [], "{name}");
    assert_eq!(write(store, &[Write::PutSignature(signature(id, 2, 1, NOW))]), [Written::Done], "{name}");
    assert_eq!(store.signatures(id).unwrap(), [signature(id, 2, 1, NOW)], "{name}");
    assert_eq!(store.metadata_bytes(peer(2)).unwrap(), 2 * 256, "{name}: counted like its manifest");
}

#[test]
fn a_database_of_version_1_is_upgraded_with_everything_in_it() {
    check("postgres", &*version_1_postgres());
    let folder = tempfile::tempdir().unwrap();
    check("sqlite", &*version_1_sqlite(folder.path()));
}

#[test]
fn trackers_that_start_together_upgrade_once() {
    let url = fresh_database();
    let mut client = ::postgres::Client::connect(&url, ::postgres::NoTls).unwrap();
    client.batch_execute(POSTGRES).unwrap();
    client.batch_execute("INSERT INTO schema_version VALUES (1, 1, 0)").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| PostgresStore::open(&url, PoolLimits::default()).unwrap().migrate(NOW).unwrap());
        }
    });
}
