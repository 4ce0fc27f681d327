//! A batch of writes as one transaction of few statements.
//!
//! Kinds of writes that do not touch each other's tables are taken apart. Within a kind the order is kept, and each run becomes one
//! statement over `unnest` arrays.
//!
//! Several trackers may write about the same peers in different orders. So that they wait for each other instead of deadlocking, every
//! batch takes its locks in the same order:
//!
//! 1. an advisory lock for each peer that it is about, in ascending order;
//! 2. the treasury, if it creates accounts;
//! 3. the number of access changes, if it changes access;
//! 4. rows that belong to no peer (files, manifests), sorted by key.

use std::collections::BTreeSet;

use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;

use crate::store::{Durability, Write, Written};

use super::connection::{Attempt, Session, Tx};
use super::{accounts, files, listings, policies, signatures};

/// The most rows of one statement.
const ROWS_MAX: usize = 1_000;

/// The most bytes of chunk hashes in one statement; PostgreSQL refuses messages of 1 GiB.
const BYTES_MAX: usize = 8 << 20;

/// Returns the statement that begins a transaction. It sets synchronous_commit itself, because the server's own setting may be off.
pub(super) fn begin(durability: Durability) -> &'static str {
    match durability {
        Durability::Synced => "BEGIN; SET LOCAL synchronous_commit = on",
        Durability::Relaxed => "BEGIN; SET LOCAL synchronous_commit = off",
    }
}

/// Applies a batch and commits it.
pub(super) fn write(
    session: &mut Session,
    now: UnixMillis,
    batch: &[Write],
    durability: Durability,
) -> Attempt<Vec<Written>> {
    let mut tx = session.begin(begin(durability))?;
    let mut written = vec![Written::Done; batch.len()];
    lock_peers(&mut tx, batch)?;
    accounts::write(&mut tx, now, batch, &mut written)?;
    policies::write(&mut tx, batch, &mut written)?;
    files::write_files(&mut tx, batch)?;
    files::write_manifests(&mut tx, batch, &mut written)?;
    signatures::write(&mut tx, batch)?;
    listings::write(&mut tx, batch)?;
    tx.commit()?;
    Ok(written)
}

/// Locks the rows of all peers of a batch.
///
/// The first key is this program's name for "a peer's rows": "peer" in ASCII. Two peers whose ids begin alike share a lock, which costs a
/// wait and no more.
fn lock_peers(tx: &mut Tx<'_>, batch: &[Write]) -> Attempt<()> {
    let keys: BTreeSet<i32> = batch.iter().filter_map(peer_of).map(lock_key).collect();
    if !keys.is_empty() {
        let keys: Vec<i32> = keys.into_iter().collect();
        tx.execute("SELECT pg_advisory_xact_lock(x'70656572'::int, key) FROM unnest($1::int[]) AS key", &[&keys])?;
    }
    Ok(())
}

/// Returns the peer whose rows a write changes. A manifest belongs to its announcer.
fn peer_of(write: &Write) -> Option<PeerId> {
    match write {
        Write::CreateAccount { account, .. } => Some(account.id),
        Write::SetPassword { id, .. } => Some(*id),
        Write::PutManifest(stored) => Some(stored.announced_by),
        Write::PutSignature(stored) => Some(stored.peer),
        Write::Leave { peer, .. } => Some(*peer),
        Write::SealV1(listing) => Some(listing.peer),
        Write::Account(write) => write.peer(),
        Write::Policy(write) => Some(write.peer()),
    }
}

fn lock_key(peer: PeerId) -> i32 {
    let [a, b, c, d, ..] = peer.0;
    i32::from_be_bytes([a, b, c, d])
}

/// Splits rows into statements of at most [`ROWS_MAX`] rows and about [`BYTES_MAX`] bytes.
pub(super) fn statements<T>(rows: &[T], bytes_of: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (at, row) in rows.iter().enumerate() {
        if at > start && (at - start == ROWS_MAX || bytes + bytes_of(row) > BYTES_MAX) {
            out.push(&rows[start..at]);
            start = at;
            bytes = 0;
        }
        bytes += bytes_of(row);
    }
    if start < rows.len() {
        out.push(&rows[start..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_cut_by_rows_and_by_bytes() {
        let lengths = |rows: &[usize]| statements(rows, |row| *row).iter().map(|rows| rows.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[1; 2_500]), [1_000, 1_000, 500]);
        assert_eq!(lengths(&[BYTES_MAX, BYTES_MAX + 1, 1, 1]), [1, 1, 2]);
    }
}
