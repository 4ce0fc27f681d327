//! What the index knows per account: which files it is named in, and a version 1 announcer's address.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;

use super::entry::V1Address;
use super::{Full, Swarm};

/// One account.
#[derive(Debug, Default)]
pub(super) struct PeerEntry {
    files: HashSet<FileHash>,
    staged: usize,
    v1_address: Option<Arc<V1Address>>,
    site: Option<Arc<str>>,
    /// The day, and how often it was named on it.
    offered: (i64, u32),
}

/// Accounts of one shard.
#[derive(Debug, Default)]
pub(super) struct PeerShard {
    peers: HashMap<PeerId, PeerEntry>,
}

impl Swarm {
    /// How many files the account has a live lease, a listing or an unfinished announce of.
    pub fn files_of(&self, peer: PeerId) -> u64 {
        self.peer_shard(peer).peers.get(&peer).map_or(0, |entry| entry.files.len() as u64)
    }

    /// Which those are, in no order.
    pub fn file_hashes_of(&self, peer: PeerId) -> Vec<FileHash> {
        self.peer_shard(peer).peers.get(&peer).map_or_else(Vec::new, |entry| entry.files.iter().copied().collect())
    }

    /// The address of a version 1 announcer that is in the index.
    pub fn v1_address(&self, peer: PeerId) -> Option<Arc<V1Address>> {
        self.peer_shard(peer).peers.get(&peer)?.v1_address.clone()
    }

    /// Every version 1 announcer and its address.
    pub fn v1_addresses(&self) -> Vec<(PeerId, Arc<V1Address>)> {
        let mut all = Vec::new();
        for shard in &self.peers {
            let shard = super::lock(shard);
            all.extend(shard.peers.iter().filter_map(|(peer, e)| Some((*peer, Arc::clone(e.v1_address.as_ref()?)))));
        }
        all
    }

    /// Remembers a version 1 announcer's address while it has files here; the one known already wins.
    pub(super) fn note_v1_address(&self, peer: PeerId, address: &Arc<V1Address>) -> Arc<V1Address> {
        let mut shard = self.peer_shard(peer);
        let entry = shard.peers.entry(peer).or_default();
        Arc::clone(entry.v1_address.get_or_insert_with(|| Arc::clone(address)))
    }

    /// Notes that `peer` is named in `file`.
    pub(super) fn peer_joins(&self, peer: PeerId, file: FileHash) -> Result<(), Full> {
        let mut shard = self.peer_shard(peer);
        let entry = shard.peers.entry(peer).or_default();
        if !entry.files.contains(&file) && entry.files.len() >= self.limits.files_per_peer_max {
            return Err(Full::Account);
        }
        entry.files.insert(file);
        Ok(())
    }

    /// Notes that it no longer is.
    pub(super) fn peer_parts(&self, peer: PeerId, file: FileHash) {
        let mut shard = self.peer_shard(peer);
        if let Some(entry) = shard.peers.get_mut(&peer) {
            entry.files.remove(&file);
            if entry.files.is_empty() {
                shard.peers.remove(&peer);
            }
        }
    }

    /// Whether one more staged chunk fits the account's bounds, by what is known before it is written.
    pub(super) fn peer_has_room(&self, peer: PeerId) -> Result<(), Full> {
        let shard = self.peer_shard(peer);
        let fits = |entry: &PeerEntry| {
            entry.staged < self.limits.staged_per_peer_max && entry.files.len() <= self.limits.files_per_peer_max
        };
        if shard.peers.get(&peer).is_none_or(fits) { Ok(()) } else { Err(Full::Account) }
    }

    /// The site label the account last announced with.
    pub fn site_of(&self, peer: PeerId) -> Option<Arc<str>> {
        self.peer_shard(peer).peers.get(&peer)?.site.clone()
    }

    pub(super) fn note_site(&self, peer: PeerId, site: Option<&Arc<str>>) {
        if let Some(entry) = self.peer_shard(peer).peers.get_mut(&peer) {
            entry.site = site.cloned();
        }
    }

    /// How often the account was named to anyone on this day.
    pub fn offered_today(&self, now: UnixMillis, peer: PeerId) -> u32 {
        let shard = self.peer_shard(peer);
        let offered = shard.peers.get(&peer).map_or((0, 0), |entry| entry.offered);
        if offered.0 == day(now) { offered.1 } else { 0 }
    }

    /// Counts that it was named once more.
    pub fn note_offered(&self, now: UnixMillis, peer: PeerId) {
        if let Some(entry) = self.peer_shard(peer).peers.get_mut(&peer) {
            let before = if entry.offered.0 == day(now) { entry.offered.1 } else { 0 };
            entry.offered = (day(now), before.saturating_add(1));
        }
    }

    /// Counts one more staged chunk.
    pub(super) fn peer_stages(&self, peer: PeerId) -> Result<(), Full> {
        let mut shard = self.peer_shard(peer);
        let entry = shard.peers.entry(peer).or_default();
        if entry.staged >= self.limits.staged_per_peer_max {
            return Err(Full::Account);
        }
        entry.staged += 1;
        Ok(())
    }

    /// Counts `chunks` fewer.
    pub(super) fn peer_unstages(&self, peer: PeerId, chunks: usize) {
        if let Some(entry) = self.peer_shard(peer).peers.get_mut(&peer) {
            entry.staged = entry.staged.saturating_sub(chunks);
        }
    }
}

/// Whole days since 1970.
fn day(now: UnixMillis) -> i64 {
    now.0.div_euclid(24 * 3600 * 1000)
}
