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
