//! Creating and upgrading the tables, by one tracker at a time.

use peernet_engine::economy::TreasuryRow;
use peernet_engine::time::UnixMillis;

use crate::store::migrations::{Step, VERSION, steps_from};

use super::connection::{Attempt, Session, Tx};
use super::ledger;

/// The statements that create the tables, with comments that explain them.
const SCHEMA: &str = include_str!("../../../../schema.sql");
/// Begins the transaction. It may wait longer than an ordinary statement for another tracker that is migrating.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = '60s'";
/// The key is this program's name for "migrating": "peernet" and 1 in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(x'7065657265740001'::bigint)";

pub(super) fn migrate(session: &mut Session, now: UnixMillis) -> Attempt<()> {
    let mut tx = session.begin(BEGIN)?;
    tx.batch(LOCK)?;
    if let Some(steps) = steps_from(version(&mut tx)?, "database")? {
        upgrade(&mut tx, now, &steps)?;
    }
    tx.commit()
}

/// Upgrades an earlier version by these steps, or creates all tables.
fn upgrade(tx: &mut Tx<'_>, now: UnixMillis, steps: &[&Step]) -> Attempt<()> {
    steps.iter().try_for_each(|step| tx.batch(step.before.postgres))?;
    tx.batch(SCHEMA)?;
    steps.iter().try_for_each(|step| tx.batch(step.after.postgres))?;
    ledger::insert_treasury(tx, &TreasuryRow::new())?;
    tx.execute(
        "INSERT INTO schema_version (id, version, migrated_at) VALUES (1, $1, $2) ON CONFLICT (id) DO UPDATE SET \
         version = EXCLUDED.version, migrated_at = EXCLUDED.migrated_at",
        &[&VERSION, &now.0],
    )?;
    Ok(())
}

/// Returns the version of the existing tables.
pub(super) fn version(tx: &mut Tx<'_>) -> Attempt<Option<i64>> {
    let exists = tx.query("SELECT to_regclass('schema_version') IS NOT NULL", &[])?;
    if !exists.first().is_some_and(|row| row.get::<_, bool>(0)) {
        return Ok(None);
    }
    let rows = tx.query("SELECT version FROM schema_version WHERE id = 1", &[])?;
    Ok(rows.first().map(|row| row.get(0)))
}
