//! The engine with a transaction that notes its groups and fails where a test tells it to.

use std::thread;

use super::*;

/// Numbers that commit. 13 is refused by the database, 66 panics, and 7 finds the database away.
#[derive(Default)]
struct Numbers {
    groups: Mutex<Vec<(Vec<u32>, u32)>>,
    /// While a test holds it, commits wait.
    gate: Mutex<()>,
}

impl Transaction for Numbers {
    type Item = u32;
    type Outcome = u32;
    type Demand = u32;

    fn weight(item: &u32) -> usize {
        if *item == HEAVY { 100 } else { 1 }
    }

    fn commit(&self, items: &[u32], demand: u32) -> Result<Vec<u32>, StoreError> {
        let _open = lock(&self.gate);
        lock(&self.groups).push((items.to_vec(), demand));
        if items.contains(&66) {
            std::panic::resume_unwind(Box::new("quietly"));
        }
        if items.contains(&13) {
            return Err(StoreError::Failed("13".into()));
        }
        if items.contains(&7) {
            return Err(StoreError::Unavailable("7".into()));
        }
        Ok(items.iter().map(|item| item * 10).collect())
    }
}

const HEAVY: u32 = 1_000;

const BOUNDS: Bounds = Bounds {
    queue: "numbers",
    full: "too many numbers are waiting",
    jobs_queued_max: 8,
    queued_weight_max: usize::MAX,
    group_weight_max: 4,
    inline: false,
    retry_singly: true,
};

const WAIT: Duration = Duration::from_secs(30);

/// Queues all requests, runs the loop to its end and returns the groups and each request's answer.
fn run(bounds: Bounds, requests: &[&[u32]]) -> (Vec<Vec<u32>>, Vec<JobResult<Numbers>>) {
    let (group, commit_loop) = GroupCommit::new(Numbers::default(), bounds);
    let waiting: Vec<_> = requests.iter().map(|numbers| group.queue(numbers.to_vec(), 0)).collect();
    group.close();
    commit_loop.run();
    let answers = waiting.iter().map(|answered| answered.try_recv().expect("every request is answered")).collect();
    assert_eq!((group.pending(), group.core.weight_pending.load(Ordering::Relaxed)), (0, 0));
    (groups(&group), answers)
}

fn failed(why: &str) -> StoreError {
    StoreError::Failed(why.to_owned())
}

fn groups(group: &GroupCommit<Numbers>) -> Vec<Vec<u32>> {
    lock(&group.transaction().groups).iter().map(|(items, _)| items.clone()).collect()
}

#[test]
fn queued_requests_share_a_transaction_and_keep_their_outcomes() {
    let (groups, answers) = run(BOUNDS, &[&[1], &[2, 3], &[], &[4]]);
    assert_eq!(groups, [vec![1, 2, 3, 4]]);
    assert_eq!(answers, [Ok(vec![10]), Ok(vec![20, 30]), Ok(vec![]), Ok(vec![40])]);
}

