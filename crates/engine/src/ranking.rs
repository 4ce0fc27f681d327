//! In which order a lookup names the holders of a file.
//!
//! Established accounts come first in random order: a list ordered by score would give the best all the traffic and rings a
//! reason to exist; of two drawn at random the less loaded is named. Every fifth place goes to someone unknown, so that newcomers get their chance. What the caller complained
//! about comes last for the caller alone.

use crate::economy::{LISTED_MAX, Standing, Tier};
use crate::ids::PeerId;
use crate::lease::is_live;
use crate::random::Rng;
use crate::time::UnixMillis;

/// The places for unknown accounts are 3, 8, 13, and so on: every fifth from the third.
const UNKNOWN_EVERY: usize = 5;
const UNKNOWN_FIRST: usize = 2;

/// Someone who announced the file, as the caller sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Who.
    pub peer: PeerId,
    /// Score and tier now.
    pub standing: Standing,
    /// When its announce expires.
    pub lease_until: UnixMillis,
    /// From the pair row (caller, peer); zero if there is none.
    pub demoted_until: UnixMillis,
    /// How often it was named to anyone today.
    pub offered_today: u32,
    /// How often it was named in the last seconds.
    pub load: u32,
    /// Whether it has the caller's site label.
    pub same_site: bool,
    /// Whether it holds something that no other listed candidate holds.
    pub only_holder: bool,
}

/// The order in which to name `candidates`, as indexes into it, best first: at most 50. Left out are the caller, who has no
/// live lease, and who is unlisted without being the only holder. Only holders are never cut off for length, unless there
/// are more than 50 of them. Among equals those of the caller's site come first. The same `seed` gives the same order.
pub fn order(candidates: &[Candidate], caller: PeerId, seed: u64, now: UnixMillis) -> Vec<usize> {
    let mut rng = Rng::new(seed);
    let mut places = Vec::with_capacity(candidates.len());
    let offered = candidates.iter().enumerate().filter(|(_, candidate)| is_offered(candidate, caller, now));
    places.extend(offered.map(|(at, candidate)| Place { at, key: sort_key(candidate, now) }));
    places.sort_unstable_by_key(|place| place.key);
    for equals in places.chunk_by_mut(|a, b| a.key == b.key) {
        two_choices(equals, candidates, &mut rng);
    }
    let (front, rest) = places.split_at(places.partition_point(|place| place.class() < Class::Unknown));
    let (unknown, back) = rest.split_at(rest.partition_point(|place| place.class() == Class::Unknown));
    let mut order = interleave(front, unknown, places.len());
    order.extend(back.iter().map(|place| place.at));
    cut(order, candidates)
}

/// A candidate, and what it is sorted by.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: usize,
    key: SortKey,
}

impl Place {
    fn class(&self) -> Class {
        self.key.0
    }
}

fn is_offered(candidate: &Candidate, caller: PeerId, now: UnixMillis) -> bool {
    let listed = candidate.standing.tier != Tier::Unlisted || candidate.only_holder;
    candidate.peer != caller && is_live(candidate.lease_until, now) && listed
}

/// The parts of the list, first to last, before the unknown are spread over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Established,
    Known,
    Unknown,
    Unlisted,
    ComplainedAbout,
}

fn class(candidate: &Candidate, now: UnixMillis) -> Class {
    if now < candidate.demoted_until {
        return Class::ComplainedAbout;
    }
    match candidate.standing.tier {
        Tier::Established => Class::Established,
        Tier::Known => Class::Known,
        Tier::Unknown => Class::Unknown,
        Tier::Unlisted => Class::Unlisted,
    }
}

type SortKey = (Class, u32, bool);

fn sort_key(candidate: &Candidate, now: UnixMillis) -> SortKey {
    let class = class(candidate, now);
    let offered = if class == Class::Unknown { candidate.offered_today } else { 0 };
    (class, offered, !candidate.same_site)
}

/// Brings equals into random order, putting on each place the less loaded of two that are drawn from what is left: enough to keep load even without sending
/// everyone to whoever is idle at the moment (Mitzenmacher, "The power of two choices in randomized load balancing").
fn two_choices(equals: &mut [Place], candidates: &[Candidate], rng: &mut Rng) {
    for at in 0..equals.len().saturating_sub(1) {
        let mut draw = || at + usize::try_from(rng.below((equals.len() - at) as u64)).unwrap_or(0);
        let (one, other) = (draw(), draw());
        let lighter = candidates[equals[other].at].load < candidates[equals[one].at].load;
        equals.swap(at, if lighter { other } else { one });
    }
}

/// The unknown on their places among the front; what is left of either follows.
fn interleave(front: &[Place], unknown: &[Place], room: usize) -> Vec<usize> {
    let mut order = Vec::with_capacity(room);
    let (mut front, mut unknown) = (front.iter(), unknown.iter());
    loop {
        let is_theirs = order.len() % UNKNOWN_EVERY == UNKNOWN_FIRST;
        let next =
            if is_theirs { unknown.next().or_else(|| front.next()) } else { front.next().or_else(|| unknown.next()) };
        match next {
            Some(place) => order.push(place.at),
            None => return order,
        }
    }
}

