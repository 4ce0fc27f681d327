//! A running tracker: everything started in order, on any port, and stopped cleanly. The program and embedders use the same.
//!
//! ```no_run
//! let tracker = peernet_tracker::Tracker::builder().listen("127.0.0.1:0").data_dir("/tmp/tracker").start()?;
//! println!("{}", tracker.url());
//! tracker.stop();
//! # Ok::<(), peernet_tracker::StartError>(())
//! ```

pub mod app;
pub mod config;
mod error;
mod folder;
mod metrics;
mod threads;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use peernet_engine::economy::Rules;
use peernet_engine::time::UnixMillis;
use peernet_threads::Blocking;

use crate::api::ROUTES;
use crate::api::guard::Guard;
use crate::api::handlers::{
    AccessCalls, AccountCalls, FeedbackCalls, FileCalls, Handlers, ManifestCalls, MetaCalls, SwarmCalls,
};
use crate::api::router::{Operations, Public, Router};
use crate::boot::app::{App, system_clock};
use crate::boot::config::{Config, Secret};
use crate::commit::{Apply, Writer};
use crate::domain::access::AccessControl;
use crate::domain::accounts::passwords::Passwords;
use crate::domain::accounts::{Accounts, Services};
use crate::domain::authority::Authority;
use crate::domain::database::Database;
use crate::domain::economy;
use crate::domain::keys::Keys;
use crate::domain::limits::Limits;
use crate::domain::permits::Permits;
use crate::domain::swarm::Swarm;
use crate::domain::swarm::dialback;
use crate::ops::access_log::AccessLog;
use crate::ops::counters::Counters;
use crate::ops::log;
use crate::ops::metrics::Metrics;
use crate::replication::{self, LeaseLog, LogFile};
use crate::store::postgres::{PoolLimits, PostgresStore};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};
pub use error::StartError;
pub(crate) use folder::{FolderLock, prepare as prepare_folder};
use peernet_door::{Door, LocalDoor, Security, Service};
use threads::{Inboxes, Threads};

/// The SQLite database's file in the data folder.
pub const DATABASE_FILE: &str = "tracker.sqlite";

/// The file of the lease log in the data folder.
pub const SWARM_FILE: &str = "swarm.sqlite";

/// The longest that a call of the operations listener may take to end when the tracker stops.
const OPS_GRACE: Duration = Duration::from_secs(5);

/// Connections the store keeps beside those of request handlers: writer, reputation thread and exchange.
pub(crate) const OWN_CONNECTIONS: usize = 3;

/// A tracker that runs until [`Tracker::stop`] or until it is dropped.
pub struct Tracker {
    app: Arc<App>,
    address: SocketAddr,
    running: Option<Running>,
}

/// The parts that must be stopped.
struct Running {
    threads: Threads,
    ops: Option<LocalDoor>,
    /// Given back last but for the log.
    _lock: FolderLock,
    /// Last, so that everything else can say how it ended.
    log: log::Pump,
}

/// Sets a tracker up. Starts from the defaults of [`Config`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    config: Config,
    clock: fn() -> UnixMillis,
}

