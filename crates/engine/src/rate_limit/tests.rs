//! Buckets on a clock that is a number.

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

/// An event at a bucket: time passes, bytes are taken, or the rate changes.
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
    fn a_job_gets_its_bytes_after_the_wait_at_any_rate(events in prop::collection::vec(any_event(), 1..100)) {
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
        let mut now = start();
        let rate = Rate::new(MIB).unwrap();
        let begin = now;
        let mut bucket = Bucket::new(now, Some(rate));
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
}
