//! One shard of the index: files and the queue of their deadlines. Taking records out, in every way it can happen.

use std::collections::{BTreeSet, HashMap};

use peernet_engine::ids::{ChunkIndex, FileHash, PeerId};
use peernet_engine::time::UnixMillis;

use super::entry::{Departed, FileEntry, Held, Owner};
use super::{DEPARTED_GRACE, DEPARTED_MAX, STAGED_BYTES, Swarm, lock};
use crate::store::MANIFESTS_MAX;

/// Files of one shard. Invariant: each record has exactly one entry in `deadlines`, at its `queued_at` (departed: `until`).
#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) files: HashMap<FileHash, FileEntry>,
    pub(super) deadlines: BTreeSet<(UnixMillis, FileHash, Owner)>,
}

impl Shard {
    /// Moves a deadline; `from` is where it stood, if it did.
    pub(super) fn queue(&mut self, file: FileHash, owner: Owner, from: Option<UnixMillis>, to: UnixMillis) {
        if let Some(from) = from {
            self.deadlines.remove(&(from, file, owner));
        }
        self.deadlines.insert((to, file, owner));
    }
}

impl Swarm {
    /// Ends every lease whose time has come; returns how many ended.
    pub fn expire(&self, now: UnixMillis) -> usize {
        self.shards.iter().map(|shard| self.expire_shard(&mut lock(shard), now)).sum()
    }

    fn expire_shard(&self, shard: &mut Shard, now: UnixMillis) -> usize {
        let mut ended = 0;
        while shard.deadlines.first().is_some_and(|(at, _, _)| *at <= now) {
            let Some((_, file, owner)) = shard.deadlines.pop_first() else { break };
            ended += usize::from(self.drop_record(shard, now, file, owner));
        }
        ended
    }

    /// Ends a peer's leases and listings: of `files`, or of all. Returns how many files it was named in.
    pub fn leave(&self, now: UnixMillis, peer: PeerId, files: Option<&[FileHash]>) -> u64 {
        let files = files.map_or_else(|| self.file_hashes_of(peer), <[FileHash]>::to_vec);
        files.into_iter().map(|file| u64::from(self.leave_file(now, peer, file))).sum()
    }

    fn leave_file(&self, now: UnixMillis, peer: PeerId, file: FileHash) -> bool {
        let mut shard = self.shard(file);
        let Some(entry) = shard.files.get(&file) else { return false };
        let mut owners: Vec<Owner> = Vec::new();
        owners.extend(entry.listings.contains_key(&peer).then_some(Owner::Listing(peer)));
        owners.extend(entry.staging.keys().filter(|(p, _)| *p == peer).map(|(_, total)| Owner::Staging(peer, *total)));
        let holds = entry.manifests.iter().filter(|(_, m)| m.holders.contains_key(&peer));
        owners.extend(holds.map(|(id, _)| Owner::Holder(peer, *id)));
        let named = !owners.is_empty();
        for owner in owners {
            self.drop_record(&mut shard, now, file, owner);
        }
        named
    }

    /// Takes one record out, gives its room back, remembers a holder for a while. True if it was a lease or a listing.
    pub(super) fn drop_record(&self, shard: &mut Shard, now: UnixMillis, file: FileHash, owner: Owner) -> bool {
        let Some(entry) = shard.files.get_mut(&file) else { return false };
        let (queued_at, departed) = match owner {
            Owner::Holder(peer, manifest) => self.drop_holder(entry, peer, manifest),
            Owner::Listing(peer) => self.drop_listing(entry, peer),
            Owner::Staging(peer, total) => (self.drop_staging(entry, peer, total), None),
            Owner::Departed(peer) => (self.forget(entry, peer), None),
        };
        if let Some(at) = queued_at {
            shard.deadlines.remove(&(at, file, owner));
        }
        let ended = departed.is_some();
        if let Some((peer, held, chunks)) = departed {
            let until = now.plus(DEPARTED_GRACE);
            self.remember(shard, file, Departed { peer, held, chunks, until });
        }
        self.settle_names(shard, file, owner);
        ended
    }

