//! The bounds and times of a download.

use std::time::Duration;

use crate::ids::ChunkCount;

/// Bounds and times of one download. The defaults suit 1 MiB chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most sources known at once; more are ignored.
    pub sources_max: usize,
    /// The most chunks in flight, over all sources. With version 1 sources each is a buffer.
    pub in_flight_max: usize,
    /// The request window of a new source.
    pub window_start: usize,
    /// The smallest window: one chunk on the wire and one behind it.
    pub window_min: usize,
    /// The largest window.
    pub window_max: usize,
    /// The largest window of a version 1 source, where every chunk is a call and a buffer of its own.
    pub window_max_v1: usize,
    /// The window holds the bytes that the source sends in this time: well over a round trip.
    pub window_span: Duration,
    /// A source with chunks in flight that sent less than [`Limits::stall_bytes`] in this time is dropped.
    pub stall_timeout: Duration,
    /// The same for version 1 sources: their bytes count only when a chunk is whole, and they may queue a call for 15
    /// s.
    pub stall_timeout_v1: Duration,
    /// The fewest bytes that count as a sign of life.
    pub stall_bytes: u64,
    /// A source with chunks in flight and no verified chunk in this time is dropped, however steadily its bytes
    /// trickle.
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
    /// The longest wait for other callers of a complete source to pass on the chunks that it gave them. After that, the
    /// source is asked for the same chunks. When it has given every chunk away its line is free; then the wait is about
    /// the time that one chunk takes to be passed on, but at least [`Limits::rescue_after`].
    pub repeat_after: Duration,
    /// The most sources from which one chunk is requested at once.
    pub holders_max: usize,
    /// With fewer usable sources than this, more are looked up.
    pub sources_wanted: usize,
    /// The first pause between two `NeedSources`; it doubles while they bring nothing.
    pub lookup_pause_start: Duration,
    /// The delay of the lookup that follows the first sign of other downloaders: a source reports other callers, or a
    /// caller asks this node for the file. Downloaders that begin together announce themselves in that time.
    pub lookup_crowd_after: Duration,
    /// The pause after that lookup; it doubles too.
    pub lookup_pause_crowd: Duration,
    /// The longest pause between two `NeedSources`.
    pub lookup_pause_max: Duration,
    /// The wait for another source when every known source is banned and none has delivered anything.
    pub all_banned_timeout: Duration,
    /// Request chunks in order, less than this many past the first missing one, for a reader that follows. `None`
    /// requests them in whatever order is quickest.
    pub read_ahead: Option<ChunkCount>,
    /// A download without progress for this long is given up.
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
            all_banned_timeout: Duration::from_secs(8),
            read_ahead: None,
            no_progress: Duration::from_secs(60),
        }
    }
}
