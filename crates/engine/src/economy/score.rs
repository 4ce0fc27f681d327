//! Score and tier of an account, as pure functions of decaying masses of evidence.
//!
//! Masses decay lazily: a row keeps them as of one moment, and readers bring them forward. Caps apply to a pair when
//! evidence is added. So the sum over pairs decays like its parts, and one row per account can hold it.

use std::time::Duration;

use crate::time::UnixMillis;

use super::rows::{LedgerRow, Masses, PairRow};

/// The paid sessions that an established account needs, counted over its reporters.
pub const ESTABLISHED_EVIDENCE: f64 = 2.0;
/// The score that an established account needs, and the least that hearsay leaves it.
pub const ESTABLISHED_SCORE: f64 = 0.65;
/// The score below which an account is unlisted, and named only as the only holder.
pub const LISTED_SCORE: f64 = 0.40;

/// The half-life of sessions, proofs and garbage.
const HALF_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The half-life of failures and hearsay.
const HALF_LIFE_FAILURES: Duration = Duration::from_secs(2 * 24 * 3600);
/// The evidence past which a score no longer rises.
const EVIDENCE_MAX: f64 = 10.0;
/// The most sessions that count for one reporter.
const SESSIONS_PER_PAIR: f64 = 2.0;
/// The most garbage that counts for one root account.
const GARBAGE_PER_PAIR: f64 = 2.0;
/// The most hearsay that counts for one account.
const HEARSAY_PER_PAIR: f64 = 1.0;
/// The weight of a failure without proof, measured in proofs.
const FAILURE_WEIGHT: f64 = 0.25;
/// The weight of fraud, measured in good sessions.
const FRAUD_WEIGHT: f64 = 4.0;
/// The mass at which decayed fraud is forgotten: one proof after about seven weeks.
const FRAUD_FORGOTTEN: f64 = 0.01;

/// The tier of an account: how early lookups name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Served paying sessions lately, and well.
    Established,
    /// Neither established nor new.
    Known,
    /// A newcomer: too little is known, and nothing bad.
    Unknown,
    /// Named only where no other source holds the chunk.
    Unlisted,
}

/// An account's score and tier at some moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// From 0 to 1; a newcomer has 0.5, the best 11/12.
    pub score: f64,
    /// The tier of the account.
    pub tier: Tier,
}

/// A score for display: rounded to 0.05.
pub fn shown_score(score: f64) -> f64 {
    (score * 20.0).round() / 20.0
}

/// The score formula without the bounds of hearsay: (min(A, 10) + 1) / (min(A, 10) + 2 + 4 * (F + P)).
fn formula(evidence: f64, fraud_and_failures: f64) -> f64 {
    let evidence = evidence.min(EVIDENCE_MAX);
    (evidence + 1.0) / (evidence + 2.0 + FRAUD_WEIGHT * fraud_and_failures)
}

fn half_lives(span: Duration, half_life: Duration) -> f64 {
    span.as_secs_f64() / half_life.as_secs_f64()
}

impl Masses {
    /// Brings the evidence forward to `now`. An earlier `now` changes nothing, because clocks may step back.
    pub fn at(mut self, now: UnixMillis) -> Self {
        if now <= self.at {
            return self;
        }
        let span = now.since(self.at);
        let slow = (-half_lives(span, HALF_LIFE)).exp2();
        let fast = (-half_lives(span, HALF_LIFE_FAILURES)).exp2();
        for mass in [&mut self.sessions, &mut self.proofs, &mut self.garbage] {
            *mass *= slow;
        }
        for mass in [&mut self.root_failures, &mut self.root_successes, &mut self.hearsay] {
            *mass *= fast;
        }
        self.at = now;
        self
    }

    /// The score of these masses, from 0 to 1. Hearsay lowers it inside its tier only.
    pub fn score(&self) -> f64 {
        let proven =
            self.proofs + self.garbage + FAILURE_WEIGHT * (self.root_failures - self.root_successes - 1.0).max(0.0);
        let without_hearsay = formula(self.sessions, proven);
        let score = formula(self.sessions, proven + FAILURE_WEIGHT * self.hearsay);
        let floor = if self.is_established_at(without_hearsay) { ESTABLISHED_SCORE } else { LISTED_SCORE };
        score.max(floor.min(without_hearsay))
    }