    fn drop_holder(
        &self,
        entry: &mut FileEntry,
        peer: PeerId,
        manifest: peernet_engine::ids::ManifestId,
    ) -> (Option<UnixMillis>, Option<(PeerId, Held, u32)>) {
        let Some(m) = entry.manifests.get_mut(&manifest) else { return (None, None) };
        let Some(holder) = m.holders.remove(&peer) else { return (None, None) };
        self.usage.free(1, holder.held.bytes());
        let chunks = m.meta.as_ref().map_or(u32::MAX, |meta| meta.chunks);
        if m.holders.is_empty() && entry.manifests.len() > MANIFESTS_MAX {
            entry.manifests.remove(&manifest);
        }
        (Some(holder.queued_at), Some((peer, holder.held, chunks)))
    }

    fn drop_listing(&self, entry: &mut FileEntry, peer: PeerId) -> (Option<UnixMillis>, Option<(PeerId, Held, u32)>) {
        let Some(listing) = entry.listings.remove(&peer) else { return (None, None) };
        self.usage.free(1, listing.hashes.len() * 32);
        let chunks = u32::try_from(listing.hashes.len()).unwrap_or(u32::MAX);
        (Some(listing.queued_at), Some((peer, Held::Complete, chunks)))
    }

    pub(super) fn drop_staging(&self, entry: &mut FileEntry, peer: PeerId, total: u32) -> Option<UnixMillis> {
        let staging = entry.staging.remove(&(peer, total))?;
        self.usage.free(1, staging.hashes.len() * STAGED_BYTES);
        self.peer_unstages(peer, staging.hashes.len());
        Some(staging.queued_at)
    }

    /// After a record went: the peer's own list, and the file's entry if nothing is left of it.
    fn settle_names(&self, shard: &mut Shard, file: FileHash, owner: Owner) {
        let Some(entry) = shard.files.get(&file) else { return };
        let (Owner::Holder(peer, _) | Owner::Listing(peer) | Owner::Staging(peer, _) | Owner::Departed(peer)) = owner;
        if !entry.names(peer) {
            self.peer_parts(peer, file);
        }
        if entry.is_idle() {
            shard.files.remove(&file);
        }
    }

    fn forget(&self, entry: &mut FileEntry, peer: PeerId) -> Option<UnixMillis> {
        let at = entry.departed.iter().position(|d| d.peer == peer)?;
        let departed = entry.departed.swap_remove(at);
        self.usage.free(1, departed.held.bytes());
        Some(departed.until)
    }

    /// Keeps a departed holder in mind, in place of what was known of it before or of the oldest; not where the index is full.
    fn remember(&self, shard: &mut Shard, file: FileHash, departed: Departed) {
        let Some(entry) = shard.files.get_mut(&file) else { return };
        let known = entry.departed.iter().find(|d| d.peer == departed.peer);
        let oldest = entry.departed.iter().min_by_key(|d| d.until).filter(|_| entry.departed.len() >= DEPARTED_MAX);
        if let Some(peer) = known.or(oldest).map(|d| d.peer) {
            let at = self.forget(entry, peer);
            at.map(|at| shard.deadlines.remove(&(at, file, Owner::Departed(peer))));
        }
        if self.usage.take(&self.limits, 1, departed.held.bytes()).is_ok() {
            shard.deadlines.insert((departed.until, file, Owner::Departed(departed.peer)));
            entry.departed.push(departed);
        }
    }

    /// Whether `peer` holds chunk `index` of `file` by a live lease, or did until a moment ago.
    pub fn holds(&self, now: UnixMillis, peer: PeerId, file: FileHash, index: ChunkIndex) -> bool {
        let shard = self.shard(file);
        let Some(entry) = shard.files.get(&file) else { return false };
        let leased = entry.manifests.values().any(|m| {
            let in_range = m.meta.as_ref().is_none_or(|meta| index.0 < meta.chunks);
            in_range && m.holders.get(&peer).is_some_and(|h| h.expires_at > now && h.held.contains(index))
        });
        let listed =
            entry.listings.get(&peer).is_some_and(|l| l.expires_at > now && (index.0 as usize) < l.hashes.len());
        let departed = |d: &Departed| d.peer == peer && d.until > now && index.0 < d.chunks && d.held.contains(index);
        leased || listed || entry.departed.iter().any(departed)
    }
}
