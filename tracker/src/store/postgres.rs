//! The store on PostgreSQL. Several trackers may share one database.
//!
//! Every wait on the database is bounded: connecting, a free connection, a statement, a lock. So a lost database becomes
//! [`StoreError::Unavailable`] within a few seconds. Every connection is made in `connection` as the address demands: over TLS, or
//! without TLS on this machine and where the address asks for that.

mod accounts;
pub mod address;
mod audit_log;
mod batch;
mod connection;
mod devices;
mod files;
mod invites;
mod ledger;
mod listings;
mod migrate;
mod policies;
mod replication;
mod signatures;

use std::sync::Arc;

use peernet_engine::time::UnixMillis;

use self::address::Address;
use self::connection::tls::Connector;
use self::connection::{Attempt, Connections, Session};
use super::{ConnectionFacts, Durability, Facts, Replication, Result, Store, StoreError, Write, Written, columns};

/// The most rows in memory at once while a whole table is read.
const PAGE: i64 = 2_000;

/// Limits of the pool of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// The most connections at once; at least 1.
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
    /// Creates a store from an [`Address`] as text. It connects when it is first used, so a database that is still starting is no error
    /// here. A certificate that cannot be used is one.
    pub fn open(url: &str, limits: PoolLimits) -> Result<Arc<Self>> {
        let address = Address::parse(url).map_err(|error| StoreError::Failed(error.to_string()))?;
        let usable = Connector::new(address.protection().clone()).client_config();
        usable.map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Arc::new(Self { connections: Connections::new(address, limits) }))
    }

    /// Calls `each` with every row of a table, page by page. `page` gets the last row of the page before.
    fn pages<T>(
        &self,
        page: impl Fn(&mut Session, Option<&T>) -> Attempt<Vec<T>>,
        mut each: impl FnMut(T),
    ) -> Result<()> {
        let mut last = None;
        loop {
            let mut rows = self.connections.run(|session| page(session, last.as_ref()))?;
            let whole = rows.len() as i64 == PAGE;
            let next = rows.pop();
            // The last row of the page before was kept back for the next page; `each` gets it now.
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

    fn facts(&self) -> Result<Facts> {
        self.connections.run(facts)
    }

    fn write(&self, now: UnixMillis, batch: &[Write], durability: Durability) -> Result<Vec<Written>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.connections.run(|session| batch::write(session, now, batch, durability))
    }

    fn replication(&self) -> Option<&dyn Replication> {
        Some(self)
    }
}

fn facts(session: &mut Session) -> Attempt<Facts> {
    let schema_version = {
        let mut tx = session.begin("BEGIN READ ONLY")?;
        migrate::version(&mut tx)?
    };
    let mut facts = Facts { schema_version, newest_at: None, connections: Some(connections(session)?) };
    if schema_version.is_some_and(|version| version >= 2) {
        let sql = "SELECT greatest((SELECT max(at) FROM audit), (SELECT migrated_at FROM schema_version))";
        let rows = session.query(sql, &[])?;
        facts.newest_at = rows.first().map(columns::number).transpose()?.map(UnixMillis);
    }
    Ok(facts)
}

fn connections(session: &mut Session) -> Attempt<ConnectionFacts> {
    let rows = session.query(
        "SELECT current_setting('max_connections')::bigint, current_setting('superuser_reserved_connections')::bigint, \
         (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
         coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)",
        &[],
    )?;
    let row = rows.first().ok_or_else(|| StoreError::Failed("no row of settings".into()))?;
    let count = |at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or_default();
    Ok(ConnectionFacts { max: count(0), reserved: count(1), open: count(2), encrypted: row.get(3) })
}
