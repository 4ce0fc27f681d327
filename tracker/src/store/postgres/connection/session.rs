//! One connection with its prepared statements. Preparing each statement anew was measured 4.4 times slower.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postgres::types::ToSql;
use postgres::{Client, Row, Statement};
use r2d2::ManageConnection;
use r2d2_postgres::PostgresConnectionManager;

use super::error::{Attempt, AttemptError};
use super::tls::Connector;
use crate::store::postgres::address::Address;

/// The time limit of one attempt to reach one address of the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The connection ends when the server's machine acknowledges no bytes for this long.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
/// Settings of every connection. Statements are short, a lock is held for one batch, and a transaction never waits for a client.
const SESSION_SETTINGS: &str = "SET statement_timeout = '5s'; SET lock_timeout = '3s'; \
     SET idle_in_transaction_session_timeout = '30s'; SET client_min_messages = 'warning'";

/// The parameters of a statement, in order.
pub(in crate::store::postgres) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection and its prepared statements.
pub(in crate::store::postgres) struct Session {
    client: Client,
    statements: HashMap<&'static str, Statement>,
    /// Returns whether the connection must not be used again.
    pub(in crate::store::postgres) broken: bool,
    /// The number of lost connections at the moment in which this one was last known to be alive.
    pub(in crate::store::postgres) losses: u64,
    /// The time of its last checkout.
    pub(in crate::store::postgres) used_at: Instant,
}

impl Session {
    fn new(mut client: Client, losses: u64) -> Result<Self, postgres::Error> {
        client.batch_execute(SESSION_SETTINGS)?;
        Ok(Self { client, statements: HashMap::new(), broken: false, losses, used_at: Instant::now() })
    }

    /// Returns whether the server answers on this connection within `timeout`.
    pub(in crate::store::postgres) fn answers(&mut self, timeout: Duration) -> bool {
        self.client.is_valid(timeout).is_ok()
    }

    pub(in crate::store::postgres) fn query(&mut self, sql: &'static str, params: Params<'_>) -> Attempt<Vec<Row>> {
        let statement = self.statement(sql)?;
        self.client.query(&statement, params).map_err(AttemptError::Db)
    }

    pub(in crate::store::postgres) fn execute(&mut self, sql: &'static str, params: Params<'_>) -> Attempt<u64> {
        let statement = self.statement(sql)?;
        self.client.execute(&statement, params).map_err(AttemptError::Db)
    }

    /// Runs statements without parameters, separated by semicolons.
    pub(in crate::store::postgres) fn batch(&mut self, sql: &str) -> Attempt<()> {
        self.client.batch_execute(sql).map_err(AttemptError::Db)
    }

    /// Begins a transaction; `begin` may add settings to `BEGIN`.
    pub(in crate::store::postgres) fn begin(&mut self, begin: &'static str) -> Attempt<Tx<'_>> {
        // Created first, so that a failure after BEGIN is rolled back as well.
        let tx = Tx { session: self, open: true };
        tx.session.batch(begin)?;
        Ok(tx)
    }

    fn statement(&mut self, sql: &'static str) -> Attempt<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).map_err(AttemptError::Db)?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// A transaction. Dropped without [`Tx::commit`] it rolls back, also during a panic.
pub(in crate::store::postgres) struct Tx<'a> {
    session: &'a mut Session,
    open: bool,
}

impl Tx<'_> {
    pub(in crate::store::postgres) fn query(&mut self, sql: &'static str, params: Params<'_>) -> Attempt<Vec<Row>> {
        self.session.query(sql, params)
    }

    pub(in crate::store::postgres) fn execute(&mut self, sql: &'static str, params: Params<'_>) -> Attempt<u64> {
        self.session.execute(sql, params)
    }

    pub(in crate::store::postgres) fn batch(&mut self, sql: &str) -> Attempt<()> {
        self.session.batch(sql)
    }

    /// Commits. A connection that is lost meanwhile leaves the outcome unknown, so a commit is never repeated.
    pub(in crate::store::postgres) fn commit(mut self) -> Attempt<()> {
        self.open = false;
        self.session.client.batch_execute("COMMIT").map_err(|error| {
            self.session.broken = true;
            AttemptError::Commit(error)
        })
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if self.open && self.session.client.batch_execute("ROLLBACK").is_err() {
            self.session.broken = true;
        }
    }
}

/// Creates sessions for the pool, from connections of r2d2_postgres.
pub(in crate::store::postgres) struct Manager {
    clients: PostgresConnectionManager<Connector>,
    connector: Connector,
    losses: Arc<AtomicU64>,
}

impl Manager {
    /// Creates a manager. `losses` counts all lost connections.
    pub(in crate::store::postgres) fn new(address: Address, losses: Arc<AtomicU64>) -> Self {
        let (mut config, protection) = address.into_parts();
        let connector = Connector::new(protection);
        config.connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(TCP_USER_TIMEOUT);
        config.keepalives_idle(TCP_USER_TIMEOUT).keepalives_interval(Duration::from_secs(2)).keepalives_retries(2);
        if config.get_application_name().is_none() {
            config.application_name("peernet-tracker");
        }
        Self { clients: PostgresConnectionManager::new(config, connector.clone()), connector, losses }
    }

    fn session(&self) -> Result<Session, postgres::Error> {
        Session::new(self.clients.connect()?, self.losses.load(Ordering::Relaxed))
    }
}

/// The reason why no connection could be made, without any parameter of it.
#[derive(Debug)]
pub(in crate::store::postgres) struct ConnectError(String);

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConnectError {}

impl ManageConnection for Manager {
    type Connection = Session;
    type Error = ConnectError;

    fn connect(&self) -> Result<Session, ConnectError> {
        self.session().map_err(|error| ConnectError(self.connector.explain(&error)))
    }

    fn is_valid(&self, session: &mut Session) -> Result<(), ConnectError> {
        if session.answers(CONNECT_TIMEOUT) { Ok(()) } else { Err(ConnectError("no answer".into())) }
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.broken || self.clients.has_broken(&mut session.client)
    }
}
