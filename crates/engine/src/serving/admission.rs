//! Admission of single calls: a bounded queue in front of a bounded number of running transfers, fair between peers.
//!
//! A call is queued, served or refused, and never forgotten. Free slots go round robin over the peers that have calls
//! queued. So a peer that asks for a thousand chunks does not hold up one that asks for a single chunk. Version 1
//! clients ask for all chunks of a file at once and count any refusal as a failure. Hence the long queue, and a wait of
//! up to 15 s in it.
//!
//! Invariant: a job is queued or running, once, or unknown. The number of running jobs never exceeds its bounds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// One call, numbered by the driver. A number is not used twice while its job is queued or running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// The peer that calls: its id where that is proven, else its address without the port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub String);

/// Bounds of an [`Admission`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Jobs running at once.
    pub running_max: usize,
    /// Jobs of one peer running at once.
    pub running_per_peer_max: usize,
    /// Jobs queued.
    pub queued_max: usize,
    /// Jobs of one peer queued. A version 1 client asks for 1,024 chunks at once.
    pub queued_per_peer_max: usize,
    /// The longest wait in the queue.
    pub wait_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            running_max: 32,
            running_per_peer_max: 8,
            queued_max: 2_048,
            queued_per_peer_max: 1_536,
            wait_max: Duration::from_secs(15),
        }
    }
}

/// The answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Queued: [`Admission::next`] or [`Admission::expired`] will name it.
    Accepted,
    /// Refused: the queue, or this peer's part of it, is full.
    Full,
}

#[derive(Debug, Default)]
struct Peer {
    queue: VecDeque<JobId>,
    running: usize,
}

#[derive(Debug)]
enum JobState {
    Queued(Instant),
    Running,
}

/// The queue. Each method has its own answer; none blocks or fails.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    peers: BTreeMap<PeerKey, Peer>,
    jobs: BTreeMap<JobId, (PeerKey, JobState)>,
    /// Exactly the queued jobs, by the time their wait ends.
    expiries: BTreeSet<(Instant, JobId)>,
    /// The peers with jobs queued, next one first.
    turn: VecDeque<PeerKey>,
    running: usize,
}

