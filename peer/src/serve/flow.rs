//! The volume and rate of a call's payload, for the status.

use std::time::{Duration, Instant};

use peernet_engine::rate::RateMeter;

/// Counts payload bytes.
pub(super) struct Flow {
    begun: Instant,
    bytes: u64,
    meter: RateMeter,
}

impl Flow {
    pub(super) fn new(now: Instant) -> Self {
        Self { begun: now, bytes: 0, meter: RateMeter::new(now) }
    }

    pub(super) fn add(&mut self, now: Instant, bytes: u32) {
        self.bytes += u64::from(bytes);
        self.meter.add(now, bytes.into());
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn rate(&self, now: Instant) -> f64 {
        self.meter.rate(now)
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_has_a_volume_a_rate_and_an_age() {
        let begun = Instant::now();
        let mut flow = Flow::new(begun);
        let mut now = begun;
        for _ in 0..50 {
            now += Duration::from_millis(100);
            flow.add(now, 1_000);
        }
        assert_eq!((flow.bytes(), flow.age(now)), (50_000, Duration::from_secs(5)));
        assert!((9_000.0..11_000.0).contains(&flow.rate(now)), "{}", flow.rate(now));
        // A look at a time before the beginning is harmless.
        assert_eq!(flow.age(begun - Duration::from_secs(1)), Duration::ZERO);
    }
}
