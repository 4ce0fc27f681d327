//! Turns under a limited rate: all groups that wait get equal bytes, in turn, however much each asks for at once.
//!
//! A turn is worth one quantum. A job that needs more waits several turns. So a group that asks for a megabyte at a
//! time gets no more of the rate than one that asks for little. The jobs of one group take their group's turn one after
//! another.
//!
//! Invariant: a group is in `order` exactly while it has jobs, once. So no group is passed over.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::rate_limit::{Bucket, Rate};

/// Bytes that one turn is worth: the smallest block that is sent as a rule, so that all blocks are whole turns.
const QUANTUM_BYTES: u64 = 64 << 10;
/// Bytes that one turn is worth where the rate is so low that a burst is less.
const QUANTUM_BYTES_SLOW: u64 = 16 << 10;
/// The most bytes that a divisible job waits for.
const PART_BYTES_MAX: u64 = 256 << 10;

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<J> {
    /// A number of bytes that may be sent now: all that the job asked for, or a part of a divisible job. The job comes
    /// back.
    Now(u64, J),
    /// The job waits: [`Turns::next`] will return it.
    Later,
}

#[derive(Debug)]
struct Waiting<J> {
    job: J,
    bytes: u64,
    paid: u64,
}

/// The jobs that wait. `G` names a group, which shares a turn; `J` is a job.
#[derive(Debug)]
pub struct Turns<G, J> {
    bucket: Bucket,
    groups: BTreeMap<G, VecDeque<Waiting<J>>>,
    order: VecDeque<G>,
    /// When the group whose turn it is can be served.
    due: Option<Instant>,
}

impl<G: Ord + Clone, J> Turns<G, J> {
    /// No job waits.
    pub fn new(now: Instant, rate: Option<Rate>) -> Self {
        Self { bucket: Bucket::new(now, rate), groups: BTreeMap::new(), order: VecDeque::new(), due: None }
    }

    /// The limit.
    pub fn rate(&self) -> Option<Rate> {
        self.bucket.rate()
    }

    /// Changes the rate from now on. Call [`Turns::next`] afterwards.
    pub fn set_rate(&mut self, now: Instant, rate: Option<Rate>) {
        self.bucket.set_rate(now, rate);
        self.due = self.order.front().map(|_| now);
    }

    /// Asks for `bytes`. If the job is divisible, a part of them will do.
    pub fn ask(&mut self, now: Instant, group: G, job: J, bytes: u64, divisible: bool) -> Verdict<J> {
        let bytes = if divisible { bytes.min(self.part()) } else { bytes };
        // More than a burst is saved up turn by turn. Taken at once it would put the bucket into debt, and all would
        // wait.
        let fits = self.bucket.burst().is_none_or(|burst| bytes <= burst);
        if fits && self.order.is_empty() && self.bucket.take(now, bytes).is_none() {
            return Verdict::Now(bytes, job);
        }
        let jobs = self.groups.entry(group.clone()).or_default();
        if jobs.is_empty() {
            self.order.push_back(group);
        }
        jobs.push_back(Waiting { job, bytes, paid: 0 });
        self.due.get_or_insert(now);
        Verdict::Later
    }

    /// Returns the next job that may send, and its bytes. Call until `None`, and again at [`Turns::deadline`].
    pub fn next(&mut self, now: Instant) -> Option<(J, u64)> {
        let quantum = self.quantum();
        while let Some(group) = self.order.front() {
            let jobs = self.groups.get_mut(group)?;
            let first = jobs.front_mut()?;
            let part = (first.bytes - first.paid).min(quantum);
            if let Some(wait) = self.bucket.take(now, part) {
                self.due = Some(now + wait);
                return None;
            }
            first.paid += part;
            let done = if first.paid == first.bytes { jobs.pop_front() } else { None };
            self.end_turn();
            if let Some(Waiting { job, bytes, .. }) = done {
                return Some((job, bytes));
            }
        }
        self.due = None;
        None
    }

    /// The latest time at which to call [`Turns::next`]; `None` while no job waits.
    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Takes back bytes that were allowed and not sent.
    pub fn give_back(&mut self, now: Instant, bytes: u64) {
        self.bucket.give_back(now, bytes);
    }

    /// Removes the jobs of `group`. The bytes saved up for them go to the others.
    pub fn forget(&mut self, now: Instant, group: &G) {
        let Some(jobs) = self.groups.remove(group) else { return };
        self.order.retain(|waiting| waiting != group);
        self.give_back(now, jobs.iter().map(|waiting| waiting.paid).sum());
    }