#[test]
fn a_group_ends_at_its_bound_and_the_left_over_opens_the_next() {
    /// Requests, and the groups that they become.
    type Case<'a> = (&'a [&'a [u32]], Vec<Vec<u32>>);
    let cases: [Case<'_>; 4] = [
        (&[&[1, 2, 3], &[4, 5], &[6]], vec![vec![1, 2, 3], vec![4, 5, 6]]),
        (&[&[1, 2, 3, 4], &[5]], vec![vec![1, 2, 3, 4], vec![5]]),
        // A request heavier than a group stays whole and alone.
        (&[&[1], &[HEAVY], &[2]], vec![vec![1], vec![HEAVY], vec![2]]),
        (&[&[1, 2, 3, 4, 5, 6], &[8]], vec![vec![1, 2, 3, 4, 5, 6], vec![8]]),
    ];
    for (requests, expected) in cases {
        assert_eq!(run(BOUNDS, requests).0, expected, "{requests:?}");
    }
}

#[test]
fn the_greatest_demand_of_a_group_applies_to_all_of_it() {
    let (group, commit_loop) = GroupCommit::new(Numbers::default(), BOUNDS);
    let _answers = [2, 9, 4].map(|demand| group.queue(vec![1], demand));
    group.close();
    commit_loop.run();
    assert_eq!(*lock(&group.transaction().groups), [(vec![1, 1, 1], 9)]);
}

#[test]
fn a_refused_or_panicking_request_does_not_fail_its_neighbours() {
    for (bad, why) in [(13, "13"), (66, "the transaction panicked")] {
        let (groups, answers) = run(BOUNDS, &[&[1], &[bad, 3], &[4]]);
        assert_eq!(groups, [vec![1, bad, 3, 4], vec![1], vec![bad, 3], vec![4]], "{bad}");
        assert_eq!(answers, [Ok(vec![10]), Err(failed(why)), Ok(vec![40])], "{bad}");
    }
}

#[test]
fn without_the_retry_a_panic_fails_its_own_group_only() {
    let bounds = Bounds { retry_singly: false, ..BOUNDS };
    let (groups, answers) = run(bounds, &[&[1, 66, 2, 3], &[4, 5]]);
    assert_eq!(groups, [vec![1, 66, 2, 3], vec![4, 5]]);
    assert_eq!(answers, [Err(failed("the transaction panicked")), Ok(vec![40, 50])]);
}

#[test]
fn while_the_database_is_away_nothing_is_tried_twice() {
    let (groups, answers) = run(BOUNDS, &[&[1], &[7]]);
    assert_eq!(groups, [vec![1, 7]]);
    let away = || Err(StoreError::Unavailable("7".into()));
    assert_eq!(answers, [away(), away()]);
}

#[test]
fn full_by_jobs_or_by_weight_is_an_answer() {
    let (group, _commit_loop) = GroupCommit::new(Numbers::default(), BOUNDS);
    let _waiting: Vec<_> = (0..8).map(|n| group.queue(vec![n], 0)).collect();
    assert_eq!(
        group.commit(&Blocking::declare(), vec![1], 0, WAIT),
        Err(StoreError::Busy("too many numbers are waiting"))
    );
    assert_eq!(group.pending(), 8, "a refused job is not counted");

    let (group, _commit_loop) = GroupCommit::new(Numbers::default(), Bounds { queued_weight_max: 50, ..BOUNDS });
    let _waiting = [1, HEAVY].map(|n| group.queue(vec![n], 0));
    assert_eq!(
        group.commit(&Blocking::declare(), vec![1], 0, WAIT),
        Err(StoreError::Busy("too many numbers are waiting"))
    );
    assert_eq!(group.counters().refused.load(Ordering::Relaxed), 1);
}

#[test]
fn after_close_the_queued_are_committed_and_new_ones_refused() {
    let (group, commit_loop) = GroupCommit::new(Numbers::default(), BOUNDS);
    let before = group.queue(vec![1], 0);
    group.close();
    assert_eq!(group.commit(&Blocking::declare(), vec![2], 0, WAIT), Err(StoreError::Busy("the tracker is stopping")));
    commit_loop.run();
    assert_eq!(before.try_recv(), Ok(Ok(vec![10])));
}

#[test]
fn a_loop_that_dies_answers_the_requests_that_wait() {
    let (group, commit_loop) = GroupCommit::new(Numbers::default(), BOUNDS);
    let waiting = group.queue(vec![1], 0);
    drop(commit_loop);
    assert_eq!(waiting.try_recv(), Ok(Err(thread_ended())));
    assert_eq!(group.commit(&Blocking::declare(), vec![2], 0, WAIT), Err(thread_ended()));
}

#[test]
fn a_lone_request_commits_inline_only_where_that_is_allowed() {
    let (group, _commit_loop) = GroupCommit::new(Numbers::default(), Bounds { inline: true, ..BOUNDS });
    // Nothing runs the loop.
    assert_eq!(group.commit(&Blocking::declare(), vec![1], 0, WAIT), Ok(vec![10]));
    assert_eq!(group.commit(&Blocking::declare(), vec![13], 0, WAIT), Err(failed("13")));
    assert_eq!(group.commit(&Blocking::declare(), vec![66], 0, WAIT), Err(failed("the transaction panicked")));
    assert_eq!(
        group.commit(&Blocking::declare(), vec![2], 0, WAIT),
        Ok(vec![20]),
        "the turn is free again after a panic"
    );

    let (group, _commit_loop) = GroupCommit::new(Numbers::default(), BOUNDS);
    assert!(group.queue(vec![1], 0).try_recv().is_err(), "waits for the commit thread");
}

#[test]
fn a_lone_request_overtakes_no_queued_one() {
    let (group, commit_loop) = GroupCommit::new(Numbers::default(), Bounds { inline: true, ..BOUNDS });
    let turn = lock(&group.core.turn);
    let waiting: Vec<_> = [&[1, 2, 3][..], &[4, 5]].iter().map(|items| group.queue(items.to_vec(), 0)).collect();
    drop(turn);
    // The turn is free, and the queue is not empty: this one waits too.
    let last = group.queue(vec![6], 0);
    group.close();
    commit_loop.run();
    assert_eq!(groups(&group), [vec![1, 2, 3], vec![4, 5, 6]]);
    assert!(waiting.iter().chain([&last]).all(|answered| answered.try_recv().is_ok_and(|result| result.is_ok())));
}

#[test]
fn requests_that_come_during_a_commit_share_the_next_one() {
    let (group, commit_loop) = GroupCommit::new(Numbers::default(), BOUNDS);
    let closed = lock(&group.transaction().gate);
    let commit_thread = thread::spawn(move || commit_loop.run());
    let first = group.queue(vec![1], 0);
    // The thread holds the turn from the moment in which it takes a job.
    while group.core.turn.try_lock().is_ok() {
        thread::yield_now();
    }
    let rest = [2, 3].map(|n| group.queue(vec![n], 0));
    assert!(first.try_recv().is_err(), "no answer before the commit");
    drop(closed);
    assert_eq!(first.recv_timeout(WAIT), Ok(Ok(vec![10])));
    assert!(rest.iter().all(|answered| answered.recv_timeout(WAIT).is_ok_and(|result| result.is_ok())));
    group.close();
    commit_thread.join().expect("the loop ends");
    assert_eq!(groups(&group).concat(), [1, 2, 3]);
}

#[test]
fn a_panicking_continuation_harms_no_other_request() {
    let (group, commit_loop) = GroupCommit::new(Numbers::default(), BOUNDS);
    group.submit(vec![1], 0, Box::new(|_| std::panic::resume_unwind(Box::new("quietly"))));
    let next = group.queue(vec![2], 0);
    group.close();
    commit_loop.run();
    assert_eq!(next.try_recv(), Ok(Ok(vec![20])));
}

#[test]
fn chores_run_between_groups_and_may_commit() {
    let (group, commit_loop) = GroupCommit::new(Numbers::default(), BOUNDS);
    let (ran, chores) = bounded(1);
    let commit_thread = thread::spawn(move || {
        commit_loop.run_with_chore(Duration::from_millis(1), |commit_loop| {
            let _already = ran.try_send(commit_loop.commit_here(&[5], 0));
        });
    });
    assert_eq!(chores.recv_timeout(WAIT), Ok(Ok(vec![50])));
    assert_eq!(group.commit(&Blocking::declare(), vec![1], 0, WAIT), Ok(vec![10]));
    group.close();
    commit_thread.join().expect("the loop ends");
}
