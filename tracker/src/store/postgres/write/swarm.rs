//! What of the swarm is stored for good: version 1 listings.

use std::collections::BTreeMap;

use peernet_engine::ids::{FileHash, PeerId};

use crate::store::text::storable;
use crate::store::{V1Listing, Write};

use super::super::session::Tx;
use super::super::trouble::Trouble;
use super::super::values::{Uuid, column};
use super::statements;

/// `Leave` ends the runs of listings.
pub(super) fn write(tx: &mut Tx<'_>, batch: &[Write]) -> Result<(), Trouble> {
    for part in batch.split_inclusive(|write| matches!(write, Write::Leave { .. })) {
        seal(tx, part)?;
        if let Some(Write::Leave { peer, files }) = part.last() {
            leave(tx, *peer, files.as_deref())?;
        }
    }
    Ok(())
}

fn seal(tx: &mut Tx<'_>, part: &[Write]) -> Result<(), Trouble> {
    let mut last = BTreeMap::new();
    for write in part {
        if let Write::SealV1(listing) = write {
            last.insert((listing.peer, listing.file_hash), listing);
        }
    }
    let rows: Vec<&V1Listing> = last.into_values().collect();
    for rows in statements(&rows, |listing| listing.chunk_hashes.len() * 32) {
        put_listings(tx, rows)?;
    }
    Ok(())
}

fn put_listings(tx: &mut Tx<'_>, rows: &[&V1Listing]) -> Result<(), Trouble> {
    let peers = column(rows, |listing| Uuid(listing.peer.0));
    let files = column(rows, |listing| listing.file_hash.0.as_slice());
    tx.execute(
        "INSERT INTO v1_listings (peer, file_hash, file_name, chunk_hashes, expires_at, created_at) SELECT * FROM \
         unnest($1::uuid[], $2::bytea[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[]) ON CONFLICT (peer, \
         file_hash) DO UPDATE SET file_name = EXCLUDED.file_name, chunk_hashes = EXCLUDED.chunk_hashes, expires_at = \
         EXCLUDED.expires_at",
        &[
            &peers,
            &files,
            &column(rows, |listing| storable(&listing.file_name)),
            &column(rows, |listing| listing.chunk_hashes.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>()),
            &column(rows, |listing| listing.expires_at.0),
            &column(rows, |listing| listing.created_at.0),
        ],
    )?;
    Ok(())
}

fn leave(tx: &mut Tx<'_>, peer: PeerId, files: Option<&[FileHash]>) -> Result<(), Trouble> {
    let files: Option<Vec<&[u8]>> = files.map(|files| files.iter().map(|file| file.0.as_slice()).collect());
    tx.execute(
        "DELETE FROM v1_listings WHERE peer = $1 AND ($2::bytea[] IS NULL OR file_hash = ANY ($2))",
        &[&Uuid(peer.0), &files],
    )?;
    Ok(())
}