impl Admission {
    /// An empty queue.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            peers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            expiries: BTreeSet::new(),
            turn: VecDeque::new(),
            running: 0,
        }
    }

    /// Queues a call. Ask [`Admission::next`] afterwards: it may run at once.
    pub fn enqueue(&mut self, now: Instant, job: JobId, peer: PeerKey) -> Verdict {
        let queued_here = self.peers.get(&peer).map_or(0, |peer| peer.queue.len());
        let full = self.expiries.len() >= self.limits.queued_max || queued_here >= self.limits.queued_per_peer_max;
        if full || self.jobs.contains_key(&job) {
            return Verdict::Full;
        }
        let until = now + self.limits.wait_max;
        if queued_here == 0 {
            self.turn.push_back(peer.clone());
        }
        self.expiries.insert((until, job));
        self.peers.entry(peer.clone()).or_default().queue.push_back(job);
        self.jobs.insert(job, (peer, JobState::Queued(until)));
        Verdict::Accepted
    }

    /// Starts the next job; `None` when no queued job may run. Call until `None`. Jobs that waited too long are left to
    /// [`Admission::expired`].
    pub fn next(&mut self, now: Instant) -> Option<JobId> {
        if self.running >= self.limits.running_max {
            return None;
        }
        for _ in 0..self.turn.len() {
            let key = self.turn.pop_front()?;
            let job = self.start_one(now, &key);
            if self.peers.get(&key).is_some_and(|peer| !peer.queue.is_empty()) {
                self.turn.push_back(key);
            }
            if job.is_some() {
                return job;
            }
        }
        None
    }

    /// Starts the oldest job of `key` that has not expired, where the peer may run one more.
    fn start_one(&mut self, now: Instant, key: &PeerKey) -> Option<JobId> {
        let peer = self.peers.get_mut(key).filter(|peer| peer.running < self.limits.running_per_peer_max)?;
        let jobs = &self.jobs;
        let is_live = |job: &JobId| matches!(jobs.get(job), Some((_, JobState::Queued(until))) if now < *until);
        let at = peer.queue.iter().position(is_live)?;
        let job = peer.queue.remove(at)?;
        peer.running += 1;
        self.running += 1;
        let (_, place) = self.jobs.get_mut(&job)?;
        if let JobState::Queued(until) = std::mem::replace(place, JobState::Running) {
            self.expiries.remove(&(until, job));
        }
        Some(job)
    }

    /// Removes a running job that ended, or a queued one whose caller hung up. Unknown jobs are ignored.
    pub fn finished(&mut self, job: JobId) {
        let Some((key, place)) = self.jobs.remove(&job) else { return };
        let Some(peer) = self.peers.get_mut(&key) else { return };
        match place {
            JobState::Running => {
                peer.running -= 1;
                self.running -= 1;
            }
            JobState::Queued(until) => {
                peer.queue.retain(|queued| *queued != job);
                self.expiries.remove(&(until, job));
                if peer.queue.is_empty() {
                    self.turn.retain(|turn| *turn != key);
                }
            }
        }
        if peer.queue.is_empty() && peer.running == 0 {
            self.peers.remove(&key);
        }
    }

    /// Removes and returns the jobs that waited too long, oldest first. The driver answers them "busy".
    pub fn expired(&mut self, now: Instant) -> Vec<JobId> {
        let mut expired = Vec::new();
        while let Some((_, job)) = self.expiries.first().copied().filter(|(until, _)| *until <= now) {
            self.finished(job);
            expired.push(job);
        }
        expired
    }

    /// The latest time at which to call [`Admission::expired`].
    pub fn deadline(&self) -> Option<Instant> {
        self.expiries.first().map(|(until, _)| *until)
    }

    /// Number of queued jobs.
    pub fn queued(&self) -> usize {
        self.expiries.len()
    }

    /// Number of running jobs.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Changes the bounds. Jobs beyond a new bound run or wait to their end.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        Instant::now()
    }

    fn key(peer: u64) -> PeerKey {
        PeerKey(format!("peer-{peer}"))
    }

    fn limits(running_max: usize, running_per_peer_max: usize) -> Limits {
        Limits { running_max, running_per_peer_max, ..Limits::default() }
    }

    fn start_all(admission: &mut Admission, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| admission.next(now)).map(|job| job.0).collect()
    }

    #[test]
    fn free_slots_go_round_robin_over_the_peers() {
        let now = start();
        let mut admission = Admission::new(limits(6, 6));
        for job in 0..10 {
            assert_eq!(admission.enqueue(now, JobId(job), key(0)), Verdict::Accepted);
        }
        for (job, peer) in [(10, 1), (11, 1), (20, 2)] {
            assert_eq!(admission.enqueue(now, JobId(job), key(peer)), Verdict::Accepted);
        }
        assert_eq!(start_all(&mut admission, now), [0, 10, 20, 1, 11, 2]);
    }

    #[test]
    fn one_peer_leaves_slots_to_the_others() {
        let now = start();
        let mut admission = Admission::new(limits(4, 2));
        (0..10).for_each(|job| assert_eq!(admission.enqueue(now, JobId(job), key(0)), Verdict::Accepted));
        assert_eq!(start_all(&mut admission, now), [0, 1]);
        assert_eq!(admission.enqueue(now, JobId(50), key(1)), Verdict::Accepted);
        assert_eq!(start_all(&mut admission, now), [50]);
        admission.finished(JobId(0));
        assert_eq!(start_all(&mut admission, now), [2]);
    }

    #[test]
    fn a_version_1_client_gets_1024_chunks_asked_for_at_once() {
        let mut now = start();
        let mut admission = Admission::new(Limits::default());
        (0..1_024).for_each(|job| assert_eq!(admission.enqueue(now, JobId(job), key(0)), Verdict::Accepted));
        let mut served = Vec::new();
        while served.len() < 1_024 {
            let running = start_all(&mut admission, now);
            assert!(!running.is_empty() && running.len() <= 8);
            now += Duration::from_millis(100);
            running.iter().for_each(|job| admission.finished(JobId(*job)));
            served.extend(running);
            assert!(admission.expired(now).is_empty());
        }
        assert!(served.is_sorted());
    }

    #[test]
    fn a_call_beyond_a_bound_is_refused() {
        let now = start();
        let mut admission = Admission::new(Limits { queued_max: 3, queued_per_peer_max: 2, ..limits(0, 1) });
        let answers: Vec<_> = [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (0, 2)]
            .map(|(job, peer)| admission.enqueue(now, JobId(job), key(peer)))
            .into();
        use Verdict::{Accepted, Full};
        assert_eq!(answers, [Accepted, Accepted, Full, Accepted, Full, Full]);
    }

    #[test]
    fn an_expired_job_is_returned_once_and_not_served() {
        let now = start();
        let mut admission = Admission::new(limits(1, 1));
        admission.enqueue(now, JobId(0), key(0));
        let later = now + Duration::from_secs(10);
        admission.enqueue(later, JobId(1), key(0));
        assert_eq!(admission.deadline(), Some(now + Duration::from_secs(15)));
        let end = now + Duration::from_secs(15);
        assert_eq!(admission.next(end), Some(JobId(1)), "the younger one still may");
        assert_eq!(admission.expired(end), [JobId(0)]);
        assert_eq!((admission.expired(end), admission.deadline()), (vec![], None));
    }

    #[derive(Debug, Clone)]
    enum Act {
        Enqueue(u64, u64),
        Next,
        Finish(u64),
        Wait(u64),
    }

    fn any_act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => (0u64..40, 0u64..4).prop_map(|(job, peer)| Act::Enqueue(job, peer)),
            3 => Just(Act::Next),
            2 => (0u64..40).prop_map(Act::Finish),
            1 => (0u64..9_000).prop_map(Act::Wait),
        ]
    }

    proptest! {
        #[test]
        fn any_order_keeps_every_job_once_and_within_bounds(acts in prop::collection::vec(any_act(), 0..200)) {
            let limits = Limits { queued_max: 12, queued_per_peer_max: 5, ..limits(4, 2) };
            let mut now = start();
            let mut admission = Admission::new(limits.clone());
            let mut queued = BTreeMap::new();
            let mut running: BTreeMap<u64, u64> = BTreeMap::new();
            for act in acts {
                match act {
                    Act::Enqueue(job, peer) => {
                        if admission.enqueue(now, JobId(job), key(peer)) == Verdict::Accepted {
                            prop_assert!(!running.contains_key(&job) && queued.insert(job, peer).is_none());
                        }
                    }
                    Act::Next => match admission.next(now) {
                        Some(job) => {
                            let peer = queued.remove(&job.0).expect("only queued jobs start");
                            running.insert(job.0, peer);
                        }
                        None => {
                            let busy = |peer: &u64| running.values().filter(|p| *p == peer).count() >= 2;
                            let all_expired = admission.deadline().is_some_and(|deadline| deadline <= now);
                            prop_assert!(running.len() >= 4 || all_expired || queued.values().all(busy), "a job that may run is left in the queue");
                        }
                    },
                    Act::Finish(job) => {
                        admission.finished(JobId(job));
                        queued.remove(&job);
                        running.remove(&job);
                    }
                    Act::Wait(ms) => {
                        now += Duration::from_millis(ms);
                        for job in admission.expired(now) {
                            prop_assert!(queued.remove(&job.0).is_some());
                        }
                    }
                }
                prop_assert_eq!((admission.queued(), admission.running()), (queued.len(), running.len()));
                let waiting: BTreeSet<_> = queued.values().map(|peer| key(*peer)).collect();
                prop_assert!(admission.turn.iter().collect::<BTreeSet<_>>().into_iter().eq(&waiting));
                prop_assert_eq!(admission.turn.len(), waiting.len(), "one place in the round for each peer that waits");
                prop_assert!(running.len() <= limits.running_max && queued.len() <= limits.queued_max);
            }
        }
    }
}
