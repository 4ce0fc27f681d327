//! The connections to one SQLite file: one that writes, and a few that read. In WAL mode readers do not wait for the writer.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::{Connection, ErrorCode, Row, Statement, TransactionBehavior};

use crate::base::files;
use crate::store::columns::Columns;
use crate::store::{Durability, Result, StoreError};

/// The number of connections that read. Reads are short, so more of them than cores gain nothing.
const READERS: usize = 4;
/// The longest wait for a free reader, or for another process that holds the file's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// The most prepared statements of each connection: enough for all of this program.
const STATEMENTS_MAX: usize = 96;

/// All connections to one file.
pub(crate) struct Connections {
    writer: Mutex<Writer>,
    /// The free readers. Taking one out is a checkout. Returning it never blocks, because all readers fit in.
    free: (Sender<Connection>, Receiver<Connection>),
}

struct Writer {
    connection: Connection,
    /// The durability that `PRAGMA synchronous` was last set for.
    durability: Durability,
    /// The level of `PRAGMA synchronous` for [`Durability::Relaxed`].
    relaxed: &'static str,
}

impl Connections {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::open_relaxing_to(path, "NORMAL")
    }

    /// Opens a file whose relaxed commits are never synced, not even at checkpoints of the write-ahead log: a power cut may damage it.
    pub(crate) fn open_unsynced(path: &Path) -> Result<Self> {
        Self::open_relaxing_to(path, "OFF")
    }

    fn open_relaxing_to(path: &Path, relaxed: &'static str) -> Result<Self> {
        private_file(path).map_err(|error| StoreError::Failed(format!("{}: {error}", path.display())))?;
        let writer = Writer { connection: connect(path)?, durability: Durability::Synced, relaxed };
        let free = bounded(READERS);
        for _ in 0..READERS {
            let reader = connect(path)?;
            reader.pragma_update(None, "query_only", true).map_err(store_error)?;
            free.0.try_send(reader).expect("the channel has room for every reader");
        }
        Ok(Self { writer: Mutex::new(writer), free })
    }

    /// Runs `work` in a transaction. It commits if `work` succeeds, and rolls back if `work` fails or panics.
    pub(crate) fn write<T>(&self, durability: Durability, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut writer = self.writer(durability)?;
        let tx = writer.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(store_error)?;
        let done = work(&tx)?;
        tx.commit().map_err(store_error)?;
        Ok(done)
    }

    /// Runs a single statement, which is its own transaction.
    pub(crate) fn write_one<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        work(&self.writer(durability)?.connection)
    }

    /// Runs `work` with a connection that cannot write, on one snapshot.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self
            .free
            .1
            .recv_timeout(BUSY_TIMEOUT)
            .map_err(|_| StoreError::Unavailable("every reading connection is busy".into()))?;
        let mut reader = Reader { connection: Some(connection), home: &self.free.0 };
        let tx = reader.connection.as_mut().expect("taken only by drop").transaction().map_err(store_error)?;
        work(&tx)
    }

    // A panic under the lock has rolled its transaction back, so the connection can be used again.
    fn writer(&self, durability: Durability) -> Result<MutexGuard<'_, Writer>> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.set_durability(durability)?;
        Ok(writer)
    }
}

/// A checked-out reader. Dropping it returns the connection.
struct Reader<'a> {
    connection: Option<Connection>,
    home: &'a Sender<Connection>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _full = self.home.try_send(connection);
        }
    }
}

impl Writer {
    /// In WAL mode NORMAL syncs at checkpoints only; FULL syncs the log, and what is in it from before, at each commit.
    fn set_durability(&mut self, durability: Durability) -> Result<()> {
        if self.durability == durability {
            return Ok(());
        }
        let level = match durability {
            Durability::Synced => "FULL",
            Durability::Relaxed => self.relaxed,
        };
        self.connection.pragma_update(None, "synchronous", level).map_err(store_error)?;
        self.durability = durability;
        Ok(())
    }
}

