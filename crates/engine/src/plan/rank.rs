//! Ranking: the order in which a lookup names the holders of a file.
//!
//! Established accounts come first, in random order. An order by score would send all traffic to the best account, and
//! would give rings of accounts a reason to exist. Of two accounts drawn at random the less loaded one is named. Every
//! fifth slot goes to a newcomer, so that new accounts get a chance. Accounts that the caller complained about come
//! last, for that caller only.

use crate::economy::{LISTED_MAX, Standing, Tier};
use crate::ids::PeerId;
use crate::lease::is_live;
use crate::random::Rng;
use crate::time::UnixMillis;

/// Newcomers take slot 3 and every fifth slot after it: 3, 8, 13 and so on.
const NEWCOMER_EVERY: usize = 5;
const NEWCOMER_FIRST: usize = 2;

/// A source as the ranking sees it for one caller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankInput {
    /// The source's account.
    pub peer: PeerId,
    /// The account's score and tier now.
    pub standing: Standing,
    /// When its lease ends.
    pub lease_until: UnixMillis,
    /// Until when the caller wants it last; zero without a complaint.
    pub demoted_until: UnixMillis,
    /// The number of plans that have named the source today, for any caller.
    pub offered_today: u32,
    /// The number of plans that have named the source in the last seconds.
    pub load: u32,
    /// Whether it has the caller's site label.
    pub same_site: bool,
    /// Whether it holds a chunk that no other listed source holds.
    pub only_holder: bool,
}

/// Orders the sources and returns their positions, best first, at most [`LISTED_MAX`].
///
/// Left out are the caller, sources without a live lease, and unlisted accounts that are not the only holder of a
/// chunk. The cut to the maximum keeps only holders and drops others first. Among equals those of the caller's site
/// come first. The same `seed` gives the same order.
pub fn order(inputs: &[RankInput], caller: PeerId, seed: u64, now: UnixMillis) -> Vec<usize> {
    let mut rng = Rng::new(seed);
    let mut slots = Vec::with_capacity(inputs.len());
    let eligible = inputs.iter().enumerate().filter(|(_, input)| is_eligible(input, caller, now));
    slots.extend(eligible.map(|(at, input)| Slot { at, key: sort_key(input, now) }));
    slots.sort_unstable_by_key(|slot| slot.key);
    for equals in slots.chunk_by_mut(|a, b| a.key == b.key) {
        two_choices(equals, inputs, &mut rng);
    }
    let (front, rest) = slots.split_at(slots.partition_point(|slot| slot.class() < Class::Unknown));
    let (newcomers, back) = rest.split_at(rest.partition_point(|slot| slot.class() == Class::Unknown));
    let mut order = interleave(front, newcomers, slots.len());
    order.extend(back.iter().map(|slot| slot.at));
    cut(order, inputs)
}

/// A source's position and its sort key.
#[derive(Debug, Clone, Copy)]
struct Slot {
    at: usize,
    key: SortKey,
}

impl Slot {
    fn class(&self) -> Class {
        self.key.0
    }
}

fn is_eligible(input: &RankInput, caller: PeerId, now: UnixMillis) -> bool {
    let listed = input.standing.tier != Tier::Unlisted || input.only_holder;
    input.peer != caller && is_live(input.lease_until, now) && listed
}

/// The parts of the list, first to last, before newcomers are spread over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Established,
    Known,
    Unknown,
    Unlisted,
    ComplainedAbout,
}

fn class(input: &RankInput, now: UnixMillis) -> Class {
    if now < input.demoted_until {
        return Class::ComplainedAbout;
    }
    match input.standing.tier {
        Tier::Established => Class::Established,
        Tier::Known => Class::Known,
        Tier::Unknown => Class::Unknown,
        Tier::Unlisted => Class::Unlisted,
    }
}

type SortKey = (Class, u32, bool);

fn sort_key(input: &RankInput, now: UnixMillis) -> SortKey {
    let class = class(input, now);
    let offered = if class == Class::Unknown { input.offered_today } else { 0 };
    (class, offered, !input.same_site)
}

/// Puts equals into random order. Each slot gets the less loaded of two that are drawn from the rest, which keeps load
/// even without sending every caller to the source that is idle at the moment (Mitzenmacher, "The power of two choices
/// in randomized load balancing").
fn two_choices(equals: &mut [Slot], inputs: &[RankInput], rng: &mut Rng) {
    for at in 0..equals.len().saturating_sub(1) {
        let mut draw = || at + usize::try_from(rng.below((equals.len() - at) as u64)).unwrap_or(0);
        let one = draw();
        let other = draw();
        let lighter = inputs[equals[other].at].load < inputs[equals[one].at].load;
        equals.swap(at, if lighter { other } else { one });
    }
}

