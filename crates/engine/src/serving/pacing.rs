//! Who may send next when the rate is limited: everyone who waits gets equal bytes, in turn, whatever their number and
//! whatever they ask for at once.
//!
//! A turn is worth one quantum. A job that needs more waits several turns, so that one who asks for a megabyte at a time
//! gets no more of the rate than one who asks for little. The jobs of one group take their group's turn one after
//! another.
//!
//! Invariant: a group is in `order` exactly while it has jobs, once; so nobody is passed over.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::rate_limit::{Bucket, Rate};

/// What one turn is worth, in bytes: the smallest block that is sent as a rule, so that all blocks are whole turns ...
const QUANTUM_BYTES: u64 = 64 << 10;
/// ... and what it is worth where the rate is so low that a burst is less.
const QUANTUM_BYTES_SLOW: u64 = 16 << 10;
/// No job that can do with less waits for more.
const PART_BYTES_MAX: u64 = 256 << 10;

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<J> {
    /// So many bytes may be sent now: what was asked for, or a part where the job can do with less. The job comes back.
    Now(u64, J),
    /// It waits: [`Turns::next`] will name it.
    Later,
}

#[derive(Debug)]
struct Waiting<J> {
    job: J,
    bytes: u64,
    paid: u64,
}

/// The machine. `G` names who shares a turn, `J` is what waits.
#[derive(Debug)]
pub struct Turns<G, J> {
    bucket: Bucket,
    groups: BTreeMap<G, VecDeque<Waiting<J>>>,
    order: VecDeque<G>,
    /// When the one whose turn it is can be served.
    due: Option<Instant>,
}

impl<G: Ord + Clone, J> Turns<G, J> {
    /// Nobody waits.
    pub fn new(now: Instant, rate: Option<Rate>) -> Self {
        Self { bucket: Bucket::new(now, rate), groups: BTreeMap::new(), order: VecDeque::new(), due: None }
    }

    /// The rate it keeps to.
    pub fn rate(&self) -> Option<Rate> {
        self.bucket.rate()
    }

    /// Changes the rate from now on. Call [`Turns::next`] afterwards.
    pub fn set_rate(&mut self, now: Instant, rate: Option<Rate>) {
        self.bucket.set_rate(now, rate);
        self.due = self.order.front().map(|_| now);
    }

    /// Asks for `bytes`; with `divisible`, a part of them will do.
    pub fn ask(&mut self, now: Instant, group: G, job: J, bytes: u64, divisible: bool) -> Verdict<J> {
        let bytes = if divisible { bytes.min(self.part()) } else { bytes };
        // What is more than a burst is saved up turn by turn, so that nobody runs into debt for all.
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

    /// The next job that may send, and how many bytes. Call until `None`, and again at [`Turns::deadline`].
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

    /// When to call [`Turns::next`] at the latest; `None` while nobody waits.
    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Takes back bytes that were given and not sent.
    pub fn give_back(&mut self, now: Instant, bytes: u64) {
        self.bucket.give_back(now, bytes);
    }

    /// Nobody of `group` waits any more; what was paid for its jobs is others'.
    pub fn forget(&mut self, now: Instant, group: &G) {
        let Some(jobs) = self.groups.remove(group) else { return };
        self.order.retain(|waiting| waiting != group);
        self.give_back(now, jobs.iter().map(|waiting| waiting.paid).sum());
    }

    /// Nobody waits any more; returns who did.
    pub fn clear(&mut self) -> Vec<J> {
        self.order.clear();
        self.due = None;
        std::mem::take(&mut self.groups).into_values().flatten().map(|waiting| waiting.job).collect()
    }

    /// How many wait.
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

    /// As many whole turns as a burst has.
    fn part(&self) -> u64 {
        let quantum = self.quantum();
        self.bucket.burst().map_or(u64::MAX, |burst| burst.min(PART_BYTES_MAX) / quantum * quantum)
    }

    /// The first group had its turn.
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
mod tests;