/// Creates the file with mode 0600, because it contains password hashes. SQLite gives its side files the same mode.
fn private_file(path: &Path) -> io::Result<()> {
    let file = files::private().truncate(false).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path).map_err(store_error)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(store_error)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // This pragma returns the mode as a row, so it is a query.
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(store_error)?;
    if mode != "wal" {
        return Err(StoreError::Failed(format!("{}: no write-ahead log on this file system", path.display())));
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(store_error)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(store_error)?;
    Ok(connection)
}

/// Converts an error of SQLite: one that may pass, or one that will not.
pub(crate) fn store_error(error: rusqlite::Error) -> StoreError {
    let temporary = matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
        )
    );
    if temporary { StoreError::Unavailable(error.to_string()) } else { StoreError::Failed(error.to_string()) }
}

/// Returns a statement that is prepared once for each connection.
pub(crate) fn statement<'a>(connection: &'a Connection, sql: &'static str) -> Result<rusqlite::CachedStatement<'a>> {
    connection.prepare_cached(sql).map_err(store_error)
}

/// Runs a statement that returns no rows. Returns the number of changed rows.
pub(crate) fn execute(connection: &Connection, sql: &'static str, params: impl rusqlite::Params) -> Result<usize> {
    statement(connection, sql)?.execute(params).map_err(store_error)
}

/// Returns all rows of a query.
pub(crate) fn query<T>(
    connection: &Connection,
    sql: &'static str,
    params: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut out = Vec::new();
    each(connection, sql, params, |row| {
        out.push(read(row)?);
        Ok(())
    })?;
    Ok(out)
}

/// Calls `visit` with each row of a query.
pub(crate) fn each(
    connection: &Connection,
    sql: &'static str,
    params: impl rusqlite::Params,
    mut visit: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let mut statement = statement(connection, sql)?;
    let statement: &mut Statement<'_> = &mut statement;
    let mut rows = statement.query(params).map_err(store_error)?;
    while let Some(row) = rows.next().map_err(store_error)? {
        visit(row)?;
    }
    Ok(())
}

