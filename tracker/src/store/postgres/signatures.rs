//! The table `manifest_signatures`. Its rows belong to accounts, which a batch has locked already.

use std::collections::{BTreeMap, BTreeSet};

use peernet_engine::ids::ManifestId;
use peernet_protos::limits::{SIGNATURES_COUNTED_MAX, SIGNATURES_TOLD_MAX};

use crate::store::columns::{self, from_signatures, signature_columns};
use crate::store::signatures::{SIGNATURE_ROW_BYTES, Signatures, Signer, StoredSignature};
use crate::store::{Result, Write};

use super::PostgresStore;
use super::accounts::count_metadata;
use super::batch::statements;
use super::connection::{Attempt, Tx, Uuid, column};

impl Signatures for PostgresStore {
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

/// A key of the table: manifest and account.
type Key = ([u8; 32], [u8; 16]);

fn key_of(stored: &StoredSignature) -> Key {
    (stored.manifest_id.0, stored.peer.0)
}

/// Stores the signatures of a batch.
pub(super) fn write(tx: &mut Tx<'_>, batch: &[Write]) -> Attempt<()> {
    // A statement may not touch a row twice. So of several signatures for one row the last counts, with the time of the first.
    let mut rows: BTreeMap<Key, StoredSignature> = BTreeMap::new();
    for write in batch {
        if let Write::PutSignature(stored) = write {
            let row = rows.entry(key_of(stored)).or_insert_with(|| stored.clone());
            (row.public_key, row.signature) = (stored.public_key, stored.signature);
        }
    }
    let rows: Vec<StoredSignature> = rows.into_values().collect();
    let mut usage: BTreeMap<[u8; 16], i64> = BTreeMap::new();
    for rows in statements(&rows, |_| SIGNATURE_ROW_BYTES as usize) {
        let new = insert(tx, rows)?;
        for (_, peer) in &new {
            *usage.entry(*peer).or_default() += SIGNATURE_ROW_BYTES as i64;
        }
        let known: Vec<&StoredSignature> = rows.iter().filter(|row| !new.contains(&key_of(row))).collect();
        replace(tx, &known)?;
    }
    count_metadata(tx, &usage)
}

/// Inserts signatures. Returns the keys that are new.
fn insert(tx: &mut Tx<'_>, rows: &[StoredSignature]) -> Attempt<BTreeSet<Key>> {
    let new = tx.query(
        "INSERT INTO manifest_signatures (manifest_id, peer, public_key, signature, signed_at) SELECT * FROM \
         unnest($1::bytea[], $2::uuid[], $3::bytea[], $4::bytea[], $5::bigint[]) ON CONFLICT DO NOTHING RETURNING \
         manifest_id, peer",
        &[
            &column(rows, |stored| stored.manifest_id.0.as_slice()),
            &column(rows, |stored| Uuid(stored.peer.0)),
            &column(rows, |stored| stored.public_key.as_slice()),
            &column(rows, |stored| stored.signature.as_slice()),
            &column(rows, |stored| stored.signed_at.0),
        ],
    )?;
    Ok(new.iter().map(columns::manifest_and_peer).collect::<Result<_>>()?)
}

fn replace(tx: &mut Tx<'_>, rows: &[&StoredSignature]) -> Attempt<()> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.execute(
        "UPDATE manifest_signatures s SET public_key = n.public_key, signature = n.signature FROM unnest($1::bytea[], \
         $2::uuid[], $3::bytea[], $4::bytea[]) AS n (manifest_id, peer, public_key, signature) WHERE s.manifest_id = \
         n.manifest_id AND s.peer = n.peer AND (s.public_key, s.signature) <> (n.public_key, n.signature)",
        &[
            &column(rows, |stored| stored.manifest_id.0.as_slice()),
            &column(rows, |stored| Uuid(stored.peer.0)),
            &column(rows, |stored| stored.public_key.as_slice()),
            &column(rows, |stored| stored.signature.as_slice()),
        ],
    )?;
    Ok(())
}
