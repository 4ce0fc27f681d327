//! Version 2 announces: the whole truth about one manifest, leased and idempotent.

use std::sync::Arc;

use peernet_engine::ids::{FileHash, ManifestId, PeerId};
use peernet_engine::lease::{AnnounceForm, lease_length, lease_until};
use peernet_engine::time::UnixMillis;

use super::entry::{Held, Holder, ManifestMeta, Owner};
use super::index::Shard;
use super::{Full, MANIFESTS_PER_PEER_MAX, Swarm};
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
    /// `host:port`.
    pub address: Arc<str>,
    /// The announcer's label.
    pub site: Option<Arc<str>>,
    /// Which chunks.
    pub held: Held,
}

impl Swarm {
    /// Whether the store must hear of this announce: it says something new, or what the store knows runs out before the
    /// renewal after next.
    pub fn must_be_stored(&self, now: UnixMillis, lease: &Lease) -> bool {
        let shard = self.shard(lease.file_hash);
        let entry = shard.files.get(&lease.file_hash).and_then(|e| e.manifests.get(&lease.manifest_id));
        let Some(holder) = entry.and_then(|m| m.holders.get(&lease.peer)) else { return true };
        let same = holder.held == lease.held && holder.address == lease.address && holder.site == lease.site;
        !same || holder.stored_until < now.plus(lease_length(AnnounceForm::PerFile) / 2)
    }

    /// A manifest's sizes, where the index knows them.
    pub fn meta_of(&self, file: FileHash, manifest: ManifestId) -> Option<ManifestMeta> {
        self.shard(file).files.get(&file)?.manifests.get(&manifest)?.meta.clone()
    }

    /// Refuses early, before anything is written, what `announce` would refuse.
    pub fn admits(&self, lease: &Lease) -> Result<(), Full> {
        self.usage.take(&self.limits, 1, lease.held.bytes())?;
        self.usage.free(1, lease.held.bytes());
        one_more(&self.shard(lease.file_hash), lease)
    }

    /// Inserts or renews a lease. `stored_until` says what the store knows, where it was written just now.
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
        let (peer, file, manifest_id) = (lease.peer, lease.file_hash, lease.manifest_id);
        one_more(&shard, &lease)?;
        let before = holder(&shard, file, manifest_id, peer).map(|h| (h.held.bytes(), h.queued_at, h.stored_until));
        self.peer_joins(peer, file)?;
        if let Err(full) = self.usage.take(&self.limits, usize::from(before.is_none()), lease.held.bytes()) {
            if !shard.files.get(&file).is_some_and(|entry| entry.names(peer)) {
                self.peer_parts(peer, file);
            }
            return Err(full);
        }
        if let Some((bytes, _, _)) = before {
            self.usage.free(0, bytes);
        }
        self.note_site(peer, lease.site.as_ref());
        let stored_until = stored_until.or(before.map(|(_, _, until)| until)).unwrap_or_default();
        let queued_at = expires_at;
        insert(&mut shard, lease, |address, site, held| Holder {
            address,
            site,
            held,
            expires_at,
            stored_until,
            queued_at,
        });
        shard.queue(file, Owner::Holder(peer, manifest_id), before.map(|(_, at, _)| at), expires_at);
        Ok(())
    }

    /// Tells the index a manifest's sizes, if it knows the file: version 1 listings of the same chunks serve it too. Beyond
    /// [`MANIFESTS_MAX`] of a file only those that somebody holds are known.
    pub fn note_manifest(&self, file: FileHash, id: ManifestId, meta: &ManifestMeta, file_name: &str) {
        let mut shard = self.shard(file);
        let Some(entry) = shard.files.get_mut(&file) else { return };
        if entry.name.is_empty() {
            file_name.clone_into(&mut entry.name);
        }
        if entry.manifests.len() < MANIFESTS_MAX || entry.manifests.contains_key(&id) {
            entry.manifests.entry(id).or_default().meta.get_or_insert_with(|| meta.clone());
        }
    }

    /// Notes that every manifest the store has of a file was told to [`Swarm::note_manifest`].
    pub fn note_manifests_loaded(&self, file: FileHash) {
        if let Some(entry) = self.shard(file).files.get_mut(&file) {
            entry.manifests_loaded = true;
        }
    }
}

fn holder(shard: &Shard, file: FileHash, manifest: ManifestId, peer: PeerId) -> Option<&Holder> {
    shard.files.get(&file)?.manifests.get(&manifest)?.holders.get(&peer)
}

/// Whether an account may hold this manifest beside what it holds of the file already: else one account could make every
/// plan of a file as long as it likes.
fn one_more(shard: &Shard, lease: &Lease) -> Result<(), Full> {
    let Some(entry) = shard.files.get(&lease.file_hash) else { return Ok(()) };
    let others =
        entry.manifests.iter().filter(|(id, m)| **id != lease.manifest_id && m.holders.contains_key(&lease.peer));
    if others.count() < MANIFESTS_PER_PEER_MAX { Ok(()) } else { Err(Full::Account) }
}

fn insert(shard: &mut Shard, lease: Lease, holder: impl FnOnce(Arc<str>, Option<Arc<str>>, Held) -> Holder) {
    let entry = shard.files.entry(lease.file_hash).or_default();
    if entry.name.is_empty() {
        entry.name = lease.file_name;
    }
    let manifest = entry.manifests.entry(lease.manifest_id).or_default();
    if manifest.meta.is_none() {
        manifest.meta = lease.meta;
    }
    manifest.holders.insert(lease.peer, holder(lease.address, lease.site, lease.held));
}
