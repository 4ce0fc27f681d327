//! Signatures of manifests: rows of their accounts, which are locked already.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::signatures::{SIGNATURE_ROW_BYTES, StoredSignature};
use crate::store::{StoreError, Write, columns};

use super::super::session::Tx;
use super::super::trouble::Trouble;
use super::super::values::{Uuid, column};
use super::manifests::count_usage;
use super::statements;

/// Which row: the manifest and the account.
type Key = ([u8; 32], [u8; 16]);

fn key_of(stored: &StoredSignature) -> Key {
    (stored.manifest_id.0, stored.peer.0)
}

pub(super) fn write(tx: &mut Tx<'_>, batch: &[Write]) -> Result<(), Trouble> {
    // Of several for one row the last counts, with the time of the first: a statement may not touch a row twice.
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
    count_usage(tx, &usage)
}

/// Returns those that are new.
fn insert(tx: &mut Tx<'_>, rows: &[StoredSignature]) -> Result<BTreeSet<Key>, Trouble> {
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
    Ok(new.iter().map(columns::manifest_and_peer).collect::<Result<_, StoreError>>()?)
}

fn replace(tx: &mut Tx<'_>, rows: &[&StoredSignature]) -> Result<(), Trouble> {
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
