//! The table `devices`. Each change but a renewal writes its row of the audit log.
//!
//! A batch first locks the accounts that it is about, which keeps changes of one device apart.

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;

use crate::store::columns::{self, device_columns};
use crate::store::devices::{
    self, DEVICES_MAX, Device, Devices, ENDED_MAX, Ended, NewDevice, RETRY_WINDOW, REVOKED_MAX, Renewal, Revoked,
    TokenHash,
};
use crate::store::text::storable;
use crate::store::{Result, Written};

use super::PostgresStore;
use super::audit_log::note;
use super::connection::{Attempt, Tx, Uuid};

impl Devices for PostgresStore {
    fn device_of_family(&self, family_hash: &TokenHash) -> Result<Option<Device>> {
        let sql = concat!("SELECT ", device_columns!(), " FROM devices WHERE family_hash = $1");
        let rows = self.connections.run(|session| session.query(sql, &[&family_hash.as_slice()]))?;
        rows.first().map(columns::device).transpose()
    }

    fn devices(&self, account: PeerId, now: UnixMillis) -> Result<Vec<Device>> {
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

    fn revoked_devices(&self, after: UnixMillis) -> Result<Vec<Revoked>> {
        let sql =
            "SELECT id, account, revoked_at FROM devices WHERE revoked_at > $1 ORDER BY revoked_at DESC, id LIMIT $2";
        let limit = REVOKED_MAX as i64;
        self.connections.run(|session| session.query(sql, &[&after.0, &limit]))?.iter().map(columns::revoked).collect()
    }

    fn prune_devices(&self, before: UnixMillis) -> Result<u64> {
        let sql = "DELETE FROM devices WHERE coalesce(revoked_at, expires_at) < $1";
        self.connections.run(|session| session.execute(sql, &[&before.0]))
    }
}

/// Adds a device to an account that still has this generation.
pub(super) fn add(tx: &mut Tx<'_>, now: UnixMillis, new: &NewDevice, generation: u32) -> Attempt<Written> {
    let sql = "SELECT 1 FROM accounts WHERE id = $1 AND generation = $2";
    if tx.query(sql, &[&Uuid(new.account.0), &i64::from(generation)])?.is_empty() {
        return Ok(Written::Stale);
    }
    let replaced = make_room(tx, now, new.account)?;
    insert(tx, now, new)?;
    Ok(if replaced.is_empty() { Written::Done } else { Written::Replaced(replaced) })
}

/// Ends the devices that were not seen for longest, so that one more fits, and deletes the oldest ended ones.
fn make_room(tx: &mut Tx<'_>, now: UnixMillis, account: PeerId) -> Attempt<Vec<DeviceId>> {
    let rows = tx.query(
        "UPDATE devices SET revoked_at = $2 WHERE id IN (SELECT id FROM devices WHERE account = $1 AND revoked_at IS NULL \
         AND expires_at > $2 ORDER BY seen_at DESC, id DESC OFFSET $3) RETURNING id",
        &[&Uuid(account.0), &now.0, &(DEVICES_MAX as i64 - 1)],
    )?;
    let replaced = rows.iter().map(columns::device_id).collect::<Result<Vec<_>>>()?;
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

/// Inserts a device for which there is room.
pub(super) fn insert(tx: &mut Tx<'_>, now: UnixMillis, new: &NewDevice) -> Attempt<()> {
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

/// Exchanges the newest token, or for a moment the one before it. Any other token ends the device.
pub(super) fn renew(tx: &mut Tx<'_>, now: UnixMillis, renewal: &Renewal) -> Attempt<Written> {
    let id = Uuid(renewal.device.0);
    let expires_at = renewal.expires_at.0;
    let shown = renewal.shown_hash.as_slice();
    let next = renewal.next_hash.as_slice();
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
pub(super) fn revoke(tx: &mut Tx<'_>, now: UnixMillis, account: PeerId, id: DeviceId) -> Attempt<Written> {
    let sql = "UPDATE devices SET revoked_at = $3 WHERE id = $1 AND account = $2 AND revoked_at IS NULL";
    if tx.execute(sql, &[&Uuid(id.0), &Uuid(account.0), &now.0])? == 1 {
        note(tx, now, &devices::ended(account, id, Ended::ByOwner))?;
        return Ok(Written::Done);
    }
    let sql = "SELECT 1 FROM devices WHERE id = $1 AND account = $2";
    let known = tx.query(sql, &[&Uuid(id.0), &Uuid(account.0)])?;
    Ok(if known.is_empty() { Written::Stale } else { Written::Unchanged })
}

/// Ends all devices of an account. Returns the number of ended devices.
pub(super) fn revoke_all(tx: &mut Tx<'_>, now: UnixMillis, account: PeerId) -> Attempt<usize> {
    let sql = "UPDATE devices SET revoked_at = $2 WHERE account = $1 AND revoked_at IS NULL";
    let ended = tx.execute(sql, &[&Uuid(account.0), &now.0])?;
    Ok(usize::try_from(ended).unwrap_or(usize::MAX))
}
