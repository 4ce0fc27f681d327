//! Version 2 announces in the index: one lease per peer and manifest. An announce states all chunks that a peer holds,
//! so it is idempotent.

use std::sync::Arc;

use peernet_engine::ids::{FileHash, ManifestId, PeerId};
use peernet_engine::lease::{AnnounceForm, lease_length, lease_until};
use peernet_engine::plan::Held;
use peernet_engine::time::UnixMillis;

use super::entry::{FileEntry, ManifestMeta};
use super::holders::Holder;
use super::index::Shard;
use super::peers::Peer;
use super::{Full, Location, MANIFESTS_PER_PEER_MAX, Swarm};
use crate::store::MANIFESTS_MAX;

/// One peer's announce of one manifest.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The announcer.
    pub peer: PeerId,
    /// The hash of the file.
    pub file_hash: FileHash,
    /// The id of the manifest.
    pub manifest_id: ManifestId,
    /// The sizes of the manifest; `None` after a restart, until a lookup has read them.
    pub meta: Option<ManifestMeta>,
    /// The file name in the manifest.
    pub file_name: String,
    /// The addresses of the announcer.
    pub location: Arc<Location>,
    /// The announcer's site label.
    pub site: Option<Arc<str>>,
    /// The chunks that it holds.
    pub held: Held,
    /// Whether the announcer is of a tier that plans name first.
    pub trusted: bool,
}

impl Swarm {
    /// Returns whether the announce must be written to the lease log: it states something new, or the lease in the log ends
    /// before the renewal after next.
    pub fn must_be_stored(&self, now: UnixMillis, lease: &Lease) -> bool {
        let shard = self.shard(lease.file_hash);
        let Some(holder) = holder(&shard, lease) else { return true };
        differs(holder, lease) || holder.stored_until < now.plus(lease_length(AnnounceForm::PerFile) / 2)
    }

    /// The sizes of a manifest, where the index knows them.
    pub fn meta_of(&self, file: FileHash, manifest: ManifestId) -> Option<ManifestMeta> {
        self.shard(file).files.get(&file)?.manifest(manifest)?.meta.clone()
    }

    /// Checks the bounds before anything is written, as [`Swarm::announce`] will check them again.
    pub fn admits(&self, lease: &Lease) -> Result<(), Full> {
        let shard = self.shard(lease.file_hash);
        check_manifest_count(&shard, lease)?;
        let before = holder(&shard, lease);
        let leases = usize::from(before.is_none());
        let bytes = lease.held.bytes();
        self.usage.take(&self.limits, leases, bytes)?;
        self.usage.free(leases, bytes);
        Ok(())
    }

    /// Inserts or renews a lease. `stored_until` is its end in the lease log, if it was written just now.
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
        check_manifest_count(&shard, &lease)?;
        let before = holder(&shard, &lease);
        let differs = before.is_none_or(|holder| differs(holder, &lease));
        let before = before.map(|holder| (holder.held.bytes(), holder.stored_until));
        let peer = self.reserve(&shard, &lease, before.map(|(bytes, _)| bytes))?;
        let contact = self.note_contact(peer.id, Arc::clone(&lease.location), lease.site.clone());
        let stored_until = stored_until.or(before.map(|(_, until)| until)).unwrap_or_default();
        let entry = shard.files.entry(lease.file_hash).or_default();
        entry.version += u64::from(differs);
        let changed_at = match holder_of(entry, &lease) {
            Some(holder) if !differs => holder.changed_at,
            _ => entry.version,
        };
        let held = lease.held.clone();
        insert(entry, lease, peer, Holder { contact, held, expires_at, stored_until, changed_at });
        Ok(())
    }

    /// Reserves memory for a lease in place of one with `before` bytes. Returns the shared record of its account.
    fn reserve(&self, shard: &Shard, lease: &Lease, before: Option<usize>) -> Result<Arc<Peer>, Full> {
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

    /// Notes the sizes of a manifest of a file that the index knows, so that version 1 listings of the same chunks
    /// serve it too. Past [`MANIFESTS_MAX`] manifests of a file, only those with a holder are kept.
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

    /// Notes that all stored manifests of a file were passed to [`Swarm::note_manifest`].
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

fn differs(holder: &Holder, lease: &Lease) -> bool {
    holder.held != lease.held || holder.contact.location != lease.location || holder.contact.site != lease.site
}

/// Checks that an account may announce one more manifest of a file. Without this bound one account could make every
/// plan of a file arbitrarily long.
fn check_manifest_count(shard: &Shard, lease: &Lease) -> Result<(), Full> {
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
