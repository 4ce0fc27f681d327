//! What of the swarm survives a restart: leases, version 1 chunks and listings.

use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};

use peernet_engine::ids::{FileHash, PeerId};

use crate::store::text::storable;
use crate::store::{LeaseRow, V1Chunk, V1Listing, Write};

use super::super::session::Tx;
use super::super::trouble::Trouble;
use super::super::values::{Uuid, column};
use super::statements;

/// Leases do not touch version 1 tables, so each is its own lane; `Leave` ends both lanes' runs.
pub(super) fn write(tx: &mut Tx<'_>, batch: &[Write]) -> Result<(), Trouble> {
    for part in batch.split_inclusive(|write| matches!(write, Write::Leave { .. })) {
        put_leases(tx, part)?;
        for run in version_1_runs(part) {
            stage(tx, &run)?;
            seal(tx, &run)?;
        }
        if let Some(Write::Leave { peer, files }) = part.last() {
            leave(tx, *peer, files.as_deref())?;
        }
    }
    Ok(())
}

/// Staging and sealing in their order, cut where one follows the other.
fn version_1_runs(part: &[Write]) -> Vec<Vec<&Write>> {
    let mut runs: Vec<Vec<&Write>> = Vec::new();
    let kind = |run: &Vec<&Write>| -> Option<Discriminant<Write>> { run.first().map(|write| discriminant(*write)) };
    for write in part.iter().filter(|write| matches!(write, Write::StageV1(_) | Write::SealV1(_))) {
        match runs.last_mut() {
            Some(run) if kind(run) == Some(discriminant(write)) => run.push(write),
            _ => runs.push(vec![write]),
        }
    }
    runs
}

fn put_leases(tx: &mut Tx<'_>, part: &[Write]) -> Result<(), Trouble> {
    let mut last = BTreeMap::new();
    for write in part {
        if let Write::PutLease(lease) = write {
            last.insert((lease.peer, lease.manifest_id), lease);
        }
    }
    let rows: Vec<&LeaseRow> = last.into_values().collect();
    for rows in statements(&rows, |lease| lease.have.as_bytes().len()) {
        tx.execute(
            "INSERT INTO leases (peer, manifest_id, file_hash, address, site, chunk_count, have, expires_at) SELECT * \
             FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::bigint[], $7::bytea[], \
             $8::bigint[]) ON CONFLICT (peer, manifest_id) DO UPDATE SET file_hash = EXCLUDED.file_hash, address = \
             EXCLUDED.address, site = EXCLUDED.site, chunk_count = EXCLUDED.chunk_count, have = EXCLUDED.have, \
             expires_at = EXCLUDED.expires_at",
            &[
                &column(rows, |lease| Uuid(lease.peer.0)),
                &column(rows, |lease| lease.manifest_id.0.as_slice()),
                &column(rows, |lease| lease.file_hash.0.as_slice()),
                &column(rows, |lease| storable(&lease.address)),
                &column(rows, |lease| lease.site.as_deref().map(storable)),
                &column(rows, |lease| i64::from(lease.have.count().0)),
                &column(rows, |lease| lease.have.as_bytes()),
                &column(rows, |lease| lease.expires_at.0),
            ],
        )?;
    }
    Ok(())
}

fn stage(tx: &mut Tx<'_>, run: &[&Write]) -> Result<(), Trouble> {
    let mut last = BTreeMap::new();
    for write in run {
        if let Write::StageV1(chunk) = write {
            last.insert((chunk.peer, chunk.file_hash, chunk.index), chunk);
        }
    }
    let rows: Vec<&V1Chunk> = last.into_values().collect();
    for rows in statements(&rows, |chunk| chunk.file_name.len()) {
        tx.execute(
            "INSERT INTO v1_staged (peer, file_hash, chunk_index, total_chunks, chunk_hash, file_name, expires_at) \
             SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[], $6::text[], \
             $7::bigint[]) ON CONFLICT (peer, file_hash, chunk_index) DO UPDATE SET total_chunks = \
             EXCLUDED.total_chunks, chunk_hash = EXCLUDED.chunk_hash, file_name = EXCLUDED.file_name, expires_at = \
             EXCLUDED.expires_at",
            &[
                &column(rows, |chunk| Uuid(chunk.peer.0)),
                &column(rows, |chunk| chunk.file_hash.0.as_slice()),
                &column(rows, |chunk| i64::from(chunk.index)),
                &column(rows, |chunk| i64::from(chunk.total_chunks)),
                &column(rows, |chunk| chunk.chunk_hash.0.as_slice()),
                &column(rows, |chunk| storable(&chunk.file_name)),
                &column(rows, |chunk| chunk.expires_at.0),
            ],
        )?;
    }
    Ok(())
}

fn seal(tx: &mut Tx<'_>, run: &[&Write]) -> Result<(), Trouble> {
    let mut last = BTreeMap::new();
    for write in run {
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
        "DELETE FROM v1_staged USING unnest($1::uuid[], $2::bytea[]) AS sealed (peer, file_hash) WHERE v1_staged.peer \
         = sealed.peer AND v1_staged.file_hash = sealed.file_hash",
        &[&peers, &files],
    )?;
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
        "WITH left_leases AS (DELETE FROM leases WHERE peer = $1 AND ($2::bytea[] IS NULL OR file_hash = ANY ($2))), \
         left_listings AS (DELETE FROM v1_listings WHERE peer = $1 AND ($2::bytea[] IS NULL OR file_hash = ANY ($2))) \
         DELETE FROM v1_staged WHERE peer = $1 AND ($2::bytea[] IS NULL OR file_hash = ANY ($2))",
        &[&Uuid(peer.0), &files],
    )?;
    Ok(())
}
