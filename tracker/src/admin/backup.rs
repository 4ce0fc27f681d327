//! `admin backup` and `admin restore` of the SQLite database.

use std::path::Path;

use peernet_engine::time::UnixMillis;

use crate::boot::config::Config;
use crate::boot::{DATABASE_FILE, FolderLock, StartError};
use crate::store::accounts::AccountWrite;
use crate::store::audit_log::{Action, Actor, AuditEntry};
use crate::store::sqlite::SqliteStore;
use crate::store::{Durability, SCHEMA_VERSION, Store as _, Write};

use super::{AdminError, Result, sqlite_database};

/// Copies the SQLite database into a new file of mode 0600. A tracker may be running.
pub fn backup(config: &Config, to: &Path) -> Result<String> {
    refuse_postgres(config, "pg_dump")?;
    SqliteStore::open(&sqlite_database(config)?)?.backup(to)?;
    SqliteStore::inspect(to)?;
    Ok(format!("backed up to {}; keep {} with it", to.display(), crate::domain::keys::KEY_FILE))
}

/// Checks a backup and puts it in the place of the SQLite database, which is kept. Fails while a tracker is running.
pub fn restore(config: &Config, now: UnixMillis, from: &Path) -> Result<String> {
    refuse_postgres(config, "pg_restore or psql")?;
    crate::boot::prepare_folder(&config.data_dir).map_err(failed)?;
    let _lock = FolderLock::take(&config.data_dir).map_err(|error| match error {
        StartError::InUse(_) => AdminError::No(format!("{error}: stop the tracker first")),
        error => failed(error),
    })?;
    let version = SqliteStore::inspect(from)?;
    if version > SCHEMA_VERSION {
        let why = format!("{}: schema version {version}: this program is too old for it", from.display());
        return Err(AdminError::Failed(why));
    }
    let database = config.data_dir.join(DATABASE_FILE);
    let aside = config.data_dir.join(format!("{DATABASE_FILE}.before-restore-{}", now.as_secs()));
    let kept = if database.exists() { format!("; the old database is {}", aside.display()) } else { String::new() };
    SqliteStore::restore(from, &database, &aside)?;
    let store = SqliteStore::open(&database)?;
    store.migrate(now)?;
    let detail = format!("from {}", from.file_name().unwrap_or_default().to_string_lossy());
    let entry = AuditEntry { actor: Actor::Operator, action: Action::Restored, account: None, detail };
    store.write(now, &[Write::Account(AccountWrite::Note(entry))], Durability::Synced)?;
    Ok(format!("restored {}{kept}", database.display()))
}

fn refuse_postgres(config: &Config, instead: &str) -> Result<()> {
    match config.database_url.reveal() {
        None => Ok(()),
        Some(_) => Err(AdminError::Usage(format!("the database is PostgreSQL: use {instead}"))),
    }
}

fn failed(error: StartError) -> AdminError {
    AdminError::Failed(error.to_string())
}
