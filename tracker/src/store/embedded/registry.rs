//! Questions of operators.

use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::columns::{self, account_entries, audit_columns, device_columns, invite_columns};
use crate::store::devices::{DEVICES_MAX, Device, REVOKED_MAX, Revoked, TokenHash};
use crate::store::registry::{
    AccountEntry, AccountQuery, AuditQuery, AuditRow, CodeHash, Facts, Invite, PAGE_MAX, Registry,
};
use crate::store::text::{folded, pattern};
use crate::store::{Durability, Result};

use super::EmbeddedStore;
use super::connection::{execute, query};

impl Registry for EmbeddedStore {
    fn accounts(&self, query: &AccountQuery) -> Result<Vec<AccountEntry>> {
        self.connections.read(|tx| accounts(tx, query))
    }

    fn account_entry(&self, id: PeerId) -> Result<Option<AccountEntry>> {
        self.connections.read(|tx| {
            let sql = concat!(account_entries!(), " WHERE a.id = ?1");
            Ok(query(tx, sql, params![id.0], |row| columns::account_entry(row))?.pop())
        })
    }

    fn suspended(&self) -> Result<Vec<PeerId>> {
        let sql = "SELECT id FROM accounts WHERE suspended_at IS NOT NULL";
        self.connections.read(|tx| query(tx, sql, [], |row| columns::peer(row)))
    }

    fn device_of_family(&self, family_hash: &TokenHash) -> Result<Option<Device>> {
        let sql = concat!("SELECT ", device_columns!(), " FROM devices WHERE family_hash = ?1");
        self.connections.read(|tx| Ok(query(tx, sql, params![family_hash], |row| columns::device(row))?.pop()))
    }

    fn devices(&self, account: PeerId, now: UnixMillis) -> Result<Vec<Device>> {
        let sql = concat!(
            "SELECT ",
            device_columns!(),
            " FROM devices WHERE account = ?1 AND revoked_at IS NULL AND expires_at > ?2 ORDER BY created_at DESC, id DESC \
             LIMIT ?3"
        );
        let params = params![account.0, now.0, DEVICES_MAX as i64];
        self.connections.read(|tx| query(tx, sql, params, |row| columns::device(row)))
    }

    fn revoked_devices(&self, after: UnixMillis) -> Result<Vec<Revoked>> {
        let sql =
            "SELECT id, account, revoked_at FROM devices WHERE revoked_at > ?1 ORDER BY revoked_at DESC, id LIMIT ?2";
        self.connections.read(|tx| query(tx, sql, params![after.0, REVOKED_MAX as i64], |row| columns::revoked(row)))
    }

    fn prune_devices(&self, before: UnixMillis) -> Result<u64> {
        let sql = "DELETE FROM devices WHERE coalesce(revoked_at, expires_at) < ?1";
        self.connections.write(Durability::Relaxed, |tx| Ok(execute(tx, sql, params![before.0])? as u64))
    }

    fn metadata_bytes(&self, account: PeerId) -> Result<u64> {
        let sql = "SELECT metadata_bytes FROM account_usage WHERE account = ?1";
        let found = self.connections.read(|tx| query(tx, sql, params![account.0], |row| columns::size(row)))?;
        Ok(found.first().copied().unwrap_or(0))
    }

    fn invite(&self, code_hash: &CodeHash) -> Result<Option<Invite>> {
        let sql = concat!("SELECT ", invite_columns!(), " FROM invites WHERE code_hash = ?1");
        self.connections.read(|tx| Ok(query(tx, sql, params![code_hash], |row| columns::invite(row))?.pop()))
    }

    fn invites(&self) -> Result<Vec<Invite>> {
        let sql =
            concat!("SELECT ", invite_columns!(), " FROM invites ORDER BY created_at DESC, code_hash DESC LIMIT ?1");
        self.connections.read(|tx| query(tx, sql, params![PAGE_MAX as i64], |row| columns::invite(row)))
    }

    fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditRow>> {
        self.connections.read(|tx| audit_log(tx, query))
    }

    fn prune_audit_log(&self, before: UnixMillis) -> Result<u64> {
        let sql = "DELETE FROM audit WHERE at < ?1";
        self.connections.write(Durability::Relaxed, |tx| Ok(execute(tx, sql, params![before.0])? as u64))
    }

    fn facts(&self) -> Result<Facts> {
        self.connections.read(facts)
    }
}

fn accounts(tx: &Connection, page: &AccountQuery) -> Result<Vec<AccountEntry>> {
    let after = page.after.map_or_else(Vec::new, |id| id.0.to_vec());
    let matching = page.matching.as_ref().map(|text| pattern(&folded(text)));
    let sql = concat!(
        account_entries!(),
        " WHERE a.id > ?1 AND (?2 IS NULL OR a.address \
         LIKE ?2 ESCAPE '\\') ORDER BY a.id LIMIT ?3"
    );
    query(tx, sql, params![after, matching, page.limit.min(PAGE_MAX) as i64], |row| columns::account_entry(row))
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

fn facts(tx: &Connection) -> Result<Facts> {
    let mut facts = Facts { schema_version: super::migrate::version(tx)?, newest_at: None, connections: None };
    if facts.schema_version.is_some_and(|version| version >= 2) {
        let sql = "SELECT max(coalesce((SELECT max(at) FROM audit), 0), (SELECT migrated_at FROM schema_version))";
        facts.newest_at = query(tx, sql, [], |row| columns::number(row))?.pop().map(UnixMillis);
    }
    Ok(facts)
}
