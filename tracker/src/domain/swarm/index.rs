//! One shard of the index: files by their hash, and every way in which a record is removed.
//!
//! There is no queue of deadlines. Readers skip expired records, and the thread "swarm" walks over all files every few
//! seconds to remove them. That costs less memory than a queue.

use std::collections::HashMap;

use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId, PeerId};
use peernet_engine::lease::{AnnounceForm, is_live, lease_until};
use peernet_engine::plan::Held;
use peernet_engine::time::UnixMillis;

use super::entry::{Departed, FileEntry, ManifestEntry, Owner};
use super::{DEPARTED_GRACE, DEPARTED_MAX, STAGED_BYTES, Swarm};
use crate::base::sync::lock;
use crate::store::MANIFESTS_MAX;

/// The files of one shard.
#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) files: HashMap<FileHash, Box<FileEntry>>,
}

/// A removed lease or listing: its holder, the chunks that it held, and the number of chunks of the file. `None` for a
/// record from which nothing was served.
pub(super) type Ended = Option<(PeerId, Held, u32)>;

impl Swarm {
    /// Removes expired records. Returns how many of them were leases or listings.
    pub fn expire(&self, now: UnixMillis) -> usize {
        self.shards.iter().map(|shard| self.expire_shard(&mut lock(shard), now)).sum()
    }

    fn expire_shard(&self, shard: &mut Shard, now: UnixMillis) -> usize {
        let mut due: Vec<(FileHash, Owner)> = Vec::new();
        for (file, entry) in &shard.files {
            entry.overdue(now, &mut |owner| due.push((*file, owner)));
        }
        due.into_iter().filter(|(file, owner)| self.drop_record(shard, now, *file, *owner)).count()
    }

    /// Removes a peer's leases and listings: of `files`, or of all files. Returns the number of files that it was named
    /// in.
    pub fn leave(&self, now: UnixMillis, peer: PeerId, files: Option<&[FileHash]>) -> u64 {
        self.leave_before(now, peer, files, None)
    }

    /// The same for what was announced at `announced_by` or before.
    pub(crate) fn leave_before(
        &self,
        now: UnixMillis,
        peer: PeerId,
        files: Option<&[FileHash]>,
        announced_by: Option<UnixMillis>,
    ) -> u64 {
        let files = files.map_or_else(|| self.file_hashes_of(peer), <[FileHash]>::to_vec);
        files.into_iter().map(|file| u64::from(self.leave_file(now, peer, file, announced_by))).sum()
    }

    fn leave_file(&self, now: UnixMillis, peer: PeerId, file: FileHash, announced_by: Option<UnixMillis>) -> bool {
        let mut shard = self.shard(file);
        let Some(entry) = shard.files.get(&file) else { return false };
        let until = |form| announced_by.map_or(UnixMillis(i64::MAX), |by| lease_until(by, form));
        let leases_until = until(AnnounceForm::PerFile);
        let listings_until = until(AnnounceForm::PerChunk);
        let mut owners: Vec<Owner> = Vec::new();
        let listing = entry.v1.listings.get(&peer).filter(|listing| listing.expires_at <= listings_until);
        owners.extend(listing.map(|_| Owner::Listing(peer)));
        let staged = entry.v1.staging.iter().filter(|((p, _), s)| *p == peer && s.expires_at <= listings_until);
        owners.extend(staged.map(|((_, total), _)| Owner::Staging(peer, *total)));
        let holds = |m: &&ManifestEntry| m.holders.get(peer).is_some_and(|holder| holder.expires_at <= leases_until);
        owners.extend(entry.manifests.iter().filter(holds).map(|m| Owner::Holder(peer, m.id)));
        let named = !owners.is_empty();
        for owner in owners {
            self.drop_record(&mut shard, now, file, owner);
        }
        named
    }

    /// Removes every lease, listing and staged announce of a file. Returns how many were leases or listings.
    pub fn withdraw(&self, now: UnixMillis, file: FileHash) -> usize {
        let mut shard = self.shard(file);
        let Some(entry) = shard.files.get(&file) else { return 0 };
        let mut all = Vec::new();
        entry.overdue(UnixMillis(i64::MAX), &mut |owner| all.push(owner));
        // A holder that departed before the withdrawal keeps what it has earned.
        all.retain(|owner| !matches!(owner, Owner::Departed(_)));
        all.into_iter().filter(|owner| self.drop_record(&mut shard, now, file, *owner)).count()
    }

    /// Removes one record, releases its memory, and remembers its holder for a while. Returns whether it was a lease or
    /// a listing.
    pub(super) fn drop_record(&self, shard: &mut Shard, now: UnixMillis, file: FileHash, owner: Owner) -> bool {
        let Some(entry) = shard.files.get_mut(&file) else { return false };
        let ended = match owner {
            Owner::Holder(peer, manifest) => self.drop_holder(entry, peer, manifest),
            Owner::Listing(peer) => self.drop_listing(entry, peer),
            Owner::Staging(peer, total) => {
                self.drop_staging(entry, peer, total);
                None
            }
            Owner::Departed(peer) => {
                self.forget(entry, peer);
                None
            }
        };
        let was_held = ended.is_some();
        if let Some((peer, held, chunks)) = ended {
            entry.version += 1;
            self.remember(entry, Departed { peer, held, chunks, until: now.plus(DEPARTED_GRACE) });
        }
        self.forget_names(shard, file, owner);
        was_held
    }

