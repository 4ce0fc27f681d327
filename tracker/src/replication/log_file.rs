//! The file of the write-ahead log of leases: a SQLite database of its own in the data folder, whichever store is used.
//!
//! Updates are appended, many in one commit and without a sync. So `kill -9` of the tracker or of the database loses no acknowledged
//! update. A power cut loses at most updates that peers announce again at their next renewal. Expired batches are deleted; the others,
//! replayed in order, are the swarm as it was.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use peernet_engine::time::UnixMillis;
use rusqlite::{OptionalExtension as _, params};

use crate::ops::log;
use crate::store::replication::{Batch, TrackerId};
use crate::store::sqlite::connection::{Connections, each, execute, query, store_error};
use crate::store::sqlite::side_files::{rename_if_there, rename_side_files, with_suffix};
use crate::store::{Durability, Result, StoreError};

/// `id` is the id of this tracker among those of one database. `pushed` is the last batch that was published to the other trackers.
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

/// The log file.
pub struct LogFile {
    connections: Connections,
    /// The number of the next batch. Never a published number, even after all batches were deleted.
    next: AtomicI64,
}

impl LogFile {
    /// Opens or creates the file, readable by its owner only. Its folder must exist.
    ///
    /// A file that a power cut has damaged is renamed, and a new one is begun: peers announce its leases again within minutes.
    pub fn open(path: &Path) -> Result<Self> {
        match Self::open_intact(path) {
            Err(StoreError::Failed(why)) if path.exists() => {
                log::warn(
                    "swarm",
                    "the lease log is damaged; a new one is begun",
                    &[("file", &path.display()), ("why", &why)],
                );
                rename_damaged(path).map_err(|error| StoreError::Failed(format!("{}: {error}", path.display())))?;
                Self::open_intact(path)
            }
            opened => opened,
        }
    }

