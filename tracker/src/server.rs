//! A running tracker: everything started in order, on any port, and stopped cleanly. The program and embedders use the same.
//!
//! ```no_run
//! let tracker = peernet_tracker::Tracker::builder().listen("127.0.0.1:0").data_dir("/tmp/tracker").start()?;
//! println!("{}", tracker.url());
//! tracker.stop();
//! # Ok::<(), peernet_tracker::StartError>(())
//! ```

mod error;
mod folder;
mod threads;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peernet_engine::economy::Rules;
use peernet_engine::time::UnixMillis;

use crate::app::{AccessLog, App, Operations, Public, system_clock};
use crate::authority::Authority;
use crate::config::{Config, Secret};
use crate::http::{Door, LocalDoor, Security, Service};
use crate::keys::{Keys, Lifetimes};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::passwords::Passwords;
use crate::permits::Permits;
use crate::store::embedded::EmbeddedStore;
use crate::store::postgres::{PoolLimits, PostgresStore};
use crate::store::swarm_log::SwarmLog;
use crate::store::{Store, StoreError};
use crate::swarm::Journal;
use crate::writer::Writer;
use crate::{accounts, dialback, log, reputation, swarm};
pub use error::StartError;
pub(crate) use folder::{FolderLock, prepare as prepare_folder};
use threads::{Inboxes, Threads};

/// The embedded database's file in the data folder.
pub const DATABASE_FILE: &str = "tracker.sqlite";

/// The file of the swarm's log in the data folder.
pub const SWARM_FILE: &str = "swarm.sqlite";

/// How long a call of the operations listener may take to end when the tracker stops.
const OPS_GRACE: Duration = Duration::from_secs(5);

/// Connections the store keeps beside those of request handlers: writer, reputation thread and exchange.
pub(crate) const OWN_CONNECTIONS: usize = 3;

/// A tracker that runs until [`Tracker::stop`] or until it is dropped.
pub struct Tracker {
    app: Arc<App>,
    address: SocketAddr,
    running: Option<Running>,
}

/// What must be stopped.
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
    /// Everything at once.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Where to listen, `ADDR:PORT`; port 0 picks a free one.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.config.listen = address.into();
        self
    }

    /// Where key and embedded database live. Made if it is missing.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.data_dir = path.into();
        self
    }

    /// Uses a PostgreSQL database instead of the embedded one.
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
        swarm::restore(&app.swarm, &*app.store, app.journal.log(), (app.clock)())?;
        // After the index is there: what was withdrawn is taken out of it.
        accounts::upkeep::refresh(&app)?;
        let threads = Threads::start(&app, inboxes).map_err(|error| {
            app.writer.close();
            StartError::Threads(error)
        })?;
        let exchanged = threads.wait_for_exchange().map_err(StartError::from);
        let (ops, address) = match exchanged.and_then(|()| open_ports(&app)) {
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

    /// Where it answers: `http://ADDR:PORT` where it does so without TLS, which on loopback it always does, else `https://ADDR:PORT`.
    pub fn url(&self) -> String {
        let scheme = if self.app.config.answers_plaintext(self.address) { "http" } else { "https" };
        format!("{scheme}://{}", self.address)
    }

    /// The address listened on, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its handlers see; for tests and embedders.
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
        // The port stays open meanwhile: who looks at /ready moves on before connections are refused.
        let _passed = crossbeam_channel::after(Duration::from_secs(self.app.config.drain_delay_seconds)).recv();
        let report = self.app.close_door(Duration::from_secs(self.app.config.drain_seconds));
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
        None => Ok(EmbeddedStore::open(&config.data_dir.join(DATABASE_FILE))?),
    }
}

fn store_name(config: &Config) -> &'static str {
    if config.database_url.reveal().is_some() { "postgresql" } else { "embedded" }
}

/// The `sslmode` that is kept to, `local` for a server on this machine, `none` for the embedded database.
fn database_link(config: &Config) -> &'static str {
    config.database_address().ok().flatten().map_or("none", |address| address.protection().word())
}

fn assemble(
    config: Config,
    store: Arc<dyn Store>,
    clock: fn() -> UnixMillis,
) -> Result<(Arc<App>, Inboxes), StartError> {
    let keys = Keys::open(&config.data_dir, Lifetimes::of(&config))?;
    let authority = open_authority(&config)?;
    let passwords = Passwords::start(config.bcrypt_cost).map_err(StartError::Threads)?;
    let (writer, writer_loop) = Writer::new();
    let (journal, journal_loop) = Journal::new(SwarmLog::open(&config.data_dir.join(SWARM_FILE))?);
    let rules = Rules { complaints: config.complaints };
    let (reputation, reputation_inbox) = reputation::channel(Arc::clone(&store), clock, rules);
    let (dialback, dialback_inbox) = dialback::channel(config.dialback);
    let proxies = config.proxies().map_err(StartError::Config)?;
    proxies.refresh();
    let swarm_limits = config.swarm_limits();
    let permits = Permits::new(config.database_connections());
    let app = App {
        proxies,
        plans: Default::default(),
        limits: Limits::new(&config),
        metrics: Metrics::new(permits.waits().clone()),
        access: AccessLog::new(config.access_log),
        permits,
        config,
        store,
        writer,
        journal,
        keys,
        authority,
        passwords,
        accounts: Default::default(),
        policies: Default::default(),
        swarm: swarm::Swarm::new(swarm_limits),
        reputation,
        dialback,
        clock,
        counters: Default::default(),
        readiness: Default::default(),
        acquaintances: Default::default(),
        started_at: clock(),
        door: Mutex::new(None),
    };
    let (writer, journal) = (writer_loop, journal_loop);
    Ok((Arc::new(app), Inboxes { writer, journal, reputation: reputation_inbox, dialback: dialback_inbox }))
}

/// Made with mode 0700 where it has a folder of its own.
fn open_authority(config: &Config) -> Result<Authority, StartError> {
    let setup = config.authority().map_err(StartError::Config)?;
    folder::prepare(&setup.folder)?;
    Ok(Authority::open(setup)?)
}

/// The public port last: who can reach it finds everything else ready.
fn open_ports(app: &Arc<App>) -> Result<(Option<LocalDoor>, SocketAddr), StartError> {
    let ops = open_ops(app)?;
    Ok((ops, open_door(app)?))
}

fn open_ops(app: &Arc<App>) -> Result<Option<LocalDoor>, StartError> {
    let Some(address) = app.config.ops_address().map_err(StartError::Config)? else { return Ok(None) };
    let service: Arc<dyn Service> = Arc::new(Operations(Arc::clone(app)));
    LocalDoor::bind(&address, service).map(Some).map_err(StartError::Ops)
}

fn open_door(app: &Arc<App>) -> Result<SocketAddr, StartError> {
    let address = app.config.listen_address().map_err(StartError::Config)?;
    let service: Arc<dyn Service> = Arc::new(Public(Arc::clone(app)));
    let failed = |error| StartError::Listen(address, error);
    let plaintext = app.config.answers_plaintext(address);
    let security = Security { tls: Some(app.authority.serving().config()), plaintext };
    let door = Door::bind_secured(address, app.config.door_limits(), security, service).map_err(failed)?;
    let bound = door.local_addr();
    *app.door.lock().unwrap_or_else(PoisonError::into_inner) = Some(door);
    Ok(bound)
}
