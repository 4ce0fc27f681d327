//! Version 1 announces in the index: one chunk per call, staged until every chunk of the file is there, and only then
//! listed.
//!
//! Operations write before they change the index: [`Swarm::v1_next`] returns what to write, and [`Swarm::v1_staged`] or
//! [`Swarm::v1_sealed`] is called after the commit. The chunk that completes a file is the one exception. It is staged
//! before the commit, because only the seal can follow.

use std::sync::Arc;

use peernet_engine::ids::{ChunkHash, FileHash, PeerId};
use peernet_engine::lease::{AnnounceForm, lease_length, lease_until};
use peernet_engine::time::UnixMillis;

use super::V1Chunk;
use super::entry::{FileEntry, HashesDigest, Listing, Owner, Staging, V1Address};
use super::index::Shard;
use super::peers::Peer;
use super::{Full, STAGED_BYTES, STAGINGS_MAX, Swarm, V1_RENEWAL_MIN};
use crate::store::V1Listing;

/// The next step for one announced chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum V1Step {
    /// The chunk is known and its lease is fresh: answer at once.
    Unchanged,
    /// Write the chunk as staged, then call [`Swarm::v1_staged`].
    Stage,
    /// The chunk completes or renews the file: write this listing durably, then call [`Swarm::v1_sealed`].
    Seal(Box<V1Listing>),
}

impl Swarm {
    /// Returns what to write for an announced chunk. `address` is the registered address of the announcer.
    pub fn v1_next(&self, now: UnixMillis, chunk: &V1Chunk, address: &Arc<V1Address>) -> Result<V1Step, Full> {
        let mut shard = self.shard(chunk.file_hash);
        match next_step(now, shard.files.get(&chunk.file_hash).map(AsRef::as_ref), chunk) {
            Next::Unchanged => Ok(V1Step::Unchanged),
            Next::Renew(listing) => Ok(V1Step::Seal(listing)),
            Next::Stage => self.room_for_one(chunk.peer).map(|()| V1Step::Stage),
            Next::Complete => {
                self.stage(&mut shard, now, chunk, address)?;
                Ok(whole(&shard, now, chunk).map_or(V1Step::Stage, V1Step::Seal))
            }
        }
    }

    /// Checks the bounds before anything is written.
    fn room_for_one(&self, peer: PeerId) -> Result<(), Full> {
        self.usage.take(&self.limits, 1, STAGED_BYTES)?;
        self.usage.free(1, STAGED_BYTES);
        self.peer_has_room(peer)
    }

    /// Adds a staged chunk after its commit. Returns the listing to seal if the file is complete now.
    pub fn v1_staged(
        &self,
        now: UnixMillis,
        chunk: &V1Chunk,
        address: &Arc<V1Address>,
    ) -> Result<Option<Box<V1Listing>>, Full> {
        let mut shard = self.shard(chunk.file_hash);
        if self.amend(&mut shard, chunk) {
            return Ok(None);
        }
        self.stage(&mut shard, now, chunk, address)?;
        Ok(whole(&shard, now, chunk))
    }

    /// Adds a complete listing after its commit: lookups show it from now on.
    pub fn v1_sealed(&self, now: UnixMillis, stored: V1Listing, address: &Arc<V1Address>) -> Result<(), Full> {
        let peer = stored.peer;
        let file = stored.file_hash;
        let total = u32::try_from(stored.chunk_hashes.len()).unwrap_or(u32::MAX);
        let digest = HashesDigest::of(&stored.chunk_hashes);
        let mut shard = self.shard(file);
        if let Some(entry) = shard.files.get_mut(&file) {
            self.drop_staging(entry, peer, total);
        }
        let renewed = shard.files.get(&file).and_then(|e| e.v1.listings.get(&peer)).filter(|l| l.digest == digest);
        let known = renewed.map(|listing| Arc::clone(&listing.peer));
        let record = match known {
            Some(record) => record,
            None => {
                let made = self.make_room_for_listing(&mut shard, &stored);
                made.inspect_err(|_| self.tidy(&mut shard, peer, file))?
            }
        };
        let address = self.note_v1_address(peer, address);
        address.set_reachable(true);
        publish(&mut shard, now, stored, digest, Announcer { record, address });
        Ok(())
    }

