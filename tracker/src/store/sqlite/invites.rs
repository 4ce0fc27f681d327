//! The table `invites`.

use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::accounts::PAGE_MAX;
use crate::store::audit_log::{Action, AuditEntry};
use crate::store::columns::{self, invite_columns};
use crate::store::invites::{CodeHash, Invite, Invites, invite_id};
use crate::store::text::storable;
use crate::store::{Result, Written};

use super::SqliteStore;
use super::audit_log::note;
use super::connection::{execute, query};

impl Invites for SqliteStore {
    fn invite(&self, code_hash: &CodeHash) -> Result<Option<Invite>> {
        let sql = concat!("SELECT ", invite_columns!(), " FROM invites WHERE code_hash = ?1");
        self.connections.read(|tx| Ok(query(tx, sql, params![code_hash], |row| columns::invite(row))?.pop()))
    }

    fn invites(&self) -> Result<Vec<Invite>> {
        let sql =
            concat!("SELECT ", invite_columns!(), " FROM invites ORDER BY created_at DESC, code_hash DESC LIMIT ?1");
        self.connections.read(|tx| query(tx, sql, params![PAGE_MAX as i64], |row| columns::invite(row)))
    }
}

/// Uses an invite up once. False where it is not good.
pub(super) fn use_up(tx: &Connection, now: UnixMillis, account: PeerId, code_hash: &CodeHash) -> Result<bool> {
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

/// Stores an invite unless it exists.
pub(super) fn put(tx: &Connection, now: UnixMillis, invite: &Invite) -> Result<Written> {
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
        return Ok(Written::Unchanged);
    }
    note(tx, now, &AuditEntry::of_new_invite(invite))?;
    Ok(Written::Done)
}

/// Revokes an invite.
pub(super) fn revoke(tx: &Connection, now: UnixMillis, code_hash: &CodeHash) -> Result<Written> {
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
    Ok(if known.is_empty() { Written::Stale } else { Written::Unchanged })
}
