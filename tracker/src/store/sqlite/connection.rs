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
