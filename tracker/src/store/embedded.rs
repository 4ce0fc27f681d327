//! The store in one SQLite file, so that a first run and a program that embeds the tracker need no database server.
//!
//! One tracker process owns the file. The tables are PostgreSQL's in SQLite's dialect (`embedded/schema.sql`).

mod backup;
pub(super) mod connection;
pub(super) mod files;
mod ledger;
mod migrate;
mod policies;
mod read;
mod registry;
mod signatures;
mod write;

use std::path::Path;
use std::sync::Arc;

use peernet_engine::economy::{Changes, LedgerRow, Needs, Totals, Violation, WorkingSet};
use peernet_engine::ids::{FileHash, ManifestId, PeerId};
use peernet_engine::time::UnixMillis;

use self::connection::{Connections, query};
use super::policies::PolicyReader;
use super::registry::Registry;
use super::signatures::SignatureReader;
use super::{
    Account, Durability, FileMeta, Result, SearchQuery, Store, StoredManifest, V1Listing, Write, Written, columns,
};

/// A SQLite file; see the module.
pub struct EmbeddedStore {
    connections: Connections,
}

impl EmbeddedStore {
    /// Opens or creates the file, readable by its owner only. Its folder must exist.
    pub fn open(path: &Path) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { connections: Connections::open(path)? }))
    }
}

impl Store for EmbeddedStore {
    fn migrate(&self, now: UnixMillis) -> Result<()> {
        self.connections.write(Durability::Synced, |tx| migrate::migrate(tx, now))
    }

    fn ping(&self) -> Result<()> {
        self.connections.read(|tx| query(tx, "SELECT 1", [], |row| columns::number(row)).map(drop))
    }

    fn write(&self, now: UnixMillis, batch: &[Write], durability: Durability) -> Result<Vec<Written>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.connections.write(durability, |tx| write::write(tx, now, batch))
    }

    fn account(&self, id: PeerId) -> Result<Option<Account>> {
        self.connections.read(|tx| read::account(tx, id))
    }

    fn account_by_address(&self, address: &str) -> Result<Option<Account>> {
        self.connections.read(|tx| read::account_by_address(tx, address))
    }

    fn manifest(&self, id: ManifestId) -> Result<Option<StoredManifest>> {
        self.connections.read(|tx| read::manifest(tx, id))
    }

    fn manifests_of(&self, file_hash: FileHash) -> Result<Vec<FileMeta>> {
        self.connections.read(|tx| read::manifests_of(tx, file_hash))
    }

    fn search(&self, query: &SearchQuery) -> Result<Vec<FileMeta>> {
        self.connections.read(|tx| read::search(tx, query))
    }

    fn listings(&self, now: UnixMillis, each: &mut dyn FnMut(V1Listing)) -> Result<()> {
        self.connections.read(|tx| read::listings(tx, now, each))
    }

    fn sweep(&self, now: UnixMillis) -> Result<u64> {
        self.connections.write(Durability::Relaxed, |tx| read::sweep(tx, now))
    }

    fn settle(&self, needs: &Needs, apply: &mut dyn FnMut(&mut WorkingSet) -> Changes) -> Result<()> {
        self.connections.write(Durability::Synced, |tx| ledger::settle(tx, needs, apply))
    }

    fn ledger_totals(&self) -> Result<Totals> {
        self.connections.read(ledger::totals)
    }

    fn ledger(&self, peer: PeerId) -> Result<Option<LedgerRow>> {
        self.connections.read(|tx| ledger::ledger(tx, peer))
    }

    fn escrow_mt(&self, account: PeerId) -> Result<i64> {
        self.connections.read(|tx| ledger::escrow_mt(tx, account))
    }

    fn expired_tickets(&self, before: UnixMillis, limit: usize) -> Result<Vec<(PeerId, FileHash)>> {
        self.connections.read(|tx| ledger::expired_tickets(tx, before, limit))
    }

    fn demotions(&self, reporter: PeerId, now: UnixMillis) -> Result<Vec<(PeerId, UnixMillis)>> {
        self.connections.read(|tx| ledger::demotions(tx, reporter, now))
    }

    fn pay_dividend(&self, now: UnixMillis) -> Result<i64> {
        self.connections.write(Durability::Synced, |tx| ledger::pay_dividend(tx, now))
    }

    fn registry(&self) -> Result<&dyn Registry> {
        Ok(self)
    }

    fn policies(&self) -> Result<&dyn PolicyReader> {
        Ok(self)
    }

    fn signatures(&self) -> Result<&dyn SignatureReader> {
        Ok(self)
    }

    fn audit(&self) -> Result<Vec<Violation>> {
        self.connections.read(ledger::audit_all)
    }
}
