//! Questions: accounts, manifests, search, and what survives a restart.

use peernet_engine::ids::{FileHash, ManifestId, PeerId};
use peernet_engine::time::UnixMillis;
use rusqlite::{Connection, params};

use crate::store::columns::{self, account_columns, manifest_columns, v1_listing_columns};
use crate::store::text::{SEARCH_WORDS_MAX, pattern, search_words, storable};
use crate::store::{
    Account, FileMeta, MANIFESTS_MAX, Result, SEARCH_LIMIT_MAX, SearchQuery, StoredManifest, V1Listing,
};

use super::connection::{each, execute, query};

pub(super) fn account(tx: &Connection, id: PeerId) -> Result<Option<Account>> {
    let sql = concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = ?1");
    Ok(query(tx, sql, params![id.0], |row| columns::account(row))?.pop())
}

pub(super) fn account_by_address(tx: &Connection, address: &str) -> Result<Option<Account>> {
    let sql = concat!("SELECT ", account_columns!(), " FROM accounts WHERE address = ?1");
    Ok(query(tx, sql, params![storable(address)], |row| columns::account(row))?.pop())
}

pub(super) fn manifest(tx: &Connection, id: ManifestId) -> Result<Option<StoredManifest>> {
    let sql = concat!("SELECT ", manifest_columns!(), " FROM manifests WHERE manifest_id = ?1");
    Ok(query(tx, sql, params![id.0], |row| columns::manifest(row))?.pop())
}

pub(super) fn manifests_of(tx: &Connection, file_hash: FileHash) -> Result<Vec<FileMeta>> {
    query(
        tx,
        "SELECT f.file_hash, coalesce(m.file_name, f.file_name), coalesce(m.created_at, f.created_at), m.manifest_id, \
         m.size, m.chunk_size FROM files f LEFT JOIN manifests m ON m.file_hash = f.file_hash WHERE f.file_hash = ?1 \
         ORDER BY m.created_at, m.manifest_id LIMIT ?2",
        params![file_hash.0, MANIFESTS_MAX as i64],
        |row| columns::file_meta(row),
    )
}

pub(super) fn search(tx: &Connection, search: &SearchQuery) -> Result<Vec<FileMeta>> {
    let words = search_words(&search.words);
    // A pattern that finds everything stands for each word that was not given, so that one prepared statement serves
    // all.
    let p: Vec<String> =
        (0..SEARCH_WORDS_MAX).map(|at| words.get(at).map_or_else(|| "%".into(), |word| pattern(word))).collect();
    let (before, before_hash) = match &search.after {
        Some((at, hash)) => (at.0, hash.0.to_vec()),
        None => (i64::MAX, Vec::new()),
    };
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
        params![before, before_hash, limit, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], search.asker.0],
        |row| columns::file_meta(row),
    )
}

pub(super) fn listings(tx: &Connection, now: UnixMillis, visit: &mut dyn FnMut(V1Listing)) -> Result<()> {
    let sql = concat!("SELECT ", v1_listing_columns!(), " FROM v1_listings WHERE expires_at > ?1");
    each(tx, sql, params![now.0], |row| {
        visit(columns::v1_listing(row)?);
        Ok(())
    })
}

/// Deletes what expired.
pub(super) fn sweep(tx: &Connection, now: UnixMillis) -> Result<u64> {
    Ok(execute(tx, "DELETE FROM v1_listings WHERE expires_at <= ?1", params![now.0])? as u64)
}