    fn make_room_for_listing(&self, shard: &mut Shard, stored: &V1Listing) -> Result<Arc<Peer>, Full> {
        if let Some(entry) = shard.files.get_mut(&stored.file_hash) {
            self.drop_listing(entry, stored.peer);
        }
        self.usage.take(&self.limits, 1, stored.chunk_hashes.len() * 32)?;
        self.peer_joins(stored.peer, stored.file_hash)
            .inspect_err(|_| self.usage.free(1, stored.chunk_hashes.len() * 32))
    }

    /// Replaces the hash of one chunk in a listing whose announcer states another one. Its last statement counts.
    fn amend(&self, shard: &mut Shard, chunk: &V1Chunk) -> bool {
        let Some(entry) = shard.files.get_mut(&chunk.file_hash) else { return false };
        let listing = entry.v1.listings.get_mut(&chunk.peer);
        let Some(listing) = listing.filter(|l| l.hashes.len() == chunk.total_chunks as usize) else { return false };
        let mut hashes = listing.hashes.to_vec();
        hashes[chunk.index as usize] = chunk.chunk_hash;
        listing.digest = HashesDigest::of(&hashes);
        listing.hashes = hashes.into();
        // The listing now serves other manifests, which a plan shows.
        entry.version += 1;
        true
    }

    fn stage(&self, shard: &mut Shard, now: UnixMillis, chunk: &V1Chunk, address: &Arc<V1Address>) -> Result<(), Full> {
        let peer = chunk.peer;
        let file = chunk.file_hash;
        let total = chunk.total_chunks;
        self.make_room(shard, now, chunk);
        self.peer_joins(peer, file)?;
        self.note_v1_address(peer, address);
        let entry = shard.files.entry(file).or_default();
        let staged = &entry.v1.staging;
        let is_new = !staged.contains_key(&(peer, total));
        let known = staged.get(&(peer, total)).is_some_and(|s| s.hashes.contains_key(&chunk.index));
        if let Err(full) = self.count_staged(peer, is_new, known) {
            self.tidy(shard, peer, file);
            return Err(full);
        }
        let staging = entry.v1.staging.entry((peer, total)).or_default();
        staging.hashes.insert(chunk.index, chunk.chunk_hash);
        staging.name.clone_from(&chunk.file_name);
        staging.expires_at = staging.expires_at.max(chunk.expires_at);
        Ok(())
    }

    fn count_staged(&self, peer: PeerId, is_new: bool, known: bool) -> Result<(), Full> {
        let leases = usize::from(is_new);
        let bytes = if known { 0 } else { STAGED_BYTES };
        self.usage.take(&self.limits, leases, bytes)?;
        if known {
            return Ok(());
        }
        self.peer_stages(peer).inspect_err(|_| self.usage.free(leases, bytes))
    }

    /// Removes the oldest of too many unfinished announces of a file by a peer, to make room for one more.
    fn make_room(&self, shard: &mut Shard, now: UnixMillis, chunk: &V1Chunk) {
        let Some(entry) = shard.files.get(&chunk.file_hash) else { return };
        let mine = || entry.v1.staging.iter().filter(|((peer, _), _)| *peer == chunk.peer);
        let known = entry.v1.staging.contains_key(&(chunk.peer, chunk.total_chunks));
        if known || mine().count() < STAGINGS_MAX {
            return;
        }
        let oldest = mine().min_by_key(|(_, staging)| staging.expires_at).map(|((peer, total), _)| (*peer, *total));
        if let Some((peer, total)) = oldest {
            self.drop_record(shard, now, chunk.file_hash, Owner::Staging(peer, total));
        }
    }

    /// After a refusal: removes an entry that names no peer.
    fn tidy(&self, shard: &mut Shard, peer: PeerId, file: FileHash) {
        let Some(entry) = shard.files.get(&file) else { return };
        if !entry.names(peer) {
            self.peer_parts(peer, file);
        }
        if entry.is_idle() {
            shard.files.remove(&file);
        }
    }
}

