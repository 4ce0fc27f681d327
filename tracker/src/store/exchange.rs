//! How the trackers of one database hear of each other: whoever shares its store with others implements [`Exchange`].

use peernet_engine::time::UnixMillis;

use super::Result;

/// A tracker among those of one database: random, kept in its data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackerId(pub [u8; 16]);

/// Some news of one tracker, as [`crate::domain::swarm::News`] encodes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Their place among that tracker's batches: each is told after those before it.
    pub seq: i64,
    /// When all of it means nothing any more.
    pub expires_at: UnixMillis,
    /// The news.
    pub body: Vec<u8>,
}

/// A tracker as it presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerRow {
    /// Which.
    pub id: TrackerId,
    /// The Ed25519 key that checks its tokens.
    pub public_key: [u8; 32],
    /// When it last said that it runs.
    pub seen_at: UnixMillis,
}

/// News between trackers.
pub trait Exchange: Send + Sync {
    /// Says that this tracker runs; all that were seen since `seen_after`, itself included.
    fn meet(&self, myself: &TrackerRow, seen_after: UnixMillis) -> Result<Vec<TrackerRow>>;

    /// All that were seen since then.
    fn trackers(&self, seen_after: UnixMillis) -> Result<Vec<TrackerRow>>;

    /// Tells the others. Telling the same again changes nothing.
    fn push(&self, from: TrackerId, batch: &Batch) -> Result<()>;

    /// What `from` told after `seq` and still means something, oldest first, at most `limit`.
    fn pull(&self, from: TrackerId, seq: i64, now: UnixMillis, limit: usize) -> Result<Vec<Batch>>;

    /// Deletes what means nothing any more. How many batches.
    fn forget(&self, now: UnixMillis) -> Result<u64>;
}