    /// Score and tier of these masses.
    pub fn standing(&self) -> Standing {
        let score = self.score();
        Standing { score, tier: self.tier(score) }
    }

    fn is_established_at(&self, score: f64) -> bool {
        self.sessions >= ESTABLISHED_EVIDENCE && score >= ESTABLISHED_SCORE
    }

    fn tier(&self, score: f64) -> Tier {
        if score < LISTED_SCORE {
            Tier::Unlisted
        } else if self.is_established_at(score) {
            Tier::Established
        } else if self.sessions < ESTABLISHED_EVIDENCE && self.proofs + self.garbage < FRAUD_FORGOTTEN {
            Tier::Unknown
        } else {
            Tier::Known
        }
    }

    /// A pair's masses after one more session.
    pub(super) fn with_session(mut self, from_root: bool) -> Self {
        self.sessions = (self.sessions + 1.0).min(SESSIONS_PER_PAIR);
        self.root_successes += f64::from(u8::from(from_root));
        self
    }

    /// A pair's masses after one more failure that a root account saw.
    pub(super) fn with_root_failure(mut self, garbage: bool) -> Self {
        if garbage {
            self.garbage = (self.garbage + 1.0).min(GARBAGE_PER_PAIR);
        } else {
            self.root_failures += 1.0;
        }
        self
    }

    /// A pair's masses after one more unproven complaint.
    pub(super) fn with_hearsay(mut self) -> Self {
        self.hearsay = (self.hearsay + 1.0).min(HEARSAY_PER_PAIR);
        self
    }

    /// Replaces one pair's part of this sum. All three must be of the same moment.
    pub(super) fn replace(&mut self, before: &Self, after: &Self) {
        self.zip(before, |sum, part| sum - part);
        self.zip(after, |sum, part| sum + part);
    }

    /// Adds field by field; results below zero from rounding become zero.
    fn zip(&mut self, other: &Self, f: impl Fn(f64, f64) -> f64) {
        for (mine, theirs) in [
            (&mut self.sessions, other.sessions),
            (&mut self.proofs, other.proofs),
            (&mut self.garbage, other.garbage),
            (&mut self.root_failures, other.root_failures),
            (&mut self.root_successes, other.root_successes),
            (&mut self.hearsay, other.hearsay),
        ] {
            *mine = f(*mine, theirs).max(0.0);
        }
    }
}

impl LedgerRow {
    /// Score and tier now: the stored masses brought forward.
    pub fn standing(&self, now: UnixMillis) -> Standing {
        self.masses.at(now).standing()
    }
}

