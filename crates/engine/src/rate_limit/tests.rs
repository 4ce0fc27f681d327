//! Buckets and turns on a clock that is a number.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn start() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    Instant::now()
}

#[test]
fn rates_are_numbers_with_a_suffix_and_print_as_they_are_typed() {
    for (text, bytes, printed) in [
        ("1", 1, "1"),
        ("500K", 500 << 10, "500K"),
        ("10M", 10 << 20, "10M"),
        ("10m", 10 << 20, "10M"),
        ("1.5G", 3 << 29, "1536M"),
        ("2T", 2 << 40, "2T"),
        ("1000", 1_000, "1000"),
    ] {
        let rate = text.parse::<RateSetting>().unwrap().0.unwrap();
        assert_eq!((rate.bytes_per_second(), rate.to_string().as_str()), (bytes, printed), "{text}");
    }
    for text in ["0", "none", "0K", "0.0M"] {
        assert_eq!(text.parse(), Ok(RateSetting(None)), "{text}");
    }
    for text in ["", "K", "-1", "1e9", "10MB", " 1", "1 K", "1.M", ".5M", "99999999999T", "1.2345M", "é", "NONE"] {
        assert!(text.parse::<RateSetting>().is_err(), "{text}");
    }
}

/// What happens to a bucket.
#[derive(Debug, Clone)]
enum Event {
    Pass(Duration),
    Take(u64),
    Rate(Option<u64>),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0u64..2_000_000_000).prop_map(|nanos| Event::Pass(Duration::from_nanos(nanos))),
        6 => (0..2 * MIB).prop_map(Event::Take),
        1 => prop::option::weighted(0.9, prop_oneof![1u64..50_000, 50_000..500 * MIB, Just(u64::MAX)]).prop_map(Event::Rate),
    ]
}

proptest! {
    #[test]
    fn over_any_span_no_more_than_the_rate_and_a_burst_passes(rate in 1u64..500 * MIB, events in prop::collection::vec(any_event(), 1..200)) {
        let rate = Rate::new(rate).unwrap();
        let mut now = start();
        let mut bucket = Bucket::new(now, Some(rate));
        let mut given: Vec<(Instant, u64)> = Vec::new();
        for event in events {
            match event {
                Event::Pass(span) => now += span,
                Event::Take(bytes) if bucket.take(now, bytes).is_none() => given.push((now, bytes)),
                Event::Take(_) | Event::Rate(_) => {}
            }
        }
        let largest = given.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0).max(rate.burst());
        for (from, (begin, _)) in given.iter().enumerate() {
            let mut sum = 0_u64;
            for (end, bytes) in &given[from..] {
                sum += bytes;
                let most = rate.bytes_per_second() as f64 * (*end - *begin).as_secs_f64() + largest as f64 + 1.0;
                prop_assert!(sum as f64 <= most, "{sum} of {most}");
            }
        }
    }

    #[test]
    fn who_waits_as_long_as_told_gets_its_bytes_whatever_the_rate_was(events in prop::collection::vec(any_event(), 1..100)) {
        let mut now = start();
        let mut bucket = Bucket::new(now, Rate::new(MIB));
        for event in events {
            match event {
                Event::Pass(span) => now += span,
                Event::Rate(rate) => bucket.set_rate(now, rate.and_then(Rate::new)),
                Event::Take(bytes) => {
                    if let Some(wait) = bucket.take(now, bytes) {
                        prop_assert!(!wait.is_zero());
                        now += wait;
                        prop_assert_eq!(bucket.take(now, bytes), None);
                    }
                }
            }
        }
    }

    #[test]
    fn a_debt_is_paid_after_as_long_as_the_rate_takes(debts in prop::collection::vec(1..MIB, 1..30)) {
        let (mut now, rate) = (start(), Rate::new(MIB).unwrap());
        let (begin, mut bucket) = (now, Bucket::new(now, Some(rate)));
        let owed: u64 = debts.iter().sum();
        let debts: Vec<Debt> = debts.iter().map(|bytes| bucket.owe(now, *bytes)).collect();
        let mut before = Duration::ZERO;
        for debt in debts {
            let wait = bucket.wait(now, debt).unwrap_or_default();
            now += wait;
            prop_assert_eq!(bucket.wait(now, debt), None);
            prop_assert!(now - begin >= before, "in the order they were made");
            before = now - begin;
        }
        let least = owed.saturating_sub(rate.burst()) as f64 / MIB as f64;
        prop_assert!((now - begin).as_secs_f64() >= least - 1e-6 && (now - begin).as_secs_f64() <= least + 1e-6);
    }

    #[test]
    fn all_who_wait_get_equal_bytes_whatever_they_ask_for(
        rate in prop_oneof![10_000u64..1_000_000, MIB..100 * MIB],
        asks in prop::collection::vec((1u64..16, any::<bool>()), 2..40),
    ) {
        let mut now = start();
        let mut turns = Turns::new(now, Rate::new(rate));
        let mut got = vec![0; asks.len()];
        let ask = |turns: &mut Turns<usize, usize>, now, who: usize| {
            turns.ask(now, who, who, asks[who].0 * (64 << 10), asks[who].1)
        };
        // Whoever comes first takes what was saved up.
        for who in 0..asks.len() {
            while matches!(ask(&mut turns, now, who), Verdict::Now(..)) {}
        }
        for _ in 0..asks.len() * 400 {
            now = turns.deadline().unwrap();
            while let Some((who, bytes)) = turns.next(now) {
                got[who] += bytes;
                prop_assert_eq!(ask(&mut turns, now, who), Verdict::Later);
            }
        }
        prop_assert_eq!(turns.waiting(), asks.len());
        let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
        // A job that is half paid has got nothing yet.
        prop_assert!(*least > 0 && most - least <= MIB, "{got:?}");
    }

    #[test]
    fn those_who_leave_take_nothing_along(leaves in prop::collection::vec(any::<bool>(), 1..20)) {
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
fn jobs_of_one_group_share_its_turn_and_lifting_the_limit_frees_all() {
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
