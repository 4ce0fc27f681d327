//! The durable writer over a function that notes each batch.

use std::sync::{Arc, Mutex};

use peernet_engine::ids::PeerId;

use super::*;

/// The number of writes and the durability of each transaction.
type Batches = Arc<Mutex<Vec<(usize, Durability)>>>;

fn writer() -> (Writer, WriteLoop, Batches) {
    let batches = Batches::default();
    let noted = Arc::clone(&batches);
    let (writer, commit_loop) = Writer::new(Box::new(move |writes, durability| {
        noted.lock().unwrap().push((writes.len(), durability));
        Ok(vec![Written::Done; writes.len()])
    }));
    (writer, commit_loop, batches)
}

fn leave() -> Write {
    Write::Leave { peer: PeerId([1; 16]), files: None }
}

#[test]
fn one_request_that_demands_a_sync_gets_it_for_the_whole_group() {
    let (writer, commit_loop, batches) = writer();
    let demands = [Durability::Relaxed, Durability::Synced, Durability::Relaxed];
    let answers = demands.map(|durability| writer.0.queue(vec![leave()], durability));
    writer.close();
    commit_loop.run();
    assert_eq!(*batches.lock().unwrap(), [(3, Durability::Synced)]);
    assert!(answers.iter().all(|answered| answered.try_recv() == Ok(Ok(vec![Written::Done]))));
}

#[test]
fn a_group_of_relaxed_requests_is_not_synced() {
    let (writer, commit_loop, batches) = writer();
    let _answers = [(); 2].map(|()| writer.0.queue(vec![leave()], Durability::Relaxed));
    writer.close();
    commit_loop.run();
    assert_eq!(*batches.lock().unwrap(), [(2, Durability::Relaxed)]);
}

#[test]
fn a_group_ends_at_its_bound_and_a_large_request_stays_whole() {
    let (writer, commit_loop, batches) = writer();
    let _answers = [1, WRITES_PER_GROUP_MAX, 1].map(|count| writer.0.queue(vec![leave(); count], Durability::Relaxed));
    writer.close();
    commit_loop.run();
    let sizes: Vec<usize> = batches.lock().unwrap().iter().map(|(size, _)| *size).collect();
    assert_eq!(sizes, [1, WRITES_PER_GROUP_MAX, 1]);
}

#[test]
fn a_full_queue_and_a_closed_writer_are_answers() {
    let (writer, _commit_loop, _batches) = writer();
    let _answers: Vec<_> = (0..JOBS_QUEUED_MAX).map(|_| writer.0.queue(vec![leave()], Durability::Relaxed)).collect();
    assert_eq!(writer.queued(), JOBS_QUEUED_MAX);
    assert_eq!(
        writer.write(&Blocking::declare(), vec![leave()], Durability::Synced),
        Err(StoreError::Busy("too many writes are waiting"))
    );
    assert_eq!(writer.counters().refused.load(std::sync::atomic::Ordering::Relaxed), 1);
    writer.close();
    assert_eq!(
        writer.write(&Blocking::declare(), vec![leave()], Durability::Synced),
        Err(StoreError::Busy("the tracker is stopping"))
    );
}