/// Merges newcomers into the front at their slots. When one list ends, the other follows.
fn interleave(front: &[Slot], newcomers: &[Slot], capacity: usize) -> Vec<usize> {
    let mut order = Vec::with_capacity(capacity);
    let mut front = front.iter();
    let mut newcomers = newcomers.iter();
    loop {
        let is_for_newcomer = order.len() % NEWCOMER_EVERY == NEWCOMER_FIRST;
        let next = if is_for_newcomer {
            newcomers.next().or_else(|| front.next())
        } else {
            front.next().or_else(|| newcomers.next())
        };
        match next {
            Some(slot) => order.push(slot.at),
            None => return order,
        }
    }
}

/// Keeps the first [`LISTED_MAX`], only holders before others.
fn cut(mut order: Vec<usize>, inputs: &[RankInput]) -> Vec<usize> {
    if order.len() <= LISTED_MAX {
        return order;
    }
    let only_holders = order.iter().filter(|i| inputs[**i].only_holder).count();
    let mut room_for_others = LISTED_MAX.saturating_sub(only_holders);
    order.retain(|i| {
        let kept = inputs[*i].only_holder || room_for_others > 0;
        room_for_others -= usize::from(kept && !inputs[*i].only_holder);
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

    fn input(id: u8, tier: Tier) -> RankInput {
        RankInput {
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

    /// `spec` has one letter per source: e(stablished), k(nown), u(nknown), x (unlisted), h (unlisted, only holder),
    /// E established and complained about, s (established, same site), d(ead), c(aller).
    fn make(spec: &str) -> Vec<RankInput> {
        spec.bytes().zip(1..).map(|(letter, id)| from_letter(letter, id)).collect()
    }

    fn from_letter(letter: u8, id: u8) -> RankInput {
        let complained = UnixMillis(NOW.0 + 1);
        match letter {
            b'e' => input(id, Tier::Established),
            b's' => RankInput { same_site: true, ..input(id, Tier::Established) },
            b'k' => input(id, Tier::Known),
            b'u' => RankInput { offered_today: u32::from(id), ..input(id, Tier::Unknown) },
            b'x' => input(id, Tier::Unlisted),
            b'h' => RankInput { only_holder: true, ..input(id, Tier::Unlisted) },
            b'E' => RankInput { demoted_until: complained, ..input(id, Tier::Established) },
            b'd' => RankInput { lease_until: NOW, ..input(id, Tier::Established) },
            _ => RankInput { peer: CALLER, ..input(id, Tier::Established) },
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
    fn tiers_come_in_order_with_newcomers_in_every_fifth_slot() {
        check("", "");
        check("ke", "ek");
        check("ukkkkee", "eeukkkk");
        check("uuukkkkeeeeee", "eeueeeeukkkku");
        check("uu", "uu");
        check("euu", "euu");
        check("uEke", "ekuE");
    }

    #[test]
    fn some_sources_are_left_out() {
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
    fn a_source_the_caller_complained_about_comes_last() {
        check("Euh", "uhE");
        check("Ek", "kE");
    }

    #[test]
    fn newcomers_that_were_named_least_come_first() {
        let order = order(&make("uuuu"), CALLER, 7, NOW);
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn equals_share_the_first_slot_evenly() {
        let inputs = make("eeeee");
        let mut firsts: BTreeMap<usize, u32> = BTreeMap::new();
        for seed in 0..5_000 {
            *firsts.entry(order(&inputs, CALLER, seed, NOW)[0]).or_default() += 1;
        }
        assert!(firsts.len() == 5 && firsts.values().all(|n| (850..1_150).contains(n)), "{firsts:?}");
    }

    #[test]
    fn less_loaded_equals_come_first_more_often_not_always() {
        let mut inputs = make("eeee");
        inputs[0].load = 9;
        let mut firsts = [0; 4];
        (0..4_000).for_each(|seed| firsts[order(&inputs, CALLER, seed, NOW)[0]] += 1);
        // A loaded source comes first only if both draws are it: 1 time in 16.
        assert!((150..350).contains(&firsts[0]), "{firsts:?}");
        assert!(firsts[1..].iter().all(|n| (1_050..1_450).contains(n)), "{firsts:?}");
    }

    #[test]
    fn the_cut_keeps_fifty_with_the_only_holder() {
        let spec = format!("h{}", "e".repeat(80));
        let order = order(&make(&spec), CALLER, 1, NOW);
        assert_eq!((order.len(), order.last()), (50, Some(&0)));
    }

    proptest! {
        #[test]
        fn an_order_has_each_eligible_source_once_and_repeats(
            spec in "[eksuxhEdc]{0,70}", seed: u64,
        ) {
            let inputs = make(&spec);
            let first = order(&inputs, CALLER, seed, NOW);
            prop_assert_eq!(&first, &order(&inputs, CALLER, seed, NOW));
            let offered = inputs.iter().filter(|c| is_eligible(c, CALLER, NOW)).count();
            prop_assert_eq!(first.len(), offered.min(50));
            let distinct: std::collections::BTreeSet<usize> = first.iter().copied().collect();
            prop_assert_eq!(distinct.len(), first.len());
            prop_assert!(first.iter().all(|i| is_eligible(&inputs[*i], CALLER, NOW)));
        }
    }
}
