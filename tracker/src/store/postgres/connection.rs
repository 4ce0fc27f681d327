//! The pool of connections, and the handling of dead ones.
//!
//! A checkout pings a connection only for a reason: it was idle for a while, or another connection was lost since it was last used. A
//! restarted server leaves a pool full of dead connections. So a healthy pool pays nothing, and after a restart one failed attempt is
//! enough to find all dead connections.

mod error;
mod session;
pub(super) mod tls;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use r2d2::{NopErrorHandler, Pool, PooledConnection};

use crate::store::{Result, StoreError};

use super::PoolLimits;
use super::address::Address;
use session::Manager;

pub(super) use error::{Attempt, AttemptError, describe};
pub(super) use session::{Session, Tx};
pub(super) use values::{Uuid, column};

/// The longest wait for a usable connection.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest wait after a failed checkout, until one succeeds again. While the database is down, requests are refused at once and
/// not queued, and the pool goes on trying.
const CHECKOUT_TIMEOUT_DOWN: Duration = Duration::from_millis(200);
/// A connection that was unused for longer than this is pinged.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);
/// The time limit of a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// The most repetitions of a unit of work after deadlocks with other trackers.
const CONFLICTS_MAX: u32 = 3;

/// Connections to one database.
pub(super) struct Connections {
    pool: Pool<Manager>,
    losses: Arc<AtomicU64>,
    /// Whether the last checkout failed.
    down: AtomicBool,
}

impl Connections {
    /// Creates the pool without opening a connection: the database may start later.
    pub(super) fn new(address: Address, limits: PoolLimits) -> Self {
        let losses = Arc::new(AtomicU64::new(0));
        let pool = Pool::builder()
            .max_size(limits.connections.max(1))
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(CHECKOUT_TIMEOUT)
            // The checkout returns the error.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(Manager::new(address, Arc::clone(&losses)));
        Self { pool, losses, down: AtomicBool::new(false) }
    }

    /// Runs `work` with a connection.
    ///
    /// It is repeated once when the connection proves dead before a commit, and after deadlocks. So it must keep nothing from a failed
    /// attempt.
    pub(super) fn run<T>(&self, mut work: impl FnMut(&mut Session) -> Attempt<T>) -> Result<T> {
        let mut lost = 0;
        let mut conflicts = 0;
        loop {
            let mut session = self.checkout()?;
            let error = match work(&mut session) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if error.is_lost() {
                session.broken = true;
                self.losses.fetch_add(1, Ordering::Relaxed);
                lost += 1;
            } else if error.is_conflict() {
                conflicts += 1;
            } else {
                return Err(error.into());
            }
            if lost > 1 || conflicts > CONFLICTS_MAX {
                return Err(error.into());
            }
        }
    }

    fn checkout(&self) -> Result<PooledConnection<Manager>> {
        let timeout = if self.down.load(Ordering::Relaxed) { CHECKOUT_TIMEOUT_DOWN } else { CHECKOUT_TIMEOUT };
        let session = self.usable(Instant::now() + timeout);
        self.down.store(session.is_err(), Ordering::Relaxed);
        session
    }

    fn usable(&self, deadline: Instant) -> Result<PooledConnection<Manager>> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut session =
                self.pool.get_timeout(left).map_err(|error| StoreError::Unavailable(error.to_string()))?;
            let losses = self.losses.load(Ordering::Relaxed);
            let trusted = session.losses == losses && session.used_at.elapsed() < IDLE_TRUSTED;
            if trusted || session.answers(PING_TIMEOUT) {
                session.losses = losses;
                session.used_at = Instant::now();
                return Ok(session);
            }
            // The pool replaces it when it is dropped here.
            session.broken = true;
        }
    }
}