impl Builder {
    /// Sets the whole configuration.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the address to listen on, `ADDR:PORT`; port 0 picks a free one.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.config.listen = address.into();
        self
    }

    /// Sets the folder of the key and the SQLite database. Created if it is missing.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.data_dir = path.into();
        self
    }

    /// Uses a PostgreSQL database instead of SQLite.
    pub fn database_url(mut self, url: impl Into<String>) -> Self {
        self.config.database_url = Secret::new(url);
        self
    }

    /// bcrypt's cost, 4 to 16; tests want 4.
    pub fn bcrypt_cost(mut self, cost: u32) -> Self {
        self.config.bcrypt_cost = cost;
        self
    }

    /// Another clock than the system's, for tests.
    pub fn clock(mut self, clock: fn() -> UnixMillis) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the tracker; when this returns it answers.
    pub fn start(self) -> Result<Tracker, StartError> {
        self.config.check().map_err(StartError::Config)?;
        let log = log::Pump::start().map_err(StartError::Threads)?;
        folder::prepare(&self.config.data_dir)?;
        let lock = FolderLock::take(&self.config.data_dir)?;
        let store = open_store(&self.config)?;
        store.migrate((self.clock)())?;
        let (app, inboxes) = assemble(self.config, store, self.clock)?;
        replication::restore(&app.swarm, &*app.store, app.lease_log.file(), (app.clock)())?;
        let blocking = Blocking::declare();
        app.accounts.refresh(&blocking)?;
        // After the index is restored, because this ends the leases of withdrawn files.
        app.access.refresh(&blocking)?;
        let threads = Threads::start(&app, inboxes).map_err(|error| {
            app.database.writer.close();
            StartError::Threads(error)
        })?;
        let replicated = threads.wait_for_replication().map_err(StartError::from);
        let (ops, address) = match replicated.and_then(|()| open_ports(&app)) {
            Ok(open) => open,
            Err(error) => {
                threads.stop(&app);
                return Err(error);
            }
        };
        let plaintext = app.config.answers_plaintext(address);
        let fields: [(&str, &dyn fmt::Display); 5] = [
            ("address", &address),
            ("store", &store_name(&app.config)),
            ("database_link", &database_link(&app.config)),
            ("plaintext", &plaintext),
            ("authority", &app.authority.fingerprint()),
        ];
        log::info("server", "started", &fields);
        Ok(Tracker { app, address, running: Some(Running { threads, ops, _lock: lock, log }) })
    }
}

impl Tracker {
    /// A tracker to be set up.
    pub fn builder() -> Builder {
        Builder { config: Config::default(), clock: system_clock }
    }

    /// Returns the base URL: `http://ADDR:PORT` where plaintext is answered, as always on loopback, else `https://ADDR:PORT`.
    pub fn url(&self) -> String {
        let scheme = if self.app.config.answers_plaintext(self.address) { "http" } else { "https" };
        format!("{scheme}://{}", self.address)
    }

    /// The address listened on, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the parts of the tracker, for tests and embedders.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Stops cleanly: `/ready` says so for the configured delay, then no new connections, requests in flight are answered within the configured grace, what was queued is
    /// committed, then every thread ends. False when something had to be cut or left behind; the log says what.
    pub fn stop(mut self) -> bool {
        self.shut_down()
    }

    fn shut_down(&mut self) -> bool {
        let Some(running) = self.running.take() else { return true };
        self.app.readiness.drain();
        log::info("server", "draining", &[("delay_s", &self.app.config.drain_delay_seconds)]);
        // The port stays open meanwhile: a proxy that reads /ready moves on before connections are refused.
        let _passed = crossbeam_channel::after(Duration::from_secs(self.app.config.drain_delay_seconds)).recv();
        let report = self.app.door.close(Duration::from_secs(self.app.config.drain_seconds));
        if report.cut > 0 {
            log::warn("server", "connections were cut at the end of the grace", &[("cut", &report.cut)]);
        }
        let ended = running.threads.stop(&self.app);
        if let Some(ops) = running.ops {
            ops.drain(OPS_GRACE);
        }
        log::info("server", "stopped", &[]);
        drop(running.log);
        ended && report.cut == 0 && report.stuck == 0
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Opens the store a configuration names, without touching its tables.
pub fn open_store(config: &Config) -> Result<Arc<dyn Store>, StoreError> {
    match config.database_url.reveal() {
        Some(url) => {
            let connections = config.database_connections() + OWN_CONNECTIONS;
            let connections = u32::try_from(connections).unwrap_or(u32::MAX);
            Ok(PostgresStore::open(url, PoolLimits { connections })?)
        }
        None => Ok(SqliteStore::open(&config.data_dir.join(DATABASE_FILE))?),
    }
}

fn store_name(config: &Config) -> &'static str {
    if config.database_url.reveal().is_some() { "postgresql" } else { "embedded" }
}

/// The `sslmode` that is kept to, `local` for a server on this machine, `none` for the SQLite database.
fn database_link(config: &Config) -> &'static str {
    config.database_address().ok().flatten().map_or("none", |address| address.protection().word())
}

