//! The table `audit`.

use peernet_engine::time::UnixMillis;

use crate::store::Result;
use crate::store::accounts::PAGE_MAX;
use crate::store::audit_log::{AuditEntry, AuditLog, AuditQuery, AuditRow};
use crate::store::columns::{self, audit_columns};
use crate::store::text::storable;

use super::PostgresStore;
use super::connection::{Attempt, Tx, Uuid};

impl AuditLog for PostgresStore {
    fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditRow>> {
        let limit = query.limit.min(PAGE_MAX) as i64;
        let all = concat!("SELECT ", audit_columns!(), " FROM audit ORDER BY id DESC LIMIT $1");
        let one = concat!("SELECT ", audit_columns!(), " FROM audit WHERE account = $2 ORDER BY id DESC LIMIT $1");
        let rows = self.connections.run(|session| match query.account {
            None => session.query(all, &[&limit]),
            Some(id) => session.query(one, &[&limit, &Uuid(id.0)]),
        })?;
        rows.iter().map(columns::audit_row).collect()
    }

    fn prune_audit_log(&self, before: UnixMillis) -> Result<u64> {
        self.connections.run(|session| session.execute("DELETE FROM audit WHERE at < $1", &[&before.0]))
    }
}

/// Writes an audit row.
pub(super) fn note(tx: &mut Tx<'_>, now: UnixMillis, entry: &AuditEntry) -> Attempt<()> {
    tx.execute(
        "INSERT INTO audit (at, actor, action, account, detail) VALUES ($1, $2, $3, $4, $5)",
        &[
            &now.0,
            &entry.actor.as_str(),
            &entry.action.as_str(),
            &entry.account.map(|id| Uuid(id.0)),
            &storable(&entry.detail).as_ref(),
        ],
    )?;
    Ok(())
}
