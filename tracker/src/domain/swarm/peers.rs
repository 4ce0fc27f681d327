//! The records per account: the files that name it, its addresses, and how often plans have named it lately.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;

use super::entry::V1Address;
use super::{Full, Location, Swarm};
use crate::base::sync::lock;

/// The time after which the count of recent namings is halved.
const LOAD_HALVED_EVERY_MS: i64 = 10_000;

/// An account in the index; every record that names it shares this one.
#[derive(Debug)]
pub struct Peer {
    /// The id of the account.
    pub id: PeerId,
    /// A day and the count of namings on it, packed.
    offered: AtomicU64,
    /// A time in steps of [`LOAD_HALVED_EVERY_MS`] and the count of recent namings, packed.
    load: AtomicU64,
}

impl Peer {
    /// Makes a record with no namings.
    pub fn new(id: PeerId) -> Self {
        Self { id, offered: AtomicU64::new(0), load: AtomicU64::new(0) }
    }

    /// Returns the number of plans that have named the peer on the day of `now`.
    pub fn offered_today(&self, now: UnixMillis) -> u32 {
        let (at, count) = unpack(self.offered.load(Ordering::Relaxed));
        if at == day(now) { count } else { 0 }
    }

    /// Returns the number of plans that have named the peer in the last seconds; older ones count less.
    pub fn load(&self, now: UnixMillis) -> u32 {
        let (at, count) = unpack(self.load.load(Ordering::Relaxed));
        count >> step(now).saturating_sub(at).min(31)
    }

    /// Counts one more naming. Two at the same moment may count as one, which is precise enough to spread load.
    pub fn note_offered(&self, now: UnixMillis) {
        self.offered.store(pack(day(now), self.offered_today(now).saturating_add(1)), Ordering::Relaxed);
        self.load.store(pack(step(now), self.load(now).saturating_add(1)), Ordering::Relaxed);
    }
}

/// The addresses and the site label of a peer, shared by all its leases.
#[derive(Debug, PartialEq, Eq)]
pub struct Contact {
    /// The addresses of the peer.
    pub location: Arc<Location>,
    /// The peer's site label.
    pub site: Option<Arc<str>>,
}

/// One account with the files that name it.
#[derive(Debug)]
pub(super) struct PeerEntry {
    record: Arc<Peer>,
    files: HashSet<FileHash>,
    staged: usize,
    v1_address: Option<Arc<V1Address>>,
    contact: Option<Arc<Contact>>,
}

/// The accounts of one shard.
#[derive(Debug, Default)]
pub(super) struct PeerShard {
    peers: HashMap<PeerId, PeerEntry>,
}

impl PeerShard {
    fn entry(&mut self, peer: PeerId) -> &mut PeerEntry {
        self.peers.entry(peer).or_insert_with(|| PeerEntry {
            record: Arc::new(Peer::new(peer)),
            files: HashSet::new(),
            staged: 0,
            v1_address: None,
            contact: None,
        })
    }
}

impl Swarm {
    /// The number of files of which the account has a live lease, a listing or an unfinished announce.
    pub fn files_of(&self, peer: PeerId) -> u64 {
        self.peer_shard(peer).peers.get(&peer).map_or(0, |entry| entry.files.len() as u64)
    }

    /// The hashes of those files, in no order.
    pub fn file_hashes_of(&self, peer: PeerId) -> Vec<FileHash> {
        self.peer_shard(peer).peers.get(&peer).map_or_else(Vec::new, |entry| entry.files.iter().copied().collect())
    }

    /// The address of a version 1 announcer in the index.
    pub fn v1_address(&self, peer: PeerId) -> Option<Arc<V1Address>> {
        self.peer_shard(peer).peers.get(&peer)?.v1_address.clone()
    }

    /// All version 1 announcers with their addresses.
    pub fn v1_addresses(&self) -> Vec<(PeerId, Arc<V1Address>)> {
        let mut all = Vec::new();
        for shard in &self.peers {
            let shard = lock(shard);
            all.extend(shard.peers.iter().filter_map(|(peer, e)| Some((*peer, Arc::clone(e.v1_address.as_ref()?)))));
        }
        all
    }

