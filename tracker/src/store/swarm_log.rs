//! The log of what happens in the swarm, in a SQLite file of its own beside whichever store is used.
//!
//! Leases live for minutes and change all the time, so they are appended here, many in one commit and without a sync: kill -9
//! of the tracker or of the database loses nothing that was acknowledged, and a power cut at most what peers say again at their
//! next renewal. What has expired is deleted; the rest, replayed in order, is the swarm as it was.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use peernet_engine::time::UnixMillis;
use rusqlite::{OptionalExtension as _, params};

use super::embedded::connection::{Connections, each, execute, query, trouble};
use super::embedded::files::{rename_if_there, rename_side_files, with_suffix};
use super::exchange::{Batch, TrackerId};
use super::{Durability, Result, StoreError};
use crate::ops::log;

/// `id` names this log among those of other trackers; `pushed` is the last batch that they were told of.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS log (
        seq        INTEGER PRIMARY KEY,
        expires_at INTEGER NOT NULL,
        body       BLOB NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS self (
        one    INTEGER PRIMARY KEY CHECK (one = 1),
        id     BLOB NOT NULL CHECK (length(id) = 16),
        pushed INTEGER NOT NULL
    ) STRICT;";

/// The log.
pub struct SwarmLog {
    connections: Connections,
    /// The next batch's number. Never one that the others were told of, also where everything was deleted meanwhile.
    next: AtomicI64,
}

impl SwarmLog {
    /// Opens or creates the file, readable by its owner only. Its folder must exist.
    ///
    /// A file that a power cut has damaged is put aside: what was in it is announced again within minutes.
    pub fn open(path: &Path) -> Result<Self> {
        match Self::open_whole(path) {
            Err(StoreError::Failed(why)) if path.exists() => {
                log::warn("swarm", "the log is damaged and begun anew", &[("file", &path.display()), ("why", &why)]);
                put_aside(path).map_err(|error| StoreError::Failed(format!("{}: {error}", path.display())))?;
                Self::open_whole(path)
            }
            opened => opened,
        }
    }

