//! Version 1's lookup: which list of chunks to answer with when announcers disagree.
//!
//! Holders whose chunk hashes agree are one group, whether they announced by version 1 or by a 1 MiB manifest. Only a
//! group that holds every chunk can be the answer, because version 1 clients take the file's length from the number of
//! chunks listed. The group with the most holders wins, then the one with the lower digest, so every caller gets the
//! same.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use peernet_engine::ids::{ChunkHash, ManifestId, PeerId};
use peernet_engine::plan::{Held, covers};

use super::entry::HashesDigest;
use super::sources::{Offer, V1_CHUNK_SIZE};
use super::view::FileView;

/// The place of a group's chunk hashes.
#[derive(Debug, Clone)]
pub enum Hashes {
    /// The hashes of a version 1 listing.
    Listed(Arc<[ChunkHash]>),
    /// The hashes of this manifest.
    Manifest(ManifestId),
}

/// Holders that agree on every chunk hash.
#[derive(Debug, Clone)]
pub struct Group {
    /// The chunk hashes on which they agree.
    pub hashes: Hashes,
    /// The number of chunks.
    pub chunks: u32,
    /// The size of the file in bytes: exact where a manifest states it, otherwise as if the last chunk were full.
    pub size: u64,
    /// The holders, each once.
    pub offers: Vec<Offer>,
}

/// Chooses the group to answer `caller` with; `None` where no group holds every chunk without the caller.
pub fn choose(view: &FileView, caller: PeerId) -> Option<Group> {
    let whole = groups(view, caller).into_iter().filter(|(_, group)| {
        let positions: Vec<usize> = (0..group.offers.len()).collect();
        group.chunks > 0 && !group.offers.is_empty() && covers(group.chunks, &group.offers, &positions)
    });
    // `max_by_key` takes the last of equal maxima, so the order is reversed to take the lowest digest.
    whole.rev().max_by_key(|(_, group)| group.offers.len()).map(|(_, group)| group)
}

fn groups(view: &FileView, caller: PeerId) -> Vec<(HashesDigest, Group)> {
    let mut groups: BTreeMap<HashesDigest, Gathering> = BTreeMap::new();
    for listing in view.listings.iter().filter(|l| l.peer.id != caller) {
        let chunks = u32::try_from(listing.hashes.len()).unwrap_or(u32::MAX);
        let hashes = || Hashes::Listed(Arc::clone(&listing.hashes));
        groups
            .entry(listing.digest)
            .or_insert_with(|| Gathering::new(hashes(), chunks))
            .add(Offer::of_listing(listing));
    }
    for manifest in &view.manifests {
        let Some(meta) = manifest.meta.as_ref().filter(|meta| meta.chunk_size == V1_CHUNK_SIZE) else { continue };
        for holder in manifest.holders.iter().filter(|h| h.peer.id != caller && !h.held.is_nothing()) {
            let new = || Gathering::new(Hashes::Manifest(manifest.id), meta.chunks);
            let gathering = groups.entry(meta.digest).or_insert_with(new);
            gathering.group.size = meta.size;
            gathering.add(Offer::of_holder(holder));
        }
    }
    groups.into_iter().map(|(digest, gathering)| (digest, gathering.group)).collect()
}

struct Gathering {
    group: Group,
    positions: HashMap<PeerId, usize>,
}

impl Gathering {
    fn new(hashes: Hashes, chunks: u32) -> Self {
        let size = u64::from(chunks) * u64::from(V1_CHUNK_SIZE);
        Self { group: Group { hashes, chunks, size, offers: Vec::new() }, positions: HashMap::new() }
    }

    /// Adds a holder. A peer that announced in both ways is kept once, with the announce that states more chunks.
    fn add(&mut self, offer: Offer) {
        match self.positions.get(&offer.peer.id) {
            Some(position) if self.group.offers[*position].held != Held::Complete => {
                self.group.offers[*position] = offer
            }
            Some(_) => {}
            None => {
                self.positions.insert(offer.peer.id, self.group.offers.len());
                self.group.offers.push(offer);
            }
        }
    }
}
