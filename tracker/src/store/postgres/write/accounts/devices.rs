//! Devices: made, renewed and ended, each change but a renewal with its row in the audit log. The lock on the account that a batch takes
//! first keeps changes of one device apart.

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;

use crate::store::columns;
use crate::store::devices::{self, DEVICES_MAX, ENDED_MAX, Ended, NewDevice, RETRY_WINDOW, Renewal};
use crate::store::text::storable;
use crate::store::{Result as StoreResult, Written};

use super::super::super::session::Tx;
use super::super::super::trouble::Trouble;
use super::super::super::values::Uuid;
use super::registry::note;

/// Makes a device of an account that still is of this generation.
pub(super) fn add(tx: &mut Tx<'_>, now: UnixMillis, new: &NewDevice, generation: u32) -> Result<Written, Trouble> {
    let sql = "SELECT 1 FROM accounts WHERE id = $1 AND generation = $2";
    if tx.query(sql, &[&Uuid(new.account.0), &i64::from(generation)])?.is_empty() {
        return Ok(Written::Stale);
    }
    let replaced = make_room(tx, now, new.account)?;
    insert(tx, now, new)?;
    Ok(if replaced.is_empty() { Written::Done } else { Written::Replaced(replaced) })
}

/// Ends what is too much with one more.
fn make_room(tx: &mut Tx<'_>, now: UnixMillis, account: PeerId) -> Result<Vec<DeviceId>, Trouble> {
    let rows = tx.query(
        "UPDATE devices SET revoked_at = $2 WHERE id IN (SELECT id FROM devices WHERE account = $1 AND revoked_at IS NULL \
         AND expires_at > $2 ORDER BY seen_at DESC, id DESC OFFSET $3) RETURNING id",
        &[&Uuid(account.0), &now.0, &(DEVICES_MAX as i64 - 1)],
    )?;
    let replaced = rows.iter().map(columns::device_id).collect::<StoreResult<Vec<_>>>()?;
    for id in &replaced {
        note(tx, now, &devices::ended(account, *id, Ended::Replaced))?;
    }
    tx.execute(
        "DELETE FROM devices WHERE id IN (SELECT id FROM devices WHERE account = $1 AND (revoked_at IS NOT NULL OR \
         expires_at <= $2) ORDER BY coalesce(revoked_at, expires_at) DESC, id DESC OFFSET $3)",
        &[&Uuid(account.0), &now.0, &(ENDED_MAX as i64)],
    )?;
    Ok(replaced)
}

/// Makes a device for which there is room.
pub(super) fn insert(tx: &mut Tx<'_>, now: UnixMillis, new: &NewDevice) -> Result<(), Trouble> {
    tx.execute(
        "INSERT INTO devices (id, account, label, scopes, family_hash, refresh_hash, created_at, seen_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)",
        &[
            &Uuid(new.id.0),
            &Uuid(new.account.0),
            &storable(&new.label).as_ref(),
            &new.scopes.to_string(),
            &new.family_hash.as_slice(),
            &new.refresh_hash.as_slice(),
            &now.0,
            &new.expires_at.0,
        ],
    )?;
    note(tx, now, &devices::added(new))
}

/// The newest token is exchanged; the one before it again, for a moment; with any other the device ends.
pub(super) fn renew(tx: &mut Tx<'_>, now: UnixMillis, renewal: &Renewal) -> Result<Written, Trouble> {
    let (id, expires_at) = (Uuid(renewal.device.0), renewal.expires_at.0);
    let (shown, next) = (renewal.shown_hash.as_slice(), renewal.next_hash.as_slice());
    let newest = tx.execute(
        "UPDATE devices SET previous_hash = refresh_hash, previous_until = $4, refresh_hash = $3, seen_at = $5, \
         expires_at = $6 WHERE id = $1 AND refresh_hash = $2 AND revoked_at IS NULL AND expires_at > $5",
        &[&id, &shown, &next, &now.plus(RETRY_WINDOW).0, &now.0, &expires_at],
    )?;
    let again = "UPDATE devices SET refresh_hash = $3, seen_at = $4, expires_at = $5 WHERE id = $1 AND previous_hash = $2 \
                 AND previous_until > $4 AND revoked_at IS NULL AND expires_at > $4";
    if newest == 1 || tx.execute(again, &[&id, &shown, &next, &now.0, &expires_at])? == 1 {
        return Ok(Written::Done);
    }
    let reused = "UPDATE devices SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2";
    if tx.execute(reused, &[&id, &now.0])? == 0 {
        return Ok(Written::Stale);
    }
    note(tx, now, &devices::ended(renewal.account, renewal.device, Ended::Reused))?;
    Ok(Written::Reused)
}

/// Ends one device of an account.
pub(super) fn revoke(tx: &mut Tx<'_>, now: UnixMillis, account: PeerId, id: DeviceId) -> Result<Written, Trouble> {
    let sql = "UPDATE devices SET revoked_at = $3 WHERE id = $1 AND account = $2 AND revoked_at IS NULL";
    if tx.execute(sql, &[&Uuid(id.0), &Uuid(account.0), &now.0])? == 1 {
        note(tx, now, &devices::ended(account, id, Ended::ByOwner))?;
        return Ok(Written::Done);
    }
    let sql = "SELECT 1 FROM devices WHERE id = $1 AND account = $2";
    let known = tx.query(sql, &[&Uuid(id.0), &Uuid(account.0)])?;
    Ok(if known.is_empty() { Written::Stale } else { Written::Known })
}

/// Ends all devices of an account; how many.
pub(super) fn revoke_all(tx: &mut Tx<'_>, now: UnixMillis, account: PeerId) -> Result<usize, Trouble> {
    let sql = "UPDATE devices SET revoked_at = $2 WHERE account = $1 AND revoked_at IS NULL";
    let ended = tx.execute(sql, &[&Uuid(account.0), &now.0])?;
    Ok(usize::try_from(ended).unwrap_or(usize::MAX))
}
