//! Admission of complaints that a chunk came whole and wrong. Checking one costs reading and hashing the chunk again,
//! and any caller can complain.
//!
//! The checks of the last while are remembered and decide about the next complaint. A chunk is not checked twice within
//! that span. The checks for one caller, for one file and for all together are bounded. So a flood costs a bounded
//! amount of work and memory, and one caller cannot use up all the checks of a file.
//!
//! Invariant: at most `all_max` checks are remembered.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ids::{ChunkIndex, ManifestId};
use crate::serving::admission::PeerKey;

/// Bounds of a [`Complaints`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The time for which a check counts.
    pub span: Duration,
    /// Checks for one caller within the span.
    pub per_caller_max: usize,
    /// Checks of one file within the span.
    pub per_file_max: usize,
    /// All checks within the span. Times the size of a chunk, this bounds the reads that complaints cause.
    pub all_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { span: Duration::from_secs(600), per_caller_max: 4, per_file_max: 16, all_max: 64 }
    }
}

/// The decision about a complaint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Read the chunk again.
    Check,
    /// Do nothing: the chunk was read a while ago, or enough chunks were.
    Ignore,
}

#[derive(Debug)]
struct Checked {
    at: Instant,
    caller: PeerKey,
    file: ManifestId,
    chunk: ChunkIndex,
}

/// The checks that were admitted lately. [`Complaints::admit`] neither blocks nor fails.
#[derive(Debug)]
pub struct Complaints {
    limits: Limits,
    /// Oldest first.
    checked: VecDeque<Checked>,
}

impl Complaints {
    /// No complaint has come yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, checked: VecDeque::new() }
    }

    /// Decides about a complaint of `caller` about `chunk` of `file`. `now` does not run backwards.
    pub fn admit(&mut self, now: Instant, caller: &PeerKey, file: ManifestId, chunk: ChunkIndex) -> Verdict {
        self.forget(now);
        let of_file = || self.checked.iter().filter(|checked| checked.file == file);
        let by_caller = self.checked.iter().filter(|checked| checked.caller == *caller);
        let enough = self.checked.len() >= self.limits.all_max
            || of_file().count() >= self.limits.per_file_max
            || by_caller.count() >= self.limits.per_caller_max;
        if enough || of_file().any(|checked| checked.chunk == chunk) {
            return Verdict::Ignore;
        }
        self.checked.push_back(Checked { at: now, caller: caller.clone(), file, chunk });
        Verdict::Check
    }

    fn forget(&mut self, now: Instant) {
        let span = self.limits.span;
        while self.checked.front().is_some_and(|oldest| now.saturating_duration_since(oldest.at) >= span) {
            self.checked.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { span: Duration::from_secs(10), per_caller_max: 2, per_file_max: 3, all_max: 5 };

    fn begin() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        Instant::now()
    }

    /// Compares which complaints of (second, caller, file, chunk) are admitted.
    fn check(heard: &[(u64, u8, u8, u32)], expected: &[bool]) {
        let begun = begin();
        let mut complaints = Complaints::new(LIMITS);
        let mut admit = |(second, caller, file, chunk): &(u64, u8, u8, u32)| {
            let caller = PeerKey(caller.to_string());
            let now = begun + Duration::from_secs(*second);
            complaints.admit(now, &caller, ManifestId([*file; 32]), ChunkIndex(*chunk)) == Verdict::Check
        };
        assert_eq!(heard.iter().map(&mut admit).collect::<Vec<_>>(), expected, "{heard:?}");
    }

    #[test]
    fn a_chunk_is_checked_once_within_the_span() {
        check(&[(0, 1, 1, 7), (1, 1, 1, 7), (9, 2, 1, 7), (10, 2, 1, 7)], &[true, false, false, true]);
        check(&[(0, 1, 1, 7), (0, 1, 2, 7)], &[true, true]);
    }

    #[test]
    fn checks_are_bounded_by_caller_by_file_and_in_all() {
        check(&[(0, 1, 1, 0), (0, 1, 2, 0), (0, 1, 3, 0), (10, 1, 3, 0)], &[true, true, false, true]);
        check(
            &[(0, 1, 1, 0), (0, 2, 1, 1), (0, 3, 1, 2), (0, 4, 1, 3), (0, 4, 2, 3)],
            &[true, true, true, false, true],
        );
        let many: Vec<_> = (0..7).map(|n| (0, n, n, 0)).collect();
        check(&many, &[true, true, true, true, true, false, false]);
    }

    #[test]
    fn an_ignored_complaint_does_not_prolong_the_span() {
        check(&[(0, 1, 1, 7), (5, 1, 1, 7), (11, 1, 1, 7)], &[true, false, true]);
    }

    proptest! {
        #[test]
        fn a_flood_gets_no_more_than_the_bounds_in_any_span(heard in prop::collection::vec((0..40_u64, 0..4_u8, 0..3_u8, 0..6_u32), 1..200)) {
            let begun = begin();
            let mut complaints = Complaints::new(LIMITS);
            let mut now = 0;
            let mut checked: Vec<(u64, u8, u8, u32)> = Vec::new();
            for (step, caller, file, chunk) in heard {
                now += step / 10;
                let at = begun + Duration::from_secs(now);
                let key = PeerKey(caller.to_string());
                if complaints.admit(at, &key, ManifestId([file; 32]), ChunkIndex(chunk)) == Verdict::Check {
                    checked.push((now, caller, file, chunk));
                }
                let lately = || checked.iter().filter(|(then, ..)| now - then < LIMITS.span.as_secs());
                prop_assert!(lately().count() <= LIMITS.all_max && complaints.checked.len() <= LIMITS.all_max);
                prop_assert!(lately().filter(|(_, by, ..)| *by == caller).count() <= LIMITS.per_caller_max);
                prop_assert!(lately().filter(|(_, _, of, _)| *of == file).count() <= LIMITS.per_file_max);
                prop_assert!(lately().filter(|(_, _, of, at)| (*of, *at) == (file, chunk)).count() <= 1);
            }
        }
    }
}
