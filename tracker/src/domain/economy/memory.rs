//! The part of the ledger that lookups need, in memory: bounded, filled on first use, and updated by the economy's
//! thread.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError, RwLock};

use peernet_engine::economy::{LISTED_MAX, LedgerRow, Standing, TICKET_LIFE, TICKET_RENEWAL_MIN, TicketRow};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::rest::TicketBody;
use peernet_threads::Blocking;

use super::{TicketRequest, or_log, ticket_body};
use crate::base::sync::lock;
use crate::store::{Ledger, StoreError};

/// The most entries of each map. Past it the map is emptied, which costs only reads.
const ENTRIES_MAX: usize = 100_000;
/// The most rows that one lookup reads from the store.
const READS_MAX: usize = 64;
/// The age in milliseconds at which an entry is read again: another tracker may have changed it.
const FRESH_MS: i64 = 60_000;

/// Returns whether a value read at `read_at` is still fresh. A time in the future means that the clock was set back, and then
/// it is not.
fn is_fresh(now: UnixMillis, read_at: UnixMillis) -> bool {
    (0..=FRESH_MS).contains(&now.0.saturating_sub(read_at.0))
}

/// A committed ticket that later lookups may use again.
#[derive(Debug, Clone)]
pub struct CachedTicket {
    body: TicketBody,
    expires_at: UnixMillis,
    /// The listed sources, sorted.
    listed: Box<[PeerId]>,
    seen_at: UnixMillis,
}

impl CachedTicket {
    /// Makes it from the committed row.
    pub fn of(row: &TicketRow, now: UnixMillis) -> Self {
        let mut listed: Box<[PeerId]> = row.sources.iter().map(|source| source.peer).collect();
        listed.sort_unstable();
        Self {
            body: ticket_body(row.id, row.escrow_mt, row.expires_at),
            expires_at: row.expires_at,
            listed,
            seen_at: now,
        }
    }

    /// Returns whether the ticket can be used again without a transaction: it lists every source offered, its end is far, and it holds
    /// tokens or was checked lately.
    fn serves(&self, now: UnixMillis, request: &TicketRequest) -> bool {
        let listed = |peer: &PeerId| *peer == request.account || self.listed.binary_search(peer).is_ok();
        let all_listed = self.listed.len() >= LISTED_MAX || request.sources.iter().take(LISTED_MAX).all(listed);
        all_listed && self.stays(now)
    }

    fn stays(&self, now: UnixMillis) -> bool {
        let recent = now.since(self.seen_at) < TICKET_RENEWAL_MIN;
        let far = self.expires_at > now.plus(TICKET_LIFE / 2);
        recent && self.expires_at > now || far && self.body.escrow_mt > 0
    }
}

/// The demotions of an account, and when they were read.
type Demotions = (UnixMillis, HashMap<PeerId, UnixMillis>);

/// The maps of reputations, tickets and demotions.
#[derive(Default)]
pub(super) struct Memory {
    ledgers: RwLock<HashMap<PeerId, (UnixMillis, Option<LedgerRow>)>>,
    demotions: Mutex<HashMap<PeerId, Demotions>>,
    tickets: Mutex<HashMap<(PeerId, FileHash), CachedTicket>>,
}

/// The reputation of an account without any report.
pub fn newcomer(now: UnixMillis) -> Standing {
    LedgerRow::new(PeerId([0; 16]), 0, now).standing(now)
}

impl Memory {
    pub(super) fn ticket(&self, now: UnixMillis, request: &TicketRequest) -> Option<TicketBody> {
        let tickets = lock(&self.tickets);
        let ticket = tickets.get(&(request.account, request.file_hash))?;
        ticket.serves(now, request).then(|| ticket.body.clone())
    }

    pub(super) fn has_ticket(&self, now: UnixMillis, account: PeerId, file: FileHash) -> bool {
        lock(&self.tickets).get(&(account, file)).is_some_and(|ticket| ticket.stays(now))
    }

    pub(super) fn listed(&self, account: PeerId, file: FileHash) -> Vec<PeerId> {
        lock(&self.tickets).get(&(account, file)).map_or_else(Vec::new, |ticket| ticket.listed.to_vec())
    }