/// The sum of the evidence rows of one target at `at`. Its score is the stored one (I8).
pub fn recompute<'a>(pairs: impl IntoIterator<Item = &'a PairRow>, at: UnixMillis) -> Masses {
    let mut sum = Masses { at, ..Masses::default() };
    for pair in pairs {
        sum.zip(&pair.masses.at(at), |sum, part| sum + part);
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn score(sessions: f64, proofs: f64) -> f64 {
        Masses { sessions, proofs, ..Masses::default() }.score()
    }

    fn days(n: i64) -> UnixMillis {
        UnixMillis(n * 86_400_000)
    }

    #[test]
    fn the_scores_of_the_rules_text_come_out() {
        for (sessions, proofs, expected) in [
            (0.0, 0.0, 0.5),
            (10.0, 0.0, 11.0 / 12.0),
            (1e9, 0.0, 11.0 / 12.0),
            (0.0, 1.0, 1.0 / 6.0),
            (2.0, 0.0, 0.75),
        ] {
            assert!((score(sessions, proofs) - expected).abs() < 1e-12, "{sessions} {proofs}");
        }
        assert!((score(10.0, 0.0) * 1000.0).round() == 917.0 && (score(0.0, 1.0) * 1000.0).round() == 167.0);
    }

    #[test]
    fn a_veteran_is_unlisted_by_four_proofs_and_not_by_three() {
        assert!(score(10.0, 3.0) >= LISTED_SCORE && score(10.0, 4.0) < LISTED_SCORE);
    }

    #[test]
    fn tiers_follow_evidence_and_score() {
        let tier = |sessions, garbage| Masses { sessions, garbage, ..Masses::default() }.standing().tier;
        for (sessions, garbage, expected) in [
            (0.0, 0.0, Tier::Unknown),
            (1.99, 0.0, Tier::Unknown),
            (2.0, 0.0, Tier::Established),
            (2.0, 0.2, Tier::Known),
            (1.0, 0.1, Tier::Known),
            (1.0, 0.005, Tier::Unknown),
            (0.0, 1.0, Tier::Unlisted),
            (10.0, 2.0, Tier::Known),
            (10.0, 1.0, Tier::Established),
        ] {
            assert_eq!(tier(sessions, garbage), expected, "{sessions} {garbage}");
        }
    }

    #[test]
    fn root_failures_count_a_quarter_and_successes_offset_them() {
        let score = |root_failures, root_successes| {
            Masses { sessions: 10.0, root_failures, root_successes, ..Masses::default() }.score()
        };
        assert_eq!(score(1.0, 0.0), score(0.0, 0.0));
        assert!((score(5.0, 0.0) - 11.0 / 16.0).abs() < 1e-12);
        assert_eq!(score(5.0, 4.0), score(0.0, 0.0));
    }

    #[test]
    fn masses_halve_in_seven_days_or_two_and_never_grow() {
        let one = Masses {
            sessions: 1.0,
            proofs: 1.0,
            garbage: 1.0,
            root_failures: 1.0,
            root_successes: 1.0,
            hearsay: 1.0,
            at: days(1),
        };
        let week = one.at(days(8));
        assert!([week.sessions, week.proofs, week.garbage].iter().all(|m| (m - 0.5).abs() < 1e-12));
        let soon = one.at(days(3));
        assert!([soon.root_failures, soon.root_successes, soon.hearsay].iter().all(|m| (m - 0.5).abs() < 1e-12));
        assert_eq!(one.at(days(0)), one);
    }

    #[test]
    fn a_score_is_shown_in_steps_of_a_twentieth() {
        for (score, shown) in
            [(0.5, 0.5), (11.0 / 12.0, 0.9), (1.0 / 6.0, 0.15), (0.624, 0.6), (0.626, 0.65), (0.0, 0.0)]
        {
            assert_eq!(shown_score(score), shown, "{score}");
        }
    }

    fn any_masses() -> impl Strategy<Value = Masses> {
        let mass = || prop_oneof![Just(0.0), 0.0..3.0, 0.0..1e6];
        (mass(), mass(), mass(), mass(), mass(), mass()).prop_map(
            |(sessions, proofs, garbage, root_failures, root_successes, hearsay)| Masses {
                sessions,
                proofs,
                garbage,
                root_failures,
                root_successes,
                hearsay,
                at: UnixMillis(0),
            },
        )
    }

    proptest! {
        #[test]
        fn i3_a_score_is_from_0_to_1(masses in any_masses(), later in 0i64..1_000) {
            let score = masses.at(days(later)).score();
            prop_assert!((0.0..=1.0).contains(&score));
        }

        #[test]
        fn i7_hearsay_lowers_a_score_inside_its_tier_only(masses in any_masses()) {
            let without = Masses { hearsay: 0.0, ..masses }.standing();
            let with = masses.standing();
            prop_assert!(with.score <= without.score);
            prop_assert_eq!(with.tier, without.tier);
            if without.tier == Tier::Established {
                prop_assert!(with.score >= ESTABLISHED_SCORE);
            }
        }

        #[test]
        fn decay_in_two_steps_is_decay_in_one(masses in any_masses(), a in 0i64..100, b in 0i64..100) {
            let once = masses.at(days(a + b));
            let twice = masses.at(days(a)).at(days(a + b));
            prop_assert!((once.score() - twice.score()).abs() < 1e-9);
        }
    }
}
