//! The table `v1_listings`.

use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::columns::{self, v1_listing_columns};
use crate::store::text::storable;
use crate::store::{Result, V1Listing};

use super::connection::{each, execute};
use super::files::put_file;

/// Calls `visit` with every listing that has not expired.
pub(super) fn each_listing(tx: &Connection, now: UnixMillis, visit: &mut dyn FnMut(V1Listing)) -> Result<()> {
    let sql = concat!("SELECT ", v1_listing_columns!(), " FROM v1_listings WHERE expires_at > ?1");
    each(tx, sql, params![now.0], |row| {
        visit(columns::v1_listing(row)?);
        Ok(())
    })
}

/// Deletes expired listings.
pub(super) fn prune(tx: &Connection, now: UnixMillis) -> Result<u64> {
    Ok(execute(tx, "DELETE FROM v1_listings WHERE expires_at <= ?1", params![now.0])? as u64)
}

/// Lists a file, or renews the listing.
pub(super) fn seal(tx: &Connection, listing: &V1Listing) -> Result<()> {
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

/// Deletes a peer's listings: of some files, or of all.
pub(super) fn leave(tx: &Connection, peer: PeerId, files: Option<&[FileHash]>) -> Result<()> {
    let Some(files) = files else {
        return execute(tx, "DELETE FROM v1_listings WHERE peer = ?1", params![peer.0]).map(drop);
    };
    let one = "DELETE FROM v1_listings WHERE peer = ?1 AND file_hash = ?2";
    files.iter().try_for_each(|file| execute(tx, one, params![peer.0, file.0]).map(drop))
}
