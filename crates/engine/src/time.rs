//! Points in time that come in from outside. Machines on one process's clock use `std::time::Instant` values; what is
//! stored or travels uses [`UnixMillis`].

use std::time::Duration;

/// Milliseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Later by `span`, saturating.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(span)))
    }

    /// Earlier by `span`, saturating.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(span)))
    }

    /// How long ago `earlier` was; zero where it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole seconds, as they travel.
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
        let (now, hour) = (UnixMillis(1_000), Duration::from_secs(3_600));
        assert_eq!((now.plus(hour), now.minus(hour)), (UnixMillis(3_601_000), UnixMillis(-3_599_000)));
        assert_eq!(
            (now.plus(Duration::MAX), UnixMillis(-9).minus(Duration::MAX)),
            (UnixMillis(i64::MAX), UnixMillis(i64::MIN))
        );
    }
}
