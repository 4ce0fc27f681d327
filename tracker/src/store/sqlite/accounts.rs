//! The tables `accounts` and `account_usage`.

use peernet_engine::economy::LedgerRow;
use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::accounts::{Account, AccountEntry, AccountQuery, AccountWrite, Accounts, PAGE_MAX, PasswordChange};
use crate::store::audit_log::{Action, AuditEntry};
use crate::store::columns::{self, account_columns, account_entries};
use crate::store::devices::ended_with_account;
use crate::store::invites::CodeHash;
use crate::store::text::{folded, pattern, storable};
use crate::store::{Result, Written};

use super::audit_log::note;
use super::connection::{execute, query};
use super::{SqliteStore, devices, invites, ledger, whole};

impl Accounts for SqliteStore {
    fn account(&self, id: PeerId) -> Result<Option<Account>> {
        let sql = concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = ?1");
        self.connections.read(|tx| Ok(query(tx, sql, params![id.0], |row| columns::account(row))?.pop()))
    }

    fn account_by_address(&self, address: &str) -> Result<Option<Account>> {
        let sql = concat!("SELECT ", account_columns!(), " FROM accounts WHERE address = ?1");
        self.connections.read(|tx| Ok(query(tx, sql, params![storable(address)], |row| columns::account(row))?.pop()))
    }

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

    fn metadata_bytes(&self, account: PeerId) -> Result<u64> {
        let sql = "SELECT metadata_bytes FROM account_usage WHERE account = ?1";
        let found = self.connections.read(|tx| query(tx, sql, params![account.0], |row| columns::size(row)))?;
        Ok(found.first().copied().unwrap_or(0))
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

/// Applies one change of an account, a device or an invite.
pub(super) fn write(tx: &Connection, now: UnixMillis, write: &AccountWrite) -> Result<Written> {
    match write {
        AccountWrite::Suspend { id, reason } => suspend(tx, now, *id, reason),
        AccountWrite::Resume { id } => resume(tx, now, *id),
        AccountWrite::Revoke { id } => revoke(tx, now, *id),
        AccountWrite::AddDevice { device, generation } => devices::add(tx, now, device, *generation),
        AccountWrite::RenewDevice(renewal) => devices::renew(tx, now, renewal),
        AccountWrite::RevokeDevice { account, id } => devices::revoke(tx, now, *account, *id),
        AccountWrite::PutInvite(invite) => invites::put(tx, now, invite),
        AccountWrite::RevokeInvite { code_hash } => invites::revoke(tx, now, code_hash),
        AccountWrite::Note(entry) => note(tx, now, entry).map(|()| Written::Done),
    }
}

/// Creates an account with its ledger row and its grant. An invite is used up only by an account that is created.
pub(super) fn create(
    tx: &Connection,
    now: UnixMillis,
    account: &Account,
    invite: Option<&CodeHash>,
) -> Result<Written> {
    let address = account.address.as_deref().map(storable);
    let sql = concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = ?1 OR address = ?2");
    let found = query(tx, sql, params![account.id.0, address], |row| columns::account(row))?;
    if found.iter().any(|known| known.id == account.id) {
        return Ok(Written::Unchanged);
    }
    if let Some(owner) = found.into_iter().next() {
        return Ok(Written::AddressTaken(Box::new(owner)));
    }
    if let Some(code_hash) = invite
        && !invites::use_up(tx, now, account.id, code_hash)?
    {
        return Ok(Written::InviteRefused);
    }
    execute(
        tx,
        "INSERT INTO accounts (id, address, password_hash, generation, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![account.id.0, address, storable(&account.password_hash), account.generation, account.created_at.0],
    )?;
    let mut treasury = ledger::treasury(tx)?;
    let before = treasury.clone();
    ledger::insert(tx, &LedgerRow::new(account.id, treasury.grant_registration(now), now))?;
    if treasury != before {
        ledger::save_treasury(tx, &treasury)?;
    }
    note(tx, now, &AuditEntry::by_client(Action::Registered, account.id, ""))?;
    Ok(Written::Done)
}

/// Sets the password and ends every device; see [`crate::store::Write::SetPassword`].
pub(super) fn set_password(tx: &Connection, now: UnixMillis, change: &PasswordChange<'_>) -> Result<Written> {
    let updated = execute(
        tx,
        "UPDATE accounts SET password_hash = ?3, generation = generation + 1 WHERE id = ?1 AND generation = ?2",
        params![change.id.0, change.generation, storable(change.password_hash)],
    )?;
    if updated == 0 {
        return Ok(Written::Stale);
    }
    let ended = ended_with_account(devices::revoke_all(tx, now, change.id)?);
    note(tx, now, &AuditEntry::by_client(Action::PasswordChanged, change.id, &ended))?;
    change.device.map_or(Ok(()), |device| devices::insert(tx, now, device))?;
    Ok(Written::Done)
}

fn suspend(tx: &Connection, now: UnixMillis, id: PeerId, reason: &str) -> Result<Written> {
    let updated = execute(
        tx,
        "UPDATE accounts SET suspended_at = ?2, suspended_reason = ?3 WHERE id = ?1 AND suspended_at IS NULL",
        params![id.0, now.0, storable(reason)],
    )?;
    changed(tx, now, updated, &AuditEntry::by_operator(Action::Suspended, id, reason))
}

fn resume(tx: &Connection, now: UnixMillis, id: PeerId) -> Result<Written> {
    let updated = execute(
        tx,
        "UPDATE accounts SET suspended_at = NULL, suspended_reason = NULL WHERE id = ?1 AND suspended_at IS NOT NULL",
        params![id.0],
    )?;
    changed(tx, now, updated, &AuditEntry::by_operator(Action::Resumed, id, ""))
}

fn revoke(tx: &Connection, now: UnixMillis, id: PeerId) -> Result<Written> {
    let updated = execute(tx, "UPDATE accounts SET generation = generation + 1 WHERE id = ?1", params![id.0])?;
    let ended = ended_with_account(devices::revoke_all(tx, now, id)?);
    changed(tx, now, updated, &AuditEntry::by_operator(Action::Revoked, id, &ended))
}

/// Writes the audit row of a change. Where no row was changed, returns the reason.
fn changed(tx: &Connection, now: UnixMillis, updated: usize, entry: &AuditEntry) -> Result<Written> {
    if updated == 1 {
        note(tx, now, entry)?;
        return Ok(Written::Done);
    }
    let account = entry.account.map(|id| id.0);
    let known = query(tx, "SELECT 1 FROM accounts WHERE id = ?1", params![account], |row| columns::number(row))?;
    Ok(if known.is_empty() { Written::Stale } else { Written::Unchanged })
}

/// Adds to the bytes of metadata that an account has stored.
pub(super) fn count_metadata(tx: &Connection, account: PeerId, bytes: u64) -> Result<()> {
    execute(
        tx,
        "INSERT INTO account_usage (account, metadata_bytes) VALUES (?1, ?2) ON CONFLICT (account) DO UPDATE SET \
         metadata_bytes = metadata_bytes + excluded.metadata_bytes",
        params![account.0, whole(bytes)?],
    )?;
    Ok(())
}
