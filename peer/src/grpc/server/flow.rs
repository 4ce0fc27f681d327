//! How much and how fast something sends.

use std::time::{Duration, Instant};

use peernet_engine::rate::RateMeter;

/// Counts payload bytes.
pub(super) struct Flow {
    begun: Instant,
    bytes: u64,
    meter: RateMeter,
}

impl Flow {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { begun: now, bytes: 0, meter: RateMeter::new(now) }
    }

    pub(super) fn add(&mut self, bytes: u32) {
        self.bytes += u64::from(bytes);
        self.meter.add(Instant::now(), bytes.into());
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn rate(&self) -> f64 {
        self.meter.rate(Instant::now())
    }

    pub(super) fn age(&self) -> Duration {
        self.begun.elapsed()
    }
}
