//! The volume and rate of what a call sends, for the status.

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
