//! The economy: one thread settles ledger, tickets and evidence, and request handlers ask it through a handle.
//!
//! Requests that change the ledger are settled in groups and answered after their commit. Reputations, demotions and
//! open tickets are cached here, so that a lookup that is repeated soon needs no database.

mod memory;
mod settlement;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use peernet_engine::economy::{Event, LISTED_MAX, Outcome, Rules, Standing, TicketId, Tier};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::manifest::Geometry;
use peernet_engine::time::UnixMillis;
use peernet_protos::rest::TicketBody;
use peernet_threads::Blocking;

use crate::commit::GroupCounters;
use crate::commit::group::GroupCommit;
use crate::ops::log;
use crate::store::{Ledger, StoreError};

pub use memory::{CachedTicket, newcomer};
pub(crate) use settlement::{SettlementLoop, run};

use memory::Memory;
use settlement::Settlements;

/// The longest that feedback waits for its commit. Sending it again after a failure is safe, because no report counts twice.
const FEEDBACK_WAIT_MAX: Duration = Duration::from_secs(10);
/// The longest that a lookup waits for its ticket. Past it the answer has no ticket.
const TICKET_WAIT_MAX: Duration = Duration::from_secs(2);

/// The reputation, as request handlers use it.
#[derive(Clone)]
pub struct Handle {
    group: Arc<GroupCommit<Settlements>>,
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

/// Creates the handle and the loop that its thread runs.
pub(crate) fn channel(store: Arc<dyn Ledger>, clock: fn() -> UnixMillis, rules: Rules) -> (Handle, SettlementLoop) {
    let settlements = Settlements { store, clock, rules, memory: Memory::default(), ignored: AtomicU64::new(0) };
    let (group, commit_loop) = GroupCommit::new(settlements, settlement::BOUNDS);
    (Handle { group: Arc::new(group) }, commit_loop)
}

impl Handle {
    /// Opens the account's ticket for a file, or uses its open one again. Returns `None`, and the lookup is answered
    /// without a ticket, where the rules give none, the queue is full, or the store does not answer in time.
    pub fn open_ticket(&self, request: TicketRequest) -> Option<TicketBody> {
        let now = (self.settlements().clock)();
        if let Some(body) = self.settlements().memory.ticket(now, &request) {
            return Some(body);
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        let mut sources = request.sources;
        sources.truncate(LISTED_MAX);
        let TicketRequest { account, file_hash, geometry, .. } = request;
        let event = Event::OpenTicket { account, file_hash, geometry, sources, new_id: TicketId(id) };
        match self.group.commit(&Blocking::declare(), vec![event], (), TICKET_WAIT_MAX).ok()?.first()? {
            Outcome::Ticket { id, escrow_mt, expires_at, .. } => Some(ticket_body(*id, *escrow_mt, *expires_at)),
            _ => None,
        }
    }

    /// Returns whether the account has an open ticket whose end is far, so that an earlier plan is still good.
    pub fn has_ticket(&self, account: PeerId, file: FileHash) -> bool {
        self.settlements().memory.has_ticket((self.settlements().clock)(), account, file)
    }

    /// The sources that the account's ticket for a file lists. Empty where no ticket is in memory.
    pub fn listed(&self, account: PeerId, file: FileHash) -> Vec<PeerId> {
        self.settlements().memory.listed(account, file)
    }

    /// Hands over feedback and waits for its commit. After an error none of it was applied, or it counts once however
    /// often it is sent.
    pub fn feedback(&self, blocking: &Blocking, events: Vec<Event>) -> Result<Vec<Outcome>, StoreError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        self.group.commit(blocking, events, (), FEEDBACK_WAIT_MAX)
    }

    /// The reputations of `peers` now. Up to 64 that are not in memory are read from the store; the others count as
    /// newcomers.
    pub fn standings(&self, peers: &[PeerId]) -> Vec<Standing> {
        let now = (self.settlements().clock)();
        self.settlements().memory.standings(now, self.settlements().store.as_ref(), peers)
    }

    /// Returns whether an account is of a tier that plans name first.
    pub fn is_trusted(&self, peer: PeerId) -> bool {
        matches!(self.standings(&[peer])[..], [Standing { tier: Tier::Established | Tier::Known, .. }])
    }

    /// Until when the caller wants each of `peers` last in its own lookups; zero without a complaint. Empty where it
    /// complained about none.
    pub fn demotions(&self, now: UnixMillis, caller: PeerId, peers: impl Iterator<Item = PeerId>) -> Vec<UnixMillis> {
        self.settlements().memory.demotions(now, self.settlements().store.as_ref(), caller, peers)
    }

    /// Returns the counts of settlements since the start.
    pub fn counters(&self) -> &GroupCounters {
        self.group.counters()
    }

    /// Returns the number of events that changed nothing, since the start.
    pub fn ignored(&self) -> u64 {
        self.settlements().ignored.load(Ordering::Relaxed)
    }

    /// Returns the number of requests that wait.
    pub fn queued(&self) -> usize {
        self.group.pending()
    }

    /// Takes no more requests. The thread settles the queued ones and ends.
    pub(crate) fn close(&self) {
        self.group.close();
    }

    fn settlements(&self) -> &Settlements {
        self.group.transaction()
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
