//! Questions: accounts, manifests, search, and what survives a restart.

use peernet_engine::ids::{FileHash, ManifestId, PeerId};
use peernet_engine::time::UnixMillis;

use crate::store::columns::{self, account_columns, manifest_columns, v1_listing_columns};
use crate::store::text::{SEARCH_WORDS_MAX, pattern, search_words, storable};
use crate::store::{
    Account, FileMeta, MANIFESTS_MAX, Result as StoreResult, SEARCH_LIMIT_MAX, SearchQuery, StoredManifest, V1Listing,
};

use super::session::Session;
use super::trouble::Trouble;
use super::values::Uuid;

/// Rows in memory at once while survivors are read.
pub(super) const PAGE: i64 = 2_000;

pub(super) fn account(session: &mut Session, id: PeerId) -> Result<Option<Account>, Trouble> {
    let rows = session.query(concat!("SELECT ", account_columns!(), " FROM accounts WHERE id = $1"), &[&Uuid(id.0)])?;
    Ok(rows.first().map(columns::account).transpose()?)
}

pub(super) fn account_by_address(session: &mut Session, address: &str) -> Result<Option<Account>, Trouble> {
    let sql = concat!("SELECT ", account_columns!(), " FROM accounts WHERE address = $1");
    let rows = session.query(sql, &[&storable(address).as_ref()])?;
    Ok(rows.first().map(columns::account).transpose()?)
}

pub(super) fn manifest(session: &mut Session, id: ManifestId) -> Result<Option<StoredManifest>, Trouble> {
    let sql = concat!("SELECT ", manifest_columns!(), " FROM manifests WHERE manifest_id = $1");
    let rows = session.query(sql, &[&id.0.as_slice()])?;
    Ok(rows.first().map(columns::manifest).transpose()?)
}

pub(super) fn manifests_of(session: &mut Session, file_hash: FileHash) -> Result<Vec<FileMeta>, Trouble> {
    let rows = session.query(
        "SELECT file_hash, coalesce(m.file_name, f.file_name), coalesce(m.created_at, f.created_at), m.manifest_id, \
         m.size, m.chunk_size FROM files f LEFT JOIN manifests m USING (file_hash) WHERE file_hash = $1 ORDER BY \
         m.created_at, m.manifest_id LIMIT $2",
        &[&file_hash.0.as_slice(), &(MANIFESTS_MAX as i64)],
    )?;
    Ok(rows.iter().map(columns::file_meta).collect::<StoreResult<_>>()?)
}

pub(super) fn search(session: &mut Session, query: &SearchQuery) -> Result<Vec<FileMeta>, Trouble> {
    let words = search_words(&query.words);
    // A pattern that finds everything stands for each word that was not given, so that one prepared statement serves
    // all.
    let patterns: Vec<String> =
        (0..SEARCH_WORDS_MAX).map(|at| words.get(at).map_or_else(|| "%".into(), |word| pattern(word))).collect();
    let (before, before_hash) = match &query.after {
        Some((at, hash)) => (at.0, hash.0.to_vec()),
        None => (i64::MAX, Vec::new()),
    };
    let limit = query.limit.min(SEARCH_LIMIT_MAX) as i64;
    let asker = Uuid(query.asker.0);
    let mut params: Vec<&(dyn postgres::types::ToSql + Sync)> = vec![&before, &before_hash, &limit];
    params.extend(patterns.iter().map(|pattern| pattern as &(dyn postgres::types::ToSql + Sync)));
    params.push(&asker);
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
    Ok(rows.iter().map(columns::file_meta).collect::<StoreResult<_>>()?)
}

/// One page of version 1 listings after the last one of the page before.
pub(super) fn listings(
    session: &mut Session,
    now: UnixMillis,
    last: Option<&V1Listing>,
) -> Result<Vec<V1Listing>, Trouble> {
    let (peer, file) = last.map_or((Uuid([0; 16]), Vec::new()), |row| (Uuid(row.peer.0), row.file_hash.0.to_vec()));
    let sql = concat!(
        "SELECT ",
        v1_listing_columns!(),
        " FROM v1_listings WHERE expires_at > $1 AND (peer, file_hash) > ($2, $3) ORDER BY peer, file_hash LIMIT $4"
    );
    let rows = session.query(sql, &[&now.0, &peer, &file, &PAGE])?;
    Ok(rows.iter().map(columns::v1_listing).collect::<StoreResult<_>>()?)
}

/// Deletes what expired. One pass over the table; may take longer than an ordinary statement may.
pub(super) fn sweep(session: &mut Session, now: UnixMillis) -> Result<u64, Trouble> {
    let mut tx = session.begin("BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL statement_timeout = '30s'")?;
    let rows = tx.execute("DELETE FROM v1_listings WHERE expires_at <= $1", &[&now.0])?;
    tx.commit()?;
    Ok(rows)
}
