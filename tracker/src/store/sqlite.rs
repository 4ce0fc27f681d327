//! The store in one SQLite file, so that a first run and a program that embeds the tracker need no database server.
//!
//! One tracker process owns the file. The tables are PostgreSQL's in SQLite's dialect (`sqlite/schema.sql`). A batch of writes is one
//! prepared statement after the other in one transaction: without a network in between, grouping them would gain nothing.

mod accounts;
mod audit_log;
mod backup;
pub(crate) mod connection;
mod devices;
mod files;
mod invites;
mod ledger;
mod listings;
mod migrate;
mod policies;
pub(crate) mod side_files;
mod signatures;

use std::path::Path;
use std::sync::Arc;

use peernet_engine::time::UnixMillis;
use rusqlite::Connection;

use self::connection::{Connections, query};
use super::accounts::PasswordChange;
use super::{Durability, Facts, Result, Store, StoreError, Write, Written, columns};

/// A SQLite file; see the module.
pub struct SqliteStore {
    connections: Connections,
}

impl SqliteStore {
    /// Opens or creates the file, readable by its owner only. Its folder must exist.
    pub fn open(path: &Path) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { connections: Connections::open(path)? }))
    }
}

impl Store for SqliteStore {
    fn migrate(&self, now: UnixMillis) -> Result<()> {
        self.connections.write(Durability::Synced, |tx| migrate::migrate(tx, now))
    }

    fn ping(&self) -> Result<()> {
        self.connections.read(|tx| query(tx, "SELECT 1", [], |row| columns::number(row)).map(drop))
    }

    fn facts(&self) -> Result<Facts> {
        self.connections.read(facts)
    }

    fn write(&self, now: UnixMillis, batch: &[Write], durability: Durability) -> Result<Vec<Written>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.connections.write(durability, |tx| batch.iter().map(|write| apply(tx, now, write)).collect())
    }
}

/// Applies one write.
fn apply(tx: &Connection, now: UnixMillis, write: &Write) -> Result<Written> {
    match write {
        Write::CreateAccount { account, invite } => accounts::create(tx, now, account, invite.as_ref()),
        Write::SetPassword { id, generation, password_hash, device } => {
            let change = PasswordChange { id: *id, generation: *generation, password_hash, device: device.as_ref() };
            accounts::set_password(tx, now, &change)
        }
        Write::PutManifest(stored) => files::put_manifest(tx, stored),
        Write::PutSignature(stored) => signatures::put(tx, stored).map(|()| Written::Done),
        Write::Leave { peer, files } => listings::leave(tx, *peer, files.as_deref()).map(|()| Written::Done),
        Write::SealV1(listing) => listings::seal(tx, listing).map(|()| Written::Done),
        Write::Account(write) => accounts::write(tx, now, write),
        Write::Policy(write) => policies::write(tx, write),
    }
}

fn facts(tx: &Connection) -> Result<Facts> {
    let mut facts = Facts { schema_version: migrate::version(tx)?, newest_at: None, connections: None };
    if facts.schema_version.is_some_and(|version| version >= 2) {
        let sql = "SELECT max(coalesce((SELECT max(at) FROM audit), 0), (SELECT migrated_at FROM schema_version))";
        facts.newest_at = query(tx, sql, [], |row| columns::number(row))?.pop().map(UnixMillis);
    }
    Ok(facts)
}

/// Converts a size to SQLite's signed integer.
fn whole(size: u64) -> Result<i64> {
    i64::try_from(size).map_err(|_| StoreError::Failed("a size beyond 2^63".into()))
}
