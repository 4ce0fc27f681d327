//! The table `audit`.

use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::accounts::PAGE_MAX;
use crate::store::audit_log::{AuditEntry, AuditLog, AuditQuery, AuditRow};
use crate::store::columns::{self, audit_columns};
use crate::store::text::storable;
use crate::store::{Durability, Result};

use super::SqliteStore;
use super::connection::{execute, query};

impl AuditLog for SqliteStore {
    fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditRow>> {
        self.connections.read(|tx| audit_log(tx, query))
    }

    fn prune_audit_log(&self, before: UnixMillis) -> Result<u64> {
        let sql = "DELETE FROM audit WHERE at < ?1";
        self.connections.write(Durability::Relaxed, |tx| Ok(execute(tx, sql, params![before.0])? as u64))
    }
}

fn audit_log(tx: &Connection, page: &AuditQuery) -> Result<Vec<AuditRow>> {
    let limit = page.limit.min(PAGE_MAX) as i64;
    let all = concat!("SELECT ", audit_columns!(), " FROM audit ORDER BY id DESC LIMIT ?1");
    let one = concat!("SELECT ", audit_columns!(), " FROM audit WHERE account = ?2 ORDER BY id DESC LIMIT ?1");
    match page.account {
        None => query(tx, all, params![limit], |row| columns::audit_row(row)),
        Some(id) => query(tx, one, params![limit, id.0], |row| columns::audit_row(row)),
    }
}

/// Writes an audit row.
pub(super) fn note(tx: &Connection, now: UnixMillis, entry: &AuditEntry) -> Result<()> {
    execute(
        tx,
        "INSERT INTO audit (at, actor, action, account, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            now.0,
            entry.actor.as_str(),
            entry.action.as_str(),
            entry.account.map(|id| id.0),
            storable(&entry.detail),
        ],
    )?;
    Ok(())
}