/// Keeps the first 50, only holders before others.
fn cut(mut order: Vec<usize>, candidates: &[Candidate]) -> Vec<usize> {
    if order.len() <= LISTED_MAX {
        return order;
    }
    let only_holders = order.iter().filter(|i| candidates[**i].only_holder).count();
    let mut room_for_others = LISTED_MAX.saturating_sub(only_holders);
    order.retain(|i| {
        let kept = candidates[*i].only_holder || room_for_others > 0;
        room_for_others -= usize::from(kept && !candidates[*i].only_holder);
        kept
    });
    order.truncate(LISTED_MAX);
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);
    const CALLER: PeerId = PeerId([0; 16]);

    fn candidate(id: u8, tier: Tier) -> Candidate {
        Candidate {
            peer: PeerId([id; 16]),
            standing: Standing { score: 0.5, tier },
            lease_until: UnixMillis(NOW.0 + 1),
            demoted_until: UnixMillis(0),
            offered_today: 0,
            load: 0,
            same_site: false,
            only_holder: false,
        }
    }

    /// `spec` has one letter a candidate: e(stablished), k(nown), u(nknown), x (unlisted), h (unlisted, only holder),
    /// E established and complained about, s (established, same site), d(ead), c(aller).
    fn make(spec: &str) -> Vec<Candidate> {
        spec.bytes().zip(1..).map(|(letter, id)| from_letter(letter, id)).collect()
    }

    fn from_letter(letter: u8, id: u8) -> Candidate {
        let complained = UnixMillis(NOW.0 + 1);
        match letter {
            b'e' => candidate(id, Tier::Established),
            b's' => Candidate { same_site: true, ..candidate(id, Tier::Established) },
            b'k' => candidate(id, Tier::Known),
            b'u' => Candidate { offered_today: u32::from(id), ..candidate(id, Tier::Unknown) },
            b'x' => candidate(id, Tier::Unlisted),
            b'h' => Candidate { only_holder: true, ..candidate(id, Tier::Unlisted) },
            b'E' => Candidate { demoted_until: complained, ..candidate(id, Tier::Established) },
            b'd' => Candidate { lease_until: NOW, ..candidate(id, Tier::Established) },
            _ => Candidate { peer: CALLER, ..candidate(id, Tier::Established) },
        }
    }

    fn check(spec: &str, expected: &str) {
        for seed in 0..20 {
            let order = order(&make(spec), CALLER, seed, NOW);
            let letters: String = order.iter().map(|i| spec.as_bytes()[*i] as char).collect();
            assert_eq!(letters, expected, "{spec} with seed {seed}");
        }
    }

    #[test]
    fn tiers_come_in_order_with_the_unknown_at_every_fifth_place_from_the_third() {
        check("", "");
        check("ke", "ek");
        check("ukkkkee", "eeukkkk");
        check("uuukkkkeeeeee", "eeueeeeukkkku");
        check("uu", "uu");
        check("euu", "euu");
        check("uEke", "ekuE");
    }

    #[test]
    fn some_are_not_offered() {
        check("dce", "e");
        check("xe", "e");
        check("xhe", "eh");
        check("x", "");
        check("h", "h");
    }

    #[test]
    fn equals_of_the_same_site_come_first() {
        check("eseku", "seuek");
    }

    #[test]
    fn whom_the_caller_complained_about_comes_last() {
        check("Euh", "uhE");
        check("Ek", "kE");
    }

    #[test]
    fn the_unknown_that_were_offered_least_come_first() {
        let order = order(&make("uuuu"), CALLER, 7, NOW);
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn equals_share_the_first_place_evenly() {
        let candidates = make("eeeee");
        let mut firsts: BTreeMap<usize, u32> = BTreeMap::new();
        for seed in 0..5_000 {
            *firsts.entry(order(&candidates, CALLER, seed, NOW)[0]).or_default() += 1;
        }
        assert!(firsts.len() == 5 && firsts.values().all(|n| (850..1_150).contains(n)), "{firsts:?}");
    }

    #[test]
    fn of_equals_the_less_loaded_are_named_first_more_often_and_nobody_always() {
        let mut candidates = make("eeee");
        candidates[0].load = 9;
        let mut firsts = [0; 4];
        (0..4_000).for_each(|seed| firsts[order(&candidates, CALLER, seed, NOW)[0]] += 1);
        // Only who is drawn twice is named in spite of its load: 1 of 16.
        assert!((150..350).contains(&firsts[0]), "{firsts:?}");
        assert!(firsts[1..].iter().all(|n| (1_050..1_450).contains(n)), "{firsts:?}");
    }

    #[test]
    fn fifty_are_kept_and_an_only_holder_is_among_them() {
        let spec = format!("h{}", "e".repeat(80));
        let order = order(&make(&spec), CALLER, 1, NOW);
        assert_eq!((order.len(), order.last()), (50, Some(&0)));
    }

    proptest! {
        #[test]
        fn an_order_names_each_offered_candidate_once_and_depends_on_the_seed_only(
            spec in "[eksuxhEdc]{0,70}", seed: u64,
        ) {
            let candidates = make(&spec);
            let first = order(&candidates, CALLER, seed, NOW);
            prop_assert_eq!(&first, &order(&candidates, CALLER, seed, NOW));
            let offered = candidates.iter().filter(|c| is_offered(c, CALLER, NOW)).count();
            prop_assert_eq!(first.len(), offered.min(50));
            let distinct: std::collections::BTreeSet<usize> = first.iter().copied().collect();
            prop_assert_eq!(distinct.len(), first.len());
            prop_assert!(first.iter().all(|i| is_offered(&candidates[*i], CALLER, NOW)));
        }
    }
}
