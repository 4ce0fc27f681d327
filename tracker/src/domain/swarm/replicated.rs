//! Leases that were announced earlier, or to another tracker.

use peernet_engine::lease::{AnnounceForm, lease_length};
use peernet_engine::plan::Held;
use peernet_engine::time::UnixMillis;

use super::announce::Lease;
use super::{DEPARTED_GRACE, Full, LeaseRow, Swarm, V1Chunk};

impl Swarm {
    /// Records a logged or replicated lease, unless something newer is known of it.
    pub(crate) fn apply_lease(&self, row: LeaseRow) -> Result<(), Full> {
        let announced_at = row.expires_at.minus(lease_length(AnnounceForm::PerFile));
        if self.knows_newer(&row, announced_at) {
            return Ok(());
        }
        let lease = Lease {
            peer: row.peer,
            file_hash: row.file_hash,
            manifest_id: row.manifest_id,
            meta: None,
            file_name: String::new(),
            location: row.location,
            site: row.site.map(Into::into),
            held: Held::of(row.have),
            // The holder's next announce sets it.
            trusted: false,
        };
        self.hold(lease, row.expires_at, Some(row.expires_at))
    }

    fn knows_newer(&self, row: &LeaseRow, announced_at: UnixMillis) -> bool {
        let shard = self.shard(row.file_hash);
        let Some(entry) = shard.files.get(&row.file_hash) else { return false };
        let holder = entry.manifest(row.manifest_id).and_then(|m| m.holders.get(row.peer));
        let left_later = |until: UnixMillis| until.minus(DEPARTED_GRACE) >= announced_at;
        holder.is_some_and(|holder| holder.expires_at >= row.expires_at)
            || holder.is_none() && entry.departed.iter().any(|d| d.peer == row.peer && left_later(d.until))
    }

    /// Returns whether a complete listing already has this chunk.
    pub(crate) fn v1_is_listed(&self, chunk: &V1Chunk) -> bool {
        let shard = self.shard(chunk.file_hash);
        let listing = shard.files.get(&chunk.file_hash).and_then(|entry| entry.v1.listings.get(&chunk.peer));
        listing.is_some_and(|listing| {
            listing.hashes.len() == chunk.total_chunks as usize
                && listing.hashes.get(chunk.index as usize) == Some(&chunk.chunk_hash)
        })
    }
}