/// Makes every part of the tracker and connects them; nothing runs yet.
fn assemble(
    config: Config,
    store: Arc<dyn Store>,
    clock: fn() -> UnixMillis,
) -> Result<(Arc<App>, Inboxes), StartError> {
    let keys = Arc::new(Keys::open(&config.data_dir, config.lifetimes())?);
    let authority = Arc::new(open_authority(&config)?);
    let passwords = Arc::new(Passwords::start(config.bcrypt_cost).map_err(StartError::Threads)?);
    let permits = Permits::new(config.database_connections());
    let operations = ROUTES.iter().map(|route| route.operation).collect();
    let metrics = Arc::new(Metrics::new(operations, permits.waits().clone()));
    let (writer, write_loop) = Writer::new(apply_writes(&store, clock, &metrics));
    let (lease_log, lease_log_loop) = LeaseLog::new(LogFile::open(&config.data_dir.join(SWARM_FILE))?);
    let rules = Rules { complaints: config.complaints };
    let (reputation, settlement_loop) = economy::channel(store.clone(), clock, rules);
    let (dialback, dialback_inbox) = dialback::channel(config.dialback);
    let proxies = config.proxies().map_err(StartError::Config)?;
    proxies.refresh();
    let database = Arc::new(Database::new(Arc::clone(&store), permits, writer));
    let swarm = Arc::new(Swarm::new(config.swarm_limits()));
    let limits = Arc::new(Limits::new(config.rates()));
    let counters = Arc::new(Counters::default());
    let services = Services {
        database: Arc::clone(&database),
        passwords: Arc::clone(&passwords),
        limits: Arc::clone(&limits),
        keys: Arc::clone(&keys),
        authority: Arc::clone(&authority),
        counters: Arc::clone(&counters),
        clock,
    };
    let app = App {
        accounts: Arc::new(Accounts::new(config.account_settings(), services)),
        access: Arc::new(AccessControl::new(Arc::clone(&database), Arc::clone(&swarm), clock)),
        access_log: Arc::new(AccessLog::new(config.access_log)),
        proxies: Arc::new(proxies),
        limits,
        metrics,
        config,
        store,
        database,
        lease_log: Arc::new(lease_log),
        keys,
        authority,
        passwords,
        swarm,
        reputation,
        dialback,
        clock,
        counters,
        readiness: Default::default(),
        started_at: clock(),
        door: Default::default(),
    };
    let inboxes = Inboxes {
        writer: write_loop,
        lease_log: lease_log_loop,
        reputation: settlement_loop,
        dialback: dialback_inbox,
    };
    let app = Arc::new(app);
    let parts = Arc::downgrade(&app);
    // Weak, because the app holds its metrics.
    app.metrics.collect_with(Box::new(move || parts.upgrade().map(|app| metrics::collect(&app)).unwrap_or_default()));
    Ok((app, inboxes))
}

/// Returns the transaction of the durable writer: a timed [`Store::write`].
fn apply_writes(store: &Arc<dyn Store>, clock: fn() -> UnixMillis, metrics: &Metrics) -> Apply {
    let store = Arc::clone(store);
    let commits = metrics.commits().clone();
    Box::new(move |writes, durability| {
        let _timed = commits.start_timer();
        store.write(clock(), writes, durability)
    })
}

/// Gives the router and each group of handlers the parts that they use.
fn router(app: &App) -> Router {
    Router {
        handlers: handlers(app),
        guard: Guard {
            keys: Arc::clone(&app.keys),
            accounts: Arc::clone(&app.accounts),
            tracker_keys: Default::default(),
            database: Arc::clone(&app.database),
            limits: Arc::clone(&app.limits),
            clock: app.clock,
        },
        limits: Arc::clone(&app.limits),
        counters: Arc::clone(&app.counters),
        metrics: Arc::clone(&app.metrics),
        access_log: Arc::clone(&app.access_log),
        lease_log: Arc::clone(&app.lease_log),
        proxies: Arc::clone(&app.proxies),
    }
}

