//! The holders of one manifest: found by account, and drawn at random by kind, each in constant time.
//!
//! The holders lie in one array, sorted by kind. A lookup of a file with 100,000 holders draws a few of each kind and
//! touches no other.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use indexmap::{Equivalent, IndexMap, IndexSet};
use peernet_engine::ids::PeerId;
use peernet_engine::plan::Held;
use peernet_engine::plan::draw::{ALL_MAX, KINDS, draw, draw_of_site, kind};
use peernet_engine::random::Rng;
use peernet_engine::time::UnixMillis;

use super::peers::{Contact, Peer};

/// A version 2 lease in the index.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) contact: Arc<Contact>,
    pub(super) held: Held,
    pub(super) expires_at: UnixMillis,
    /// The end of the lease in the lease log. A renewal is written only when this is near.
    pub(super) stored_until: UnixMillis,
    /// The file's version at the last announce with new content.
    pub(super) changed_at: u64,
}

type IdHash = BuildHasherDefault<IdHasher>;

/// The holders of a manifest. Invariants: those of kind `k` lie at `ends[k - 1]..ends[k]`; `sites` lists each holder
/// that has a site label.
#[derive(Debug, Default)]
pub(super) struct Holders {
    map: IndexMap<Key, Holder, IdHash>,
    ends: [u32; KINDS],
    sites: BTreeMap<Arc<str>, IndexSet<Key, IdHash>>,
}

impl Holders {
    pub(super) fn get(&self, peer: PeerId) -> Option<&Holder> {
        self.map.get(&peer)
    }

    pub(super) fn contains(&self, peer: PeerId) -> bool {
        self.map.contains_key(&peer)
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The number of holders with at least one chunk.
    pub(super) fn useful(&self) -> usize {
        self.ends[KINDS - 2] as usize
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<Peer>, &Holder)> {
        self.map.iter().map(|(key, holder)| (&key.0, holder))
    }

    /// Inserts or replaces a holder. A trusted one is of a tier that plans name first.
    pub(super) fn put(&mut self, peer: Arc<Peer>, holder: Holder, trusted: bool) {
        let to = kind(&holder.held, trusted);
        let site = holder.contact.site.clone();
        if self.map.capacity() == 0 {
            // Most files have one holder; without this, the first insertion would make room for three.
            self.map.reserve_exact(1);
        }
        let (at, before) = self.map.insert_full(Key(Arc::clone(&peer)), holder);
        self.ends[KINDS - 1] += u32::from(before.is_none());
        self.shift(at, to);
        let site_before = before.and_then(|before| before.contact.site.clone());
        if site_before != site {
            self.remove_from_site(peer.id, site_before);
            site.map(|site| self.sites.entry(site).or_default().insert(Key(peer)));
        }
    }

    pub(super) fn remove(&mut self, peer: PeerId) -> Option<Holder> {
        let at = self.shift(self.map.get_index_of(&peer)?, KINDS - 1);
        self.ends[KINDS - 1] -= 1;
        let (_, holder) = self.map.swap_remove_index(at)?;
        self.remove_from_site(peer, holder.contact.site.clone());
        if self.map.len() * 4 < self.map.capacity() {
            self.map.shrink_to(self.map.len() * 2);
        }
        Some(holder)
    }

    fn remove_from_site(&mut self, peer: PeerId, site: Option<Arc<str>>) {
        let Some(site) = site else { return };
        let Some(members) = self.sites.get_mut(&site) else { return };
        members.swap_remove(&peer);
        if members.is_empty() {
            self.sites.remove(&site);
        }
    }

    /// Calls `each` with holders drawn at random, each once. Few holders are all drawn; of many, some of each kind and
    /// some of `site`.
    pub(super) fn draw(&self, rng: &mut Rng, site: Option<&str>, mut each: impl FnMut(&Arc<Peer>, &Holder)) {
        if self.map.len() <= ALL_MAX {
            return self.iter().for_each(|(peer, holder)| each(peer, holder));
        }
        let of_site = self.draw_of_site(rng, site);
        for at in draw(rng, self.ends, of_site) {
            let (key, holder) = self.map.get_index(at).expect("below the end of a kind");
            each(&key.0, holder);
        }
    }

    fn draw_of_site(&self, rng: &mut Rng, site: Option<&str>) -> Vec<usize> {
        let Some(members) = site.and_then(|site| self.sites.get(site)) else { return Vec::new() };
        let positions = draw_of_site(rng, members.len()).into_iter();
        positions.filter_map(|at| self.map.get_index_of(members.get_index(at)?)).collect()
    }

    /// Moves the holder at `at` to another kind and returns its new position.
    fn shift(&mut self, mut at: usize, to: usize) -> usize {
        let mut kind = self.ends.iter().position(|end| at < *end as usize).expect("it lies in some kind");
        while kind < to {
            // Swapped to the end of its kind, it becomes the first of the next kind.
            self.ends[kind] -= 1;
            at = self.swap(at, self.ends[kind]);
            kind += 1;
        }
        while kind > to {
            kind -= 1;
            at = self.swap(at, self.ends[kind]);
            self.ends[kind] += 1;
        }
        at
    }

    fn swap(&mut self, at: usize, with: u32) -> usize {
        self.map.swap_indices(at, with as usize);
        with as usize
    }
}

/// The key of a holder in the map: the peer, compared by its id.
#[derive(Debug)]
struct Key(Arc<Peer>);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Key {}

impl Equivalent<Key> for PeerId {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.0.id
    }
}

