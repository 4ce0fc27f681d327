//! The tables `files` and `manifests`.

use std::collections::{BTreeMap, BTreeSet};

use peernet_engine::ids::{FileHash, ManifestId};
use peernet_engine::time::UnixMillis;
use postgres::Row;
use postgres::types::ToSql;

use crate::store::columns::{self, damaged, manifest_columns};
use crate::store::text::{folded, search_patterns, storable};
use crate::store::{
    FileMeta, Files, MANIFESTS_MAX, Result, SEARCH_LIMIT_MAX, SearchQuery, StoredManifest, V1Listing, Write, Written,
};

use super::accounts::count_metadata;
use super::batch::statements;
use super::connection::{Attempt, Session, Tx, Uuid, column};
use super::{PostgresStore, listings};

impl Files for PostgresStore {
    fn manifest(&self, id: ManifestId) -> Result<Option<StoredManifest>> {
        let sql = concat!("SELECT ", manifest_columns!(), " FROM manifests WHERE manifest_id = $1");
        let rows = self.connections.run(|session| session.query(sql, &[&id.0.as_slice()]))?;
        rows.first().map(columns::manifest).transpose()
    }

    fn manifests_of(&self, file_hash: FileHash) -> Result<Vec<FileMeta>> {
        self.connections.run(|session| manifests_of(session, file_hash))
    }

    fn search(&self, query: &SearchQuery) -> Result<Vec<FileMeta>> {
        self.connections.run(|session| search(session, query))
    }

    fn listings(&self, now: UnixMillis, each: &mut dyn FnMut(V1Listing)) -> Result<()> {
        self.pages(|session, last| listings::page(session, now, last), each)
    }

    fn prune_listings(&self, now: UnixMillis) -> Result<u64> {
        self.connections.run(|session| listings::prune(session, now))
    }
}

fn manifests_of(session: &mut Session, file_hash: FileHash) -> Attempt<Vec<FileMeta>> {
    let rows = session.query(
        "SELECT file_hash, coalesce(m.file_name, f.file_name), coalesce(m.created_at, f.created_at), m.manifest_id, \
         m.size, m.chunk_size FROM files f LEFT JOIN manifests m USING (file_hash) WHERE file_hash = $1 ORDER BY \
         m.created_at, m.manifest_id LIMIT $2",
        &[&file_hash.0.as_slice(), &(MANIFESTS_MAX as i64)],
    )?;
    Ok(rows.iter().map(columns::file_meta).collect::<Result<_>>()?)
}

fn search(session: &mut Session, query: &SearchQuery) -> Attempt<Vec<FileMeta>> {
    let patterns = search_patterns(&query.words);
    let before = query.after.map_or(i64::MAX, |(at, _)| at.0);
    let before_hash = query.after.map_or_else(Vec::new, |(_, hash)| hash.0.to_vec());
    let limit = query.limit.min(SEARCH_LIMIT_MAX) as i64;
    let caller = Uuid(query.caller.0);
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&before, &before_hash, &limit];
    params.extend(patterns.iter().map(|pattern| pattern as &(dyn ToSql + Sync)));
    params.push(&caller);
    let rows = session.query(
        "SELECT f.file_hash, f.file_name, f.created_at, m.manifest_id, m.size, m.chunk_size FROM (SELECT * FROM files \
         WHERE (created_at, file_hash) < ($1, $2) AND search_name LIKE $4 AND search_name LIKE $5 AND search_name \
         LIKE $6 AND search_name LIKE $7 AND search_name LIKE $8 AND search_name LIKE $9 AND search_name LIKE $10 AND \
         search_name LIKE $11 AND NOT EXISTS (SELECT 1 FROM file_access a WHERE a.file_hash = files.file_hash AND \
         a.access <> 'public' AND (a.access = 'withdrawn' OR a.owner <> $12) AND NOT (a.access = 'shared' AND (EXISTS \
         (SELECT 1 FROM file_access_accounts x WHERE x.file_hash = a.file_hash AND x.account = $12) OR EXISTS (SELECT 1 \
         FROM file_access_groups x JOIN group_members y ON y.group_id = x.group_id WHERE x.file_hash = a.file_hash AND \
         y.account = $12)))) ORDER BY created_at DESC, file_hash DESC LIMIT $3) f LEFT JOIN LATERAL (SELECT \
         manifest_id, size, chunk_size FROM manifests WHERE manifests.file_hash = f.file_hash ORDER BY created_at, \
         manifest_id LIMIT 1) m ON true ORDER BY f.created_at DESC, f.file_hash DESC",
        &params,
    )?;
    Ok(rows.iter().map(columns::file_meta).collect::<Result<_>>()?)
}

/// Stores the manifests of a batch, unless they are known.
pub(super) fn write_manifests(tx: &mut Tx<'_>, batch: &[Write], written: &mut [Written]) -> Attempt<()> {
    // Only the first one of each id is new; for the others it is known.
    let mut firsts: BTreeMap<[u8; 32], (usize, &StoredManifest)> = BTreeMap::new();
    for (at, write) in batch.iter().enumerate() {
        if let Write::PutManifest(stored) = write {
            written[at] = Written::Unchanged;
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
    count_metadata(tx, &usage)
}

/// Inserts manifests. Returns the ids that are new.
fn insert(tx: &mut Tx<'_>, rows: &[&StoredManifest]) -> Attempt<BTreeSet<[u8; 32]>> {
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
    Ok(new.iter().map(id).collect::<Result<_>>()?)
}

/// A row of the table `files`.
struct FileRow<'a> {
    hash: [u8; 32],
    name: &'a str,
    created_at: i64,
}

/// Stores the names of the files of a batch, unless they are known. The first of several announces of one file gives the name.
pub(super) fn write_files(tx: &mut Tx<'_>, batch: &[Write]) -> Attempt<()> {
    let mut firsts = BTreeMap::new();
    for row in batch.iter().filter_map(file_of) {
        firsts.entry(row.hash).or_insert(row);
    }
    let rows: Vec<FileRow<'_>> = firsts.into_values().collect();
    for rows in statements(&rows, |row| row.name.len()) {
        tx.execute(
            "INSERT INTO files (file_hash, file_name, search_name, created_at) SELECT * FROM unnest($1::bytea[], \
             $2::text[], $3::text[], $4::bigint[]) ON CONFLICT DO NOTHING",
            &[
                &column(rows, |row| row.hash.as_slice()),
                &column(rows, |row| storable(row.name)),
                &column(rows, |row| folded(row.name)),
                &column(rows, |row| row.created_at),
            ],
        )?;
    }
    Ok(())
}

fn file_of(write: &Write) -> Option<FileRow<'_>> {
    match write {
        Write::PutManifest(stored) => Some(FileRow {
            hash: stored.manifest.file_hash().0,
            name: &stored.file_name,
            created_at: stored.created_at.0,
        }),
        Write::SealV1(listing) => {
            Some(FileRow { hash: listing.file_hash.0, name: &listing.file_name, created_at: listing.created_at.0 })
        }
        _ => None,
    }
}
