//! Version 2 announces: the whole truth about one manifest, leased and idempotent.

use std::sync::Arc;

use peernet_engine::ids::{FileHash, ManifestId, PeerId};
use peernet_engine::lease::{AnnounceForm, lease_length, lease_until};
use peernet_engine::time::UnixMillis;

use super::entry::{FileEntry, Held, ManifestMeta};
use super::holders::Holder;
use super::index::Shard;
use super::peers::Peer;
use super::{Full, MANIFESTS_PER_PEER_MAX, Reach, Swarm};
use crate::store::MANIFESTS_MAX;

/// What one peer says of one manifest.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Who.
    pub peer: PeerId,
    /// The file.
    pub file_hash: FileHash,
    /// Its manifest.
    pub manifest_id: ManifestId,
    /// `None` after a restart, until someone asks.
    pub meta: Option<ManifestMeta>,
    /// What the manifest calls the file.
    pub file_name: String,
    /// Where the announcer answers.
    pub reach: Reach,
    /// The announcer's label.
    pub site: Option<Arc<str>>,
    /// Which chunks.
    pub held: Held,
    /// Whether the announcer is of the tiers that plans name first.
    pub trusted: bool,
}

impl Swarm {
    /// Whether the log must hear of this announce: it says something new, or what the log knows runs out before the
    /// renewal after next.
    pub fn must_be_stored(&self, now: UnixMillis, lease: &Lease) -> bool {
        let shard = self.shard(lease.file_hash);
        let Some(holder) = holder(&shard, lease) else { return true };
        says_new(holder, lease) || holder.stored_until < now.plus(lease_length(AnnounceForm::PerFile) / 2)
    }

    /// A manifest's sizes, where the index knows them.
    pub fn meta_of(&self, file: FileHash, manifest: ManifestId) -> Option<ManifestMeta> {
        self.shard(file).files.get(&file)?.manifest(manifest)?.meta.clone()
    }

    /// Refuses early, before anything is written, what `announce` would refuse.
    pub fn admits(&self, lease: &Lease) -> Result<(), Full> {
        let shard = self.shard(lease.file_hash);
        one_more(&shard, lease)?;
        let before = holder(&shard, lease);
        let (leases, bytes) = (usize::from(before.is_none()), lease.held.bytes());
        self.usage.take(&self.limits, leases, bytes)?;
        self.usage.free(leases, bytes);
        Ok(())
    }

    /// Inserts or renews a lease. `stored_until` says what the log knows, where it was written just now.
    pub fn announce(&self, now: UnixMillis, lease: Lease, stored_until: Option<UnixMillis>) -> Result<(), Full> {
        self.hold(lease, lease_until(now, AnnounceForm::PerFile), stored_until)
    }

    /// Inserts or replaces a lease that ends at `expires_at`.
    pub(super) fn hold(
        &self,
        lease: Lease,
        expires_at: UnixMillis,
        stored_until: Option<UnixMillis>,
    ) -> Result<(), Full> {
        let mut shard = self.shard(lease.file_hash);
        one_more(&shard, &lease)?;
        let before = holder(&shard, &lease);
        let says_new = before.is_none_or(|holder| says_new(holder, &lease));
        let before = before.map(|holder| (holder.held.bytes(), holder.stored_until));
        let peer = self.make_room_for(&shard, &lease, before.map(|(bytes, _)| bytes))?;
        let contact = self.note_contact(peer.id, lease.reach.clone(), lease.site.clone());
        let stored_until = stored_until.or(before.map(|(_, until)| until)).unwrap_or_default();
        let entry = shard.files.entry(lease.file_hash).or_default();
        entry.version += u64::from(says_new);
        let changed_at = match holder_of(entry, &lease) {
            Some(holder) if !says_new => holder.changed_at,
            _ => entry.version,
        };
        let held = lease.held.clone();
        insert(entry, lease, peer, Holder { contact, held, expires_at, stored_until, changed_at });
        Ok(())
    }

    /// Counts a lease in the account and in the index, in place of one with `before` bytes; the account as the index shares it.
    fn make_room_for(&self, shard: &Shard, lease: &Lease, before: Option<usize>) -> Result<Arc<Peer>, Full> {
        let peer = self.peer_joins(lease.peer, lease.file_hash)?;
        if let Err(full) = self.usage.take(&self.limits, usize::from(before.is_none()), lease.held.bytes()) {
            if !shard.files.get(&lease.file_hash).is_some_and(|entry| entry.names(lease.peer)) {
                self.peer_parts(lease.peer, lease.file_hash);
            }
            return Err(full);
        }
        self.usage.free(0, before.unwrap_or(0));
        Ok(peer)
    }

    /// Tells the index a manifest's sizes, if it knows the file: version 1 listings of the same chunks serve it too. Beyond
    /// [`MANIFESTS_MAX`] of a file only those that somebody holds are known.
    pub fn note_manifest(&self, file: FileHash, id: ManifestId, meta: &ManifestMeta, file_name: &str) {
        let mut shard = self.shard(file);
        let Some(entry) = shard.files.get_mut(&file) else { return };
        if entry.name.is_empty() {
            entry.name = file_name.into();
        }
        if entry.manifests.len() < MANIFESTS_MAX || entry.manifest(id).is_some() {
            let manifest = entry.manifest_or_new(id);
            if manifest.meta.is_none() {
                manifest.meta = Some(meta.clone());
                entry.version += 1;
            }
        }
    }

    /// Notes that every manifest the store has of a file was told to [`Swarm::note_manifest`].
    pub fn note_manifests_loaded(&self, file: FileHash) {
        if let Some(entry) = self.shard(file).files.get_mut(&file) {
            entry.manifests_loaded = true;
        }
    }
}

fn holder<'a>(shard: &'a Shard, lease: &Lease) -> Option<&'a Holder> {
    holder_of(shard.files.get(&lease.file_hash)?, lease)
}

fn holder_of<'a>(entry: &'a FileEntry, lease: &Lease) -> Option<&'a Holder> {
    entry.manifest(lease.manifest_id)?.holders.get(lease.peer)
}

fn says_new(holder: &Holder, lease: &Lease) -> bool {
    holder.held != lease.held || holder.contact.reach != lease.reach || holder.contact.site != lease.site
}

/// Whether an account may hold this manifest beside what it holds of the file already: else one account could make every
/// plan of a file as long as it likes.
fn one_more(shard: &Shard, lease: &Lease) -> Result<(), Full> {
    let Some(entry) = shard.files.get(&lease.file_hash) else { return Ok(()) };
    let others = entry.manifests.iter().filter(|m| m.id != lease.manifest_id && m.holders.contains(lease.peer));
    if others.count() < MANIFESTS_PER_PEER_MAX { Ok(()) } else { Err(Full::Account) }
}

fn insert(entry: &mut FileEntry, lease: Lease, peer: Arc<Peer>, holder: Holder) {
    if entry.name.is_empty() {
        entry.name = lease.file_name.into();
    }
    let manifest = entry.manifest_or_new(lease.manifest_id);
    if manifest.meta.is_none() {
        manifest.meta = lease.meta;
    }
    manifest.holders.put(peer, holder, lease.trusted);
}
