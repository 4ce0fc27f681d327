//! Copies of the whole file: made while it is in use, checked, and put back in its place.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::base::files::{private, sync_folder_of};
use crate::store::{Result, StoreError};

use super::EmbeddedStore;
use super::connection::{query, trouble};
use super::files::{rename_side_files, with_suffix};

impl EmbeddedStore {
    /// Copies the database as it is at one moment into a new file of mode 0600, while others use it. A file that is there is not touched.
    pub fn backup(&self, to: &Path) -> Result<()> {
        copy_into_new(to, |target| self.connections.read(|source| copy(source, target)))
    }

    /// Checks a copy before it is trusted: that it is a database, whole, and a tracker's. Answers its schema version.
    pub fn inspect(path: &Path) -> Result<i64> {
        let database = open_to_read(path)?;
        let found = query(&database, "PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0).map_err(trouble))?;
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

    /// Puts a copy in the place of `database`, which nobody may have open; what was there is kept as `aside`, which must not be there yet.
    pub fn restore(from: &Path, database: &Path, aside: &Path) -> Result<()> {
        let coming = with_suffix(database, ".restoring");
        remove(&coming)?;
        let source = open_to_read(from)?;
        copy_into_new(&coming, |target| copy(&source, target))?;
        set_aside(database, aside)?;
        fs::rename(&coming, database).and_then(|()| sync_folder_of(database)).map_err(|error| failed(database, &error))
    }
}

/// A second name first, so that at no moment there is no database: a tracker would make an empty one.
fn set_aside(database: &Path, aside: &Path) -> Result<()> {
    if !database.exists() {
        return Ok(());
    }
    let moved = fs::hard_link(database, aside).and_then(|()| rename_side_files(database, aside));
    moved.map_err(|error| failed(aside, &error))
}

fn copy(source: &Connection, target: &mut Connection) -> Result<()> {
    let backup = Backup::new(source, target).map_err(trouble)?;
    match backup.step(-1).map_err(trouble)? {
        StepResult::Done => Ok(()),
        _ => Err(StoreError::Unavailable("the database is locked".into())),
    }
}

/// Makes a file that is not there yet, has `fill` fill it, and syncs it. Nothing is left of it when that fails.
fn copy_into_new(path: &Path, fill: impl FnOnce(&mut Connection) -> Result<()>) -> Result<()> {
    private().create_new(true).open(path).map_err(|error| failed(path, &error))?;
    let filled = Connection::open(path).map_err(trouble).and_then(|mut target| {
        fill(&mut target)?;
        // One file without others beside it, whatever mode the source is in.
        let mode = "PRAGMA journal_mode = DELETE";
        target.query_row(mode, [], |_| Ok(())).map_err(trouble)
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
        .map_err(trouble)
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
