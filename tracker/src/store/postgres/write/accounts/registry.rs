//! Suspensions, invites and the audit log.

use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;

use crate::store::Written;
use crate::store::devices::ended_with_account;
use crate::store::registry::{AccountWrite, Action, AuditEntry, CodeHash, Invite, invite_id};
use crate::store::text::storable;

use super::super::super::session::Tx;
use super::super::super::trouble::Trouble;
use super::super::super::values::Uuid;
use super::devices;

pub(super) fn write(tx: &mut Tx<'_>, now: UnixMillis, write: &AccountWrite) -> Result<Written, Trouble> {
    match write {
        AccountWrite::CreateInvited { .. } => unreachable!("the caller makes accounts itself"),
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

/// Whether the invite could be used.
pub(super) fn use_invite(
    tx: &mut Tx<'_>,
    now: UnixMillis,
    account: PeerId,
    code_hash: &CodeHash,
) -> Result<bool, Trouble> {
    let used = tx.execute(
        "UPDATE invites SET uses_left = uses_left - 1 WHERE code_hash = $1 AND uses_left > 0 AND revoked_at IS NULL AND \
         expires_at > $2",
        &[&code_hash.as_slice(), &now.0],
    )?;
    if used == 1 {
        note(tx, now, &AuditEntry::by_client(Action::InviteUsed, account, &invite_id(code_hash)))?;
    }
    Ok(used == 1)
}

fn suspend(tx: &mut Tx<'_>, now: UnixMillis, id: PeerId, reason: &str) -> Result<Written, Trouble> {
    let updated = tx.execute(
        "UPDATE accounts SET suspended_at = $2, suspended_reason = $3 WHERE id = $1 AND suspended_at IS NULL",
        &[&Uuid(id.0), &now.0, &storable(reason).as_ref()],
    )?;
    changed(tx, now, updated, &AuditEntry::by_operator(Action::Suspended, id, reason))
}

fn resume(tx: &mut Tx<'_>, now: UnixMillis, id: PeerId) -> Result<Written, Trouble> {
    let updated = tx.execute(
        "UPDATE accounts SET suspended_at = NULL, suspended_reason = NULL WHERE id = $1 AND suspended_at IS NOT NULL",
        &[&Uuid(id.0)],
    )?;
    changed(tx, now, updated, &AuditEntry::by_operator(Action::Resumed, id, ""))
}

fn revoke(tx: &mut Tx<'_>, now: UnixMillis, id: PeerId) -> Result<Written, Trouble> {
    let updated = tx.execute("UPDATE accounts SET generation = generation + 1 WHERE id = $1", &[&Uuid(id.0)])?;
    let ended = ended_with_account(devices::revoke_all(tx, now, id)?);
    changed(tx, now, updated, &AuditEntry::by_operator(Action::Revoked, id, &ended))
}

/// Notes a change of an account; where there was none, says why.
fn changed(tx: &mut Tx<'_>, now: UnixMillis, updated: u64, entry: &AuditEntry) -> Result<Written, Trouble> {
    if updated == 1 {
        note(tx, now, entry)?;
        return Ok(Written::Done);
    }
    let account = entry.account.map(|id| Uuid(id.0));
    let known = tx.query("SELECT 1 FROM accounts WHERE id = $1", &[&account])?;
    Ok(if known.is_empty() { Written::Stale } else { Written::Known })
}

fn put_invite(tx: &mut Tx<'_>, now: UnixMillis, invite: &Invite) -> Result<Written, Trouble> {
    let inserted = tx.execute(
        "INSERT INTO invites (code_hash, uses, uses_left, note, created_at, expires_at, revoked_at) VALUES ($1, $2, $3, \
         $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        &[
            &invite.code_hash.as_slice(),
            &i64::from(invite.uses),
            &i64::from(invite.uses_left),
            &storable(&invite.note).as_ref(),
            &invite.created_at.0,
            &invite.expires_at.0,
            &invite.revoked_at.map(|at| at.0),
        ],
    )?;
    if inserted == 0 {
        return Ok(Written::Known);
    }
    note(tx, now, &AuditEntry::of_new_invite(invite))?;
    Ok(Written::Done)
}

fn revoke_invite(tx: &mut Tx<'_>, now: UnixMillis, code_hash: &CodeHash) -> Result<Written, Trouble> {
    let updated = tx.execute(
        "UPDATE invites SET revoked_at = $2 WHERE code_hash = $1 AND revoked_at IS NULL",
        &[&code_hash.as_slice(), &now.0],
    )?;
    if updated == 1 {
        note(tx, now, &AuditEntry::of_revoked_invite(code_hash))?;
        return Ok(Written::Done);
    }
    let known = tx.query("SELECT 1 FROM invites WHERE code_hash = $1", &[&code_hash.as_slice()])?;
    Ok(if known.is_empty() { Written::Stale } else { Written::Known })
}

pub(super) fn note(tx: &mut Tx<'_>, now: UnixMillis, entry: &AuditEntry) -> Result<(), Trouble> {
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