impl Columns for Row<'_> {
    fn id(&self, at: usize) -> Result<[u8; 16]> {
        self.get(at).map_err(store_error)
    }

    fn id_or_null(&self, at: usize) -> Result<Option<[u8; 16]>> {
        self.get(at).map_err(store_error)
    }

    fn bytes(&self, at: usize) -> Result<Vec<u8>> {
        self.get(at).map_err(store_error)
    }

    fn int_or_null(&self, at: usize) -> Result<Option<i64>> {
        self.get(at).map_err(store_error)
    }

    fn bytes_or_null(&self, at: usize) -> Result<Option<Vec<u8>>> {
        self.get(at).map_err(store_error)
    }

    fn text_or_null(&self, at: usize) -> Result<Option<String>> {
        self.get(at).map_err(store_error)
    }

    fn real(&self, at: usize) -> Result<f64> {
        self.get(at).map_err(store_error)
    }

    fn flag(&self, at: usize) -> Result<bool> {
        self.get(at).map_err(store_error)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use rusqlite::ffi;

    use super::*;
    use crate::store::columns;

    /// Connections to a new file with the table `t` and no rows.
    fn connections(folder: &tempfile::TempDir) -> Connections {
        let connections = Connections::open(&folder.path().join("db")).expect("opens");
        let create = "CREATE TABLE t (x INTEGER NOT NULL) STRICT";
        connections.write_one(Durability::Synced, |db| execute(db, create, [])).expect("creates");
        connections
    }

    fn insert(tx: &Connection, x: i64) -> Result<usize> {
        execute(tx, "INSERT INTO t VALUES (?1)", [x])
    }

    fn rows(connections: &Connections) -> Vec<i64> {
        let read = |tx: &Connection| query(tx, "SELECT x FROM t ORDER BY x", [], |row| columns::number(row));
        connections.read(read).expect("reads")
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn a_transaction_that_fails_or_panics_leaves_nothing() {
        let folder = folder();
        let connections = connections(&folder);
        connections.write(Durability::Synced, |tx| insert(tx, 1)).expect("commits");
        let failed = connections.write(Durability::Synced, |tx| {
            insert(tx, 2)?;
            Err::<(), _>(StoreError::Failed("for the test".into()))
        });
        assert_eq!(failed.expect_err("fails").to_string(), "store failed: for the test");
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            connections.write::<()>(Durability::Synced, |tx| {
                insert(tx, 3).expect("inserts");
                panic!("a defect for the test")
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(rows(&connections), [1]);
        connections.write(Durability::Relaxed, |tx| insert(tx, 4)).expect("still works");
        assert_eq!(rows(&connections), [1, 4]);
    }

    #[test]
    fn readers_cannot_write_and_come_back_after_a_panic() {
        let folder = folder();
        let connections = connections(&folder);
        let refused = connections.read(|tx| insert(tx, 1)).expect_err("is read-only").to_string();
        assert!(refused.contains("readonly database"), "{refused}");
        for _ in 0..=READERS {
            let panicked = catch_unwind(AssertUnwindSafe(|| connections.read::<()>(|_| panic!("for the test"))));
            assert!(panicked.is_err());
        }
        assert_eq!(connections.free.1.len(), READERS);
        assert!(rows(&connections).is_empty());
    }

    #[test]
    fn a_reader_sees_one_snapshot_while_the_writer_commits() {
        let folder = folder();
        let connections = connections(&folder);
        let count = |tx: &Connection| query(tx, "SELECT count(*) FROM t", [], |row| columns::number(row));
        let seen = connections.read(|tx| {
            let before = count(tx)?;
            connections.write(Durability::Synced, |tx| insert(tx, 1))?;
            Ok([before, count(tx)?])
        });
        assert_eq!(seen.expect("reads"), [[0], [0]]);
        assert_eq!(rows(&connections), [1]);
    }

    #[test]
    fn each_durability_has_its_level_of_syncing() {
        let folder = folder();
        let path = folder.path().join("db");
        let synchronous = |connections: &Connections, durability| {
            let read = |db: &Connection| query(db, "PRAGMA synchronous", [], |row| columns::number(row));
            connections.write_one(durability, read).expect("reads")
        };
        for (connections, relaxed) in
            [(Connections::open(&path).expect("opens"), 1), (Connections::open_unsynced(&path).expect("opens"), 0)]
        {
            for (durability, level) in
                [(Durability::Synced, 2), (Durability::Relaxed, relaxed), (Durability::Synced, 2)]
            {
                assert_eq!(synchronous(&connections, durability), [level], "{durability:?}");
            }
        }
    }

    #[test]
    fn the_file_is_made_private_and_stays_so() {
        let folder = folder();
        let path = folder.path().join("db");
        let mode = || std::fs::metadata(&path).expect("exists").permissions().mode() & 0o777;
        drop(Connections::open(&path).expect("creates"));
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("opens it up");
        drop(Connections::open(&path).expect("opens"));
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn errors_that_may_pass_are_told_from_those_that_do_not() {
        let of = |code| store_error(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_READONLY,
        ] {
            assert!(matches!(of(code), StoreError::Unavailable(_)), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_MISMATCH] {
            assert!(matches!(of(code), StoreError::Failed(_)), "{code}");
        }
        assert!(matches!(store_error(rusqlite::Error::QueryReturnedNoRows), StoreError::Failed(_)));
    }

    #[test]
    fn what_is_no_database_is_refused_with_its_reason() {
        let folder = folder();
        let text = folder.path().join("text");
        std::fs::write(&text, "no database, and longer than the head of one").expect("writes");
        let refused = |path: &Path| Connections::open(path).err().expect("is refused").to_string();
        assert_eq!(refused(&text), "store failed: file is not a database");
        let absent = folder.path().join("none/db");
        let expected = format!("store failed: {}: No such file or directory (os error 2)", absent.display());
        assert_eq!(refused(&absent), expected);
    }
}
