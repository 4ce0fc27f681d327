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
mod tests;