    pub(super) fn keep_ticket(&self, account: PeerId, file: FileHash, ticket: Option<CachedTicket>) {
        let key = (account, file);
        let mut tickets = lock(&self.tickets);
        match ticket {
            Some(ticket) => insert_bounded(&mut tickets, key, ticket),
            None => drop(tickets.remove(&key)),
        }
    }

    pub(super) fn standings(&self, now: UnixMillis, store: &dyn Ledger, peers: &[PeerId]) -> Vec<Standing> {
        for peer in self.stale(now, peers) {
            match read_ledger(&Blocking::declare(), store, peer) {
                Ok(row) => self.keep_ledger(now, peer, row),
                Err(error) => {
                    crate::ops::log::warn("reputation", "a score could not be read", &[("why", &error)]);
                    break;
                }
            }
        }
        let ledgers = self.ledgers.read().unwrap_or_else(PoisonError::into_inner);
        let standing = |peer: &PeerId| ledgers.get(peer).and_then(|(_, row)| row.as_ref()).map(|row| row.standing(now));
        peers.iter().map(|peer| standing(peer).unwrap_or_else(|| newcomer(now))).collect()
    }

    fn stale(&self, now: UnixMillis, peers: &[PeerId]) -> Vec<PeerId> {
        let ledgers = self.ledgers.read().unwrap_or_else(PoisonError::into_inner);
        let is_stale = |peer: &&PeerId| ledgers.get(peer).is_none_or(|(read_at, _)| !is_fresh(now, *read_at));
        peers.iter().filter(is_stale).take(READS_MAX).copied().collect()
    }

    pub(super) fn keep_ledger(&self, now: UnixMillis, peer: PeerId, row: Option<LedgerRow>) {
        let mut ledgers = self.ledgers.write().unwrap_or_else(PoisonError::into_inner);
        insert_bounded(&mut ledgers, peer, (now, row));
    }

    pub(super) fn demotions(
        &self,
        now: UnixMillis,
        store: &dyn Ledger,
        caller: PeerId,
        mut peers: impl Iterator<Item = PeerId>,
    ) -> Vec<UnixMillis> {
        let of_each = |until: &HashMap<PeerId, UnixMillis>, peers: &mut dyn Iterator<Item = PeerId>| {
            if until.is_empty() {
                return Vec::new();
            }
            peers.map(|peer| until.get(&peer).copied().unwrap_or_default()).collect()
        };
        if let Some((_, until)) = lock(&self.demotions).get(&caller).filter(|(read_at, _)| is_fresh(now, *read_at)) {
            return of_each(until, &mut peers);
        }
        let read = read_demotions(&Blocking::declare(), store, caller, now);
        let read = or_log(read, "complaints could not be read");
        let until: HashMap<PeerId, UnixMillis> = read.into_iter().collect();
        let each = of_each(&until, &mut peers);
        insert_bounded(&mut lock(&self.demotions), caller, (now, until));
        each
    }

    /// Notes a complaint that the thread has committed.
    pub(super) fn keep_demotion(&self, caller: PeerId, target: PeerId, until: UnixMillis) {
        if let Some((_, known)) = lock(&self.demotions).get_mut(&caller) {
            known.insert(target, until);
        }
    }
}

fn insert_bounded<K: Eq + Hash, V>(map: &mut HashMap<K, V>, key: K, value: V) {
    if map.len() >= ENTRIES_MAX && !map.contains_key(&key) {
        map.clear();
    }
    map.insert(key, value);
}

fn read_ledger(_: &Blocking, store: &dyn Ledger, peer: PeerId) -> Result<Option<LedgerRow>, StoreError> {
    store.ledger(peer)
}

fn read_demotions(
    _: &Blocking,
    store: &dyn Ledger,
    caller: PeerId,
    now: UnixMillis,
) -> Result<Vec<(PeerId, UnixMillis)>, StoreError> {
    store.demotions(caller, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_fresh_for_a_minute() {
        for (now, fresh) in [(90_000, true), (150_000, true), (150_001, false), (89_999, false), (i64::MIN, false)] {
            assert_eq!(is_fresh(UnixMillis(now), UnixMillis(90_000)), fresh, "{now}");
        }
    }
}
