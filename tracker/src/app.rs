//! What every request handler may use: configuration, store, writer, keys, caches and the swarm, shared by all threads.

mod access;
mod acquaintances;
mod counters;
mod readiness;
mod router;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use peernet_engine::time::UnixMillis;

use crate::accounts::Accounts;
use crate::authority::Authority;
use crate::config::Config;
use crate::http::{Door, DoorStats, DrainReport, Proxies};
use crate::keys::Keys;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::passwords::Passwords;
use crate::permits::Permits;
use crate::policies::Policies;
use crate::routes::files::PlanCache;
use crate::store::Store;
use crate::swarm::{Journal, Swarm};
use crate::writer::Writer;
use crate::{dialback, reputation};

pub use access::{AccessLog, AccessMode};
pub use acquaintances::Acquaintances;
pub use counters::Counters;
pub use readiness::Readiness;
pub use router::{Operations, Public};

/// The tracker as its request handlers see it. One per process, behind an `Arc`.
pub struct App {
    /// As it was given, defaults filled in.
    pub config: Config,
    /// Reads go here, under a permit of [`App::permits`]; writes go through [`App::writer`].
    pub store: Arc<dyn Store>,
    /// Group commit.
    pub writer: Writer,
    /// What changes in the swarm is written here first.
    pub journal: Journal,
    /// Signs and checks tokens.
    pub keys: Keys,
    /// Vouches for members' keys.
    pub authority: Authority,
    /// bcrypt, apart from everything else.
    pub passwords: Passwords,
    /// How much one client may ask.
    pub limits: Limits,
    /// Accounts in memory.
    pub accounts: Accounts,
    /// Who may have which file.
    pub policies: Policies,
    /// Database work of request handlers.
    pub permits: Permits,
    /// Who has what.
    pub swarm: Swarm,
    /// The one writer of ledger and scores.
    pub reputation: reputation::Handle,
    /// Dials addresses that version 1 peers announce.
    pub dialback: dialback::Handle,
    /// The time now; fixed in tests.
    pub clock: fn() -> UnixMillis,
    /// For metrics and statistics.
    pub counters: Counters,
    /// How long things take.
    pub metrics: Metrics,
    /// Which answers are logged.
    pub access: AccessLog,
    /// Whether the database answers, and whether this process is about to stop.
    pub readiness: Readiness,
    /// Plans as far as they are the same for everyone.
    pub plans: PlanCache,
    /// Who may say on whose behalf a request comes.
    pub proxies: Proxies,
    /// The other trackers' keys.
    pub acquaintances: Acquaintances,
    /// When the process started.
    pub started_at: UnixMillis,
    /// The public port; here because its counts are read by handlers. The door holds this `App` in turn until it is taken out.
    pub(crate) door: Mutex<Option<Door>>,
}

impl App {
    /// What the public port has counted; zeros while it is not open.
    pub fn door_stats(&self) -> DoorStats {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Door::stats).unwrap_or_default()
    }

    /// Closes the public port and waits for requests in flight, at most `grace`.
    pub(crate) fn close_door(&self, grace: Duration) -> DrainReport {
        let door = self.door.lock().unwrap_or_else(PoisonError::into_inner).take();
        door.map(|door| door.drain(grace)).unwrap_or_default()
    }
}

/// The system's clock.
pub fn system_clock() -> UnixMillis {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis::default().plus(since_epoch)
}
