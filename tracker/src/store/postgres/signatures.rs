//! Questions about signatures of manifests.

use peernet_engine::ids::ManifestId;
use peernet_protos::limits::{SIGNATURES_COUNTED_MAX, SIGNATURES_TOLD_MAX};

use crate::store::Result;
use crate::store::columns::{self, from_signatures, signature_columns};
use crate::store::signatures::{SignatureReader, Signer, StoredSignature};

use super::PostgresStore;
use super::values::Uuid;

impl SignatureReader for PostgresStore {
    fn signatures(&self, manifest_id: ManifestId) -> Result<Vec<StoredSignature>> {
        let sql = concat!(
            "SELECT ",
            signature_columns!(),
            from_signatures!(),
            "WHERE s.manifest_id = $1 ORDER BY s.signed_at, s.peer LIMIT $2"
        );
        let limit = SIGNATURES_TOLD_MAX as i64;
        let rows = self.connections.run(|session| session.query(sql, &[&manifest_id.0.as_slice(), &limit]))?;
        rows.iter().map(columns::signature).collect()
    }

    fn signature_count(&self, manifest_id: ManifestId) -> Result<u64> {
        let sql = concat!(
            "SELECT count(*) FROM (SELECT 1",
            from_signatures!(),
            "WHERE s.manifest_id = $1 LIMIT $2) AS counted"
        );
        let limit = SIGNATURES_COUNTED_MAX as i64;
        let rows = self.connections.run(|session| session.query(sql, &[&manifest_id.0.as_slice(), &limit]))?;
        rows.first().map_or(Ok(0), columns::size)
    }

    fn signature(&self, manifest_id: ManifestId, signer: Signer) -> Result<Option<StoredSignature>> {
        let by_account =
            concat!("SELECT ", signature_columns!(), from_signatures!(), "WHERE s.manifest_id = $1 AND s.peer = $2");
        let by_key = concat!(
            "SELECT ",
            signature_columns!(),
            from_signatures!(),
            "WHERE s.manifest_id = $1 AND s.public_key = $2 ORDER BY s.signed_at, s.peer LIMIT 1"
        );
        let id = manifest_id.0.as_slice();
        let rows = self.connections.run(|session| match signer {
            Signer::Account(peer) => session.query(by_account, &[&id, &Uuid(peer.0)]),
            Signer::Key(key) => session.query(by_key, &[&id, &key.as_slice()]),
        })?;
        rows.first().map(columns::signature).transpose()
    }
}
