//! Snapshots of the calls being served, with their volume and rate, for the status of a node.

use std::time::{Duration, Instant};

use peernet_engine::candidate::Transport;
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::rate::RateMeter;

/// A `Fetch` call being served.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    /// The file.
    pub file_hash: FileHash,
    /// The name of the file here; may be empty.
    pub file_name: String,
    /// The caller's `address:port`.
    pub address: String,
    /// The protection of the connection.
    pub transport: Transport,
    /// The caller's account, where that is proven.
    pub peer: Option<PeerId>,
    /// Recent rate of payload, in bytes a second.
    pub rate: f64,
    /// Payload bytes since the call began.
    pub bytes: u64,
    /// Time since the call began.
    pub age: Duration,
}

/// Version 1's calls, one for each chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Calls {
    /// Calls being served now.
    pub running: usize,
    /// Recent rate of payload over all calls, in bytes a second.
    pub rate: f64,
    /// Payload bytes since the server began.
    pub bytes: u64,
}

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

    #[test]
    fn a_flow_that_sends_nothing_more_has_no_rate() {
        let begun = Instant::now();
        let mut flow = Flow::new(begun);
        assert_eq!((flow.bytes(), flow.rate(begun)), (0, 0.0));
        flow.add(begun, u32::MAX);
        flow.add(begun, u32::MAX);
        assert_eq!(flow.bytes(), 2 * u64::from(u32::MAX));
        let much_later = begun + Duration::from_secs(3_600);
        assert!(flow.rate(much_later) < 1.0, "{}", flow.rate(much_later));
        assert_eq!(flow.bytes(), 2 * u64::from(u32::MAX), "the volume stays");
    }
}
