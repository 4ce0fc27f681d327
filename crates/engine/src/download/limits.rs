//! The numbers of a download, all in one place.

use std::time::Duration;

use crate::ids::ChunkCount;

/// Bounds and times of one download. The defaults suit 1 MiB chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sources known at once; more are ignored.
    pub sources_max: usize,
    /// Chunks requested and not yet verified, over all sources. With version-1 sources each is a buffer.
    pub in_flight_max: usize,
    /// Chunks in flight at a new source.
    pub window_start: usize,
    /// The fewest chunks in flight at a slow source: one on the wire and one behind it.
    pub window_min: usize,
    /// The most at one source.
    pub window_max: usize,
    /// The most at one version-1 source, where every chunk is a call and a buffer of its own.
    pub window_max_v1: usize,
    /// How much time's worth of a source's rate is kept in flight: well over a round trip.
    pub window_span: Duration,
    /// A source with chunks in flight that sent less than [`Limits::stall_bytes`] in this time is dropped.
    pub stall_timeout: Duration,
    /// The same for version-1 sources, whose bytes show only when a chunk is whole, and which may queue us for 15 s.
    pub stall_timeout_v1: Duration,
    /// Fewer bytes than this in a time-out do not count as life.
    pub stall_bytes: u64,
    /// No verified chunk from a source in this time, with chunks in flight, drops it however it trickles.
    pub chunk_timeout: Duration,
    /// The first back-off of a failed source; it doubles with each failure in a row.
    pub backoff_start: Duration,
    /// The longest back-off.
    pub backoff_max: Duration,
    /// A chunk is asked of a second source when its own would take this many times longer,
    pub rescue_factor: u32,
    /// and its own has had it for at least this long;
    pub rescue_after: Duration,
    /// or when it would take this many times longer,
    pub rescue_factor_late: u32,
    /// and its own has had it for so long.
    pub rescue_late_after: Duration,
    /// When a complete source has nothing left for us that others have not asked it for: how long these get to pass it
    /// on before it is asked to send the same again, at most. When it has given everything to someone its line is free, and
    /// the wait is about as long as these need to pass a chunk on, but no less than [`Limits::rescue_after`].
    pub repeat_after: Duration,
    /// The most sources one chunk is asked of at once.
    pub holders_max: usize,
    /// With fewer usable sources than this, more are asked for.
    pub sources_wanted: usize,
    /// The first pause between two `NeedSources`; it doubles while they bring nothing.
    pub lookup_pause_start: Duration,
    /// When a source says for the first time that others fetch the same file, so soon after it they are looked up: a
    /// moment, in which those who begin together get to be known. The same when somebody asks us for the file, and the pause
    /// after that one begins with it too.
    pub lookup_crowd_after: Duration,
    /// The pause after that lookup; it doubles too.
    pub lookup_pause_crowd: Duration,
    /// The longest pause between two `NeedSources`.
    pub lookup_pause_max: Duration,
    /// When every source there was is banned and none delivered anything: wait this long for another.
    pub forsaken_after: Duration,
    /// In order, and at most this many chunks past the first one that is missing: for a reader that follows. It also
    /// bounds how much is fetched that the reader cannot have yet. `None`: in whatever order is quickest.
    pub read_ahead: Option<ChunkCount>,
    /// No progress from anyone for this long ends the download.
    pub no_progress: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sources_max: 32,
            in_flight_max: 64,
            window_start: 4,
            window_min: 2,
            window_max: 64,
            window_max_v1: 8,
            window_span: Duration::from_millis(500),
            stall_timeout: Duration::from_secs(20),
            stall_timeout_v1: Duration::from_secs(45),
            stall_bytes: 16 << 10,
            chunk_timeout: Duration::from_secs(300),
            backoff_start: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            rescue_factor: 10,
            rescue_after: Duration::from_millis(500),
            rescue_factor_late: 3,
            rescue_late_after: Duration::from_secs(2),
            repeat_after: Duration::from_secs(3),
            holders_max: 4,
            sources_wanted: 10,
            lookup_pause_start: Duration::from_secs(5),
            lookup_crowd_after: Duration::from_millis(50),
            lookup_pause_crowd: Duration::from_millis(400),
            lookup_pause_max: Duration::from_secs(60),
            forsaken_after: Duration::from_secs(8),
            read_ahead: None,
            no_progress: Duration::from_secs(60),
        }
    }
}
