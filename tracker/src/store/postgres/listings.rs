//! The table `v1_listings`.

use std::collections::BTreeMap;

use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;

use crate::store::columns::{self, v1_listing_columns};
use crate::store::text::storable;
use crate::store::{Result, V1Listing, Write};

use super::PAGE;
use super::batch::statements;
use super::connection::{Attempt, Session, Tx, Uuid, column};

/// Returns one page of listings after the last one of the page before.
pub(super) fn page(session: &mut Session, now: UnixMillis, last: Option<&V1Listing>) -> Attempt<Vec<V1Listing>> {
    let peer = Uuid(last.map_or([0; 16], |row| row.peer.0));
    let file = last.map_or_else(Vec::new, |row| row.file_hash.0.to_vec());
    let sql = concat!(
        "SELECT ",
        v1_listing_columns!(),
        " FROM v1_listings WHERE expires_at > $1 AND (peer, file_hash) > ($2, $3) ORDER BY peer, file_hash LIMIT $4"
    );
    let rows = session.query(sql, &[&now.0, &peer, &file, &PAGE])?;
    Ok(rows.iter().map(columns::v1_listing).collect::<Result<_>>()?)
}

/// Deletes expired listings in one pass over the table, which may take longer than an ordinary statement may.
pub(super) fn prune(session: &mut Session, now: UnixMillis) -> Attempt<u64> {
    let mut tx = session.begin("BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL statement_timeout = '30s'")?;
    let rows = tx.execute("DELETE FROM v1_listings WHERE expires_at <= $1", &[&now.0])?;
    tx.commit()?;
    Ok(rows)
}

/// Applies the changes of listings in a batch. A [`Write::Leave`] ends a run of listings that are put with one statement.
pub(super) fn write(tx: &mut Tx<'_>, batch: &[Write]) -> Attempt<()> {
    for part in batch.split_inclusive(|write| matches!(write, Write::Leave { .. })) {
        seal(tx, part)?;
        if let Some(Write::Leave { peer, files }) = part.last() {
            leave(tx, *peer, files.as_deref())?;
        }
    }
    Ok(())
}

fn seal(tx: &mut Tx<'_>, part: &[Write]) -> Attempt<()> {
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

fn put_listings(tx: &mut Tx<'_>, rows: &[&V1Listing]) -> Attempt<()> {
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

fn leave(tx: &mut Tx<'_>, peer: PeerId, files: Option<&[FileHash]>) -> Attempt<()> {
    let files: Option<Vec<&[u8]>> = files.map(|files| files.iter().map(|file| file.0.as_slice()).collect());
    tx.execute(
        "DELETE FROM v1_listings WHERE peer = $1 AND ($2::bytea[] IS NULL OR file_hash = ANY ($2))",
        &[&Uuid(peer.0), &files],
    )?;
    Ok(())
}