    /// Removes and returns every job.
    pub fn clear(&mut self) -> Vec<J> {
        self.order.clear();
        self.due = None;
        std::mem::take(&mut self.groups).into_values().flatten().map(|waiting| waiting.job).collect()
    }

    /// Number of waiting jobs.
    pub fn waiting(&self) -> usize {
        self.groups.values().map(VecDeque::len).sum()
    }

    fn quantum(&self) -> u64 {
        match self.bucket.burst() {
            None => u64::MAX,
            Some(burst) if burst < QUANTUM_BYTES => QUANTUM_BYTES_SLOW,
            Some(_) => QUANTUM_BYTES,
        }
    }

    /// Bytes of as many whole turns as a burst has.
    fn part(&self) -> u64 {
        let quantum = self.quantum();
        self.bucket.burst().map_or(u64::MAX, |burst| burst.min(PART_BYTES_MAX) / quantum * quantum)
    }

    /// Moves the first group to the end, or removes it if it has no more jobs.
    fn end_turn(&mut self) {
        let Some(group) = self.order.pop_front() else { return };
        if self.groups.get(&group).is_some_and(|jobs| !jobs.is_empty()) {
            self.order.push_back(group);
        } else {
            self.groups.remove(&group);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        Instant::now()
    }

    proptest! {
        #[test]
        fn waiting_groups_get_equal_bytes_whatever_they_ask_for(
            rate in prop_oneof![10_000u64..1_000_000, MIB..100 * MIB],
            asks in prop::collection::vec((1u64..16, any::<bool>()), 2..40),
        ) {
            let mut now = start();
            let mut turns = Turns::new(now, Rate::new(rate));
            let mut got = vec![0; asks.len()];
            let ask = |turns: &mut Turns<usize, usize>, now, group: usize| {
                turns.ask(now, group, group, asks[group].0 * (64 << 10), asks[group].1)
            };
            // The first group takes the saved burst.
            for who in 0..asks.len() {
                while matches!(ask(&mut turns, now, who), Verdict::Now(..)) {}
            }
            for _ in 0..asks.len() * 400 {
                now = turns.deadline().unwrap();
                while let Some((group, bytes)) = turns.next(now) {
                    got[group] += bytes;
                    prop_assert_eq!(ask(&mut turns, now, group), Verdict::Later);
                }
            }
            prop_assert_eq!(turns.waiting(), asks.len());
            let least = got.iter().min().unwrap();
            let most = got.iter().max().unwrap();
            // A job that is half paid has got nothing yet.
            prop_assert!(*least > 0 && most - least <= MIB, "{got:?}");
        }

        #[test]
        fn a_forgotten_group_gives_its_bytes_to_the_others(leaves in prop::collection::vec(any::<bool>(), 1..20)) {
            let mut now = start();
            let mut turns = Turns::new(now, Rate::new(MIB));
            while matches!(turns.ask(now, 99, 99, 64 << 10, true), Verdict::Now(..)) {}
            for who in 0..leaves.len() {
                turns.ask(now, who, who, MIB, false);
            }
            now += Duration::from_millis(700);
            while turns.next(now).is_some() {}
            for (who, _) in leaves.iter().enumerate().filter(|(_, leaves)| **leaves) {
                turns.forget(now, &who);
            }
            turns.forget(now, &99);
            let mut served = Vec::new();
            while let Some(due) = turns.deadline() {
                served.extend(turns.next(due).map(|(who, _)| who));
            }
            let stayed = (0..leaves.len()).filter(|who| !leaves[*who]);
            prop_assert_eq!(served, stayed.collect::<Vec<_>>());
            prop_assert_eq!((turns.waiting(), turns.deadline()), (0, None));
        }
    }

    #[test]
    fn jobs_of_a_group_share_its_turn_until_the_limit_is_lifted() {
        let now = start();
        let mut turns = Turns::new(now, Rate::new(MIB));
        while matches!(turns.ask(now, "crowd", 0, 64 << 10, true), Verdict::Now(..)) {}
        for job in 1..10 {
            turns.ask(now, "crowd", job, 64 << 10, false);
        }
        turns.ask(now, "one", 10, 64 << 10, false);
        let mut order = Vec::new();
        while order.len() < 3 {
            order.extend(turns.next(turns.deadline().unwrap()).map(|(job, _)| job));
        }
        assert_eq!(order, [0, 10, 1]);
        turns.set_rate(now, None);
        assert_eq!(std::iter::from_fn(|| turns.next(now)).count(), 8);
        assert_eq!(turns.ask(now, "one", 1, 5 * MIB, true), Verdict::Now(5 * MIB, 1));
    }
}
