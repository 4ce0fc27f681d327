//! Points in time for people: how long ago they were.

use crate::clock::unix_now;

const UNITS: [(u64, &str); 3] = [(86_400, "day"), (3_600, "hour"), (60, "minute")];

/// Describes how long ago a time was, given in seconds since 1970-01-01 UTC.
pub(super) fn ago(at: u64) -> String {
    words(unix_now().saturating_sub(at))
}

fn words(seconds: u64) -> String {
    for (unit, name) in UNITS {
        match seconds / unit {
            0 => {}
            1 => return format!("1 {name} ago"),
            count => return format!("{count} {name}s ago"),
        }
    }
    "just now".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_given_in_the_largest_unit() {
        for (seconds, expected) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7_199, "1 hour ago"),
            (7_200, "2 hours ago"),
            (86_400 * 90, "90 days ago"),
        ] {
            assert_eq!(words(seconds), expected);
        }
    }
}
