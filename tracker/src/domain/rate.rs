//! A request rate for each of any number of keys, in fixed memory and without a lock.
//!
//! The rule is GCRA, from the crate `governor`; the table is this module's. The state of a key is one number in one of
//! [`CELLS`] cells, which a hash with a secret seed selects. A number that was not touched for long means "nothing
//! used" by itself, so there is nothing to clean up, and no flood of keys can fill the table. Two keys in one cell
//! share its rate; the chance to share a given flooder's cell is 1 in [`CELLS`].

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

/// The cells of one rate: 512 KiB.
pub const CELLS: usize = 1 << 16;

/// The key of a rate: an address or an account.
pub type Key = [u8; 16];

/// A number of requests per time span, and a burst.
#[derive(Debug)]
pub struct Rate<C: Clock> {
    limiter: RateLimiter<Key, Cells, C, NoOpMiddleware<C::Instant>>,
}

impl<C: Clock> Rate<C> {
    /// Allows `count` requests in each `span`, and `spans` times as many at once. Returns `None` for a count of 0,
    /// which means no limit.
    pub fn new(count: u32, span: Duration, spans: u32, clock: C) -> Option<Self> {
        let burst = NonZeroU32::new(count.saturating_mul(spans))?;
        let quota = Quota::with_period(span / count)?.allow_burst(burst);
        Some(Self { limiter: RateLimiter::new(quota, Cells::new(), clock) })
    }

    /// Counts one request. The error is the time until the next one passes.
    pub fn check(&self, key: Key) -> Result<(), Duration> {
        self.limiter.check_key(&key).map_err(|until| until.wait_time_from(self.limiter.clock().now()))
    }
}

/// The table of cells.
struct Cells {
    cells: Box<[InMemoryState]>,
    seed: RandomState,
}

impl Cells {
    fn new() -> Self {
        Self { cells: (0..CELLS).map(|_| InMemoryState::default()).collect(), seed: RandomState::new() }
    }
}

impl std::fmt::Debug for Cells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{CELLS} cells")
    }
}

impl StateStore for Cells {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let at = self.seed.hash_one(key) as usize % CELLS;
        self.cells[at].measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

/// A clock that counts from its start and that no clock adjustment changes.
#[derive(Debug, Clone, Copy)]
pub struct Steady(Instant);

impl Steady {
    /// Starts the clock at zero.
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Steady {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn granted(rate: &Rate<FakeRelativeClock>, key: u8, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(rate.check([key; 16]).is_ok())).sum()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let clock = FakeRelativeClock::default();
        let rate = Rate::new(10, Duration::from_secs(1), 4, clock.clone()).expect("a limit");
        assert_eq!(granted(&rate, 1, 100), 40);
        let wait = rate.check([1; 16]).expect_err("is used up");
        assert!(wait > Duration::from_millis(90) && wait <= Duration::from_millis(100), "{wait:?}");
        clock.advance(Duration::from_millis(500));
        assert_eq!(granted(&rate, 1, 100), 5);
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(granted(&rate, 1, 100), 40, "never more than the burst");
    }

    #[test]
    fn a_flood_of_keys_affects_few_other_keys() {
        let clock = FakeRelativeClock::default();
        let rate = Rate::new(1, Duration::from_secs(1), 1, clock).expect("a limit");
        let key = |number: u64| {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&number.to_be_bytes());
            key
        };
        for number in 0..256 {
            let _over = rate.check(key(number));
        }
        let hit = (1_000..11_000u64).filter(|number| rate.check(key(*number)).is_err()).count();
        // Of 10,000 strangers about 40 share a cell with the flood, and some 760 with each other.
        assert!(hit < 1_500, "{hit}");
    }

    #[test]
    fn no_count_is_no_limit() {
        assert!(Rate::new(0, Duration::from_secs(1), 4, Steady::start()).is_none());
        assert!(Rate::new(u32::MAX, Duration::from_secs(1), 4, Steady::start()).is_none(), "finer than a nanosecond");
    }
}
