//! The parts of a running tracker, shared by its request handlers and threads.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use peernet_engine::time::UnixMillis;

use crate::base::sync::lock;
use crate::boot::config::Config;
use crate::domain::access::AccessControl;
use crate::domain::accounts::Accounts;
use crate::domain::accounts::passwords::Passwords;
use crate::domain::authority::Authority;
use crate::domain::database::Database;
use crate::domain::economy;
use crate::domain::keys::Keys;
use crate::domain::limits::Limits;
use crate::domain::swarm::Swarm;
use crate::domain::swarm::dialback;
use crate::ops::access_log::AccessLog;
use crate::ops::counters::Counters;
use crate::ops::metrics::Metrics;
use crate::ops::readiness::Readiness;
use crate::replication::LeaseLog;
use crate::store::Store;
use peernet_door::{Door, DoorStats, DrainReport, Proxies};

/// The parts of a running tracker. One per process, behind an `Arc`.
pub struct App {
    /// The configuration, with defaults filled in.
    pub config: Config,
    /// The store, for threads and tests. Handlers use [`App::database`].
    pub store: Arc<dyn Store>,
    /// The store behind its queues.
    pub database: Arc<Database>,
    /// The lease log: changes of the swarm are written here first.
    pub lease_log: Arc<LeaseLog>,
    /// Signs and checks tokens.
    pub keys: Arc<Keys>,
    /// Issues certificates.
    pub authority: Arc<Authority>,
    /// Hashes and checks passwords.
    pub passwords: Arc<Passwords>,
    /// Request rates of clients.
    pub limits: Arc<Limits>,
    /// Operations on accounts.
    pub accounts: Arc<Accounts>,
    /// Access control: which accounts may have which file.
    pub access: Arc<AccessControl>,
    /// The swarm index.
    pub swarm: Arc<Swarm>,
    /// The handle of the economy's thread.
    pub reputation: economy::Handle,
    /// The handle of the thread that dials version 1 peers.
    pub dialback: dialback::Handle,
    /// The time now; fixed in tests.
    pub clock: fn() -> UnixMillis,
    /// Counters for metrics and statistics.
    pub counters: Arc<Counters>,
    /// Histograms of durations.
    pub metrics: Arc<Metrics>,
    /// The access log.
    pub access_log: Arc<AccessLog>,
    /// Whether the database answers, and whether this process is about to stop.
    pub readiness: Arc<Readiness>,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub proxies: Arc<Proxies>,
    /// When the process started.
    pub started_at: UnixMillis,
    /// The public port.
    pub(crate) door: Arc<PublicPort>,
}

/// The door while it is open. The door's service holds this in turn for its counts, until the door is taken out at the stop.
#[derive(Default)]
pub(crate) struct PublicPort(Mutex<Option<Door>>);

impl PublicPort {
    /// Keeps an open door.
    pub(crate) fn set(&self, door: Door) {
        *lock(&self.0) = Some(door);
    }

    /// The counts of the door; zeros while it is not open.
    pub(crate) fn stats(&self) -> DoorStats {
        lock(&self.0).as_ref().map(Door::stats).unwrap_or_default()
    }

    /// Closes the door and waits for requests in flight, at most `grace`.
    pub(crate) fn close(&self, grace: Duration) -> DrainReport {
        let door = lock(&self.0).take();
        door.map(|door| door.drain(grace)).unwrap_or_default()
    }
}

/// The system's clock.
pub fn system_clock() -> UnixMillis {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis::default().plus(since_epoch)
}