    fn open_intact(path: &Path) -> Result<Self> {
        let connections = Connections::open_unsynced(path)?;
        connections.write(Durability::Relaxed, |tx| tx.execute_batch(SCHEMA).map_err(store_error))?;
        let found = connections
            .read(|tx| query(tx, "PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0).map_err(store_error)))?;
        match found.first().map(String::as_str) {
            Some("ok") => {
                let next = AtomicI64::new(last(&connections)? + 1);
                Ok(Self { connections, next })
            }
            other => Err(StoreError::Failed(format!("quick_check: {}", other.unwrap_or("nothing")))),
        }
    }

    /// Returns the id of this tracker among those of one database. A new file takes `fresh`.
    pub fn identity(&self, fresh: TrackerId) -> Result<TrackerId> {
        self.connections.write(Durability::Synced, |tx| {
            execute(
                tx,
                "INSERT INTO self (one, id, pushed) VALUES (1, ?1, 0) ON CONFLICT DO NOTHING",
                params![fresh.0],
            )?;
            tx.query_row("SELECT id FROM self", [], |row| row.get(0)).map(TrackerId).map_err(store_error)
        })
    }

    /// Appends a batch that may be deleted after `expires_at`. It survives `kill -9` when this returns.
    pub fn append(&self, expires_at: UnixMillis, body: &[u8]) -> Result<()> {
        self.connections.write_one(Durability::Relaxed, |tx| {
            let seq = self.next.fetch_add(1, Ordering::Relaxed);
            let sql = "INSERT INTO log (seq, expires_at, body) VALUES (?1, ?2, ?3)";
            execute(tx, sql, params![seq, expires_at.0, body]).map(drop)
        })
    }

    /// Calls `visit` with every batch that has not expired, in order.
    pub fn replay(&self, now: UnixMillis, visit: &mut dyn FnMut(Vec<u8>)) -> Result<()> {
        let sql = "SELECT body FROM log WHERE expires_at > ?1 ORDER BY seq";
        self.connections.read(|tx| {
            each(tx, sql, params![now.0], |row| {
                visit(row.get(0).map_err(store_error)?);
                Ok(())
            })
        })
    }

    /// Returns batches that were not published yet, oldest first: up to `bytes_max` bytes, and at least one.
    pub fn unpushed(&self, now: UnixMillis, bytes_max: usize) -> Result<Vec<Batch>> {
        let sql = "SELECT seq, expires_at, body FROM log WHERE seq > (SELECT pushed FROM self) AND expires_at > ?1 \
                   ORDER BY seq LIMIT 4096";
        let mut batches = Vec::new();
        let mut bytes = 0;
        self.connections.read(|tx| {
            let mut statement = tx.prepare_cached(sql).map_err(store_error)?;
            let mut rows = statement.query(params![now.0]).map_err(store_error)?;
            while let Some(row) = rows.next().map_err(store_error)? {
                let batch: Batch = batch(row).map_err(store_error)?;
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

    /// Returns the number of the last published batch.
    pub fn pushed(&self) -> Result<i64> {
        self.connections.read(|tx| {
            let pushed =
                tx.query_row("SELECT pushed FROM self", [], |row| row.get(0)).optional().map_err(store_error)?;
            Ok(pushed.unwrap_or(0))
        })
    }

    /// Records that all batches up to `seq` were published.
    pub fn note_pushed(&self, seq: i64) -> Result<()> {
        self.connections
            .write(Durability::Relaxed, |tx| execute(tx, "UPDATE self SET pushed = ?1", params![seq]).map(drop))
    }

    /// Deletes expired batches. Returns the number of deleted batches.
    pub fn prune(&self, now: UnixMillis) -> Result<u64> {
        self.connections.write(Durability::Relaxed, |tx| {
            Ok(execute(tx, "DELETE FROM log WHERE expires_at <= ?1", params![now.0])? as u64)
        })
    }

    /// Returns the number of stored batches.
    pub fn len(&self) -> Result<u64> {
        self.connections.read(|tx| {
            let counts = query(tx, "SELECT count(*) FROM log", [], |row| row.get::<_, i64>(0).map_err(store_error))?;
            Ok(counts.first().map_or(0, |count| count.unsigned_abs()))
        })
    }

    /// Returns whether no batch is stored.
    pub fn is_empty(&self) -> Result<bool> {
        self.len().map(|len| len == 0)
    }
}

/// Returns the last number that was used or published.
fn last(connections: &Connections) -> Result<i64> {
    let sql = "SELECT max(coalesce((SELECT max(seq) FROM log), 0), coalesce((SELECT pushed FROM self), 0))";
    connections.read(|tx| tx.query_row(sql, [], |row| row.get(0)).map_err(store_error))
}

/// Renames the file and its side files.
fn rename_damaged(path: &Path) -> io::Result<()> {
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

    fn bodies(log: &LogFile, now: UnixMillis) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        log.replay(now, &mut |body| bodies.push(body)).expect("reads");
        bodies
    }

    #[test]
    fn batches_are_replayed_in_order_until_they_expire() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = LogFile::open(&folder.path().join("log")).expect("opens");
        for (n, until) in [(1u8, 2_000), (2, 3_000), (3, 2_000)] {
            log.append(UnixMillis(until), &[n]).expect("appends");
        }
        let again = LogFile::open(&folder.path().join("log")).expect("opens twice");
        assert_eq!(
            (bodies(&again, NOW), bodies(&again, UnixMillis(2_000))),
            (vec![vec![1], vec![2], vec![3]], vec![vec![2]])
        );
        assert_eq!((log.prune(UnixMillis(2_000)).expect("prunes"), log.len().expect("counts")), (2, 1));
    }

    #[test]
    fn unpublished_batches_come_in_parts_and_each_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = LogFile::open(&folder.path().join("log")).expect("opens");
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
        let log = LogFile::open(&folder.path().join("log")).expect("opens again");
        log.append(UnixMillis(3_000), &[9]).expect("appends");
        assert_eq!(log.unpushed(NOW, 25).expect("reads").len(), 1, "numbers go on after everything was deleted");
    }

    #[test]
    fn a_damaged_file_is_renamed_and_a_new_one_begun() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let log = LogFile::open(&path).expect("opens");
        (0..200u8).for_each(|n| log.append(UnixMillis(2_000), &[n; 500]).expect("appends"));
        drop(log);
        let mut bytes = fs::read(&path).expect("reads");
        assert!(bytes.len() > 20_000, "the log was emptied into the file when it was closed");
        bytes[8_192..16_384].fill(0xa5);
        fs::write(&path, bytes).expect("writes");
        let log = LogFile::open(&path).expect("begins a new one");
        assert_eq!(bodies(&log, NOW), Vec::<Vec<u8>>::new());
        log.append(UnixMillis(2_000), &[1]).expect("appends");
        assert!(folder.path().join("log.damaged").exists());
    }

    #[test]
    fn a_tracker_starts_with_a_torn_or_foreign_log_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let log = LogFile::open(&path).expect("opens");
        (0..200u8).for_each(|n| log.append(UnixMillis(2_000), &[n; 500]).expect("appends"));
        drop(log);
        let intact = fs::read(&path).expect("reads");
        for (case, bytes) in [
            ("cut in a page", &intact[..intact.len() / 2 - 100]),
            ("cut in the header", &intact[..50]),
            (
                "another program's",
                b"This is not a database, but a text of more than a hundred bytes. ".repeat(3).as_slice(),
            ),
        ] {
            fs::write(&path, bytes).expect("writes");
            let log = LogFile::open(&path).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(bodies(&log, NOW), Vec::<Vec<u8>>::new(), "{case}");
            log.append(UnixMillis(2_000), &[1]).expect("appends");
            drop(log);
            fs::remove_file(&path).expect("removes");
        }
    }

    #[test]
    fn a_torn_write_ahead_log_loses_only_its_torn_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let log = LogFile::open(&path).expect("opens");
        (0..5u8).for_each(|n| log.append(UnixMillis(2_000), &[n]).expect("appends"));
        // As after kill -9: the files are copied while the log is open.
        let copy = folder.path().join("copy");
        fs::copy(&path, &copy).expect("copies");
        let mut wal = fs::read(with_suffix(&path, "-wal")).expect("reads");
        wal.truncate(wal.len() - 10);
        fs::write(with_suffix(&copy, "-wal"), wal).expect("writes");
        let torn = LogFile::open(&copy).expect("opens");
        let kept = bodies(&torn, NOW);
        assert_eq!(kept, (0..4u8).map(|n| vec![n]).collect::<Vec<_>>());
    }

    #[test]
    fn an_unpublished_batch_that_has_expired_is_skipped() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = LogFile::open(&folder.path().join("log")).expect("opens");
        log.identity(TrackerId([1; 16])).expect("is new");
        log.append(UnixMillis(500), &[1]).expect("appends");
        log.append(UnixMillis(2_000), &[2]).expect("appends");
        let unpushed: Vec<i64> = log.unpushed(NOW, 1_000).expect("reads").iter().map(|batch| batch.seq).collect();
        assert_eq!(unpushed, [2]);
    }
}
