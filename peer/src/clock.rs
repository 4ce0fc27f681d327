//! The wall clock, for times that are stored or compared with those of tokens and certificates.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the seconds since 1970-01-01 UTC; 0 if the clock is before that.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_secs())
}
