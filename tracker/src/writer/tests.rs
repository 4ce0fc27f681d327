//! The writer with a transaction that remembers its batches and fails where it is told to.

use peernet_engine::ids::PeerId;

use super::*;

/// A write that carries a number.
fn numbered(number: u8) -> Write {
    Write::Leave { peer: PeerId([number; 16]), files: None }
}

fn number(write: &Write) -> u8 {
    let Write::Leave { peer, .. } = write else { panic!("tests write numbers") };
    peer.0[0]
}

/// Runs `requests` (each the numbers it writes) in one queue and returns the batches and each request's answer.
fn run(
    requests: &[&[u8]],
    mut transaction: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> (Vec<Vec<u8>>, Vec<Result<usize, StoreError>>) {
    let (writer, thread) = Writer::new();
    let queue = |numbers: &[u8]| {
        let (answer, answered) = bounded(1);
        let writes = numbers.iter().copied().map(numbered).collect();
        writer.enqueue(Job { writes, durability: Durability::Relaxed, answer }).expect("there is room");
        answered
    };
    let waiting: Vec<_> = requests.iter().map(|numbers| queue(numbers)).collect();
    writer.close();
    let mut batches = Vec::new();
    thread.run(|batch: &[Write], _durability| {
        let numbers: Vec<u8> = batch.iter().map(number).collect();
        batches.push(numbers.clone());
        transaction(&numbers).map(|()| vec![Written::Done; batch.len()])
    });
    let answer = |answered: Receiver<Result<Vec<Written>, StoreError>>| {
        answered.try_recv().expect("every request is answered").map(|written| written.len())
    };
    (batches, waiting.into_iter().map(answer).collect())
}

#[test]
fn what_is_queued_is_one_transaction_and_each_request_gets_its_own_answers() {
    let (batches, answers) = run(&[&[1], &[2, 3], &[], &[4]], |_| Ok(()));
    assert_eq!(batches, [vec![1, 2, 3, 4]]);
    assert_eq!(answers, [Ok(1), Ok(2), Ok(0), Ok(1)]);
}

#[test]
fn a_batch_ends_at_its_bound_and_a_large_request_stays_whole() {
    let large = [9; WRITES_PER_BATCH_MAX];
    let (batches, answers) = run(&[&[1], &large, &[2]], |_| Ok(()));
    let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, WRITES_PER_BATCH_MAX, 1]);
    assert_eq!(answers, [Ok(1), Ok(WRITES_PER_BATCH_MAX), Ok(1)]);
}

#[test]
fn one_bad_request_does_not_fail_its_neighbours() {
    let fails = |numbers: &[u8]| match numbers.contains(&13) {
        true => Err(StoreError::Failed("13".into())),
        false => Ok(()),
    };
    let (batches, answers) = run(&[&[1, 2], &[13, 3], &[4]], fails);
    assert_eq!(batches, [vec![1, 2, 13, 3, 4], vec![1, 2], vec![13, 3], vec![4]]);
    assert_eq!(answers, [Ok(2), Err(StoreError::Failed("13".into())), Ok(1)]);
}

#[test]
fn a_panic_in_a_transaction_fails_its_own_request_only() {
    let panics = |numbers: &[u8]| match numbers.contains(&13) {
        true => std::panic::resume_unwind(Box::new("quietly")),
        false => Ok(()),
    };
    let (_, answers) = run(&[&[1], &[13], &[4]], panics);
    assert_eq!(answers, [Ok(1), Err(StoreError::Failed("the transaction panicked".into())), Ok(1)]);
}

#[test]
fn while_the_store_is_away_everyone_is_told_to_come_back_and_nothing_is_tried_twice() {
    let (batches, answers) = run(&[&[1], &[2]], |_| Err(StoreError::Unavailable("away".into())));
    let away = || Err(StoreError::Unavailable("away".into()));
    assert_eq!((batches.len(), answers), (1, vec![away(), away()]));
}

#[test]
fn one_request_that_wants_a_sync_gets_it_for_the_whole_batch() {
    let (writer, thread) = Writer::new();
    let answers: Vec<_> = [Durability::Relaxed, Durability::Synced, Durability::Relaxed]
        .map(|durability| {
            let (answer, answered) = bounded(1);
            writer.enqueue(Job { writes: vec![numbered(1)], durability, answer }).expect("there is room");
            answered
        })
        .into();
    writer.close();
    thread.run(|batch: &[Write], durability| {
        assert_eq!((batch.len(), durability), (3, Durability::Synced));
        Ok(vec![Written::Done; 3])
    });
    assert!(answers.iter().all(|answered| matches!(answered.try_recv(), Ok(Ok(_)))));
}

#[test]
fn a_full_queue_and_a_closed_writer_are_answers() {
    let (writer, _thread) = Writer::new();
    for _ in 0..JOBS_QUEUED_MAX {
        let (answer, _) = bounded(1);
        writer.enqueue(Job { writes: Vec::new(), durability: Durability::Relaxed, answer }).expect("there is room");
    }
    let refusal = writer.write(vec![numbered(1)], Durability::Synced).expect_err("the queue is full");
    assert_eq!(refusal, StoreError::Busy("too many writes are waiting"));
    assert_eq!(writer.counters().refused.load(Ordering::Relaxed), 1);
    writer.close();
    let refusal = writer.write(Vec::new(), Durability::Synced).expect_err("is closed");
    assert_eq!(refusal, StoreError::Busy("the tracker is stopping"));
}
