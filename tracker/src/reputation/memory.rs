//! What lookups need of the ledger, in memory: bounded, filled when first asked for, kept right by the thread.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError, RwLock};

use peernet_engine::economy::{LISTED_MAX, LedgerRow, Standing, TICKET_LIFE, TICKET_RENEWAL_MIN, TicketRow};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::rest::TicketBody;
use peernet_threads::about_to_block;

use super::{TicketWish, or_log, ticket_body};
use crate::store::Store;
use crate::sync::lock;

/// How many entries each map keeps; past it the map starts afresh, which costs reads and nothing else.
const ENTRIES_MAX: usize = 100_000;
/// How many rows one lookup reads from the store at most.
const READS_MAX: usize = 64;
/// After how long an entry is read again, in milliseconds: another tracker may have changed it.
const FRESH_MS: i64 = 60_000;

/// Whether what was read then need not be read again. What was read in the future was read before the clock was set back.
fn is_fresh(now: UnixMillis, read_at: UnixMillis) -> bool {
    (0..=FRESH_MS).contains(&now.0.saturating_sub(read_at.0))
}

/// A ticket as the lookup after next may use it again.
#[derive(Debug, Clone)]
pub struct CachedTicket {
    body: TicketBody,
    expires_at: UnixMillis,
    /// Sorted.
    listed: Box<[PeerId]>,
    seen_at: UnixMillis,
}

impl CachedTicket {
    /// Of the row as it was committed.
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

    /// Whether using it again would change nothing worth a transaction: everyone offered is listed, its end is far, and it
    /// holds something or was just looked at.
    fn serves(&self, now: UnixMillis, wish: &TicketWish) -> bool {
        let listed = |peer: &PeerId| *peer == wish.account || self.listed.binary_search(peer).is_ok();
        let all_listed = self.listed.len() >= LISTED_MAX || wish.sources.iter().take(LISTED_MAX).all(listed);
        all_listed && self.stays(now)
    }

    fn stays(&self, now: UnixMillis) -> bool {
        let recent = now.since(self.seen_at) < TICKET_RENEWAL_MIN;
        let far = self.expires_at > now.plus(TICKET_LIFE / 2);
        recent && self.expires_at > now || far && self.body.escrow_mt > 0
    }
}

/// When an account's demotions were read, and what they are.
type Demotions = (UnixMillis, HashMap<PeerId, UnixMillis>);

/// The three maps.
#[derive(Default)]
pub(super) struct Memory {
    ledgers: RwLock<HashMap<PeerId, (UnixMillis, Option<LedgerRow>)>>,
    demotions: Mutex<HashMap<PeerId, Demotions>>,
    tickets: Mutex<HashMap<(PeerId, FileHash), CachedTicket>>,
}

/// The standing of someone nobody has reported on.
pub fn newcomer(now: UnixMillis) -> Standing {
    LedgerRow::new(PeerId([0; 16]), 0, now).standing(now)
}

impl Memory {
    pub(super) fn ticket(&self, now: UnixMillis, wish: &TicketWish) -> Option<TicketBody> {
        let tickets = lock(&self.tickets);
        let ticket = tickets.get(&(wish.account, wish.file_hash))?;
        ticket.serves(now, wish).then(|| ticket.body.clone())
    }

    pub(super) fn has_ticket(&self, now: UnixMillis, account: PeerId, file: FileHash) -> bool {
        lock(&self.tickets).get(&(account, file)).is_some_and(|ticket| ticket.stays(now))
    }

    pub(super) fn listed(&self, account: PeerId, file: FileHash) -> Vec<PeerId> {
        lock(&self.tickets).get(&(account, file)).map_or_else(Vec::new, |ticket| ticket.listed.to_vec())
    }

    pub(super) fn keep_ticket(&self, key: (PeerId, FileHash), ticket: Option<CachedTicket>) {
        let mut tickets = lock(&self.tickets);
        match ticket {
            Some(ticket) => insert_bounded(&mut tickets, key, ticket),
            None => drop(tickets.remove(&key)),
        }
    }

    pub(super) fn standings(&self, now: UnixMillis, store: &dyn Store, peers: &[PeerId]) -> Vec<Standing> {
        for peer in self.stale(now, peers) {
            about_to_block();
            match store.ledger(peer) {
                Ok(row) => self.keep_ledger(now, peer, row),
                Err(error) => {
                    crate::log::warn("reputation", "a score could not be read", &[("why", &error)]);
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
        store: &dyn Store,
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
        about_to_block();
        let read = or_log(store.demotions(caller, now), "complaints could not be read");
        let until: HashMap<PeerId, UnixMillis> = read.into_iter().collect();
        let each = of_each(&until, &mut peers);
        insert_bounded(&mut lock(&self.demotions), caller, (now, until));
        each
    }

    /// The thread committed a complaint.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_trusted_for_a_minute_and_never_when_the_clock_goes_back() {
        for (now, fresh) in [(90_000, true), (150_000, true), (150_001, false), (89_999, false), (i64::MIN, false)] {
            assert_eq!(is_fresh(UnixMillis(now), UnixMillis(90_000)), fresh, "{now}");
        }
    }
}
