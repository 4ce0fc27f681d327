//! From holders to candidates for an order: who could be offered to this asker, and who alone holds something. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use peernet_engine::economy::{Standing, Tier};
use peernet_engine::ids::{ChunkIndex, PeerId};
use peernet_engine::ranking::Candidate;
use peernet_engine::time::UnixMillis;

use super::entry::{Held, ManifestMeta};
use super::peers::{Contact, Peer};
use super::view::{FileView, HolderView, ListingView, ManifestView};

/// The chunk size of version 1: its listings and manifests of other sizes never mix.
pub const V1_CHUNK_SIZE: u32 = 1 << 20;

/// One holder that could be offered.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Who.
    pub peer: Arc<Peer>,
    /// Where, and its label.
    pub contact: Arc<Contact>,
    /// Whether it speaks version 1's call only.
    pub v1: bool,
    /// Which chunks.
    pub held: Held,
    /// Until when.
    pub expires_at: UnixMillis,
    /// The file's version when its lease last said something new; 0 for version 1.
    pub changed_at: u64,
}

impl Offer {
    pub(super) fn of_holder(holder: &HolderView) -> Self {
        Self {
            peer: Arc::clone(&holder.peer),
            contact: Arc::clone(&holder.contact),
            v1: false,
            held: holder.held.clone(),
            expires_at: holder.expires_at,
            changed_at: holder.changed_at,
        }
    }

    pub(super) fn of_listing(listing: &ListingView) -> Self {
        Self {
            peer: Arc::clone(&listing.peer),
            contact: Arc::clone(listing.address.contact()),
            v1: true,
            held: Held::Complete,
            expires_at: listing.expires_at,
            changed_at: 0,
        }
    }
}

/// Who serves a manifest: its holders, and version 1 announcers whose listing has the same chunks.
pub fn offers(view: &FileView, manifest: &ManifestView, meta: &ManifestMeta) -> Vec<Offer> {
    let mut offers: Vec<Offer> = manifest.holders.iter().map(Offer::of_holder).collect();
    if meta.chunk_size == V1_CHUNK_SIZE && !view.listings.is_empty() {
        let known: HashSet<PeerId> = offers.iter().map(|offer| offer.peer.id).collect();
        let same = view.listings.iter().filter(|l| l.digest == meta.digest && !known.contains(&l.peer.id));
        offers.extend(same.map(Offer::of_listing));
    }
    offers
}

/// What is known of each offer beyond the index, in the order of the offers.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Scores and tiers now.
    pub standings: &'a [Standing],
    /// Until when the asker wants each last; empty where it wants nobody so.
    pub demotions: &'a [UnixMillis],
}

/// The ranking's view of the offers. `only` says of each whether it alone holds something; empty for no.
pub fn candidates(
    now: UnixMillis,
    site: Option<&str>,
    offers: &[Offer],
    facts: Facts<'_>,
    only: &[bool],
) -> Vec<Candidate> {
    let each = offers.iter().enumerate();
    each.map(|(i, offer)| Candidate {
        peer: offer.peer.id,
        standing: facts.standings[i],
        lease_until: offer.expires_at,
        demoted_until: facts.demotions.get(i).copied().unwrap_or_default(),
        offered_today: offer.peer.offered_today(now),
        load: offer.peer.load(now),
        same_site: site.is_some() && offer.contact.site.as_deref() == site,
        only_holder: only.get(i) == Some(&true),
    })
    .collect()
}

/// For each offer, whether it holds a chunk that no other one that `asker` may be told of holds.
pub fn only_holders(asker: PeerId, chunks: u32, offers: &[Offer], standings: &[Standing]) -> Vec<bool> {
    only_of(chunks, offers, |i| offers[i].peer.id != asker && standings[i].tier != Tier::Unlisted)
}

fn only_of(chunks: u32, offers: &[Offer], listed: impl Fn(usize) -> bool) -> Vec<bool> {
    let complete = (0..offers.len()).filter(|i| listed(*i) && offers[*i].held == Held::Complete).count();
    if complete >= 2 {
        return vec![false; offers.len()];
    }
    let full = vec![0xff; chunks.div_ceil(8) as usize];
    // Past the last chunk a complete holder's bits are set and nobody else's are: mask them.
    let full: Vec<u8> = mask(full, chunks);
    let bits = |i: usize| match &offers[i].held {
        Held::Complete => full.as_slice(),
        Held::Chunks(bitmap) => bitmap.as_bytes(),
    };
    let (mut once, mut twice) = (vec![0u8; full.len()], vec![0u8; full.len()]);
    for i in (0..offers.len()).filter(|i| listed(*i)) {
        for ((once, twice), byte) in once.iter_mut().zip(&mut twice).zip(bits(i)) {
            *twice |= *once & byte;
            *once |= byte;
        }
    }
    let alone = |i: usize| {
        let others = if listed(i) { &twice } else { &once };
        bits(i).iter().zip(others).any(|(byte, others)| byte & !others != 0)
    };
    (0..offers.len()).map(alone).collect()
}

