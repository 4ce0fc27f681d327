//! The queue of the upload limit on a clock that is a number.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn start() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    Instant::now()
}

proptest! {
    #[test]
    fn waiting_groups_get_equal_bytes_whatever_they_ask_for(
        rate in prop_oneof![10_000u64..1_000_000, MIB..100 * MIB],
        asks in prop::collection::vec((1u64..16, any::<bool>()), 2..40),
    ) {
        let mut now = start();
        let mut turns = Turns::new(now, Rate::new(rate));
        let mut got = vec![0; asks.len()];
        let ask = |turns: &mut Turns<usize, usize>, now, group: usize| {
            turns.ask(now, group, group, asks[group].0 * (64 << 10), asks[group].1)
        };
        // The first group takes the saved burst.
        for who in 0..asks.len() {
            while matches!(ask(&mut turns, now, who), Verdict::Now(..)) {}
        }
        for _ in 0..asks.len() * 400 {
            now = turns.deadline().unwrap();
            while let Some((group, bytes)) = turns.next(now) {
                got[group] += bytes;
                prop_assert_eq!(ask(&mut turns, now, group), Verdict::Later);
            }
        }
        prop_assert_eq!(turns.waiting(), asks.len());
        let least = got.iter().min().unwrap();
        let most = got.iter().max().unwrap();
        // A job that is half paid has got nothing yet.
        prop_assert!(*least > 0 && most - least <= MIB, "{got:?}");
    }

    #[test]
    fn a_forgotten_group_gives_its_bytes_to_the_others(leaves in prop::collection::vec(any::<bool>(), 1..20)) {
        let mut now = start();
        let mut turns = Turns::new(now, Rate::new(MIB));
        while matches!(turns.ask(now, 99, 99, 64 << 10, true), Verdict::Now(..)) {}
        for who in 0..leaves.len() {
            turns.ask(now, who, who, MIB, false);
        }
        now += Duration::from_millis(700);
        while turns.next(now).is_some() {}
        for (who, _) in leaves.iter().enumerate().filter(|(_, leaves)| **leaves) {
            turns.forget(now, &who);
        }
        turns.forget(now, &99);
        let mut served = Vec::new();
        while let Some(due) = turns.deadline() {
            served.extend(turns.next(due).map(|(who, _)| who));
        }
        let stayed = (0..leaves.len()).filter(|who| !leaves[*who]);
        prop_assert_eq!(served, stayed.collect::<Vec<_>>());
        prop_assert_eq!((turns.waiting(), turns.deadline()), (0, None));
    }
}

#[test]
fn jobs_of_a_group_share_its_turn_until_the_limit_is_lifted() {
    let now = start();
    let mut turns = Turns::new(now, Rate::new(MIB));
    while matches!(turns.ask(now, "crowd", 0, 64 << 10, true), Verdict::Now(..)) {}
    for job in 1..10 {
        turns.ask(now, "crowd", job, 64 << 10, false);
    }
    turns.ask(now, "one", 10, 64 << 10, false);
    let mut order = Vec::new();
    while order.len() < 3 {
        order.extend(turns.next(turns.deadline().unwrap()).map(|(job, _)| job));
    }
    assert_eq!(order, [0, 10, 1]);
    turns.set_rate(now, None);
    assert_eq!(std::iter::from_fn(|| turns.next(now)).count(), 8);
    assert_eq!(turns.ask(now, "one", 1, 5 * MIB, true), Verdict::Now(5 * MIB, 1));
}