/// A hasher that uses the bytes of an account id as they are: the tracker makes those ids at random.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks_exact(8) {
            let word = u64::from_le_bytes(part.try_into().expect("eight bytes"));
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use peernet_engine::bitmap::Bitmap;
    use peernet_engine::ids::{ChunkCount, ChunkIndex};
    use peernet_engine::random::Rng;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::swarm::Location;

    fn held(n: u8) -> Held {
        let mut bitmap = Bitmap::empty(ChunkCount(9));
        match n {
            0 => return Held::Complete,
            1 => assert!(bitmap.insert(ChunkIndex(3))),
            _ => {}
        }
        Held::of(bitmap)
    }

    fn holder(held: Held) -> Holder {
        let contact = Arc::new(Contact { location: Arc::new(Location::plain("a:1")), site: None });
        Holder { contact, held, expires_at: UnixMillis(0), stored_until: UnixMillis(0), changed_at: 0 }
    }

    fn peer(n: u32) -> Arc<Peer> {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_le_bytes());
        Arc::new(Peer::new(PeerId(id)))
    }

    proptest! {
        #[test]
        fn kinds_stay_sorted_under_any_changes(acts in prop::collection::vec((0u32..60, 0u8..3, any::<bool>(), any::<bool>()), 0..300)) {
            let mut holders = Holders::default();
            let mut model = BTreeMap::new();
            for (n, held_as, trusted, put) in acts {
                if put {
                    holders.put(peer(n), holder(held(held_as)), trusted);
                    model.insert(peer(n).id, kind(&held(held_as), trusted));
                } else {
                    prop_assert_eq!(holders.remove(peer(n).id).is_some(), model.remove(&peer(n).id).is_some());
                }
                let ends: Vec<usize> = (0..KINDS).map(|k| model.values().filter(|kind| **kind <= k).count()).collect();
                prop_assert_eq!(ends, holders.ends.map(|end| end as usize).to_vec());
                for (at, (peer, _)) in holders.iter().enumerate() {
                    prop_assert!(at < holders.ends[model[&peer.id]] as usize);
                }
            }
        }
    }

    #[test]
    fn a_draw_is_bounded_and_reaches_every_holder_in_time() {
        let mut holders = Holders::default();
        (0..1_000).for_each(|n| holders.put(peer(n), holder(held((n % 3) as u8)), n % 2 == 0));
        let mut seen = BTreeMap::new();
        for seed in 0..2_000 {
            let mut drawn = Vec::new();
            holders.draw(&mut Rng::new(seed), None, |peer, _| drawn.push(peer.id));
            assert_eq!(drawn.len(), ALL_MAX);
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn.len(), ALL_MAX);
            drawn.into_iter().for_each(|id| *seen.entry(id).or_insert(0) += 1);
        }
        assert_eq!(seen.len(), 1_000);
    }

    #[test]
    fn a_draw_includes_the_callers_site_among_many_others() {
        let mut holders = Holders::default();
        let at = |site: &str| {
            let contact = Arc::new(Contact { location: Arc::new(Location::plain("a:1")), site: Some(site.into()) });
            Holder { contact, ..holder(Held::Complete) }
        };
        (0..5_000).for_each(|n| holders.put(peer(n), at(if n < 30 { "here" } else { "there" }), false));
        (0..10).for_each(|n| holders.put(peer(n), at("gone"), false));
        (10..15).for_each(|n| assert!(holders.remove(peer(n).id).is_some()));
        let mut here = 0;
        holders.draw(&mut Rng::new(1), Some("here"), |_, holder| {
            here += u32::from(holder.contact.site.as_deref() == Some("here"));
        });
        assert!(here >= peernet_engine::plan::draw::DRAWN_OF_SITE as u32, "{here}");
        (10..5_000).for_each(|n| drop(holders.remove(peer(n).id)));
        assert_eq!(holders.sites.len(), 1, "a site without holders is forgotten");
    }
}