fn handlers(app: &App) -> Handlers {
    let clock = app.clock;
    let door = Arc::clone(&app.door);
    Handlers {
        accounts: AccountCalls {
            accounts: Arc::clone(&app.accounts),
            authority: Arc::clone(&app.authority),
            database: Arc::clone(&app.database),
            swarm: Arc::clone(&app.swarm),
            clock,
        },
        access: AccessCalls {
            access: Arc::clone(&app.access),
            swarm: Arc::clone(&app.swarm),
            keys: Arc::clone(&app.keys),
            files_per_account: app.config.files_per_account,
            clock,
        },
        feedback: FeedbackCalls {
            accounts: Arc::clone(&app.accounts),
            swarm: Arc::clone(&app.swarm),
            reputation: app.reputation.clone(),
            clock,
        },
        files: FileCalls {
            swarm: Arc::clone(&app.swarm),
            access: Arc::clone(&app.access),
            accounts: Arc::clone(&app.accounts),
            database: Arc::clone(&app.database),
            lease_log: Arc::clone(&app.lease_log),
            reputation: app.reputation.clone(),
            dialback: app.dialback.clone(),
            plans: Default::default(),
            clock,
        },
        manifests: ManifestCalls {
            swarm: Arc::clone(&app.swarm),
            access: Arc::clone(&app.access),
            database: Arc::clone(&app.database),
            metadata_bytes_per_account: app.config.metadata_bytes_per_account,
            clock,
        },
        swarm: SwarmCalls {
            swarm: Arc::clone(&app.swarm),
            access: Arc::clone(&app.access),
            database: Arc::clone(&app.database),
            lease_log: Arc::clone(&app.lease_log),
            reputation: app.reputation.clone(),
            clock,
        },
        meta: MetaCalls {
            readiness: Arc::clone(&app.readiness),
            keys: Arc::clone(&app.keys),
            swarm: Arc::clone(&app.swarm),
            metrics: Arc::clone(&app.metrics),
            door_stats: Box::new(move || door.stats()),
            started_at: app.started_at,
            clock,
        },
    }
}

/// Made with mode 0700 where it has a folder of its own.
fn open_authority(config: &Config) -> Result<Authority, StartError> {
    let setup = config.authority().map_err(StartError::Config)?;
    folder::prepare(&setup.folder)?;
    Ok(Authority::open(setup)?)
}

/// The public port last: a client that can reach it finds everything else ready.
fn open_ports(app: &App) -> Result<(Option<LocalDoor>, SocketAddr), StartError> {
    let router = Arc::new(router(app));
    let ops = open_ops(app, &router)?;
    Ok((ops, open_door(app, &router)?))
}

fn open_ops(app: &App, router: &Arc<Router>) -> Result<Option<LocalDoor>, StartError> {
    let Some(address) = app.config.ops_address().map_err(StartError::Config)? else { return Ok(None) };
    let service: Arc<dyn Service> = Arc::new(Operations(Arc::clone(router)));
    LocalDoor::bind(&address, service).map(Some).map_err(StartError::Ops)
}

fn open_door(app: &App, router: &Arc<Router>) -> Result<SocketAddr, StartError> {
    let address = app.config.listen_address().map_err(StartError::Config)?;
    let service: Arc<dyn Service> = Arc::new(Public(Arc::clone(router)));
    let failed = |error| StartError::Listen(address, error);
    let plaintext = app.config.answers_plaintext(address);
    let security = Security { tls: Some(app.authority.serving().config()), plaintext };
    let door = Door::bind_secured(address, app.config.door_limits(), security, service).map_err(failed)?;
    let bound = door.local_addr();
    app.door.set(door);
    Ok(bound)
}
