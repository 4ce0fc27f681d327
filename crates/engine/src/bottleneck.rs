//! The bottleneck of a download, found from the time that its threads spend in each stage.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The span that is judged.
const SPAN: Duration = Duration::from_secs(5);
/// The shortest time between two samples, so that at most a few dozen are kept.
const STEP: Duration = Duration::from_millis(200);
/// The least time of all threads together that is judged.
const SPENT_MIN: Duration = Duration::from_millis(200);

/// The stage to change for a download to become faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bottleneck {
    /// Most time goes into writing to the disk.
    Disk,
    /// Most time goes into waiting for the sources or the network.
    Sources,
    /// Most time goes into waiting for the user's rate limit.
    OwnLimit,
    /// Most time goes into hashing.
    Hashing,
    /// No stage stands out, or too little time has passed.
    None,
}

/// Time spent in each stage since the beginning, by all threads of a download together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Waiting for the disk.
    pub disk: Duration,
    /// Waiting for requested bytes.
    pub sources: Duration,
    /// Waiting for the rate limit.
    pub own_limit: Duration,
    /// Computing hashes on the processor.
    pub hashing: Duration,
}

impl Spent {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            disk: self.disk.saturating_sub(earlier.disk),
            sources: self.sources.saturating_sub(earlier.sources),
            own_limit: self.own_limit.saturating_sub(earlier.own_limit),
            hashing: self.hashing.saturating_sub(earlier.hashing),
        }
    }

    /// Returns the stage that took at least half of the time.
    pub fn bottleneck(&self) -> Bottleneck {
        let parts = [
            (self.own_limit, Bottleneck::OwnLimit),
            (self.disk, Bottleneck::Disk),
            (self.hashing, Bottleneck::Hashing),
            (self.sources, Bottleneck::Sources),
        ];
        let all: Duration = parts.iter().map(|(spent, _)| *spent).sum();
        if all < SPENT_MIN {
            return Bottleneck::None;
        }
        parts.iter().find(|(spent, _)| *spent * 2 >= all).map_or(Bottleneck::None, |(_, what)| *what)
    }
}

/// Samples of the last seconds.
#[derive(Debug)]
pub struct BottleneckMeter {
    /// Oldest first, at least [`STEP`] apart; the first one lies before the span, or is the beginning.
    samples: VecDeque<(Instant, Spent)>,
}

impl BottleneckMeter {
    /// No time is spent yet.
    pub fn new(now: Instant) -> Self {
        Self { samples: VecDeque::from([(now, Spent::default())]) }
    }

    /// Takes the present sums, and returns the bottleneck of the last seconds.
    pub fn look(&mut self, now: Instant, spent: Spent) -> Bottleneck {
        while self.samples.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= SPAN) {
            self.samples.pop_front();
        }
        let verdict = self.samples.front().map_or(Bottleneck::None, |(_, first)| spent.since(first).bottleneck());
        if self.samples.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= STEP) {
            self.samples.push_back((now, spent));
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn spent(disk: u32, sources: u32, own_limit: u32, hashing: u32) -> Spent {
        let ms = |ms: u32| Duration::from_millis(ms.into());
        Spent { disk: ms(disk), sources: ms(sources), own_limit: ms(own_limit), hashing: ms(hashing) }
    }

    #[test]
    fn the_stage_with_half_of_the_time_is_the_bottleneck() {
        for (spent, expected) in [
            (spent(0, 0, 0, 0), Bottleneck::None),
            (spent(0, 150, 0, 0), Bottleneck::None),
            (spent(900, 100, 0, 0), Bottleneck::Disk),
            (spent(100, 900, 0, 0), Bottleneck::Sources),
            (spent(100, 100, 300, 0), Bottleneck::OwnLimit),
            (spent(400, 100, 0, 600), Bottleneck::Hashing),
            (spent(400, 400, 0, 400), Bottleneck::None),
            // While the limit holds, sources are waited for too.
            (spent(0, 500, 500, 0), Bottleneck::OwnLimit),
        ] {
            assert_eq!(spent.bottleneck(), expected, "{spent:?}");
        }
    }

    #[test]
    fn only_the_last_seconds_count() {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        let start = Instant::now();
        let mut meter = BottleneckMeter::new(start);
        let mut now = start;
        for ms in (0..10_000).step_by(10) {
            now = start + Duration::from_millis(ms.into());
            meter.look(now, spent(ms, 0, 0, 0));
            assert!(meter.samples.len() <= 27);
        }
        assert_eq!(meter.look(now, spent(10_000, 0, 0, 0)), Bottleneck::Disk);
        assert_eq!(meter.look(now + SECOND, spent(10_000, 1_000, 0, 0)), Bottleneck::Disk);
        for ms in (0..6_000).step_by(100) {
            meter.look(now + Duration::from_millis(ms.into()), spent(10_000, ms, 0, 0));
        }
        assert_eq!(meter.look(now + 6 * SECOND, spent(10_000, 6_000, 0, 0)), Bottleneck::Sources);
    }
}
