//! A batch of writes: one prepared statement after the other, in one transaction. Without a network between, grouping
//! them would gain nothing.

mod accounts;
mod devices;
mod policies;

use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::signatures::{SIGNATURE_ROW_BYTES, StoredSignature};
use crate::store::text::{folded, storable};
use crate::store::{Result, StoreError, StoredManifest, V1Listing, Write, Written};

use super::connection::execute;
pub(super) use policies::standing;

pub(super) fn write(tx: &Connection, now: UnixMillis, batch: &[Write]) -> Result<Vec<Written>> {
    batch.iter().map(|write| one(tx, now, write)).collect()
}

fn one(tx: &Connection, now: UnixMillis, write: &Write) -> Result<Written> {
    match write {
        Write::CreateAccount(account) => accounts::create(tx, now, account, None),
        Write::SetPassword { id, generation, password_hash, device } => {
            accounts::set_password(tx, now, *id, *generation, password_hash, device.as_ref())
        }
        Write::PutManifest(stored) => put_manifest(tx, stored),
        Write::PutSignature(stored) => put_signature(tx, stored).map(|()| Written::Done),
        Write::Leave { peer, files } => leave(tx, *peer, files.as_deref()).map(|()| Written::Done),
        Write::SealV1(listing) => seal(tx, listing).map(|()| Written::Done),
        Write::Account(write) => accounts::write(tx, now, write),
        Write::Policy(write) => policies::write(tx, write),
    }
}

fn put_manifest(tx: &Connection, stored: &StoredManifest) -> Result<Written> {
    let (manifest, geometry) = (&stored.manifest, stored.manifest.geometry());
    put_file(tx, manifest.file_hash(), &stored.file_name, stored.created_at)?;
    let inserted = execute(
        tx,
        "INSERT INTO manifests (file_hash, manifest_id, file_name, size, chunk_size, chunk_hashes, announced_by, \
         created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        params![
            manifest.file_hash().0,
            manifest.id().0,
            storable(&stored.file_name),
            whole(geometry.size().0)?,
            geometry.chunk_size(),
            manifest.hash_bytes(),
            stored.announced_by.0,
            stored.created_at.0,
        ],
    )?;
    if inserted == 0 {
        return Ok(Written::Known);
    }
    count_usage(tx, stored.announced_by, stored.metadata_bytes())?;
    Ok(Written::Done)
}

/// What replaces an earlier one counts no more than that.
fn put_signature(tx: &Connection, stored: &StoredSignature) -> Result<()> {
    let inserted = execute(
        tx,
        "INSERT INTO manifest_signatures (manifest_id, peer, public_key, signature, signed_at) VALUES (?1, ?2, ?3, ?4, \
         ?5) ON CONFLICT DO NOTHING",
        params![stored.manifest_id.0, stored.peer.0, stored.public_key, stored.signature, stored.signed_at.0],
    )?;
    if inserted > 0 {
        return count_usage(tx, stored.peer, SIGNATURE_ROW_BYTES);
    }
    execute(
        tx,
        "UPDATE manifest_signatures SET public_key = ?3, signature = ?4 WHERE manifest_id = ?1 AND peer = ?2",
        params![stored.manifest_id.0, stored.peer.0, stored.public_key, stored.signature],
    )?;
    Ok(())
}

fn count_usage(tx: &Connection, account: PeerId, bytes: u64) -> Result<()> {
    execute(
        tx,
        "INSERT INTO account_usage (account, metadata_bytes) VALUES (?1, ?2) ON CONFLICT (account) DO UPDATE SET \
         metadata_bytes = metadata_bytes + excluded.metadata_bytes",
        params![account.0, whole(bytes)?],
    )?;
    Ok(())
}

/// Makes a file known, unless it is.
fn put_file(tx: &Connection, file_hash: FileHash, name: &str, created_at: UnixMillis) -> Result<()> {
    execute(
        tx,
        "INSERT INTO files (file_hash, file_name, search_name, created_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO NOTHING",
        params![file_hash.0, storable(name), folded(name), created_at.0],
    )?;
    Ok(())
}

fn leave(tx: &Connection, peer: PeerId, files: Option<&[FileHash]>) -> Result<()> {
    let Some(files) = files else {
        return execute(tx, "DELETE FROM v1_listings WHERE peer = ?1", params![peer.0]).map(drop);
    };
    let one = "DELETE FROM v1_listings WHERE peer = ?1 AND file_hash = ?2";
    files.iter().try_for_each(|file| execute(tx, one, params![peer.0, file.0]).map(drop))
}

fn seal(tx: &Connection, listing: &V1Listing) -> Result<()> {
    put_file(tx, listing.file_hash, &listing.file_name, listing.created_at)?;
    execute(
        tx,
        "INSERT INTO v1_listings (peer, file_hash, file_name, chunk_hashes, expires_at, created_at) VALUES (?1, ?2, \
         ?3, ?4, ?5, ?6) ON CONFLICT (peer, file_hash) DO UPDATE SET file_name = excluded.file_name, chunk_hashes = \
         excluded.chunk_hashes, expires_at = excluded.expires_at",
        params![
            listing.peer.0,
            listing.file_hash.0,
            storable(&listing.file_name),
            listing.chunk_hashes.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>(),
            listing.expires_at.0,
            listing.created_at.0,
        ],
    )?;
    Ok(())
}

fn whole(size: u64) -> Result<i64> {
    i64::try_from(size).map_err(|_| StoreError::Failed("a size beyond 2^63".into()))
}
