//! The tables through which the trackers of one shared database replicate their lease updates.
//!
//! The thread that uses them is in [`crate::replication`].

use peernet_engine::time::UnixMillis;

use super::Result;

/// The id of a tracker among those of one database: random, kept in its data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackerId(pub [u8; 16]);

/// Lease updates of one tracker, encoded by [`crate::replication::LeaseUpdate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The number of the batch. A tracker's batches are pushed and pulled in the order of their numbers.
    pub seq: i64,
    /// The time at which the last update of the batch expires.
    pub expires_at: UnixMillis,
    /// The encoded updates.
    pub body: Vec<u8>,
}

/// A tracker as it presents itself to the other trackers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerRow {
    /// The tracker's id.
    pub id: TrackerId,
    /// The Ed25519 key that verifies its tokens.
    pub public_key: [u8; 32],
    /// The time at which it last reported that it runs.
    pub seen_at: UnixMillis,
}

/// Reads and writes the tables of the replication.
pub trait Replication: Send + Sync {
    /// Records that this tracker runs. Returns all trackers that were seen since `seen_after`, this one included.
    fn report_running(&self, this: &TrackerRow, seen_after: UnixMillis) -> Result<Vec<TrackerRow>>;

    /// Returns all trackers that were seen since `seen_after`.
    fn trackers(&self, seen_after: UnixMillis) -> Result<Vec<TrackerRow>>;

    /// Publishes a batch to the other trackers. Publishing it again changes nothing.
    fn push(&self, from: TrackerId, batch: &Batch) -> Result<()>;

    /// Returns the batches of `from` after `seq` that have not expired, oldest first, at most `limit`.
    fn pull(&self, from: TrackerId, seq: i64, now: UnixMillis, limit: usize) -> Result<Vec<Batch>>;

    /// Deletes expired batches. Returns the number of deleted rows.
    fn prune_batches(&self, now: UnixMillis) -> Result<u64>;
}
