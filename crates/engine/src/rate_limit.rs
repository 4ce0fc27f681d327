//! Rate limits: the rate that a user sets, and the token bucket that keeps to it.
//!
//! Arithmetic is exact, in billionths of a byte. Over any span a bucket lets through at most `rate x span`, and in
//! addition the larger of its burst and the largest single request. This holds however often its rate is changed.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// The burst of a bucket is a second's worth divided by this.
const BURST_PER_SECOND: u64 = 10;
/// The smallest burst, in bytes: less would be all overhead.
const BURST_BYTES_MIN: u64 = 16 << 10;
const NANOS: i128 = 1_000_000_000;

/// A rate in bytes a second; not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(NonZeroU64);

impl Rate {
    /// `None` for zero.
    pub fn new(bytes_per_second: u64) -> Option<Self> {
        NonZeroU64::new(bytes_per_second).map(Self)
    }

    /// The rate in bytes a second.
    pub fn bytes_per_second(self) -> u64 {
        self.0.get()
    }

    fn burst(self) -> u64 {
        (self.0.get() / BURST_PER_SECOND).max(BURST_BYTES_MIN)
    }
}

impl fmt::Display for Rate {
    /// Writes the rate as a user types it, with the largest suffix that leaves a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.0.get();
        let suffix = SUFFIXES.iter().rev().find(|(_, unit)| rate.is_multiple_of(*unit));
        match suffix {
            Some((letter, unit)) => write!(f, "{}{letter}", rate / unit),
            None => write!(f, "{rate}"),
        }
    }
}

const SUFFIXES: [(char, u64); 4] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];

/// A text that is not a rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateError(String);

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.0.chars().take(40).collect();
        write!(f, "{text:?} is no rate: give bytes a second like 500K, 10M or 1.5G, or none for no limit")
    }
}

impl std::error::Error for RateError {}

/// A rate as a user gives it; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSetting(pub Option<Rate>);

impl FromStr for RateSetting {
    type Err = RateError;

    /// Parses a number of bytes a second, with `K`, `M`, `G` or `T` in powers of 1024. `0` and `none` are no limit.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let failed = || RateError(text.to_owned());
        if text == "none" {
            return Ok(Self(None));
        }
        let last = text.chars().next_back().ok_or_else(failed)?;
        let suffix = SUFFIXES.iter().find(|(letter, _)| letter.eq_ignore_ascii_case(&last));
        let (digits, unit) = match suffix {
            Some((_, unit)) => (&text[..text.len() - 1], *unit),
            None => (text, 1),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Three digits after the point are fine enough, and cannot overflow.
        if !are_digits(whole) || !are_digits(part) || part.len() > 3 {
            return Err(failed());
        }
        let number = |text: &str| text.parse::<u64>().map_err(|_| failed());
        let parts = number(part)? * unit / 10_u64.pow(part.len() as u32);
        let bytes = number(whole)?.checked_mul(unit).and_then(|bytes| bytes.checked_add(parts)).ok_or_else(failed)?;
        Ok(Self(Rate::new(bytes)))
    }
}

/// A mark for bytes that flowed before the bucket had them; see [`Bucket::owe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debt(u64);

/// A token bucket. Without a rate, everything passes.
#[derive(Debug)]
pub struct Bucket {
    rate: Option<Rate>,
    /// Billionths of a byte that may pass; negative when bytes are owed. Never over the burst.
    level: i128,
    last: Instant,
    /// Bytes taken and owed since the beginning. Debts are paid in the order of this count.
    passed: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn new(now: Instant, rate: Option<Rate>) -> Self {
        let mut bucket = Self { rate, level: 0, last: now, passed: 0 };
        bucket.level = bucket.full();
        bucket
    }

    /// The limit.
    pub fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// Changes the rate. Debts stay; savings are cut to the new burst.
    pub fn set_rate(&mut self, now: Instant, rate: Option<Rate>) {
        self.refill(now);
        let was_unlimited = self.rate.is_none();
        self.rate = rate;
        self.level = if was_unlimited { self.full() } else { self.level.min(self.full()) };
    }

    /// Takes `bytes`, or returns how long to wait before asking again. More than the burst is given when the bucket is
    /// full, and owed from then on.
    pub fn take(&mut self, now: Instant, bytes: u64) -> Option<Duration> {
        self.refill(now);
        let rate = self.rate?;
        let needed = i128::from(bytes.min(rate.burst())) * NANOS;
        if self.level < needed {
            return Some(span(needed - self.level, rate));
        }
        self.pass(bytes);
        None
    }

    /// Gives back bytes that were taken and not used.
    pub fn give_back(&mut self, now: Instant, bytes: u64) {
        self.refill(now);
        self.level = self.level.saturating_add(i128::from(bytes) * NANOS).min(self.full());
    }

    /// Takes `bytes` that have come already, whether there are enough or not. Their receiver reads no more until
    /// [`Bucket::wait`] allows it. Debts are paid in the order they were made.
    pub fn owe(&mut self, now: Instant, bytes: u64) -> Debt {
        self.refill(now);
        self.pass(bytes);
        Debt(self.passed)
    }

    /// Returns how long until `debt` is paid at the present rate; `None` when it is paid. Ask again now and then,
    /// because the rate may change.
    pub fn wait(&mut self, now: Instant, debt: Debt) -> Option<Duration> {
        self.refill(now);
        let rate = self.rate?;
        let later = i128::from(self.passed.saturating_sub(debt.0)) * NANOS;
        let missing = -self.level - later;
        (missing > 0).then(|| span(missing, rate))
    }

    /// The most that [`Bucket::take`] gives without running into debt; `None` without a limit.
    pub fn burst(&self) -> Option<u64> {
        self.rate.map(Rate::burst)
    }

    fn pass(&mut self, bytes: u64) {
        self.passed = self.passed.saturating_add(bytes);
        if self.rate.is_some() {
            self.level = self.level.saturating_sub(i128::from(bytes) * NANOS);
        }
    }

    fn full(&self) -> i128 {
        self.rate.map_or(0, |rate| i128::from(rate.burst()) * NANOS)
    }

    fn refill(&mut self, now: Instant) {
        let nanos = now.saturating_duration_since(self.last).as_nanos().min(u128::from(u64::MAX)) as i128;
        self.last = self.last.max(now);
        if let Some(rate) = self.rate {
            let more = nanos.saturating_mul(i128::from(rate.0.get()));
            self.level = self.level.saturating_add(more).min(self.full());
        }
    }
}

/// Returns how long `missing` billionths of a byte take, rounded up.
fn span(missing: i128, rate: Rate) -> Duration {
    let rate = i128::from(rate.0.get());
    let nanos = (missing + rate - 1) / rate;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
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
}
