//! Questions of operators.

use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;

use crate::store::columns::{self, account_entries, audit_columns, device_columns, invite_columns};
use crate::store::devices::{DEVICES_MAX, Device, REVOKED_MAX, Revoked, TokenHash};
use crate::store::registry::{
    AccountEntry, AccountQuery, AuditQuery, AuditRow, CodeHash, ConnectionFacts, Facts, Invite, PAGE_MAX, Registry,
};
use crate::store::text::{folded, pattern};
use crate::store::{Result as StoreResult, StoreError};

use super::PostgresStore;
use super::session::Session;
use super::trouble::Trouble;
use super::values::Uuid;

impl Registry for PostgresStore {
    fn accounts(&self, query: &AccountQuery) -> StoreResult<Vec<AccountEntry>> {
        self.connections.run(|session| accounts(session, query))
    }

    fn account_entry(&self, id: PeerId) -> StoreResult<Option<AccountEntry>> {
        let sql = concat!(account_entries!(), " WHERE a.id = $1");
        let rows = self.connections.run(|session| session.query(sql, &[&Uuid(id.0)]))?;
        rows.first().map(columns::account_entry).transpose()
    }

    fn suspended(&self) -> StoreResult<Vec<PeerId>> {
        let sql = "SELECT id FROM accounts WHERE suspended_at IS NOT NULL";
        self.connections.run(|session| session.query(sql, &[]))?.iter().map(columns::peer).collect()
    }

    fn device_of_family(&self, family_hash: &TokenHash) -> StoreResult<Option<Device>> {
        let sql = concat!("SELECT ", device_columns!(), " FROM devices WHERE family_hash = $1");
        let rows = self.connections.run(|session| session.query(sql, &[&family_hash.as_slice()]))?;
        rows.first().map(columns::device).transpose()
    }

    fn devices(&self, account: PeerId, now: UnixMillis) -> StoreResult<Vec<Device>> {
        let sql = concat!(
            "SELECT ",
            device_columns!(),
            " FROM devices WHERE account = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY created_at DESC, id DESC \
             LIMIT $3"
        );
        let limit = DEVICES_MAX as i64;
        let rows = self.connections.run(|session| session.query(sql, &[&Uuid(account.0), &now.0, &limit]))?;
        rows.iter().map(columns::device).collect()
    }

    fn revoked_devices(&self, after: UnixMillis) -> StoreResult<Vec<Revoked>> {
        let sql =
            "SELECT id, account, revoked_at FROM devices WHERE revoked_at > $1 ORDER BY revoked_at DESC, id LIMIT $2";
        let limit = REVOKED_MAX as i64;
        self.connections.run(|session| session.query(sql, &[&after.0, &limit]))?.iter().map(columns::revoked).collect()
    }

    fn prune_devices(&self, before: UnixMillis) -> StoreResult<u64> {
        let sql = "DELETE FROM devices WHERE coalesce(revoked_at, expires_at) < $1";
        self.connections.run(|session| session.execute(sql, &[&before.0]))
    }

    fn metadata_bytes(&self, account: PeerId) -> StoreResult<u64> {
        let sql = "SELECT metadata_bytes FROM account_usage WHERE account = $1";
        let rows = self.connections.run(|session| session.query(sql, &[&Uuid(account.0)]))?;
        rows.first().map_or(Ok(0), columns::size)
    }

    fn invite(&self, code_hash: &CodeHash) -> StoreResult<Option<Invite>> {
        let sql = concat!("SELECT ", invite_columns!(), " FROM invites WHERE code_hash = $1");
        let rows = self.connections.run(|session| session.query(sql, &[&code_hash.as_slice()]))?;
        rows.first().map(columns::invite).transpose()
    }

    fn invites(&self) -> StoreResult<Vec<Invite>> {
        let sql =
            concat!("SELECT ", invite_columns!(), " FROM invites ORDER BY created_at DESC, code_hash DESC LIMIT $1");
        self.connections.run(|session| session.query(sql, &[&(PAGE_MAX as i64)]))?.iter().map(columns::invite).collect()
    }

    fn audit_log(&self, query: &AuditQuery) -> StoreResult<Vec<AuditRow>> {
        let limit = query.limit.min(PAGE_MAX) as i64;
        let all = concat!("SELECT ", audit_columns!(), " FROM audit ORDER BY id DESC LIMIT $1");
        let one = concat!("SELECT ", audit_columns!(), " FROM audit WHERE account = $2 ORDER BY id DESC LIMIT $1");
        let rows = self.connections.run(|session| match query.account {
            None => session.query(all, &[&limit]),
            Some(id) => session.query(one, &[&limit, &Uuid(id.0)]),
        })?;
        rows.iter().map(columns::audit_row).collect()
    }

    fn prune_audit_log(&self, before: UnixMillis) -> StoreResult<u64> {
        self.connections.run(|session| session.execute("DELETE FROM audit WHERE at < $1", &[&before.0]))
    }

    fn facts(&self) -> StoreResult<Facts> {
        self.connections.run(facts)
    }
}

fn accounts(session: &mut Session, page: &AccountQuery) -> Result<Vec<AccountEntry>, Trouble> {
    let after = page.after.map(|id| Uuid(id.0));
    let matching = page.matching.as_ref().map(|text| pattern(&folded(text)));
    let limit = page.limit.min(PAGE_MAX) as i64;
    let sql = concat!(
        account_entries!(),
        " WHERE ($1::uuid IS NULL OR a.id > $1) AND \
         ($2::text IS NULL OR a.address LIKE $2) ORDER BY a.id LIMIT $3"
    );
    let rows = session.query(sql, &[&after, &matching, &limit])?;
    Ok(rows.iter().map(columns::account_entry).collect::<StoreResult<_>>()?)
}

fn facts(session: &mut Session) -> Result<Facts, Trouble> {
    let schema_version = {
        let mut tx = session.begin("BEGIN READ ONLY")?;
        super::migrate::version(&mut tx)?
    };
    let mut facts = Facts { schema_version, newest_at: None, connections: Some(connections(session)?) };
    if schema_version.is_some_and(|version| version >= 2) {
        let sql = "SELECT greatest((SELECT max(at) FROM audit), (SELECT migrated_at FROM schema_version))";
        let rows = session.query(sql, &[])?;
        facts.newest_at = rows.first().map(columns::number).transpose()?.map(UnixMillis);
    }
    Ok(facts)
}

fn connections(session: &mut Session) -> Result<ConnectionFacts, Trouble> {
    let rows = session.query(
        "SELECT current_setting('max_connections')::bigint, current_setting('superuser_reserved_connections')::bigint, \
         (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
         coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)",
        &[],
    )?;
    let row = rows.first().ok_or_else(|| StoreError::Failed("no row of settings".into()))?;
    let count = |at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or_default();
    Ok(ConnectionFacts { max: count(0), reserved: count(1), open: count(2), encrypted: row.get(3) })
}
