//! The table `invites`.

use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;

use crate::store::accounts::PAGE_MAX;
use crate::store::audit_log::{Action, AuditEntry};
use crate::store::columns::{self, invite_columns};
use crate::store::invites::{CodeHash, Invite, Invites, invite_id};
use crate::store::text::storable;
use crate::store::{Result, Written};

use super::PostgresStore;
use super::audit_log::note;
use super::connection::{Attempt, Tx};

impl Invites for PostgresStore {
    fn invite(&self, code_hash: &CodeHash) -> Result<Option<Invite>> {
        let sql = concat!("SELECT ", invite_columns!(), " FROM invites WHERE code_hash = $1");
        let rows = self.connections.run(|session| session.query(sql, &[&code_hash.as_slice()]))?;
        rows.first().map(columns::invite).transpose()
    }

    fn invites(&self) -> Result<Vec<Invite>> {
        let sql =
            concat!("SELECT ", invite_columns!(), " FROM invites ORDER BY created_at DESC, code_hash DESC LIMIT $1");
        self.connections.run(|session| session.query(sql, &[&(PAGE_MAX as i64)]))?.iter().map(columns::invite).collect()
    }
}

/// Uses an invite up once. False where it is not good.
pub(super) fn use_up(tx: &mut Tx<'_>, now: UnixMillis, account: PeerId, code_hash: &CodeHash) -> Attempt<bool> {
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

/// Stores an invite unless it exists.
pub(super) fn put(tx: &mut Tx<'_>, now: UnixMillis, invite: &Invite) -> Attempt<Written> {
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
        return Ok(Written::Unchanged);
    }
    note(tx, now, &AuditEntry::of_new_invite(invite))?;
    Ok(Written::Done)
}

/// Revokes an invite.
pub(super) fn revoke(tx: &mut Tx<'_>, now: UnixMillis, code_hash: &CodeHash) -> Attempt<Written> {
    let updated = tx.execute(
        "UPDATE invites SET revoked_at = $2 WHERE code_hash = $1 AND revoked_at IS NULL",
        &[&code_hash.as_slice(), &now.0],
    )?;
    if updated == 1 {
        note(tx, now, &AuditEntry::of_revoked_invite(code_hash))?;
        return Ok(Written::Done);
    }
    let known = tx.query("SELECT 1 FROM invites WHERE code_hash = $1", &[&code_hash.as_slice()])?;
    Ok(if known.is_empty() { Written::Stale } else { Written::Unchanged })
}
