//! Questions about signatures of manifests.

use peernet_engine::ids::ManifestId;
use peernet_protos::limits::{SIGNATURES_COUNTED_MAX, SIGNATURES_TOLD_MAX};
use rusqlite::params;

use crate::store::Result;
use crate::store::columns::{self, from_signatures, signature_columns};
use crate::store::signatures::{SignatureReader, Signer, StoredSignature};

use super::EmbeddedStore;
use super::connection::query;

impl SignatureReader for EmbeddedStore {
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
