//! Tests of bounds, fairness and expiry, and that no job is ever lost.

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
