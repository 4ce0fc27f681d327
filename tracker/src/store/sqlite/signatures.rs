//! The table `manifest_signatures`.

use peernet_engine::ids::ManifestId;
use peernet_protos::limits::{SIGNATURES_COUNTED_MAX, SIGNATURES_TOLD_MAX};
use rusqlite::{Connection, params};

use crate::store::Result;
use crate::store::columns::{self, from_signatures, signature_columns};
use crate::store::signatures::{SIGNATURE_ROW_BYTES, Signatures, Signer, StoredSignature};

use super::SqliteStore;
use super::accounts::count_metadata;
use super::connection::{execute, query};

impl Signatures for SqliteStore {
    fn signatures(&self, manifest_id: ManifestId) -> Result<Vec<StoredSignature>> {
        let sql = concat!(
            "SELECT ",
            signature_columns!(),
            from_signatures!(),
            "WHERE s.manifest_id = ?1 ORDER BY s.signed_at, s.peer LIMIT ?2"
        );
        let params = params![manifest_id.0, SIGNATURES_TOLD_MAX as i64];
        self.connections.read(|tx| query(tx, sql, params, |row| columns::signature(row)))
    }

    fn signature_count(&self, manifest_id: ManifestId) -> Result<u64> {
        let sql = concat!("SELECT count(*) FROM (SELECT 1", from_signatures!(), "WHERE s.manifest_id = ?1 LIMIT ?2)");
        let params = params![manifest_id.0, SIGNATURES_COUNTED_MAX as i64];
        let found = self.connections.read(|tx| query(tx, sql, params, |row| columns::size(row)))?;
        Ok(found.first().copied().unwrap_or(0))
    }

    fn signature(&self, manifest_id: ManifestId, signer: Signer) -> Result<Option<StoredSignature>> {
        let by_account =
            concat!("SELECT ", signature_columns!(), from_signatures!(), "WHERE s.manifest_id = ?1 AND s.peer = ?2");
        let by_key = concat!(
            "SELECT ",
            signature_columns!(),
            from_signatures!(),
            "WHERE s.manifest_id = ?1 AND s.public_key = ?2 ORDER BY s.signed_at, s.peer LIMIT 1"
        );
        let found = self.connections.read(|tx| match signer {
            Signer::Account(peer) => {
                query(tx, by_account, params![manifest_id.0, peer.0], |row| columns::signature(row))
            }
            Signer::Key(key) => query(tx, by_key, params![manifest_id.0, key], |row| columns::signature(row)),
        })?;
        Ok(found.into_iter().next())
    }
}

/// Stores a signature. One that replaces an earlier signature adds nothing to the metadata of its account.
pub(super) fn put(tx: &Connection, stored: &StoredSignature) -> Result<()> {
    let inserted = execute(
        tx,
        "INSERT INTO manifest_signatures (manifest_id, peer, public_key, signature, signed_at) VALUES (?1, ?2, ?3, ?4, \
         ?5) ON CONFLICT DO NOTHING",
        params![stored.manifest_id.0, stored.peer.0, stored.public_key, stored.signature, stored.signed_at.0],
    )?;
    if inserted > 0 {
        return count_metadata(tx, stored.peer, SIGNATURE_ROW_BYTES);
    }
    execute(
        tx,
        "UPDATE manifest_signatures SET public_key = ?3, signature = ?4 WHERE manifest_id = ?1 AND peer = ?2",
        params![stored.manifest_id.0, stored.peer.0, stored.public_key, stored.signature],
    )?;
    Ok(())
}
