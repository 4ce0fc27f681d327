//! The tables `files` and `manifests`.

use peernet_engine::ids::{FileHash, ManifestId};
use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::columns::{self, manifest_columns};
use crate::store::text::{folded, search_patterns, storable};
use crate::store::{
    Durability, FileMeta, Files, MANIFESTS_MAX, Result, SEARCH_LIMIT_MAX, SearchQuery, StoredManifest, V1Listing,
    Written,
};

use super::accounts::count_metadata;
use super::connection::{execute, query};
use super::{SqliteStore, listings, whole};

impl Files for SqliteStore {
    fn manifest(&self, id: ManifestId) -> Result<Option<StoredManifest>> {
        let sql = concat!("SELECT ", manifest_columns!(), " FROM manifests WHERE manifest_id = ?1");
        self.connections.read(|tx| Ok(query(tx, sql, params![id.0], |row| columns::manifest(row))?.pop()))
    }

    fn manifests_of(&self, file_hash: FileHash) -> Result<Vec<FileMeta>> {
        self.connections.read(|tx| manifests_of(tx, file_hash))
    }

    fn search(&self, query: &SearchQuery) -> Result<Vec<FileMeta>> {
        self.connections.read(|tx| search(tx, query))
    }

    fn listings(&self, now: UnixMillis, each: &mut dyn FnMut(V1Listing)) -> Result<()> {
        self.connections.read(|tx| listings::each_listing(tx, now, each))
    }

    fn prune_listings(&self, now: UnixMillis) -> Result<u64> {
        self.connections.write(Durability::Relaxed, |tx| listings::prune(tx, now))
    }
}

fn manifests_of(tx: &Connection, file_hash: FileHash) -> Result<Vec<FileMeta>> {
    query(
        tx,
        "SELECT f.file_hash, coalesce(m.file_name, f.file_name), coalesce(m.created_at, f.created_at), m.manifest_id, \
         m.size, m.chunk_size FROM files f LEFT JOIN manifests m ON m.file_hash = f.file_hash WHERE f.file_hash = ?1 \
         ORDER BY m.created_at, m.manifest_id LIMIT ?2",
        params![file_hash.0, MANIFESTS_MAX as i64],
        |row| columns::file_meta(row),
    )
}

fn search(tx: &Connection, search: &SearchQuery) -> Result<Vec<FileMeta>> {
    let p = search_patterns(&search.words);
    let before = search.after.map_or(i64::MAX, |(at, _)| at.0);
    let before_hash = search.after.map_or_else(Vec::new, |(_, hash)| hash.0.to_vec());
    let limit = search.limit.min(SEARCH_LIMIT_MAX) as i64;
    query(
        tx,
        "SELECT f.file_hash, f.file_name, f.created_at, m.manifest_id, m.size, m.chunk_size FROM files f LEFT JOIN \
         manifests m ON m.rowid = (SELECT rowid FROM manifests WHERE manifests.file_hash = f.file_hash ORDER BY \
         created_at, manifest_id LIMIT 1) WHERE (f.created_at, f.file_hash) < (?1, ?2) AND f.search_name LIKE ?4 \
         ESCAPE '\\' AND f.search_name LIKE ?5 ESCAPE '\\' AND f.search_name LIKE ?6 ESCAPE '\\' AND f.search_name \
         LIKE ?7 ESCAPE '\\' AND f.search_name LIKE ?8 ESCAPE '\\' AND f.search_name LIKE ?9 ESCAPE '\\' AND \
         f.search_name LIKE ?10 ESCAPE '\\' AND f.search_name LIKE ?11 ESCAPE '\\' AND NOT EXISTS (SELECT 1 FROM file_access \
         a WHERE a.file_hash = f.file_hash AND a.access <> 'public' AND (a.access = 'withdrawn' OR a.owner <> ?12) AND \
         NOT (a.access = 'shared' AND (EXISTS (SELECT 1 FROM file_access_accounts x WHERE x.file_hash = a.file_hash AND \
         x.account = ?12) OR EXISTS (SELECT 1 FROM file_access_groups x JOIN group_members y ON y.group_id = x.group_id \
         WHERE x.file_hash = a.file_hash AND y.account = ?12)))) ORDER BY f.created_at DESC, f.file_hash DESC LIMIT ?3",
        params![before, before_hash, limit, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], search.caller.0],
        |row| columns::file_meta(row),
    )
}

/// Stores a manifest, and its file, unless they are known.
pub(super) fn put_manifest(tx: &Connection, stored: &StoredManifest) -> Result<Written> {
    let manifest = &stored.manifest;
    let geometry = manifest.geometry();
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
        return Ok(Written::Unchanged);
    }
    count_metadata(tx, stored.announced_by, stored.metadata_bytes())?;
    Ok(Written::Done)
}

/// Stores the name of a file, unless the file is known.
pub(super) fn put_file(tx: &Connection, file_hash: FileHash, name: &str, created_at: UnixMillis) -> Result<()> {
    execute(
        tx,
        "INSERT INTO files (file_hash, file_name, search_name, created_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT DO NOTHING",
        params![file_hash.0, storable(name), folded(name), created_at.0],
    )?;
    Ok(())
}
