//! Manifests and the files they are of.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Row;

use crate::store::columns::damaged;
use crate::store::text::{folded, storable};
use crate::store::{StoreError, StoredManifest, Write, Written};

use super::super::session::Tx;
use super::super::trouble::Trouble;
use super::super::values::{Uuid, column};
use super::statements;

pub(super) fn write(tx: &mut Tx<'_>, batch: &[Write], written: &mut [Written]) -> Result<(), Trouble> {
    // The first one of each id; the others find it known.
    let mut firsts: BTreeMap<[u8; 32], (usize, &StoredManifest)> = BTreeMap::new();
    for (at, write) in batch.iter().enumerate() {
        if let Write::PutManifest(stored) = write {
            written[at] = Written::Known;
            firsts.entry(stored.manifest.id().0).or_insert((at, stored));
        }
    }
    let rows: Vec<&StoredManifest> = firsts.values().map(|(_, stored)| *stored).collect();
    let mut usage: BTreeMap<[u8; 16], i64> = BTreeMap::new();
    for rows in statements(&rows, |stored| stored.manifest.chunk_hashes().len() * 32) {
        for id in insert(tx, rows)? {
            if let Some((at, stored)) = firsts.get(&id) {
                written[*at] = Written::Done;
                *usage.entry(stored.announced_by.0).or_default() += stored.metadata_bytes() as i64;
            }
        }
    }
    count_usage(tx, &usage)
}

/// In the order of the accounts, which are locked already.
pub(super) fn count_usage(tx: &mut Tx<'_>, usage: &BTreeMap<[u8; 16], i64>) -> Result<(), Trouble> {
    if usage.is_empty() {
        return Ok(());
    }
    let rows: Vec<(&[u8; 16], &i64)> = usage.iter().collect();
    tx.execute(
        "INSERT INTO account_usage (account, metadata_bytes) SELECT * FROM unnest($1::uuid[], $2::bigint[]) ON CONFLICT \
         (account) DO UPDATE SET metadata_bytes = account_usage.metadata_bytes + EXCLUDED.metadata_bytes",
        &[&column(&rows, |(account, _)| Uuid(**account)), &column(&rows, |(_, bytes)| **bytes)],
    )?;
    Ok(())
}

/// Returns the ids that are new.
fn insert(tx: &mut Tx<'_>, rows: &[&StoredManifest]) -> Result<BTreeSet<[u8; 32]>, Trouble> {
    let hashes: Vec<Vec<u8>> = column(rows, |stored| stored.manifest.hash_bytes());
    let new = tx.query(
        "INSERT INTO manifests (file_hash, manifest_id, file_name, size, chunk_size, chunk_hashes, announced_by, \
         created_at) SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[], $5::bigint[], \
         $6::bytea[], $7::uuid[], $8::bigint[]) ON CONFLICT DO NOTHING RETURNING manifest_id",
        &[
            &column(rows, |stored| stored.manifest.file_hash().0.to_vec()),
            &column(rows, |stored| stored.manifest.id().0.to_vec()),
            &column(rows, |stored| storable(&stored.file_name)),
            &column(rows, |stored| stored.manifest.geometry().size().0 as i64),
            &column(rows, |stored| i64::from(stored.manifest.geometry().chunk_size())),
            &hashes,
            &column(rows, |stored| Uuid(stored.announced_by.0)),
            &column(rows, |stored| stored.created_at.0),
        ],
    )?;
    let id = |row: &Row| row.get::<_, &[u8]>(0).try_into().map_err(|_| damaged("a manifest id"));
    Ok(new.iter().map(id).collect::<Result<_, StoreError>>()?)
}

/// Makes the files of a batch known, unless they are: of several announcements of one the first gives the name.
pub(super) fn write_files(tx: &mut Tx<'_>, batch: &[Write]) -> Result<(), Trouble> {
    let mut firsts = BTreeMap::new();
    for (hash, name, created_at) in batch.iter().filter_map(file_of) {
        firsts.entry(hash).or_insert((name, created_at));
    }
    let rows: Vec<_> = firsts.into_iter().collect();
    for rows in statements(&rows, |(_, (name, _))| name.len()) {
        tx.execute(
            "INSERT INTO files (file_hash, file_name, search_name, created_at) SELECT * FROM unnest($1::bytea[], \
             $2::text[], $3::text[], $4::bigint[]) ON CONFLICT DO NOTHING",
            &[
                &column(rows, |(hash, _)| hash.as_slice()),
                &column(rows, |(_, (name, _))| storable(name)),
                &column(rows, |(_, (name, _))| folded(name)),
                &column(rows, |(_, (_, created_at))| *created_at),
            ],
        )?;
    }
    Ok(())
}

fn file_of(write: &Write) -> Option<([u8; 32], &str, i64)> {
    match write {
        Write::PutManifest(m) => Some((m.manifest.file_hash().0, m.file_name.as_str(), m.created_at.0)),
        Write::SealV1(listing) => Some((listing.file_hash.0, listing.file_name.as_str(), listing.created_at.0)),
        _ => None,
    }
}
