//! The economy: one thread settles ledger, tickets and evidence, and request handlers ask it through a handle.
//!
//! Requests reach the thread through a bounded queue and are answered after their batch has committed. Reputations,
//! demotions and open tickets that lookups need are in memory, so that a lookup repeated soon costs no database work.

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

use crate::ops::log;
use crate::store::{Store, StoreError};

pub use memory::{CachedTicket, newcomer};
pub use thread::run;

use memory::Memory;

/// The most requests that wait for the thread. A batch takes up to 1,000 events in some ten milliseconds, so this is
/// about a second of work; past it requests are refused.
const JOBS_QUEUED_MAX: usize = 4_096;
/// How long feedback waits for its commit. Sending it again after a failure is safe, because no report counts twice.
const FEEDBACK_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a lookup waits for its ticket. Past it the answer has no ticket.
const TICKET_WAIT_MAX: Duration = Duration::from_secs(2);

/// A request to the thread. Its events are in one transaction with those of the whole batch.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) events: Vec<Event>,
    pub(crate) answer: Sender<Answer>,
}

/// One outcome per event, or the reason why nothing was applied.
pub(crate) type Answer = Result<Vec<Outcome>, StoreError>;

/// What the thread has done since the start, for `/metrics`.
#[derive(Debug, Default)]
pub struct ReputationCounters {
    /// The batches committed.
    pub batches: AtomicU64,
    /// The events in those batches.
    pub events: AtomicU64,
    /// The events that changed nothing, for any reason of `Ignored`.
    pub ignored: AtomicU64,
    /// The batches that failed and were not applied.
    pub failed: AtomicU64,
    /// The requests refused because the queue was full.
    pub refused: AtomicU64,
}

/// The sending end, for request handlers.
#[derive(Clone)]
pub struct Handle {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
}

/// The receiving end, for [`run`].
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

/// A lookup's request for a ticket.
#[derive(Debug, Clone)]
pub struct TicketRequest {
    /// The account that downloads.
    pub account: PeerId,
    /// The file.
    pub file_hash: FileHash,
    /// The size of the file and of its chunks.
    pub geometry: Geometry,
    /// The sources that the plan may name, best first; past the 50th they are not listed.
    pub sources: Vec<PeerId>,
}

/// Makes the two ends of the queue.
pub fn channel(store: Arc<dyn Store>, clock: fn() -> UnixMillis, rules: Rules) -> (Handle, Inbox) {
    let (sender, jobs) = bounded(JOBS_QUEUED_MAX);
    let shared =
        Arc::new(Shared { store, clock, rules, memory: Memory::default(), counters: ReputationCounters::default() });
    (Handle { jobs: sender, shared: Arc::clone(&shared) }, Inbox { jobs, shared })
}

impl Handle {
    /// Opens the account's ticket for a file, or uses its open one again. Returns `None`, and the lookup is answered
    /// without a ticket, where the rules give none, the queue is full, or the store does not answer in time.
    pub fn open_ticket(&self, request: TicketRequest) -> Option<TicketBody> {
        let now = (self.shared.clock)();
        if let Some(body) = self.shared.memory.ticket(now, &request) {
            return Some(body);
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        let mut sources = request.sources;
        sources.truncate(LISTED_MAX);
        let TicketRequest { account, file_hash, geometry, .. } = request;
        let event = Event::OpenTicket { account, file_hash, geometry, sources, new_id: TicketId(id) };
        let answered = self.send(vec![event]).ok()?;
        about_to_block();
        match answered.recv_timeout(TICKET_WAIT_MAX).ok()?.ok()?.first()? {
            Outcome::Ticket { id, escrow_mt, expires_at, .. } => Some(ticket_body(*id, *escrow_mt, *expires_at)),
            _ => None,
        }
    }

    /// Whether the account has an open ticket whose end is far, so that an earlier plan is still good.
    pub fn has_ticket(&self, account: PeerId, file: FileHash) -> bool {
        self.shared.memory.has_ticket((self.shared.clock)(), account, file)
    }

    /// The sources that the account's ticket for a file lists. Empty where no ticket is in memory.
    pub fn listed(&self, account: PeerId, file: FileHash) -> Vec<PeerId> {
        self.shared.memory.listed(account, file)
    }

    /// Hands over feedback and waits for its commit. After an error none of it was applied, or it counts once however
    /// often it is sent.
    pub fn feedback(&self, events: Vec<Event>) -> Result<Vec<Outcome>, StoreError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let answered = self.send(events)?;
        about_to_block();
        answered
            .recv_timeout(FEEDBACK_WAIT_MAX)
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the settlement did not commit in time".to_owned())))
    }

    /// The reputations of `peers` now. Up to 64 that are not in memory are read from the store; the others count as
    /// newcomers.
    pub fn standings(&self, peers: &[PeerId]) -> Vec<Standing> {
        let now = (self.shared.clock)();
        self.shared.memory.standings(now, self.shared.store.as_ref(), peers)
    }

    /// Whether an account is of a tier that plans name first.
    pub fn is_trusted(&self, peer: PeerId) -> bool {
        matches!(self.standings(&[peer])[..], [Standing { tier: Tier::Established | Tier::Known, .. }])
    }

    /// Until when the caller wants each of `peers` last in its own lookups; zero without a complaint. Empty where it
    /// complained about none.
    pub fn demotions(&self, now: UnixMillis, caller: PeerId, peers: impl Iterator<Item = PeerId>) -> Vec<UnixMillis> {
        self.shared.memory.demotions(now, self.shared.store.as_ref(), caller, peers)
    }

    /// The counters of the thread.
    pub fn counters(&self) -> &ReputationCounters {
        &self.shared.counters
    }

    /// The number of requests that wait.
    pub fn queued(&self) -> usize {
        self.jobs.len()
    }

    fn send(&self, events: Vec<Event>) -> Result<Receiver<Answer>, StoreError> {
        let (answer, answered) = bounded(1);
        self.jobs.try_send(Job { events, answer }).map_err(|refused| {
            self.shared.counters.refused.fetch_add(1, Ordering::Relaxed);
            match refused {
                TrySendError::Full(_) => StoreError::Busy("too many reports are waiting"),
                TrySendError::Disconnected(_) => StoreError::Busy("the tracker is stopping"),
            }
        })?;
        Ok(answered)
    }
}

fn ticket_body(id: TicketId, escrow_mt: i64, expires_at: UnixMillis) -> TicketBody {
    TicketBody { id: data_encoding::HEXLOWER.encode(&id.0), escrow_mt, expires_at: expires_at.as_secs() }
}

/// Logs a failed read and goes on as if nothing were known: lookups continue while the store is down.
fn or_log<T: Default>(result: Result<T, StoreError>, what: &str) -> T {
    result.unwrap_or_else(|error| {
        log::warn("reputation", what, &[("why", &error)]);
        T::default()
    })
}

#[cfg(test)]
mod tests;
