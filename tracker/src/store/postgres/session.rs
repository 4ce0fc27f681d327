//! One connection with the statements prepared on it: preparing each time was measured 4.4 times slower.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postgres::types::ToSql;
use postgres::{Client, Row, Statement};
use r2d2::ManageConnection;
use r2d2_postgres::PostgresConnectionManager;

use super::address::Address;
use super::tls::Connector;
use super::trouble::Trouble;

/// One attempt to reach one address of the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes that the server's machine does not acknowledge for this long end the connection.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
/// Set on every connection. Statements are short; a lock is held for one batch; a transaction never waits for a client.
const SESSION_SETTINGS: &str = "SET statement_timeout = '5s'; SET lock_timeout = '3s'; \
     SET idle_in_transaction_session_timeout = '30s'; SET client_min_messages = 'warning'";

/// Parameters of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection and its prepared statements.
pub(super) struct Session {
    client: Client,
    statements: HashMap<&'static str, Statement>,
    /// Set when the connection must not be used again.
    pub(super) broken: bool,
    /// How many connections had been lost when this one was last known to be good.
    pub(super) losses: u64,
    /// When it was last handed out.
    pub(super) used_at: Instant,
}

impl Session {
    fn new(mut client: Client, losses: u64) -> Result<Self, postgres::Error> {
        client.batch_execute(SESSION_SETTINGS)?;
        Ok(Self { client, statements: HashMap::new(), broken: false, losses, used_at: Instant::now() })
    }

    /// Whether the server answers on this connection within `timeout`.
    pub(super) fn answers(&mut self, timeout: Duration) -> bool {
        self.client.is_valid(timeout).is_ok()
    }

    pub(super) fn query(&mut self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, Trouble> {
        let statement = self.statement(sql)?;
        self.client.query(&statement, params).map_err(Trouble::Db)
    }

    pub(super) fn execute(&mut self, sql: &'static str, params: Params<'_>) -> Result<u64, Trouble> {
        let statement = self.statement(sql)?;
        self.client.execute(&statement, params).map_err(Trouble::Db)
    }

    /// Runs statements without parameters, separated by semicolons.
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), Trouble> {
        self.client.batch_execute(sql).map_err(Trouble::Db)
    }

    /// Begins a transaction; `begin` may add settings to `BEGIN`.
    pub(super) fn begin(&mut self, begin: &'static str) -> Result<Tx<'_>, Trouble> {
        // Made first: a failure after BEGIN is rolled back as well.
        let tx = Tx { session: self, open: true };
        tx.session.batch(begin)?;
        Ok(tx)
    }

    fn statement(&mut self, sql: &'static str) -> Result<Statement, Trouble> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).map_err(Trouble::Db)?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// A transaction; dropped without [`Tx::commit`] it rolls back, also while a panic unwinds.
pub(super) struct Tx<'a> {
    session: &'a mut Session,
    open: bool,
}

impl Tx<'_> {
    pub(super) fn query(&mut self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, Trouble> {
        self.session.query(sql, params)
    }

    pub(super) fn execute(&mut self, sql: &'static str, params: Params<'_>) -> Result<u64, Trouble> {
        self.session.execute(sql, params)
    }

    pub(super) fn batch(&mut self, sql: &str) -> Result<(), Trouble> {
        self.session.batch(sql)
    }

    /// Commits. A connection lost meanwhile leaves the outcome unknown, which is never retried here.
    pub(super) fn commit(mut self) -> Result<(), Trouble> {
        self.open = false;
        self.session.client.batch_execute("COMMIT").map_err(|error| {
            self.session.broken = true;
            Trouble::Commit(error)
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

/// Makes sessions for the pool, of the connections that r2d2_postgres makes.
pub(super) struct Manager {
    clients: PostgresConnectionManager<Connector>,
    connector: Connector,
    losses: Arc<AtomicU64>,
}

impl Manager {
    /// `losses` counts the connections lost by anyone.
    pub(super) fn new(address: Address, losses: Arc<AtomicU64>) -> Self {
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

/// Why no connection could be made, without any parameter of it.
#[derive(Debug)]
pub(super) struct ConnectError(String);

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
