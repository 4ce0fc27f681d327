//! Sources for the tests of this folder, and properties of whole plans.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::bitmap::Bitmap;
use crate::ids::{ChunkCount, ChunkIndex};

const NOW: UnixMillis = UnixMillis(1_000_000);
const CALLER: PeerId = PeerId([0; 16]);

/// A source as a test states it.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) peer: PeerId,
    pub(super) held: Held,
    pub(super) site: Option<&'static str>,
}

impl Source for Given {
    fn peer(&self) -> PeerId {
        self.peer
    }

    fn held(&self) -> &Held {
        &self.held
    }

    fn site(&self) -> Option<&str> {
        self.site
    }

    fn lease_until(&self) -> UnixMillis {
        UnixMillis(NOW.0 + 1)
    }

    fn offered_today(&self, _now: UnixMillis) -> u32 {
        0
    }

    fn load(&self, _now: UnixMillis) -> u32 {
        0
    }
}

/// A source by its chunks: `*` is complete, otherwise each digit is a held chunk.
pub(super) fn source(id: u8, spec: &str, chunks: u32) -> Given {
    let mut bitmap = Bitmap::empty(ChunkCount(chunks));
    for digit in spec.chars().filter_map(|c| c.to_digit(10)) {
        bitmap.insert(ChunkIndex(digit));
    }
    let held = if spec == "*" { Held::Complete } else { Held::Chunks(Arc::new(bitmap)) };
    Given { peer: PeerId([id; 16]), held, site: None }
}

/// One word per source, as [`source`] reads it. A leading `x` is an unlisted account. Also whether each is listed.
pub(super) fn sources(spec: &str, chunks: u32) -> (Vec<Given>, Vec<bool>) {
    let words = spec.split(' ').zip(1..);
    words.map(|(word, id)| (source(id, word.trim_start_matches('x'), chunks), !word.starts_with('x'))).unzip()
}

fn standing(tier: Tier) -> Standing {
    Standing { score: 0.5, tier }
}

fn request(chunks: u32) -> Request<'static> {
    Request { caller: CALLER, site: None, own: None, chunks, now: NOW }
}

fn facts(standings: &[Standing]) -> Facts<'_> {
    Facts { standings, demotions: &[], seeks_only_holders: true }
}

const TIERS: [Tier; 4] = [Tier::Established, Tier::Known, Tier::Unknown, Tier::Unlisted];

/// Some sources, the caller perhaps among them, and the tier of each.
fn any_sources() -> impl Strategy<Value = (Vec<Given>, Vec<Standing>)> {
    let one = (0u8..40, prop::collection::vec(0u32..6, 0..7), 0usize..4);
    prop::collection::vec(one, 0..45).prop_map(|given| {
        let mut ids = BTreeSet::new();
        let given = given.into_iter().filter(|(id, ..)| ids.insert(*id));
        given
            .map(|(id, chunks, tier)| {
                let digits: String = chunks.iter().map(ToString::to_string).collect();
                (source(id, &digits, 6), standing(TIERS[tier]))
            })
            .unzip()
    })
}

proptest! {
    #[test]
    fn a_plan_keeps_its_guarantees((sources, standings) in any_sources(), seed: u64) {
        let choice = choose(&request(6), &sources, facts(&standings), seed);
        let peer = |position: &usize| sources[*position].peer;
        prop_assert!(choice.named.len() <= NAMED_MAX, "at most ten");
        prop_assert!(choice.order.iter().chain(&choice.named).all(|position| peer(position) != CALLER), "not the caller");
        let named: BTreeSet<usize> = choice.named.iter().copied().collect();
        prop_assert_eq!(named.len(), choice.named.len(), "each source once");
        prop_assert!(choice.named.iter().all(|position| choice.order.contains(position)));
        let only = only_holders(CALLER, 6, &sources, &standings);
        let allowed = |position: &usize| standings[*position].tier != Tier::Unlisted || only[*position];
        prop_assert!(choice.order.iter().all(allowed), "unlisted accounts only as only holders");
        // Six chunks need at most six sources, so ten slots are always enough.
        prop_assert!(!covers(6, &sources, &choice.order) || covers(6, &sources, &choice.named), "covers the file");
        prop_assert_eq!(choice, choose(&request(6), &sources, facts(&standings), seed), "the same for the same seed");
    }

    #[test]
    fn version_1_orders_cover_what_may_be_named((sources, standings) in any_sources(), seed: u64) {
        let mut next = seed;
        let orders = choose_v1(&request(6), &sources, facts(&standings), || { next = next.wrapping_add(1); next });
        prop_assert_eq!(orders.len(), 6);
        let all = choose(&request(6), &sources, facts(&standings), seed).order;
        for order in &orders {
            prop_assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), order.len());
            prop_assert!(!covers(6, &sources, &all) || covers(6, &sources, order));
        }
    }
}

#[test]
fn a_newcomer_gets_every_fifth_slot_from_the_third() {
    let sources: Vec<Given> = (1..=20).map(|id| source(id, "*", 2)).collect();
    let tier = |position: usize| if position < 4 { Tier::Unknown } else { Tier::Established };
    let standings: Vec<Standing> = (0..20).map(|position| standing(tier(position))).collect();
    for seed in 0..50 {
        let named = choose(&request(2), &sources, facts(&standings), seed).named;
        let slots: Vec<usize> = (0..named.len()).filter(|slot| named[*slot] < 4).collect();
        assert_eq!(slots, [2, 7], "seed {seed}");
    }
}

#[test]
fn sources_of_the_callers_site_come_first_among_equals() {
    let mut sources: Vec<Given> = (1..=12).map(|id| source(id, "*", 2)).collect();
    sources[11].site = Some("here");
    let standings = vec![standing(Tier::Established); 12];
    let request = Request { site: Some("here"), ..request(2) };
    for seed in 0..50 {
        assert_eq!(choose(&request, &sources, facts(&standings), seed).named[0], 11, "seed {seed}");
    }
}

#[test]
fn a_source_that_the_caller_complained_about_comes_last() {
    let sources: Vec<Given> = (1..=3).map(|id| source(id, "*", 2)).collect();
    let standings = vec![standing(Tier::Established); 3];
    let demotions = [UnixMillis(NOW.0 + 1), UnixMillis(0), UnixMillis(0)];
    let facts = Facts { demotions: &demotions, ..facts(&standings) };
    for seed in 0..50 {
        assert_eq!(choose(&request(2), &sources, facts, seed).named[2], 0, "seed {seed}");
    }
}

#[test]
fn version_1_orders_start_with_different_newcomers() {
    let sources: Vec<Given> = (1..=4).map(|id| source(id, "*", 8)).collect();
    let standings = vec![standing(Tier::Unknown); 4];
    let mut seed = 0;
    let orders = choose_v1(&request(8), &sources, facts(&standings), || {
        seed += 1;
        seed
    });
    for four in orders.chunks(4) {
        let firsts: BTreeSet<usize> = four.iter().map(|order| order[0]).collect();
        assert_eq!(firsts.len(), 4, "each newcomer is first once in four chunks");
    }
}
