//! Backups of the whole file: made while it is in use, checked, and restored.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::base::files::{private, sync_folder_of};
use crate::store::{Result, StoreError};

use super::SqliteStore;
use super::connection::{query, store_error};
use super::side_files::{rename_side_files, with_suffix};

impl SqliteStore {
    /// Copies one snapshot of the database into a new file of mode 0600, while the tracker uses it. An existing file is not touched.
    pub fn backup(&self, to: &Path) -> Result<()> {
        copy_into_new(to, |target| self.connections.read(|source| copy(source, target)))
    }

    /// Checks a backup: it must be an undamaged database of a tracker. Returns its schema version.
    pub fn inspect(path: &Path) -> Result<i64> {
        let database = open_to_read(path)?;
        let found =
            query(&database, "PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0).map_err(store_error))?;
        if found != ["ok"] {
            return Err(StoreError::Failed(format!("{}: damaged: {}", path.display(), found.join("; "))));
        }
        if !query(&database, "PRAGMA foreign_key_check", [], |_| Ok(()))?.is_empty() {
            return Err(StoreError::Failed(format!(
                "{}: damaged: rows refer to others that are missing",
                path.display()
            )));
        }
        let version = super::migrate::version(&database)?;
        version.ok_or_else(|| StoreError::Failed(format!("{}: not a tracker's database", path.display())))
    }

    /// Puts a backup in the place of `database`, which no process may have open. The former database is kept as `aside`, which must not
    /// exist yet.
    pub fn restore(from: &Path, database: &Path, aside: &Path) -> Result<()> {
        let coming = with_suffix(database, ".restoring");
        remove(&coming)?;
        let source = open_to_read(from)?;
        copy_into_new(&coming, |target| copy(&source, target))?;
        set_aside(database, aside)?;
        fs::rename(&coming, database).and_then(|()| sync_folder_of(database)).map_err(|error| failed(database, &error))
    }
}

/// Gives the former database a second name. So there is a database at every moment: a tracker would create an empty one.
fn set_aside(database: &Path, aside: &Path) -> Result<()> {
    if !database.exists() {
        return Ok(());
    }
    let moved = fs::hard_link(database, aside).and_then(|()| rename_side_files(database, aside));
    moved.map_err(|error| failed(aside, &error))
}

fn copy(source: &Connection, target: &mut Connection) -> Result<()> {
    let backup = Backup::new(source, target).map_err(store_error)?;
    match backup.step(-1).map_err(store_error)? {
        StepResult::Done => Ok(()),
        _ => Err(StoreError::Unavailable("the database is locked".into())),
    }
}

/// Creates a new file, lets `fill` fill it, and syncs it. A failure leaves no file.
fn copy_into_new(path: &Path, fill: impl FnOnce(&mut Connection) -> Result<()>) -> Result<()> {
    private().create_new(true).open(path).map_err(|error| failed(path, &error))?;
    let filled = Connection::open(path).map_err(store_error).and_then(|mut target| {
        fill(&mut target)?;
        // A backup is one file without side files, whatever mode the source is in.
        let mode = "PRAGMA journal_mode = DELETE";
        target.query_row(mode, [], |_| Ok(())).map_err(store_error)
    });
    let synced = filled.and_then(|()| File::open(path).and_then(|file| file.sync_all()).map_err(|e| failed(path, &e)));
    if synced.is_err() {
        let _gone = fs::remove_file(path);
    }
    synced.and_then(|()| sync_folder_of(path).map_err(|error| failed(path, &error)))
}

fn open_to_read(path: &Path) -> Result<Connection> {
    if !path.is_file() {
        return Err(StoreError::Failed(format!("{}: there is no such file", path.display())));
    }
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(store_error)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, &error)),
        _ => Ok(()),
    }
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Failed(format!("{}: {error}", path.display()))
}
