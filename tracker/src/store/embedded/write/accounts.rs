//! Accounts and invites, each change with its row in the audit log.

use peernet_engine::economy::LedgerRow;
use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::columns::{self, account_columns};
use crate::store::devices::{NewDevice, ended_with_account};
use crate::store::registry::{AccountWrite, Action, AuditEntry, CodeHash, Invite, invite_id};
use crate::store::text::storable;
use crate::store::{Account, Result, Written};

use super::super::connection::{execute, query};
use super::super::ledger;
use super::devices;

pub(super) fn write(tx: &Connection, now: UnixMillis, write: &AccountWrite) -> Result<Written> {
    match write {
        AccountWrite::CreateInvited { account, code_hash } => create(tx, now, account, Some(code_hash)),
        AccountWrite::Suspend { id, reason } => suspend(tx, now, *id, reason),
        AccountWrite::Resume { id } => resume(tx, now, *id),
        AccountWrite::Revoke { id } => revoke(tx, now, *id),
        AccountWrite::AddDevice { device, generation } => devices::add(tx, now, device, *generation),
        AccountWrite::RenewDevice(renewal) => devices::renew(tx, now, renewal),
        AccountWrite::RevokeDevice { account, id } => devices::revoke(tx, now, *account, *id),
        AccountWrite::PutInvite(invite) => put_invite(tx, now, invite),
        AccountWrite::RevokeInvite { code_hash } => revoke_invite(tx, now, code_hash),
        AccountWrite::Note(entry) => note(tx, now, entry).map(|()| Written::Done),
    }
}

/// Makes an account with its ledger row and its grant. An invite is used only by an account that is made.
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
        return Ok(Written::Known);
    }
    if let Some(owner) = found.into_iter().next() {
        return Ok(Written::AddressTaken(Box::new(owner)));
    }
    if !use_invite(tx, now, account.id, invite)? {
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

/// True when there is none to use, or it could be used.
fn use_invite(tx: &Connection, now: UnixMillis, account: PeerId, invite: Option<&CodeHash>) -> Result<bool> {
    let Some(code_hash) = invite else { return Ok(true) };
    let used = execute(
        tx,
        "UPDATE invites SET uses_left = uses_left - 1 WHERE code_hash = ?1 AND uses_left > 0 AND revoked_at IS NULL AND \
         expires_at > ?2",
        params![code_hash, now.0],
    )?;
    if used == 1 {
        note(tx, now, &AuditEntry::by_client(Action::InviteUsed, account, &invite_id(code_hash)))?;
    }
    Ok(used == 1)
}

pub(super) fn set_password(
    tx: &Connection,
    now: UnixMillis,
    id: PeerId,
    generation: u32,
    password_hash: &str,
    device: Option<&NewDevice>,
) -> Result<Written> {
    let updated = execute(
        tx,
        "UPDATE accounts SET password_hash = ?3, generation = generation + 1 WHERE id = ?1 AND generation = ?2",
        params![id.0, generation, storable(password_hash)],
    )?;
    if updated == 0 {
        return Ok(Written::Stale);
    }
    let ended = ended_with_account(devices::revoke_all(tx, now, id)?);
    note(tx, now, &AuditEntry::by_client(Action::PasswordChanged, id, &ended))?;
    device.map_or(Ok(()), |device| devices::insert(tx, now, device))?;
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

/// Notes a change of an account; where there was none, says why.
fn changed(tx: &Connection, now: UnixMillis, updated: usize, entry: &AuditEntry) -> Result<Written> {
    if updated == 1 {
        note(tx, now, entry)?;
        return Ok(Written::Done);
    }
    let account = entry.account.map(|id| id.0);
    let known = query(tx, "SELECT 1 FROM accounts WHERE id = ?1", params![account], |row| columns::number(row))?;
    Ok(if known.is_empty() { Written::Stale } else { Written::Known })
}

fn put_invite(tx: &Connection, now: UnixMillis, invite: &Invite) -> Result<Written> {
    let inserted = execute(
        tx,
        "INSERT INTO invites (code_hash, uses, uses_left, note, created_at, expires_at, revoked_at) VALUES (?1, ?2, ?3, \
         ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        params![
            invite.code_hash,
            invite.uses,
            invite.uses_left,
            storable(&invite.note),
            invite.created_at.0,
            invite.expires_at.0,
            invite.revoked_at.map(|at| at.0),
        ],
    )?;
    if inserted == 0 {
        return Ok(Written::Known);
    }
    note(tx, now, &AuditEntry::of_new_invite(invite))?;
    Ok(Written::Done)
}

fn revoke_invite(tx: &Connection, now: UnixMillis, code_hash: &CodeHash) -> Result<Written> {
    let updated = execute(
        tx,
        "UPDATE invites SET revoked_at = ?2 WHERE code_hash = ?1 AND revoked_at IS NULL",
        params![code_hash, now.0],
    )?;
    if updated == 1 {
        return note(tx, now, &AuditEntry::of_revoked_invite(code_hash)).map(|()| Written::Done);
    }
    let sql = "SELECT 1 FROM invites WHERE code_hash = ?1";
    let known = query(tx, sql, params![code_hash], |row| columns::number(row))?;
    Ok(if known.is_empty() { Written::Stale } else { Written::Known })
}

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
