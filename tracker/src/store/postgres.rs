//! The store on PostgreSQL: several trackers may share one database.
//!
//! Every wait on the database is bounded, so that a lost one becomes [`StoreError::Unavailable`] within a few seconds:
//! connecting, a free connection, a statement, a lock. Every connection is made in one place (`session`), as the address says: over TLS, or
//! without on this machine and where that was asked for.

pub mod address;
mod exchange;
mod ledger;
mod migrate;
mod policies;
mod pool;
mod read;
mod registry;
mod session;
mod signatures;
mod tls;
mod trouble;
mod values;
mod write;

use std::sync::Arc;

use peernet_engine::economy::{Changes, LedgerRow, Needs, Totals, Violation, WorkingSet};
use peernet_engine::ids::{FileHash, ManifestId, PeerId};
use peernet_engine::time::UnixMillis;

use self::address::Address;
use self::pool::Connections;
use self::session::Session;
use self::tls::Connector;
use super::exchange::{Batch, Exchange, TrackerId, TrackerRow};
use super::policies::PolicyReader;
use super::registry::Registry;
use super::signatures::SignatureReader;
use super::{
    Account, Durability, FileMeta, Result, SearchQuery, Store, StoreError, StoredManifest, V1Listing, Write, Written,
};

/// How many connections a store may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// At most this many at once; at least 1.
    pub connections: u32,
}

impl Default for PoolLimits {
    /// Room for the writer, the reputation thread and the request threads of two cores.
    fn default() -> Self {
        Self { connections: 6 }
    }
}

/// A PostgreSQL database; see the module.
pub struct PostgresStore {
    connections: Connections,
}

impl PostgresStore {
    /// Takes an [`Address`] as text. Connects only when it is first used, so a database that is still starting is no error here; a
    /// certificate that cannot be used is.
    pub fn open(url: &str, limits: PoolLimits) -> Result<Arc<Self>> {
        let address = Address::parse(url).map_err(|error| StoreError::Failed(error.to_string()))?;
        let usable = Connector::new(address.protection().clone()).client_config();
        usable.map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Arc::new(Self { connections: Connections::new(address, limits) }))
    }

    /// Calls `each` with every row of a table, page by page; `page` gets the last row of the page before.
    fn pages<T>(
        &self,
        page: impl Fn(&mut Session, Option<&T>) -> std::result::Result<Vec<T>, trouble::Trouble>,
        mut each: impl FnMut(T),
    ) -> Result<()> {
        let mut last = None;
        loop {
            let mut rows = self.connections.run(|session| page(session, last.as_ref()))?;
            let whole = rows.len() as i64 == read::PAGE;
            let next = rows.pop();
            // The last row of the page before was kept back: it is due now.
            last.take().into_iter().chain(rows).for_each(&mut each);
            last = next;
            if !whole {
                last.into_iter().for_each(&mut each);
                return Ok(());
            }
        }
    }
}

impl Store for PostgresStore {
    fn migrate(&self, now: UnixMillis) -> Result<()> {
        self.connections.run(|session| migrate::migrate(session, now))
    }

    fn ping(&self) -> Result<()> {
        self.connections.run(|session| session.query("SELECT 1", &[]).map(drop))
    }

    fn write(&self, now: UnixMillis, batch: &[Write], durability: Durability) -> Result<Vec<Written>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.connections.run(|session| write::write(session, now, batch, durability))
    }

    fn account(&self, id: PeerId) -> Result<Option<Account>> {
        self.connections.run(|session| read::account(session, id))
    }

    fn account_by_address(&self, address: &str) -> Result<Option<Account>> {
        self.connections.run(|session| read::account_by_address(session, address))
    }

    fn manifest(&self, id: ManifestId) -> Result<Option<StoredManifest>> {
        self.connections.run(|session| read::manifest(session, id))
    }

    fn manifests_of(&self, file_hash: FileHash) -> Result<Vec<FileMeta>> {
        self.connections.run(|session| read::manifests_of(session, file_hash))
    }

    fn search(&self, query: &SearchQuery) -> Result<Vec<FileMeta>> {
        self.connections.run(|session| read::search(session, query))
    }

    fn listings(&self, now: UnixMillis, each: &mut dyn FnMut(V1Listing)) -> Result<()> {
        self.pages(|session, last| read::listings(session, now, last), each)
    }

    fn exchange(&self) -> Option<&dyn Exchange> {
        Some(self)
    }

    fn sweep(&self, now: UnixMillis) -> Result<u64> {
        self.connections.run(|session| read::sweep(session, now))
    }

    fn settle(&self, needs: &Needs, apply: &mut dyn FnMut(&mut WorkingSet) -> Changes) -> Result<()> {
        self.connections.run(|session| ledger::settle(session, needs, apply))
    }

    fn ledger_totals(&self) -> Result<Totals> {
        self.connections.run(ledger::totals)
    }

    fn ledger(&self, peer: PeerId) -> Result<Option<LedgerRow>> {
        self.connections.run(|session| ledger::ledger(session, peer))
    }

    fn escrow_mt(&self, account: PeerId) -> Result<i64> {
        self.connections.run(|session| ledger::escrow_mt(session, account))
    }

    fn expired_tickets(&self, before: UnixMillis, limit: usize) -> Result<Vec<(PeerId, FileHash)>> {
        self.connections.run(|session| ledger::expired_tickets(session, before, limit))
    }

    fn demotions(&self, reporter: PeerId, now: UnixMillis) -> Result<Vec<(PeerId, UnixMillis)>> {
        self.connections.run(|session| ledger::demotions(session, reporter, now))
    }

    fn pay_dividend(&self, now: UnixMillis) -> Result<i64> {
        self.connections.run(|session| ledger::pay_dividend(session, now))
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
        self.connections.run(ledger::audit_all)
    }
}

impl Exchange for PostgresStore {
    fn meet(&self, myself: &TrackerRow, seen_after: UnixMillis) -> Result<Vec<TrackerRow>> {
        self.connections.run(|session| exchange::meet(session, myself, seen_after))
    }

    fn trackers(&self, seen_after: UnixMillis) -> Result<Vec<TrackerRow>> {
        self.connections.run(|session| exchange::trackers(session, seen_after))
    }

    fn push(&self, from: TrackerId, batch: &Batch) -> Result<()> {
        self.connections.run(|session| exchange::push(session, from, batch))
    }

    fn pull(&self, from: TrackerId, seq: i64, now: UnixMillis, limit: usize) -> Result<Vec<Batch>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.connections.run(|session| exchange::pull(session, from, seq, now, limit))
    }

    fn forget(&self, now: UnixMillis) -> Result<u64> {
        self.connections.run(|session| exchange::forget(session, now))
    }
}
