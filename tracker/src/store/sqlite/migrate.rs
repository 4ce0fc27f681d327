//! Creating and upgrading the tables, in one transaction.

use peernet_engine::economy::TreasuryRow;
use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::Result;
use crate::store::columns;
use crate::store::migrations::{VERSION, steps_from};

use super::connection::{execute, query, store_error};
use super::ledger;

/// The tables.
const SCHEMA: &str = include_str!("schema.sql");

pub(super) fn migrate(tx: &Connection, now: UnixMillis) -> Result<()> {
    let found = version(tx)?;
    let Some(steps) = steps_from(found, "file")? else { return Ok(()) };
    let run = |sql: &str| tx.execute_batch(sql).map_err(store_error);
    steps.iter().try_for_each(|step| run(step.before.sqlite))?;
    run(SCHEMA)?;
    steps.iter().try_for_each(|step| run(step.after.sqlite))?;
    if found.is_none() {
        ledger::save_treasury(tx, &TreasuryRow::new())?;
    }
    let insert = "INSERT OR REPLACE INTO schema_version (id, version, migrated_at) VALUES (1, ?1, ?2)";
    execute(tx, insert, params![VERSION, now.0]).map(drop)
}

/// Returns the version of the existing tables.
pub(super) fn version(tx: &Connection) -> Result<Option<i64>> {
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'";
    if query(tx, tables, [], |row| columns::number(row))?.first() != Some(&1) {
        return Ok(None);
    }
    Ok(query(tx, "SELECT version FROM schema_version", [], |row| columns::number(row))?.pop())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SCHEMA_VERSION;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const VERSION_1: &str = include_str!("../../../tests/it/store/version1/sqlite.sql");
    const NEW_IN_3: &[&str] = &["devices"];
    const NEW_IN_4: &[&str] = &[
        "access_changes",
        "file_access_groups",
        "file_access_accounts",
        "file_access",
        "group_members",
        "groups",
        "manifest_signatures",
    ];

    fn fresh() -> Connection {
        let database = Connection::open_in_memory().expect("opens");
        migrate(&database, NOW).expect("migrates");
        database
    }

    /// A database of an earlier version, made by removing what later versions added.
    fn without(version: i64, tables: &[&str]) -> Connection {
        let database = fresh();
        database.execute_batch("PRAGMA foreign_keys = OFF").expect("switches");
        for table in tables {
            database.execute_batch(&format!("DROP TABLE {table}")).expect("drops");
        }
        database.execute("UPDATE schema_version SET version = ?1", [version]).expect("writes");
        database
    }

    fn version_1() -> Connection {
        let database = Connection::open_in_memory().expect("opens");
        database.execute_batch(VERSION_1).expect("creates");
        database.execute("INSERT INTO schema_version VALUES (1, 1, 0)", []).expect("writes");
        database
    }

    /// The columns of all tables, and the names of all indexes.
    fn shape(database: &Connection) -> Vec<String> {
        let sql = "SELECT s.type || ' ' || s.name || ' ' || coalesce(c.name || ' ' || c.type, '') FROM sqlite_schema s \
                   LEFT JOIN pragma_table_info(s.name) c WHERE s.name NOT LIKE 'sqlite_%' ORDER BY 1";
        query(database, sql, [], |row| row.get(0).map_err(store_error)).expect("reads")
    }

    #[test]
    fn every_version_is_upgraded_to_the_tables_of_a_new_database() {
        let expected = shape(&fresh());
        let of_2 = [NEW_IN_3, NEW_IN_4].concat();
        for (from, database) in [(1, version_1()), (2, without(2, &of_2)), (3, without(3, NEW_IN_4))] {
            assert_ne!(shape(&database), expected, "version {from} is another one");
            migrate(&database, NOW).expect("migrates");
            assert_eq!(shape(&database), expected, "from version {from}");
            assert_eq!(version(&database).expect("reads"), Some(SCHEMA_VERSION));
        }
    }

    #[test]
    fn an_upgrade_of_this_version_changes_nothing() {
        let database = fresh();
        migrate(&database, NOW.plus(std::time::Duration::from_secs(1))).expect("migrates");
        let sql = "SELECT migrated_at FROM schema_version";
        assert_eq!(query(&database, sql, [], |row| columns::number(row)).expect("reads"), [NOW.0]);
    }

    #[test]
    fn only_new_tables_get_a_new_treasury() {
        let treasuries = |database: &Connection| {
            query(database, "SELECT count(*) FROM treasury", [], |row| columns::number(row)).expect("reads")
        };
        assert_eq!(treasuries(&fresh()), [1]);
        let database = without(3, NEW_IN_4);
        database.execute("UPDATE treasury SET balance_mt = 7", []).expect("writes");
        migrate(&database, NOW).expect("migrates");
        let balance = query(&database, "SELECT balance_mt FROM treasury", [], |row| columns::number(row));
        assert_eq!(balance.expect("reads"), [7]);
    }

    #[test]
    fn tables_of_a_later_program_are_left_as_they_are() {
        let database = without(SCHEMA_VERSION + 1, NEW_IN_4);
        let before = shape(&database);
        let refused = migrate(&database, NOW).expect_err("is too new").to_string();
        let why = format!(
            "the file has schema version {}, this program knows 4: upgrade peernet-tracker",
            SCHEMA_VERSION + 1
        );
        assert!(refused.ends_with(&why), "{refused}");
        assert_eq!(shape(&database), before);
    }

    #[test]
    fn a_failed_upgrade_leaves_the_earlier_version() {
        use crate::store::Store as _;
        use crate::store::sqlite::SqliteStore;

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tracker.sqlite");
        let database = Connection::open(&path).expect("opens");
        database.execute_batch(VERSION_1).expect("creates");
        database.execute("INSERT INTO schema_version VALUES (1, 1, 0)", []).expect("writes");
        // The upgrade adds this column, and fails where it is.
        database.execute_batch("ALTER TABLE accounts ADD COLUMN suspended_reason TEXT").expect("alters");
        let before = shape(&database);
        let refused = SqliteStore::open(&path).expect("opens").migrate(NOW).expect_err("fails").to_string();
        assert!(refused.contains("duplicate column name"), "{refused}");
        assert_eq!(shape(&database), before);
        assert_eq!(version(&database).expect("reads"), Some(1));
    }

    #[test]
    fn a_database_of_another_program_has_no_version() {
        let database = Connection::open_in_memory().expect("opens");
        assert_eq!(version(&database).expect("reads"), None);
        database.execute_batch("CREATE TABLE other (x)").expect("creates");
        assert_eq!(version(&database).expect("reads"), None);
    }
}