    fn drop_holder(&self, entry: &mut FileEntry, peer: PeerId, manifest: ManifestId) -> Ended {
        let known = entry.manifests.len();
        let m = entry.manifest_mut(manifest)?;
        let holder = m.holders.remove(peer)?;
        self.usage.free(1, holder.held.bytes());
        let chunks = m.meta.as_ref().map_or(u32::MAX, |meta| meta.chunks);
        if m.holders.is_empty() && known > MANIFESTS_MAX {
            entry.manifests.retain(|m| m.id != manifest);
        }
        Some((peer, holder.held, chunks))
    }

    pub(super) fn drop_listing(&self, entry: &mut FileEntry, peer: PeerId) -> Ended {
        let listing = entry.v1.listings.remove(&peer)?;
        self.usage.free(1, listing.hashes.len() * 32);
        let chunks = u32::try_from(listing.hashes.len()).unwrap_or(u32::MAX);
        Some((peer, Held::Complete, chunks))
    }

    pub(super) fn drop_staging(&self, entry: &mut FileEntry, peer: PeerId, total: u32) {
        if let Some(staging) = entry.v1.staging.remove(&(peer, total)) {
            self.usage.free(1, staging.hashes.len() * STAGED_BYTES);
            self.peer_unstages(peer, staging.hashes.len());
        }
    }

    /// After a removal: updates the list of the peer's files, and removes the file if nothing is left of it.
    fn forget_names(&self, shard: &mut Shard, file: FileHash, owner: Owner) {
        let Some(entry) = shard.files.get(&file) else { return };
        let (Owner::Holder(peer, _) | Owner::Listing(peer) | Owner::Staging(peer, _) | Owner::Departed(peer)) = owner;
        if !entry.names(peer) {
            self.peer_parts(peer, file);
        }
        if entry.is_idle() {
            shard.files.remove(&file);
        }
    }

    fn forget(&self, entry: &mut FileEntry, peer: PeerId) {
        if let Some(at) = entry.departed.iter().position(|d| d.peer == peer) {
            let departed = entry.departed.swap_remove(at);
            self.usage.free(1, departed.held.bytes());
        }
    }

    /// Remembers a departed holder in place of its earlier record or of the oldest one, unless the index is full.
    fn remember(&self, entry: &mut FileEntry, departed: Departed) {
        let known = entry.departed.iter().find(|d| d.peer == departed.peer);
        let oldest = entry.departed.iter().min_by_key(|d| d.until).filter(|_| entry.departed.len() >= DEPARTED_MAX);
        if let Some(peer) = known.or(oldest).map(|d| d.peer) {
            self.forget(entry, peer);
        }
        if self.usage.take(&self.limits, 1, departed.held.bytes()).is_ok() {
            entry.departed.push(departed);
        }
    }

    /// Returns whether `peer` holds chunk `index` of `file` by a live lease, or did until a moment ago.
    pub fn holds(&self, now: UnixMillis, peer: PeerId, file: FileHash, index: ChunkIndex) -> bool {
        let shard = self.shard(file);
        let Some(entry) = shard.files.get(&file) else { return false };
        let leased = entry.manifests.iter().any(|m| {
            let in_range = m.meta.as_ref().is_none_or(|meta| index.0 < meta.chunks);
            in_range && m.holders.get(peer).is_some_and(|h| is_live(h.expires_at, now) && h.held.contains(index))
        });
        let listing = entry.v1.listings.get(&peer);
        let listed = listing.is_some_and(|l| is_live(l.expires_at, now) && (index.0 as usize) < l.hashes.len());
        let departed = |d: &Departed| d.peer == peer && d.until > now && index.0 < d.chunks && d.held.contains(index);
        leased || listed || entry.departed.iter().any(departed)
    }
}

impl FileEntry {
    /// Calls `each` with the key of every expired record. Departed holders come first: the end of a lease puts a new
    /// record in the place of its holder's former one, and that record must stay.
    fn overdue(&self, now: UnixMillis, each: &mut impl FnMut(Owner)) {
        let departed = self.departed.iter().filter(|departed| !is_live(departed.until, now));
        departed.for_each(|departed| each(Owner::Departed(departed.peer)));
        for m in &self.manifests {
            let due = m.holders.iter().filter(|(_, holder)| !is_live(holder.expires_at, now));
            due.for_each(|(peer, _)| each(Owner::Holder(peer.id, m.id)));
        }
        let listings = self.v1.listings.iter().filter(|(_, listing)| !is_live(listing.expires_at, now));
        listings.for_each(|(peer, _)| each(Owner::Listing(*peer)));
        let staging = self.v1.staging.iter().filter(|(_, staging)| !is_live(staging.expires_at, now));
        staging.for_each(|((peer, total), _)| each(Owner::Staging(*peer, *total)));
    }
}
