//! Version 1's lookup: which list of chunks to answer with, when announcers disagree. Pure.
//!
//! Holders whose chunk hashes agree are one group, whether they announced by version 1 or by a 1 MiB manifest. Only groups
//! that together hold every chunk can be answered, because old clients take the file's length from the number of chunks
//! listed. Among them the one with most holders wins, then the lower digest: the same for every asker.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use peernet_engine::ids::{ChunkHash, ManifestId, PeerId};

use super::entry::{HashesDigest, Held};
use super::sources::{Offer, V1_CHUNK_SIZE, covers};
use super::view::FileView;

/// Where the chunk hashes of a group are.
#[derive(Debug, Clone)]
pub enum Hashes {
    /// Here.
    Listed(Arc<[ChunkHash]>),
    /// In this manifest.
    Manifest(ManifestId),
}

/// Holders who agree on every chunk.
#[derive(Debug, Clone)]
pub struct Group {
    /// The chunk hashes.
    pub hashes: Hashes,
    /// How many chunks.
    pub chunks: u32,
    /// Bytes of the file: exact where a manifest says so, else as if the last chunk were whole.
    pub size: u64,
    /// Who; each once.
    pub offers: Vec<Offer>,
}

/// The group to answer `asker` with; `None` where no group holds every chunk without the asker.
pub fn choose(view: &FileView, asker: PeerId) -> Option<Group> {
    let whole = groups(view, asker).into_iter().filter(|(_, group)| {
        let places: Vec<usize> = (0..group.offers.len()).collect();
        group.chunks > 0 && !group.offers.is_empty() && covers(group.chunks, &group.offers, &places)
    });
    // The last of equal maxima wins: reversed, so that it is the lowest digest.
    whole.rev().max_by_key(|(_, group)| group.offers.len()).map(|(_, group)| group)
}

fn groups(view: &FileView, asker: PeerId) -> Vec<(HashesDigest, Group)> {
    let mut groups: BTreeMap<HashesDigest, Gathering> = BTreeMap::new();
    for listing in view.listings.iter().filter(|l| l.peer.id != asker) {
        let chunks = u32::try_from(listing.hashes.len()).unwrap_or(u32::MAX);
        let hashes = || Hashes::Listed(Arc::clone(&listing.hashes));
        groups
            .entry(listing.digest)
            .or_insert_with(|| Gathering::new(hashes(), chunks))
            .add(Offer::of_listing(listing));
    }
    for manifest in &view.manifests {
        let Some(meta) = manifest.meta.as_ref().filter(|meta| meta.chunk_size == V1_CHUNK_SIZE) else { continue };
        for holder in manifest.holders.iter().filter(|h| h.peer.id != asker && !h.held.is_nothing()) {
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
    places: HashMap<PeerId, usize>,
}

impl Gathering {
    fn new(hashes: Hashes, chunks: u32) -> Self {
        let size = u64::from(chunks) * u64::from(V1_CHUNK_SIZE);
        Self { group: Group { hashes, chunks, size, offers: Vec::new() }, places: HashMap::new() }
    }

    /// A peer that announced in both ways is there once, with the statement that says more.
    fn add(&mut self, offer: Offer) {
        match self.places.get(&offer.peer.id) {
            Some(place) if self.group.offers[*place].held != Held::Complete => self.group.offers[*place] = offer,
            Some(_) => {}
            None => {
                self.places.insert(offer.peer.id, self.group.offers.len());
                self.group.offers.push(offer);
            }
        }
    }
}