    /// Keeps the address of a version 1 announcer while it has files here; an address that is known already wins.
    pub(super) fn note_v1_address(&self, peer: PeerId, address: &Arc<V1Address>) -> Arc<V1Address> {
        let mut shard = self.peer_shard(peer);
        let entry = shard.entry(peer);
        Arc::clone(entry.v1_address.get_or_insert_with(|| Arc::clone(address)))
    }

    /// Notes that `peer` is named in `file`.
    pub(super) fn peer_joins(&self, peer: PeerId, file: FileHash) -> Result<Arc<Peer>, Full> {
        let mut shard = self.peer_shard(peer);
        let entry = shard.entry(peer);
        if !entry.files.contains(&file) && entry.files.len() >= self.limits.files_per_peer_max {
            return Err(Full::Account);
        }
        entry.files.insert(file);
        Ok(Arc::clone(&entry.record))
    }

    /// Notes that `peer` is no longer named in `file`.
    pub(super) fn peer_parts(&self, peer: PeerId, file: FileHash) {
        let mut shard = self.peer_shard(peer);
        if let Some(entry) = shard.peers.get_mut(&peer) {
            entry.files.remove(&file);
            if entry.files.is_empty() {
                shard.peers.remove(&peer);
            }
        }
    }

    /// Checks, before anything is written, that one more staged chunk fits the account's bounds.
    pub(super) fn peer_has_room(&self, peer: PeerId) -> Result<(), Full> {
        let shard = self.peer_shard(peer);
        let fits = |entry: &PeerEntry| {
            entry.staged < self.limits.staged_per_peer_max && entry.files.len() <= self.limits.files_per_peer_max
        };
        if shard.peers.get(&peer).is_none_or(fits) { Ok(()) } else { Err(Full::Account) }
    }

    /// The site label of the account's last announce.
    pub fn site_of(&self, peer: PeerId) -> Option<Arc<str>> {
        self.peer_shard(peer).peers.get(&peer)?.contact.as_ref()?.site.clone()
    }

    /// Keeps the contact of an account in the index, one for all its leases.
    pub(super) fn note_contact(&self, peer: PeerId, location: Arc<Location>, site: Option<Arc<str>>) -> Arc<Contact> {
        let contact = Contact { location, site };
        let mut shard = self.peer_shard(peer);
        let Some(entry) = shard.peers.get_mut(&peer) else { return Arc::new(contact) };
        match &entry.contact {
            Some(known) if **known == contact => Arc::clone(known),
            _ => Arc::clone(entry.contact.insert(Arc::new(contact))),
        }
    }

    /// Counts one more staged chunk.
    pub(super) fn peer_stages(&self, peer: PeerId) -> Result<(), Full> {
        let mut shard = self.peer_shard(peer);
        let entry = shard.entry(peer);
        if entry.staged >= self.limits.staged_per_peer_max {
            return Err(Full::Account);
        }
        entry.staged += 1;
        Ok(())
    }

    /// Counts `chunks` staged chunks fewer.
    pub(super) fn peer_unstages(&self, peer: PeerId, chunks: usize) {
        if let Some(entry) = self.peer_shard(peer).peers.get_mut(&peer) {
            entry.staged = entry.staged.saturating_sub(chunks);
        }
    }
}

/// The number of whole days since 1970-01-01 UTC.
fn day(now: UnixMillis) -> u32 {
    u32::try_from(now.0.div_euclid(24 * 3600 * 1000)).unwrap_or(0)
}

fn step(now: UnixMillis) -> u32 {
    u32::try_from(now.0.div_euclid(LOAD_HALVED_EVERY_MS)).unwrap_or(0)
}

fn pack(at: u32, count: u32) -> u64 {
    u64::from(at) << 32 | u64::from(count)
}

