//! A batch of writes: one prepared statement after the other, in one transaction. Without a network between, grouping
//! them would gain nothing.

mod accounts;

use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::text::{folded, storable};
use crate::store::{LeaseRow, Result, StoreError, StoredManifest, V1Chunk, V1Listing, Write, Written};

use super::connection::execute;

pub(super) fn write(tx: &Connection, now: UnixMillis, batch: &[Write]) -> Result<Vec<Written>> {
    batch.iter().map(|write| one(tx, now, write)).collect()
}

fn one(tx: &Connection, now: UnixMillis, write: &Write) -> Result<Written> {
    match write {
        Write::CreateAccount(account) => accounts::create(tx, now, account, None),
        Write::SetPassword { id, generation, password_hash } => {
            accounts::set_password(tx, now, *id, *generation, password_hash)
        }
        Write::PutManifest(stored) => put_manifest(tx, stored),
        Write::PutLease(lease) => put_lease(tx, lease).map(|()| Written::Done),
        Write::Leave { peer, files } => leave(tx, *peer, files.as_deref()).map(|()| Written::Done),
        Write::StageV1(chunk) => stage(tx, chunk).map(|()| Written::Done),
        Write::SealV1(listing) => seal(tx, listing).map(|()| Written::Done),
        Write::Account(write) => accounts::write(tx, now, write),
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
    execute(
        tx,
        "INSERT INTO account_usage (account, metadata_bytes) VALUES (?1, ?2) ON CONFLICT (account) DO UPDATE SET \
         metadata_bytes = metadata_bytes + excluded.metadata_bytes",
        params![stored.announced_by.0, whole(stored.metadata_bytes())?],
    )?;
    Ok(Written::Done)
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

fn put_lease(tx: &Connection, lease: &LeaseRow) -> Result<()> {
    execute(
        tx,
        "INSERT INTO leases (peer, manifest_id, file_hash, address, site, chunk_count, have, expires_at) VALUES (?1, \
         ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (peer, manifest_id) DO UPDATE SET file_hash = excluded.file_hash, \
         address = excluded.address, site = excluded.site, chunk_count = excluded.chunk_count, have = excluded.have, \
         expires_at = excluded.expires_at",
        params![
            lease.peer.0,
            lease.manifest_id.0,
            lease.file_hash.0,
            storable(&lease.address),
            lease.site.as_deref().map(storable),
            lease.have.count().0,
            lease.have.as_bytes(),
            lease.expires_at.0,
        ],
    )?;
    Ok(())
}

fn leave(tx: &Connection, peer: PeerId, files: Option<&[FileHash]>) -> Result<()> {
    const ALL: [&str; 3] = [
        "DELETE FROM leases WHERE peer = ?1",
        "DELETE FROM v1_listings WHERE peer = ?1",
        "DELETE FROM v1_staged WHERE peer = ?1",
    ];
    const ONE: [&str; 3] = [
        "DELETE FROM leases WHERE peer = ?1 AND file_hash = ?2",
        "DELETE FROM v1_listings WHERE peer = ?1 AND file_hash = ?2",
        "DELETE FROM v1_staged WHERE peer = ?1 AND file_hash = ?2",
    ];
    let Some(files) = files else {
        return ALL.into_iter().try_for_each(|sql| execute(tx, sql, params![peer.0]).map(drop));
    };
    for file in files {
        ONE.into_iter().try_for_each(|sql| execute(tx, sql, params![peer.0, file.0]).map(drop))?;
    }
    Ok(())
}

fn stage(tx: &Connection, chunk: &V1Chunk) -> Result<()> {
    execute(
        tx,
        "INSERT INTO v1_staged (peer, file_hash, chunk_index, total_chunks, chunk_hash, file_name, expires_at) VALUES \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (peer, file_hash, chunk_index) DO UPDATE SET total_chunks = \
         excluded.total_chunks, chunk_hash = excluded.chunk_hash, file_name = excluded.file_name, expires_at = \
         excluded.expires_at",
        params![
            chunk.peer.0,
            chunk.file_hash.0,
            chunk.index,
            chunk.total_chunks,
            chunk.chunk_hash.0,
            storable(&chunk.file_name),
            chunk.expires_at.0,
        ],
    )?;
    Ok(())
}

fn seal(tx: &Connection, listing: &V1Listing) -> Result<()> {
    put_file(tx, listing.file_hash, &listing.file_name, listing.created_at)?;
    let key = params![listing.peer.0, listing.file_hash.0];
    execute(tx, "DELETE FROM v1_staged WHERE peer = ?1 AND file_hash = ?2", key)?;
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
