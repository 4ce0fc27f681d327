//! The pool of connections, and what is done when one of them turns out to be dead.
//!
//! A checkout pings only where there is a reason: the connection was idle for a while, or another one has been lost
//! since it was last used (a restarted server leaves a pool full of dead ones). So a healthy pool pays nothing, and
//! after a restart one failed attempt is enough to find all the dead ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use r2d2::{NopErrorHandler, Pool, PooledConnection};

use crate::store::{Result, StoreError};

use super::PoolLimits;
use super::address::Address;
use super::session::{Manager, Session};
use super::trouble::Trouble;

/// How long a caller waits for a usable connection.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(3);
/// The same after someone has waited that long in vain, until a connection is there again: with the database down,
/// requests are refused at once rather than queued, while the pool goes on trying.
const CHECKOUT_TIMEOUT_DOWN: Duration = Duration::from_millis(200);
/// A connection unused for longer than this is asked whether it is still there.
const IDLE_TRUSTED: Duration = Duration::from_secs(1);
/// How long it has to answer that.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a unit of work is repeated after a deadlock with another tracker.
const CONFLICTS_MAX: u32 = 3;

/// Connections to one database.
pub(super) struct Connections {
    pool: Pool<Manager>,
    losses: Arc<AtomicU64>,
    /// Whether the last checkout failed.
    down: AtomicBool,
}

impl Connections {
    /// Opens none yet: the database may come up later.
    pub(super) fn new(address: Address, limits: PoolLimits) -> Self {
        let losses = Arc::new(AtomicU64::new(0));
        let pool = Pool::builder()
            .max_size(limits.connections.max(1))
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(CHECKOUT_TIMEOUT)
            // What goes wrong is in the checkout's answer.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(Manager::new(address, Arc::clone(&losses)));
        Self { pool, losses, down: AtomicBool::new(false) }
    }

    /// Does `work` with a connection. It is repeated once when the connection proves dead before anything was
    /// committed, and after a deadlock; so it must not keep anything from an attempt that failed.
    pub(super) fn run<T>(&self, mut work: impl FnMut(&mut Session) -> std::result::Result<T, Trouble>) -> Result<T> {
        let (mut lost, mut conflicts) = (0, 0);
        loop {
            let mut session = self.checkout()?;
            let trouble = match work(&mut session) {
                Ok(done) => return Ok(done),
                Err(trouble) => trouble,
            };
            if trouble.is_lost() {
                session.broken = true;
                self.losses.fetch_add(1, Ordering::Relaxed);
                lost += 1;
            } else if trouble.is_conflict() {
                conflicts += 1;
            } else {
                return Err(trouble.into());
            }
            if lost > 1 || conflicts > CONFLICTS_MAX {
                return Err(trouble.into());
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
                (session.losses, session.used_at) = (losses, Instant::now());
                return Ok(session);
            }
            // Dropped here, and replaced by the pool.
            session.broken = true;
        }
    }
}