    fn open_whole(path: &Path) -> Result<Self> {
        let connections = Connections::open_unsynced(path)?;
        connections.write(Durability::Relaxed, |tx| tx.execute_batch(SCHEMA).map_err(trouble))?;
        let found = connections
            .read(|tx| query(tx, "PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0).map_err(trouble)))?;
        match found.first().map(String::as_str) {
            Some("ok") => {
                let next = AtomicI64::new(last(&connections)? + 1);
                Ok(Self { connections, next })
            }
            other => Err(StoreError::Failed(format!("quick_check: {}", other.unwrap_or("nothing")))),
        }
    }

    /// Who this is among the trackers of one database; `fresh` where the file is new.
    pub fn identity(&self, fresh: TrackerId) -> Result<TrackerId> {
        self.connections.write(Durability::Synced, |tx| {
            execute(
                tx,
                "INSERT INTO self (one, id, pushed) VALUES (1, ?1, 0) ON CONFLICT DO NOTHING",
                params![fresh.0],
            )?;
            tx.query_row("SELECT id FROM self", [], |row| row.get(0)).map(TrackerId).map_err(trouble)
        })
    }

    /// Appends a batch that means nothing any more after `expires_at`. It survives kill -9 when this returns.
    pub fn append(&self, expires_at: UnixMillis, body: &[u8]) -> Result<()> {
        self.connections.write_one(Durability::Relaxed, |tx| {
            let seq = self.next.fetch_add(1, Ordering::Relaxed);
            let sql = "INSERT INTO log (seq, expires_at, body) VALUES (?1, ?2, ?3)";
            execute(tx, sql, params![seq, expires_at.0, body]).map(drop)
        })
    }

    /// Calls `visit` with every batch that still means something, in order.
    pub fn replay(&self, now: UnixMillis, visit: &mut dyn FnMut(Vec<u8>)) -> Result<()> {
        let sql = "SELECT body FROM log WHERE expires_at > ?1 ORDER BY seq";
        self.connections.read(|tx| {
            each(tx, sql, params![now.0], |row| {
                visit(row.get(0).map_err(trouble)?);
                Ok(())
            })
        })
    }

    /// Batches that the other trackers have not been told of, oldest first, up to `bytes_max` bytes and at least one.
    pub fn unpushed(&self, now: UnixMillis, bytes_max: usize) -> Result<Vec<Batch>> {
        let sql = "SELECT seq, expires_at, body FROM log WHERE seq > (SELECT pushed FROM self) AND expires_at > ?1 \
                   ORDER BY seq LIMIT 4096";
        let (mut batches, mut bytes) = (Vec::new(), 0);
        self.connections.read(|tx| {
            let mut statement = tx.prepare_cached(sql).map_err(trouble)?;
            let mut rows = statement.query(params![now.0]).map_err(trouble)?;
            while let Some(row) = rows.next().map_err(trouble)? {
                let batch: Batch = batch(row).map_err(trouble)?;
                bytes += batch.body.len();
                if bytes > bytes_max && !batches.is_empty() {
                    break;
                }
                batches.push(batch);
            }
            Ok(())
        })?;
        Ok(batches)
    }

    /// The last batch that the other trackers were told of.
    pub fn pushed(&self) -> Result<i64> {
        self.connections.read(|tx| {
            let pushed = tx.query_row("SELECT pushed FROM self", [], |row| row.get(0)).optional().map_err(trouble)?;
            Ok(pushed.unwrap_or(0))
        })
    }

    /// The other trackers were told of everything up to `seq`.
    pub fn note_pushed(&self, seq: i64) -> Result<()> {
        self.connections
            .write(Durability::Relaxed, |tx| execute(tx, "UPDATE self SET pushed = ?1", params![seq]).map(drop))
    }

    /// Deletes what means nothing any more. How many batches.
    pub fn prune(&self, now: UnixMillis) -> Result<u64> {
        self.connections.write(Durability::Relaxed, |tx| {
            Ok(execute(tx, "DELETE FROM log WHERE expires_at <= ?1", params![now.0])? as u64)
        })
    }

    /// How many batches are kept.
    pub fn len(&self) -> Result<u64> {
        self.connections.read(|tx| {
            let counts = query(tx, "SELECT count(*) FROM log", [], |row| row.get::<_, i64>(0).map_err(trouble))?;
            Ok(counts.first().map_or(0, |count| count.unsigned_abs()))
        })
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> Result<bool> {
        self.len().map(|len| len == 0)
    }
}

/// The last number that was used, as far as it matters.
fn last(connections: &Connections) -> Result<i64> {
    let sql = "SELECT max(coalesce((SELECT max(seq) FROM log), 0), coalesce((SELECT pushed FROM self), 0))";
    connections.read(|tx| tx.query_row(sql, [], |row| row.get(0)).map_err(trouble))
}

/// Renames the file and what SQLite keeps beside it.
fn put_aside(path: &Path) -> io::Result<()> {
    let aside = with_suffix(path, ".damaged");
    rename_if_there(path, &aside)?;
    rename_side_files(path, &aside)
}

fn batch(row: &rusqlite::Row<'_>) -> rusqlite::Result<Batch> {
    Ok(Batch { seq: row.get(0)?, expires_at: UnixMillis(row.get(1)?), body: row.get(2)? })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000);

    fn bodies(log: &SwarmLog, now: UnixMillis) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        log.replay(now, &mut |body| bodies.push(body)).expect("reads");
        bodies
    }

    #[test]
    fn what_is_appended_is_replayed_in_order_until_it_expires_also_by_another_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = SwarmLog::open(&folder.path().join("log")).expect("opens");
        for (n, until) in [(1u8, 2_000), (2, 3_000), (3, 2_000)] {
            log.append(UnixMillis(until), &[n]).expect("appends");
        }
        let again = SwarmLog::open(&folder.path().join("log")).expect("opens twice");
        assert_eq!(
            (bodies(&again, NOW), bodies(&again, UnixMillis(2_000))),
            (vec![vec![1], vec![2], vec![3]], vec![vec![2]])
        );
        assert_eq!((log.prune(UnixMillis(2_000)).expect("prunes"), log.len().expect("counts")), (2, 1));
    }

    #[test]
    fn what_was_not_pushed_is_told_of_in_parts_and_each_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = SwarmLog::open(&folder.path().join("log")).expect("opens");
        let id = log.identity(TrackerId([1; 16])).expect("is new");
        assert_eq!(log.identity(TrackerId([2; 16])).expect("is known"), id);
        (0..5u8).for_each(|n| log.append(UnixMillis(2_000), &[n; 10]).expect("appends"));
        let mut seen = Vec::new();
        loop {
            let batches = log.unpushed(NOW, 25).expect("reads");
            let Some(last) = batches.last() else { break };
            assert!(batches.len() <= 2);
            log.note_pushed(last.seq).expect("notes");
            assert_eq!(log.pushed().expect("reads"), last.seq);
            seen.extend(batches.into_iter().map(|batch| batch.body[0]));
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        log.prune(UnixMillis(2_000)).expect("prunes");
        drop(log);
        let log = SwarmLog::open(&folder.path().join("log")).expect("opens again");
        log.append(UnixMillis(3_000), &[9]).expect("appends");
        assert_eq!(log.unpushed(NOW, 25).expect("reads").len(), 1, "numbers go on after everything was deleted");
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let log = SwarmLog::open(&path).expect("opens");
        (0..200u8).for_each(|n| log.append(UnixMillis(2_000), &[n; 500]).expect("appends"));
        drop(log);
        let mut bytes = fs::read(&path).expect("reads");
        assert!(bytes.len() > 20_000, "the log was emptied into the file when it was closed");
        bytes[8_192..16_384].fill(0xa5);
        fs::write(&path, bytes).expect("writes");
        let log = SwarmLog::open(&path).expect("begins anew");
        assert_eq!(bodies(&log, NOW), Vec::<Vec<u8>>::new());
        log.append(UnixMillis(2_000), &[1]).expect("appends");
        assert!(folder.path().join("log.damaged").exists());
    }
}