fn unpack(packed: u64) -> (u32, u32) {
    ((packed >> 32) as u32, packed as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::swarm::Limits;

    const DAY_MS: i64 = 24 * 3_600 * 1_000;
    const PEER: PeerId = PeerId([1; 16]);

    fn file(n: u8) -> FileHash {
        FileHash([n; 32])
    }

    fn at(ms: i64) -> UnixMillis {
        UnixMillis(20_000 * DAY_MS + ms)
    }

    #[test]
    fn namings_are_counted_until_midnight() {
        let peer = Peer::new(PEER);
        (0..3).for_each(|_| peer.note_offered(at(0)));
        for (ms, expected) in [(0, 3), (DAY_MS - 1, 3), (DAY_MS, 0), (-1, 0)] {
            assert_eq!(peer.offered_today(at(ms)), expected, "{ms}");
        }
        peer.note_offered(at(DAY_MS));
        assert_eq!(peer.offered_today(at(DAY_MS)), 1, "a new day counts from nothing");
    }

    #[test]
    fn load_is_halved_at_each_step() {
        let peer = Peer::new(PEER);
        (0..9).for_each(|_| peer.note_offered(at(0)));
        let step = LOAD_HALVED_EVERY_MS;
        for (ms, expected) in [(0, 9), (step - 1, 9), (step, 4), (2 * step, 2), (3 * step, 1), (4 * step, 0)] {
            assert_eq!(peer.load(at(ms)), expected, "{ms}");
        }
        assert_eq!(peer.load(at(1_000 * step)), 0, "after a long time");
        assert_eq!(peer.load(at(-step)), 9, "a clock that was set back");
        peer.note_offered(at(2 * step));
        assert_eq!((peer.load(at(2 * step)), peer.load(at(3 * step))), (3, 1));
    }

    #[test]
    fn an_account_is_named_in_a_bounded_number_of_files() {
        let swarm = Swarm::new(Limits { files_per_peer_max: 2, ..Limits::default() });
        let joins = |n| swarm.peer_joins(PEER, file(n)).map(drop);
        assert_eq!([joins(1), joins(2), joins(3)], [Ok(()), Ok(()), Err(Full::Account)]);
        assert_eq!(joins(1), Ok(()), "a file that names it already");
        let mut files = swarm.file_hashes_of(PEER);
        files.sort_unstable();
        assert_eq!(files, [file(1), file(2)]);
        swarm.peer_parts(PEER, file(1));
        assert_eq!((swarm.files_of(PEER), joins(3)), (1, Ok(())));
    }

    #[test]
    fn staged_chunks_of_an_account_are_bounded() {
        let swarm = Swarm::new(Limits { staged_per_peer_max: 2, ..Limits::default() });
        swarm.peer_joins(PEER, file(1)).expect("has room");
        for _ in 0..2 {
            assert_eq!((swarm.peer_has_room(PEER), swarm.peer_stages(PEER)), (Ok(()), Ok(())));
        }
        let full = Err(Full::Account);
        assert_eq!((swarm.peer_has_room(PEER), swarm.peer_stages(PEER)), (full, full));
        swarm.peer_unstages(PEER, 1);
        assert_eq!((swarm.peer_has_room(PEER), swarm.peer_stages(PEER)), (Ok(()), Ok(())));
    }

    #[test]
    fn all_leases_of_an_account_share_its_contact() {
        let swarm = Swarm::new(Limits::default());
        let note = |address: &str, site: Option<&str>| {
            swarm.note_contact(PEER, Arc::new(Location::plain(address)), site.map(Arc::from))
        };
        swarm.peer_joins(PEER, file(1)).expect("has room");
        let first = note("a:1", Some("lab"));
        assert!(Arc::ptr_eq(&first, &note("a:1", Some("lab"))), "the same contact is kept once");
        assert_eq!(swarm.site_of(PEER).as_deref(), Some("lab"));
        assert!(!Arc::ptr_eq(&first, &note("a:1", None)));
        assert_eq!(swarm.site_of(PEER), None);
        swarm.peer_parts(PEER, file(1));
        assert!(!Arc::ptr_eq(&note("a:1", None), &note("a:1", None)), "an account without files is not kept");
    }
}
