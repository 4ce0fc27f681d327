//! Durable writes: the group commit of [`crate::store::Store::write`].
//!
//! Accounts, manifests, signatures, access policies and version 1 listings are written here. The database is asked to sync a group if any
//! of its requests asks for that.

use std::time::Duration;

use peernet_threads::Blocking;

use super::group::{Bounds, CommitLoop, GroupCommit, GroupCounters, Transaction};
use crate::store::{Durability, StoreError, Write, Written};

/// The most requests that wait for a commit: one per connection that the HTTP server admits. More are refused.
pub const JOBS_QUEUED_MAX: usize = 4_096;
/// The most writes of one transaction. A single request may bring as many by itself.
pub const WRITES_PER_GROUP_MAX: usize = 1_000;
/// The longest that a request waits for its commit. Past it the outcome is unknown, and every write is idempotent.
const WAIT_MAX: Duration = Duration::from_secs(15);

const BOUNDS: Bounds = Bounds {
    queue: "writes",
    full: "too many writes are waiting",
    jobs_queued_max: JOBS_QUEUED_MAX,
    // The jobs bound it: each is one request body.
    queued_weight_max: usize::MAX,
    group_weight_max: WRITES_PER_GROUP_MAX,
    // A commit of a database server takes milliseconds, in which more requests arrive.
    inline: false,
    retry_singly: true,
};

/// Applies a batch of writes as one transaction; see [`crate::store::Store::write`].
pub(crate) type Apply = Box<dyn Fn(&[Write], Durability) -> Result<Vec<Written>, StoreError> + Send + Sync>;

/// The durable writer, as request handlers use it.
pub struct Writer(GroupCommit<StoreWrites>);

/// The part of the durable writer that its thread runs.
pub(crate) type WriteLoop = CommitLoop<StoreWrites>;

/// A transaction of writes.
pub(crate) struct StoreWrites(Apply);

impl Transaction for StoreWrites {
    type Item = Write;
    type Outcome = Written;
    type Demand = Durability;

    fn weight(_: &Write) -> usize {
        1
    }

    fn commit(&self, writes: &[Write], durability: Durability) -> Result<Vec<Written>, StoreError> {
        (self.0)(writes, durability)
    }
}

impl Writer {
    /// Creates the writer and the loop that its thread runs.
    pub(crate) fn new(apply: Apply) -> (Self, WriteLoop) {
        let (group, commit_loop) = GroupCommit::new(StoreWrites(apply), BOUNDS);
        (Self(group), commit_loop)
    }

    /// Commits the writes as one transaction, together with other requests. Returns one outcome per write, after the commit.
    pub fn write(
        &self,
        blocking: &Blocking,
        writes: Vec<Write>,
        durability: Durability,
    ) -> Result<Vec<Written>, StoreError> {
        self.0.commit(blocking, writes, durability, WAIT_MAX)
    }

    /// Returns the counts since the start.
    pub fn counters(&self) -> &GroupCounters {
        self.0.counters()
    }

    /// Returns the number of requests that wait for a commit.
    pub fn queued(&self) -> usize {
        self.0.pending()
    }

    /// Takes no more writes. The thread commits the queued ones and ends.
    pub fn close(&self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
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
        let _answers =
            [1, WRITES_PER_GROUP_MAX, 1].map(|count| writer.0.queue(vec![leave(); count], Durability::Relaxed));
        writer.close();
        commit_loop.run();
        let sizes: Vec<usize> = batches.lock().unwrap().iter().map(|(size, _)| *size).collect();
        assert_eq!(sizes, [1, WRITES_PER_GROUP_MAX, 1]);
    }

    #[test]
    fn a_full_queue_and_a_closed_writer_are_answers() {
        let (writer, _commit_loop, _batches) = writer();
        let _answers: Vec<_> =
            (0..JOBS_QUEUED_MAX).map(|_| writer.0.queue(vec![leave()], Durability::Relaxed)).collect();
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
}
