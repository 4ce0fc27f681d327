//! Wall-clock time. Machines that measure spans within one process use `std::time::Instant`. Stored and sent times are
//! [`UnixMillis`].

use std::time::Duration;

/// Milliseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Returns the time `span` later, saturating.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(span)))
    }

    /// Returns the time `span` earlier, saturating.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(span)))
    }

    /// Returns how long ago `earlier` was; zero if it lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Returns whole seconds since 1970-01-01 UTC; 0 for earlier times.
    pub fn as_secs(self) -> u64 {
        u64::try_from(self.0.div_euclid(1_000)).unwrap_or(0)
    }
}

fn whole_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_move_both_ways_and_stop_at_the_ends() {
        let now = UnixMillis(1_000);
        let hour = Duration::from_secs(3_600);
        assert_eq!((now.plus(hour), now.minus(hour)), (UnixMillis(3_601_000), UnixMillis(-3_599_000)));
        assert_eq!(
            (now.plus(Duration::MAX), UnixMillis(-9).minus(Duration::MAX)),
            (UnixMillis(i64::MAX), UnixMillis(i64::MIN))
        );
    }
}
