//! The table `devices`. Each change but a renewal writes its row of the audit log.

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::columns::{self, device_columns};
use crate::store::devices::{
    self, DEVICES_MAX, Device, Devices, ENDED_MAX, Ended, NewDevice, RETRY_WINDOW, REVOKED_MAX, Renewal, Revoked,
    TokenHash,
};
use crate::store::text::storable;
use crate::store::{Durability, Result, Written};

use super::SqliteStore;
use super::audit_log::note;
use super::connection::{execute, query};

impl Devices for SqliteStore {
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
}

/// Adds a device to an account that still has this generation.
pub(super) fn add(tx: &Connection, now: UnixMillis, new: &NewDevice, generation: u32) -> Result<Written> {
    let sql = "SELECT 1 FROM accounts WHERE id = ?1 AND generation = ?2";
    if query(tx, sql, params![new.account.0, generation], |row| columns::number(row))?.is_empty() {
        return Ok(Written::Stale);
    }
    let replaced = make_room(tx, now, new.account)?;
    insert(tx, now, new)?;
    Ok(if replaced.is_empty() { Written::Done } else { Written::Replaced(replaced) })
}

/// Ends the devices that were not seen for longest, so that one more fits, and deletes the oldest ended ones.
fn make_room(tx: &Connection, now: UnixMillis, account: PeerId) -> Result<Vec<DeviceId>> {
    let replaced = query(
        tx,
        "UPDATE devices SET revoked_at = ?2 WHERE id IN (SELECT id FROM devices WHERE account = ?1 AND revoked_at IS NULL \
         AND expires_at > ?2 ORDER BY seen_at DESC, id DESC LIMIT -1 OFFSET ?3) RETURNING id",
        params![account.0, now.0, DEVICES_MAX as i64 - 1],
        |row| columns::device_id(row),
    )?;
    for id in &replaced {
        note(tx, now, &devices::ended(account, *id, Ended::Replaced))?;
    }
    execute(
        tx,
        "DELETE FROM devices WHERE id IN (SELECT id FROM devices WHERE account = ?1 AND (revoked_at IS NOT NULL OR \
         expires_at <= ?2) ORDER BY coalesce(revoked_at, expires_at) DESC, id DESC LIMIT -1 OFFSET ?3)",
        params![account.0, now.0, ENDED_MAX as i64],
    )?;
    Ok(replaced)
}

/// Inserts a device for which there is room.
pub(super) fn insert(tx: &Connection, now: UnixMillis, new: &NewDevice) -> Result<()> {
    execute(
        tx,
        "INSERT INTO devices (id, account, label, scopes, family_hash, refresh_hash, created_at, seen_at, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)",
        params![
            new.id.0,
            new.account.0,
            storable(&new.label),
            new.scopes.to_string(),
            new.family_hash,
            new.refresh_hash,
            now.0,
            new.expires_at.0,
        ],
    )?;
    note(tx, now, &devices::added(new))
}

/// Exchanges the newest token, or for a moment the one before it. Any other token ends the device.
pub(super) fn renew(tx: &Connection, now: UnixMillis, renewal: &Renewal) -> Result<Written> {
    let Renewal { device, account, shown_hash, next_hash, expires_at } = renewal;
    let newest = execute(
        tx,
        "UPDATE devices SET previous_hash = refresh_hash, previous_until = ?4, refresh_hash = ?3, seen_at = ?5, \
         expires_at = ?6 WHERE id = ?1 AND refresh_hash = ?2 AND revoked_at IS NULL AND expires_at > ?5",
        params![device.0, shown_hash, next_hash, now.plus(RETRY_WINDOW).0, now.0, expires_at.0],
    )?;
    let again = "UPDATE devices SET refresh_hash = ?3, seen_at = ?4, expires_at = ?5 WHERE id = ?1 AND previous_hash = ?2 \
                 AND previous_until > ?4 AND revoked_at IS NULL AND expires_at > ?4";
    let again_params = params![device.0, shown_hash, next_hash, now.0, expires_at.0];
    if newest == 1 || execute(tx, again, again_params)? == 1 {
        return Ok(Written::Done);
    }
    let reused = "UPDATE devices SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL AND expires_at > ?2";
    if execute(tx, reused, params![device.0, now.0])? == 0 {
        return Ok(Written::Stale);
    }
    note(tx, now, &devices::ended(*account, *device, Ended::Reused))?;
    Ok(Written::Reused)
}

/// Ends one device of an account.
pub(super) fn revoke(tx: &Connection, now: UnixMillis, account: PeerId, id: DeviceId) -> Result<Written> {
    let sql = "UPDATE devices SET revoked_at = ?3 WHERE id = ?1 AND account = ?2 AND revoked_at IS NULL";
    if execute(tx, sql, params![id.0, account.0, now.0])? == 1 {
        return note(tx, now, &devices::ended(account, id, Ended::ByOwner)).map(|()| Written::Done);
    }
    let sql = "SELECT 1 FROM devices WHERE id = ?1 AND account = ?2";
    let known = query(tx, sql, params![id.0, account.0], |row| columns::number(row))?;
    Ok(if known.is_empty() { Written::Stale } else { Written::Unchanged })
}

/// Ends all devices of an account. Returns the number of ended devices.
pub(super) fn revoke_all(tx: &Connection, now: UnixMillis, account: PeerId) -> Result<usize> {
    execute(
        tx,
        "UPDATE devices SET revoked_at = ?2 WHERE account = ?1 AND revoked_at IS NULL",
        params![account.0, now.0],
    )
}