enum Next {
    Unchanged,
    Stage,
    Renew(Box<V1Listing>),
    Complete,
}

fn next_step(now: UnixMillis, entry: Option<&FileEntry>, chunk: &V1Chunk) -> Next {
    let total = chunk.total_chunks as usize;
    let listing = entry.and_then(|e| e.v1.listings.get(&chunk.peer)).filter(|l| l.hashes.len() == total);
    if let Some(listing) = listing {
        let fresh_until = now.plus(lease_length(AnnounceForm::PerChunk).saturating_sub(V1_RENEWAL_MIN));
        return match listing.hashes.get(chunk.index as usize) == Some(&chunk.chunk_hash) {
            true if listing.expires_at >= fresh_until => Next::Unchanged,
            true => Next::Renew(Box::new(listing.to_stored(now, chunk.peer, chunk.file_hash))),
            false => Next::Stage,
        };
    }
    let staging = entry.and_then(|e| e.v1.staging.get(&(chunk.peer, chunk.total_chunks)));
    let known = staging.and_then(|s| s.hashes.get(&chunk.index));
    let staged = staging.map_or(0, |s| s.hashes.len()) + usize::from(known.is_none());
    match known {
        _ if staged >= total => Next::Complete,
        Some(hash) if *hash == chunk.chunk_hash => Next::Unchanged,
        _ => Next::Stage,
    }
}

/// The account behind a version 1 listing, and its registered address.
struct Announcer {
    record: Arc<Peer>,
    address: Arc<V1Address>,
}

/// Puts a listing into the file's entry, in place of an earlier one of the same account.
fn publish(shard: &mut Shard, now: UnixMillis, stored: V1Listing, digest: HashesDigest, announcer: Announcer) {
    let Announcer { record, address } = announcer;
    let entry = shard.files.entry(stored.file_hash).or_default();
    entry.version += 1;
    let hashes = entry.shared_hashes(digest, stored.chunk_hashes);
    let earlier = entry.v1.listings.get(&stored.peer);
    let created_at = earlier.map_or(stored.created_at, |listing| listing.created_at);
    if entry.name.is_empty() {
        entry.name = stored.file_name.as_str().into();
    }
    let listing = Listing {
        peer: record,
        address,
        hashes,
        digest,
        name: stored.file_name,
        created_at,
        expires_at: stored.expires_at.max(now),
    };
    entry.v1.listings.insert(stored.peer, listing);
}

fn whole(shard: &Shard, now: UnixMillis, chunk: &V1Chunk) -> Option<Box<V1Listing>> {
    let staging = shard.files.get(&chunk.file_hash)?.v1.staging.get(&(chunk.peer, chunk.total_chunks))?;
    staging.to_listing(now, chunk.peer, chunk.file_hash, chunk.total_chunks).map(Box::new)
}

impl Staging {
    /// The listing of a staged file; `None` while a chunk is missing.
    pub(super) fn to_listing(
        &self,
        now: UnixMillis,
        peer: PeerId,
        file_hash: FileHash,
        total: u32,
    ) -> Option<V1Listing> {
        (self.hashes.len() == total as usize).then(|| V1Listing {
            peer,
            file_hash,
            file_name: self.name.clone(),
            chunk_hashes: self.hashes.values().copied().collect::<Vec<ChunkHash>>(),
            expires_at: lease_until(now, AnnounceForm::PerChunk),
            created_at: now,
        })
    }
}

impl Listing {
    /// The listing with a new lease, as the store keeps it.
    fn to_stored(&self, now: UnixMillis, peer: PeerId, file_hash: FileHash) -> V1Listing {
        V1Listing {
            peer,
            file_hash,
            file_name: self.name.clone(),
            chunk_hashes: self.hashes.to_vec(),
            expires_at: lease_until(now, AnnounceForm::PerChunk),
            created_at: self.created_at,
        }
    }
}
