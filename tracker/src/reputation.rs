//! Reputation: the one thread that writes ledger, tickets and evidence, and what the routes ask of it.
//!
//! Requests reach the thread through a bounded queue and are answered after their batch has committed. What lookups need, namely
//! standings, demotions and open tickets, is remembered here, so that a lookup repeated soon costs no database work.

mod memory;
mod thread;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use peernet_engine::economy::{Event, LISTED_MAX, Outcome, Rules, Standing, TicketId, Tier};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::manifest::Geometry;
use peernet_engine::time::UnixMillis;
use peernet_protos::rest::TicketBody;
use peernet_threads::about_to_block;

use crate::api::ApiError;
use crate::log;
use crate::store::Store;

pub use memory::{CachedTicket, newcomer};
pub use thread::run;

use memory::Memory;

/// How many requests wait for the thread. A batch takes up to 1,000 events in some ten milliseconds, so this is about a second of
/// work; more is answered 503.
const JOBS_QUEUED_MAX: usize = 4_096;
/// How long a feedback waits for its commit. Past it the answer is 503; asking again is safe, because nothing counts twice.
const FEEDBACK_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a lookup waits for its ticket. Past it the answer goes out without one.
const TICKET_WAIT_MAX: Duration = Duration::from_secs(2);

/// A request to the thread. Everything in it is one transaction with whatever else is in its batch.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) events: Vec<Event>,
    pub(crate) answer: Sender<Answer>,
}

/// One outcome per event, or why nothing was applied.
pub(crate) type Answer = Result<Vec<Outcome>, ApiError>;

/// What the thread has done, for `/metrics`.
#[derive(Debug, Default)]
pub struct ReputationCounters {
    /// Batches committed.
    pub batches: AtomicU64,
    /// Events in them.
    pub events: AtomicU64,
    /// Events that moved nothing, by the reasons of `Ignored` all together.
    pub ignored: AtomicU64,
    /// Batches that failed and were not applied.
    pub failed: AtomicU64,
    /// Requests refused because the queue was full.
    pub refused: AtomicU64,
}

/// What the routes hold.
#[derive(Clone)]
pub struct Handle {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
}

/// What the thread holds: pass it to [`run`].
pub struct Inbox {
    jobs: Receiver<Job>,
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    clock: fn() -> UnixMillis,
    rules: Rules,
    memory: Memory,
    counters: ReputationCounters,
}

/// What a lookup brings for its ticket.
#[derive(Debug, Clone)]
pub struct TicketWish {
    /// Who downloads.
    pub account: PeerId,
    /// What.
    pub file_hash: FileHash,
    /// Its sizes.
    pub geometry: Geometry,
    /// Who is offered, best first; what is past the 50th is not listed.
    pub sources: Vec<PeerId>,
}

/// The two ends of the queue.
pub fn channel(store: Arc<dyn Store>, clock: fn() -> UnixMillis, rules: Rules) -> (Handle, Inbox) {
    let (sender, jobs) = bounded(JOBS_QUEUED_MAX);
    let shared =
        Arc::new(Shared { store, clock, rules, memory: Memory::default(), counters: ReputationCounters::default() });
    (Handle { jobs: sender, shared: Arc::clone(&shared) }, Inbox { jobs, shared })
}

impl Handle {
    /// The caller's ticket for a file, opened or used again. `None`, and the lookup is answered without one, where the rules give
    /// none, the queue is full, or the store does not answer within two seconds.
    pub fn open_ticket(&self, wish: TicketWish) -> Option<TicketBody> {
        let now = (self.shared.clock)();
        if let Some(body) = self.shared.memory.ticket(now, &wish) {
            return Some(body);
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        let mut sources = wish.sources;
        sources.truncate(LISTED_MAX);
        let TicketWish { account, file_hash, geometry, .. } = wish;
        let event = Event::OpenTicket { account, file_hash, geometry, sources, new_id: TicketId(id) };
        let answered = self.send(vec![event]).ok()?;
        about_to_block();
        match answered.recv_timeout(TICKET_WAIT_MAX).ok()?.ok()?.first()? {
            Outcome::Ticket { id, escrow_mt, expires_at, .. } => Some(ticket_body(*id, *escrow_mt, *expires_at)),
            _ => None,
        }
    }

    /// Whether a plan that was answered before is still good for its ticket: it is open, and its end is far.
    pub fn has_ticket(&self, account: PeerId, file: FileHash) -> bool {
        self.shared.memory.has_ticket((self.shared.clock)(), account, file)
    }

    /// Whom the account's ticket for a file lists: who was named to it before. Empty where no ticket is in memory.
    pub fn listed(&self, account: PeerId, file: FileHash) -> Vec<PeerId> {
        self.shared.memory.listed(account, file)
    }

    /// Hands over feedback and waits for its commit. 503 where the queue is full, the store does not answer or another
    /// tracker settles; then nothing of it was applied, or will count once however often it is sent.
    pub fn feedback(&self, events: Vec<Event>) -> Result<Vec<Outcome>, ApiError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let answered = self.send(events)?;
        about_to_block();
        answered.recv_timeout(FEEDBACK_WAIT_MAX).unwrap_or_else(|_| Err(ApiError::store_unavailable()))
    }

    /// Standings of `peers` now. Up to 64 that are not in memory are read from the store, the others taken for newcomers.
    pub fn standings(&self, peers: &[PeerId]) -> Vec<Standing> {
        let now = (self.shared.clock)();
        self.shared.memory.standings(now, self.shared.store.as_ref(), peers)
    }

    /// Whether an account is of the tiers that plans name first.
    pub fn is_trusted(&self, peer: PeerId) -> bool {
        matches!(self.standings(&[peer])[..], [Standing { tier: Tier::Established | Tier::Known, .. }])
    }

    /// Until when each of `peers` comes last in `caller`'s own lookups, zero for no complaint; empty where there is none at all.
    pub fn demotions(&self, now: UnixMillis, caller: PeerId, peers: impl Iterator<Item = PeerId>) -> Vec<UnixMillis> {
        self.shared.memory.demotions(now, self.shared.store.as_ref(), caller, peers)
    }

    /// What the thread has done.
    pub fn counters(&self) -> &ReputationCounters {
        &self.shared.counters
    }

    /// How many requests wait.
    pub fn queued(&self) -> usize {
        self.jobs.len()
    }

    fn send(&self, events: Vec<Event>) -> Result<Receiver<Answer>, ApiError> {
        let (answer, answered) = bounded(1);
        self.jobs.try_send(Job { events, answer }).map_err(|refused| {
            self.shared.counters.refused.fetch_add(1, Ordering::Relaxed);
            match refused {
                TrySendError::Full(_) => ApiError::busy("too many reports are waiting"),
                TrySendError::Disconnected(_) => ApiError::busy("the tracker is stopping"),
            }
        })?;
        Ok(answered)
    }
}

fn ticket_body(id: TicketId, escrow_mt: i64, expires_at: UnixMillis) -> TicketBody {
    TicketBody { id: data_encoding::HEXLOWER.encode(&id.0), escrow_mt, expires_at: expires_at.as_secs() }
}

/// A read that failed is logged and answered as if nothing were known: lookups go on while the store is down.
fn or_log<T: Default>(result: Result<T, crate::store::StoreError>, what: &str) -> T {
    result.unwrap_or_else(|error| {
        log::warn("reputation", what, &[("why", &error)]);
        T::default()
    })
}

#[cfg(test)]
mod tests;