fn mask(mut bytes: Vec<u8>, chunks: u32) -> Vec<u8> {
    if let (Some(last), 1..) = (bytes.last_mut(), chunks % 8) {
        *last &= 0xffu8 << (8 - chunks % 8);
    }
    bytes
}

/// Whether an offer has a chunk that someone who holds `own` lacks. Both are of one file.
pub fn is_useful(held: &Held, own: Option<&Held>) -> bool {
    match (held, own) {
        (_, Some(Held::Complete)) => false,
        (held, None) => !held.is_nothing(),
        (Held::Complete, Some(Held::Chunks(_))) => true,
        (Held::Chunks(theirs), Some(Held::Chunks(own))) => {
            theirs.as_bytes().iter().zip(own.as_bytes()).any(|(theirs, own)| theirs & !own != 0)
        }
    }
}

/// Whether those at `places` together hold every chunk; true for a file without chunks.
pub fn covers(chunks: u32, offers: &[Offer], places: &[usize]) -> bool {
    first_uncovered(chunks, offers, places).is_none()
}

/// Adds to an order, which keeps only 50, whoever is needed so that each chunk that someone holds is held by someone named.
pub fn cover(chunks: u32, offers: &[Offer], allowed: impl Fn(usize) -> bool, places: &mut Vec<usize>) {
    while let Some(missing) = first_uncovered(chunks, offers, places) {
        let holder = (0..offers.len()).find(|i| allowed(*i) && offers[*i].held.contains(missing));
        match holder {
            Some(place) => places.push(place),
            None => return,
        }
    }
}

fn first_uncovered(chunks: u32, offers: &[Offer], places: &[usize]) -> Option<ChunkIndex> {
    let mut union = vec![0u8; chunks.div_ceil(8) as usize];
    for place in places {
        let Held::Chunks(bitmap) = &offers[*place].held else { return None };
        union.iter_mut().zip(bitmap.as_bytes()).for_each(|(all, byte)| *all |= byte);
    }
    let lacks = |index: &u32| union[*index as usize / 8] & (0x80 >> (index % 8)) == 0;
    (0..chunks).find(lacks).map(ChunkIndex)
}

#[cfg(test)]
mod tests {
    use peernet_engine::bitmap::Bitmap;
    use peernet_engine::ids::ChunkCount;

    use super::*;

    /// `spec` has a word per offer: `*` complete, else one digit per chunk held; a leading `x` is unlisted.
    fn make(spec: &str, chunks: u32) -> Vec<(Offer, bool)> {
        spec.split(' ').zip(1..).map(|(word, id)| make_one(word, id, chunks)).collect()
    }

    fn make_one(word: &str, id: u8, chunks: u32) -> (Offer, bool) {
        let (listed, held) = (!word.starts_with('x'), word.trim_start_matches('x'));
        let mut bitmap = Bitmap::empty(ChunkCount(chunks));
        for digit in held.chars().filter_map(|c| c.to_digit(10)) {
            bitmap.insert(ChunkIndex(digit));
        }
        let held = if held == "*" { Held::Complete } else { Held::of(bitmap) };
        let contact = Arc::new(Contact { reach: "a:1".into(), site: None });
        let (peer, expires_at) = (Arc::new(Peer::new(PeerId([id; 16]))), UnixMillis(1));
        (Offer { peer, contact, v1: false, held, expires_at, changed_at: 0 }, listed)
    }

    fn check(chunks: u32, spec: &str, expected: &str) {
        let (offers, listed): (Vec<Offer>, Vec<bool>) = make(spec, chunks).into_iter().unzip();
        let only: String = only_of(chunks, &offers, |i| listed[i]).iter().map(|b| if *b { 'o' } else { '.' }).collect();
        assert_eq!(only, expected, "{spec}");
    }

    #[test]
    fn an_only_holder_has_a_chunk_that_no_other_listed_one_has() {
        check(3, "*", "o");
        check(3, "* *", "..");
        check(3, "* 0", "o.");
        check(3, "* 012", "..");
        check(3, "01 12", "oo");
        check(3, "01 12 02", "...");
        check(3, "* x*", "o.");
        check(3, "x* x*", "oo");
        check(3, "01 x12", "oo");
        check(3, "01 x01", "o.");
        check(9, "0 1 8", "ooo");
    }

    #[test]
    fn who_is_needed_for_a_chunk_is_added() {
        let offers: Vec<Offer> = make("0 1 2 12", 3).into_iter().map(|(offer, _)| offer).collect();
        let mut places = vec![0];
        cover(3, &offers, |i| i != 1, &mut places);
        assert_eq!(places, [0, 3]);
        assert!(covers(3, &offers, &places) && !covers(3, &offers, &[0, 1]));
    }
}
