//! Measures a rate of bytes, and estimates when the rest will have come.

use std::time::{Duration, Instant};

use crate::ids::ByteCount;

/// The memory of a meter: older bytes count little.
const SPAN: Duration = Duration::from_secs(2);
/// A shorter measurement counts as this long, so that the first bytes do not look infinitely fast.
const AGE_MIN_SECS: f64 = 0.02;

/// Bytes a second, averaged with exponentially fading weight over about two seconds. It is right from the first second
/// on: the missing weight of a short measurement is accounted for.
#[derive(Debug, Clone)]
pub struct RateMeter {
    /// Bytes, faded to `last`.
    faded: f64,
    /// Seconds measured, without the pauses.
    age_secs: f64,
    last: Instant,
    is_paused: bool,
}

impl RateMeter {
    /// A meter that has measured nothing.
    pub fn new(now: Instant) -> Self {
        Self { faded: 0.0, age_secs: 0.0, last: now, is_paused: false }
    }

    /// Counts bytes that came.
    pub fn add(&mut self, now: Instant, bytes: u64) {
        let passed = self.passed(now);
        self.faded = self.faded * fade(passed) + bytes as f64;
        self.age_secs += passed;
        self.last = self.last.max(now);
    }

    /// Keeps the rate as it is until [`RateMeter::resume`], because nothing is asked for meanwhile.
    pub fn pause(&mut self, now: Instant) {
        self.add(now, 0);
        self.is_paused = true;
    }

    /// Measures again after a pause.
    pub fn resume(&mut self, now: Instant) {
        self.last = self.last.max(now);
        self.is_paused = false;
    }

    /// The rate in bytes a second; 0 before the first byte.
    pub fn rate(&self, now: Instant) -> f64 {
        let passed = self.passed(now);
        let age = (self.age_secs + passed).max(AGE_MIN_SECS);
        self.faded * fade(passed) / (SPAN.as_secs_f64() * (1.0 - fade(age)))
    }

    /// Seconds that count since the last change.
    fn passed(&self, now: Instant) -> f64 {
        if self.is_paused { 0.0 } else { now.saturating_duration_since(self.last).as_secs_f64() }
    }
}

fn fade(secs: f64) -> f64 {
    (-secs / SPAN.as_secs_f64()).exp()
}

/// Returns how long `rest` takes at `rate` bytes a second; `None` when that is over a year or nothing moves.
pub fn eta(rest: ByteCount, rate: f64) -> Option<Duration> {
    const YEAR_SECS: f64 = 365.0 * 86_400.0;
    let secs = rest.0 as f64 / rate;
    // `secs` is NaN or infinite for a rate of zero, and then not in the range.
    (0.0..=YEAR_SECS).contains(&secs).then(|| Duration::from_secs_f64(secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        Instant::now()
    }

    /// Feeds `bytes` every 100 ms for `ticks` ticks. Returns the meter and the time at the end.
    fn steady(bytes: u64, ticks: u32) -> (RateMeter, Instant) {
        let mut now = start();
        let mut meter = RateMeter::new(now);
        for _ in 0..ticks {
            now += Duration::from_millis(100);
            meter.add(now, bytes);
        }
        (meter, now)
    }

    fn near(got: f64, wanted: f64) -> bool {
        (got - wanted).abs() < wanted * 0.1
    }

    #[test]
    fn a_steady_flow_is_measured_right_early_and_late() {
        for ticks in [5, 10, 100] {
            let (meter, now) = steady(1_000, ticks);
            assert!(near(meter.rate(now), 10_000.0), "{ticks} ticks: {}", meter.rate(now));
        }
    }

    #[test]
    fn silence_lowers_the_rate_and_a_pause_does_not() {
        let (meter, now) = steady(1_000, 50);
        let later = now + Duration::from_secs(10);
        assert!(meter.rate(later) < 100.0);
        let (mut meter, now) = steady(1_000, 50);
        meter.pause(now);
        assert!(near(meter.rate(later), 10_000.0));
        meter.resume(later);
        assert!(near(meter.rate(later), 10_000.0));
    }

    #[test]
    fn time_running_backwards_and_zero_bytes_are_harmless() {
        let (mut meter, now) = steady(1_000, 50);
        meter.add(now - Duration::from_secs(3), 0);
        assert!(near(meter.rate(now), 10_000.0));
        assert_eq!(RateMeter::new(now).rate(now), 0.0);
    }

    #[test]
    fn the_eta_of_nothing_moving_is_unknown() {
        assert_eq!(eta(ByteCount(100), 10.0), Some(Duration::from_secs(10)));
        assert_eq!(eta(ByteCount(0), 10.0), Some(Duration::ZERO));
        for rate in [0.0, f64::NAN, 1e-30, -1.0] {
            assert_eq!(eta(ByteCount(100), rate), None, "{rate}");
        }
        assert_eq!(eta(ByteCount(0), 0.0), None);
    }
}
