//! One source: the chunks it holds, its requests in flight, its rate and its failures.

use std::time::{Duration, Instant};

use crate::bitmap::Bitmap;
use crate::cause::Cause;
use crate::download::{Has, Limits, Protocol};
use crate::ids::ChunkIndex;
use crate::rate::RateMeter;

/// The largest window of a complete source that serves other callers too. It is small, because the best chunks to
/// request change with the progress of the others, and large enough to leave the source a choice.
const WINDOW_IN_DEMAND: usize = 4;

/// Other callers pass a chunk on in about this many times the time that the source takes for one.
const REPEAT_AFTER_CHUNKS: f64 = 1.5;

/// One chunk in flight: requested from one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) chunk: ChunkIndex,
    pub(super) since: Instant,
}

/// The state of the connection to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// The driver was told at this time to connect.
    Open(Instant),
    /// Failed. The driver connects again at this time.
    BackingOff(Instant),
}

/// The progress of the download, as far as a source's limits depend on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Got<'a> {
    pub(super) verified: &'a Bitmap,
    pub(super) chunk_bytes: u64,
}

/// One source of the download.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) rank: u32,
    pub(super) protocol: Protocol,
    pub(super) connection: Connection,
    /// The chunks it holds; `None` until it has announced them.
    pub(super) has: Option<Has>,
    /// The chunks it gives to other callers; `None` while it serves only this node.
    pub(super) given: Option<Bitmap>,
    /// The instant from which it holds no chunk for us that it has not given to others.
    pub(super) repeats_since: Option<Instant>,
    /// The chunks in flight, in the order of their requests. A `Fetch` stream serves them in this order.
    pub(super) in_flight: Vec<InFlight>,
    /// The most chunks in flight.
    pub(super) window: usize,
    pub(super) meter: RateMeter,
    /// Bytes that were counted block by block. The verified chunk counts them again.
    credit: u64,
    /// When it last showed a sign of life, and how many bytes came since, too few for another.
    life: (Instant, u64),
    /// When its last chunk came, or when it last got a request while it had none.
    last_chunk: Instant,
    /// Chunks verified from it.
    pub(super) chunks: u32,
    /// Failures since the last verified chunk.
    pub(super) failures: u32,
    /// The last failure since the last verified chunk.
    pub(super) last_failure: Option<Cause>,
    /// No new requests before this time.
    pub(super) hold_until: Option<Instant>,
    /// No unassigned chunk can be requested from it, until one is put back or it holds more.
    pub(super) exhausted: bool,
}

impl Source {
    pub(super) fn new(now: Instant, rank: u32, protocol: Protocol, limits: &Limits) -> Self {
        let window = match protocol {
            Protocol::FetchStream => limits.window_start,
            Protocol::Version1 => limits.window_start.min(limits.window_max_v1),
        };
        Self {
            rank,
            protocol,
            connection: Connection::Open(now),
            has: None,
            given: None,
            repeats_since: None,
            in_flight: Vec::new(),
            window,
            meter: RateMeter::new(now),
            credit: 0,
            life: (now, 0),
            last_chunk: now,
            chunks: 0,
            failures: 0,
            last_failure: None,
            hold_until: None,
            exhausted: false,
        }
    }

    pub(super) fn holds(&self, chunk: ChunkIndex) -> bool {
        match &self.has {
            None => false,
            Some(Has::Complete) => true,
            Some(Has::Chunks(bitmap)) => bitmap.contains(chunk),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.has, Some(Has::Complete))
    }

    /// Returns the chunks that this source makes less rare: those that a partial source holds, or that a complete one
    /// gives to others.
    pub(super) fn spread(&self) -> Option<Bitmap> {
        match &self.has {
            Some(Has::Chunks(bitmap)) => Some(bitmap.clone()),
            Some(Has::Complete) => self.given.clone(),
            None => None,
        }
    }

    /// Returns true if the source is complete and serves other callers, which can pass on the chunks that they get.
    pub(super) fn is_in_demand(&self) -> bool {
        self.is_complete() && self.given.is_some()
    }

    /// Returns true if the source gave any of these chunks to other callers. A request with such a chunk is sent as a
    /// whole with the order to send again; for the chunks that no other caller got, the order changes nothing.
    pub(super) fn repeats_any(&self, chunks: &[ChunkIndex]) -> bool {
        let given = self.given.as_ref().filter(|_| self.is_complete());
        given.is_some_and(|given| chunks.iter().any(|chunk| given.contains(*chunk)))
    }

    /// Returns the chunks in flight here that it newly gives to others.
    pub(super) fn newly_given(&self, others: &Bitmap) -> Vec<ChunkIndex> {
        let is_new = |chunk: &ChunkIndex| self.given.as_ref().is_none_or(|given| !given.contains(*chunk));
        let in_flight = self.in_flight.iter().map(|requested| requested.chunk);
        in_flight.filter(|chunk| others.contains(*chunk)).filter(is_new).collect()
    }

    /// Returns true if chunks that the source gave to others may be requested from it. This starts after a delay, one
    /// chunk at a time.
    pub(super) fn may_repeat(&self, now: Instant, got: Got<'_>, limits: &Limits) -> bool {
        !self.is_in_demand() || self.repeats_at(got, limits).is_some_and(|at| now >= at)
    }

    /// Returns when [`Source::may_repeat`] becomes true, if only time is missing.
    pub(super) fn repeats_at(&self, got: Got<'_>, limits: &Limits) -> Option<Instant> {
        let since = self.repeats_since.filter(|_| self.is_in_demand() && self.in_flight.is_empty())?;
        if !self.gave_all(got.verified) {
            return Some(since + limits.repeat_after);
        }
        let chunk = self.secs_until(since, 0, got.chunk_bytes) * REPEAT_AFTER_CHUNKS;
        let wait = Duration::try_from_secs_f64(chunk).unwrap_or(limits.repeat_after);
        Some(since + wait.max(limits.rescue_after).min(limits.repeat_after))
    }

    /// Returns true if the source has given every chunk to some caller. Verified chunks that no other caller got count
    /// as given to this node.
    fn gave_all(&self, verified: &Bitmap) -> bool {
        self.given.as_ref().is_some_and(|given| given.missing().all(|chunk| verified.contains(chunk)))
    }

    /// Returns true if the source is connected and may get requests.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        matches!(self.connection, Connection::Open(_)) && self.hold_until.is_none_or(|until| until <= now)
    }

    /// Returns true if the source can take one more request.
    pub(super) fn has_room(&self, now: Instant, cap: usize) -> bool {
        let window = if self.is_in_demand() { self.window.min(WINDOW_IN_DEMAND) } else { self.window };
        self.is_usable(now) && self.has.is_some() && self.in_flight.len() < window.min(cap)
    }

    pub(super) fn has_requested(&self, chunk: ChunkIndex) -> bool {
        self.in_flight.iter().any(|requested| requested.chunk == chunk)
    }

    pub(super) fn begin_request(&mut self, now: Instant, chunk: ChunkIndex) {
        if self.in_flight.is_empty() {
            self.life = (now, 0);
            self.last_chunk = now;
            self.meter.resume(now);
        }
        self.in_flight.push(InFlight { chunk, since: now });
    }

    /// Ends the request for a chunk. Returns whether there was one.
    pub(super) fn end_request(&mut self, now: Instant, chunk: ChunkIndex) -> bool {
        let before = self.in_flight.len();
        self.in_flight.retain(|requested| requested.chunk != chunk);
        let ended = self.in_flight.len() < before;
        if ended && self.in_flight.is_empty() {
            self.meter.pause(now);
        }
        ended
    }

    /// Ends all requests, and returns them.
    pub(super) fn end_requests(&mut self, now: Instant) -> Vec<InFlight> {
        if !self.in_flight.is_empty() {
            self.meter.pause(now);
        }
        std::mem::take(&mut self.in_flight)
    }

    /// Counts the bytes of a block.
    pub(super) fn progress(&mut self, now: Instant, bytes: u64, limits: &Limits) {
        self.credit = self.credit.saturating_add(bytes);
        self.alive(now, bytes, limits);
    }

    /// Counts a verified chunk. Returns the bytes that no block has counted before.
    pub(super) fn delivered(&mut self, now: Instant, bytes: u64, chunk_bytes: u64, limits: &Limits) -> u64 {
        let uncounted = bytes.saturating_sub(self.credit);
        self.credit = self.credit.saturating_sub(bytes);
        self.alive(now, uncounted, limits);
        // A whole chunk is a sign of life, however short it is.
        self.life = (now, 0);
        self.last_chunk = now;
        self.chunks = self.chunks.saturating_add(1);
        self.failures = 0;
        self.last_failure = None;
        self.hold_until = None;
        self.turn_window(now, chunk_bytes, limits);
        uncounted
    }

    fn alive(&mut self, now: Instant, bytes: u64, limits: &Limits) {
        self.meter.add(now, bytes);
        self.life.1 = self.life.1.saturating_add(bytes);
        if self.life.1 >= limits.stall_bytes {
            self.life = (now, 0);
        }
    }

    /// Moves the window one step towards the bytes of `window_span`. Growing by one with each chunk doubles it in a
    /// round trip.
    fn turn_window(&mut self, now: Instant, chunk_bytes: u64, limits: &Limits) {
        let span_bytes = self.meter.rate(now) * limits.window_span.as_secs_f64();
        let aim = (span_bytes / chunk_bytes.max(1) as f64) as usize + 1;
        let step = if aim > self.window {
            self.window + 1
        } else {
            self.window.saturating_sub(usize::from(aim < self.window))
        };
        let most = if self.protocol == Protocol::Version1 { limits.window_max_v1 } else { limits.window_max };
        self.window = step.max(limits.window_min).min(most).max(1);
    }

    /// Returns when it counts as stalled unless something comes; `None` while nothing is in flight.
    pub(super) fn stall_at(&self, limits: &Limits) -> Option<Instant> {
        let patience = if self.protocol == Protocol::Version1 { limits.stall_timeout_v1 } else { limits.stall_timeout };
        match (self.connection, &self.has) {
            (Connection::BackingOff(_), _) => None,
            (Connection::Open(since), None) => Some(since + patience),
            _ if self.in_flight.is_empty() => None,
            _ => Some((self.life.0 + patience).min(self.last_chunk + limits.chunk_timeout)),
        }
    }

    /// Restarts its stall timers.
    pub(super) fn restart_watch(&mut self, now: Instant) {
        self.life = (now, 0);
        self.last_chunk = now;
        if let Connection::Open(since) = &mut self.connection {
            *since = now;
        }
    }

    pub(super) fn is_stalled(&self, now: Instant, limits: &Limits) -> bool {
        self.stall_at(limits).is_some_and(|at| at <= now)
    }

    /// Counts a failure, and returns the back-off before jitter.
    pub(super) fn fail(&mut self, limits: &Limits) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.credit = 0;
        self.window = self.window.min(limits.window_start);
        let doublings = (self.failures - 1).min(16);
        limits.backoff_start.saturating_mul(1 << doublings).min(limits.backoff_max)
    }

    /// Returns the seconds until it has delivered the chunk at `place` of its queue, by its present rate; infinite
    /// without a rate.
    pub(super) fn secs_until(&self, now: Instant, place: usize, chunk_bytes: u64) -> f64 {
        // A version 1 source serves all its calls side by side.
        let ahead = if self.protocol == Protocol::Version1 { self.in_flight.len().max(place + 1) } else { place + 1 };
        ahead as f64 * chunk_bytes as f64 / self.meter.rate(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::{Limits, Protocol};
    use crate::ids::ChunkCount;

    const CHUNK_BYTES: u64 = 1 << 20;

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        Instant::now()
    }

    fn source(protocol: Protocol) -> (Source, Instant, Limits) {
        let now = start();
        let limits = Limits::default();
        let mut source = Source::new(now, 0, protocol, &limits);
        source.has = Some(Has::Complete);
        (source, now, limits)
    }

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    /// Delivers chunks at `rate` for `seconds`, always with requests in flight. Returns the window at the end.
    fn window_at(protocol: Protocol, rate: f64, seconds: f64) -> usize {
        let (mut source, begin, limits) = source(protocol);
        let mut now = begin;
        let mut chunk = 0;
        while now < begin + secs(seconds) {
            source.begin_request(now, ChunkIndex(chunk));
            now += secs(CHUNK_BYTES as f64 / rate);
            source.end_request(now, ChunkIndex(chunk));
            source.delivered(now, CHUNK_BYTES, CHUNK_BYTES, &limits);
            chunk += 1;
        }
        source.window
    }

    #[test]
    fn the_window_follows_the_rate_within_its_bounds() {
        let limits = Limits::default();
        let cases = [
            // Half a second of data, and one chunk more.
            (Protocol::FetchStream, 10e6, 5),
            (Protocol::FetchStream, 40e6, 20),
            (Protocol::FetchStream, 1e5, limits.window_min),
            (Protocol::FetchStream, 1e9, limits.window_max),
            (Protocol::Version1, 1e9, limits.window_max_v1),
            (Protocol::Version1, 1e5, limits.window_min),
        ];
        for (protocol, rate, expected) in cases {
            let window = window_at(protocol, rate, 60.0);
            assert!(window.abs_diff(expected) <= 1, "{protocol:?} at {rate}: {window}, {expected} expected");
        }
    }

    #[test]
    fn the_window_of_a_failed_source_begins_small_again() {
        let (mut source, now, limits) = source(Protocol::FetchStream);
        source.window = 40;
        source.fail(&limits);
        assert_eq!(source.window, limits.window_start);
        source.window = limits.window_min;
        source.fail(&limits);
        assert_eq!(source.window, limits.window_min);
        assert!(source.is_usable(now));
    }

    #[test]
    fn back_off_doubles_to_its_bound_and_never_overflows() {
        let (mut source, now, limits) = source(Protocol::FetchStream);
        let pauses: Vec<u64> = (0..8).map(|_| source.fail(&limits).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        source.failures = u32::MAX;
        assert_eq!(source.fail(&limits), limits.backoff_max);
        source.delivered(now, 1, 1, &limits);
        assert_eq!(source.failures, 0);
        assert_eq!(source.fail(&limits), limits.backoff_start);
    }

    #[test]
    fn stall_timers_start_with_the_first_request() {
        for (protocol, patience) in [
            (Protocol::FetchStream, Limits::default().stall_timeout),
            (Protocol::Version1, Limits::default().stall_timeout_v1),
        ] {
            let (mut source, now, limits) = source(protocol);
            assert_eq!(source.stall_at(&limits), None, "nothing is in flight");
            let later = now + secs(100.0);
            source.begin_request(later, ChunkIndex(0));
            assert_eq!(source.stall_at(&limits), Some(later + patience), "{protocol:?}");
            assert!(!source.is_stalled(later + patience - secs(0.001), &limits));
            assert!(source.is_stalled(later + patience, &limits));
            source.end_request(later, ChunkIndex(0));
            assert_eq!(source.stall_at(&limits), None);
        }
    }

    #[test]
    fn a_source_that_announces_nothing_stalls_too() {
        let (mut source, now, limits) = source(Protocol::FetchStream);
        source.has = None;
        assert_eq!(source.stall_at(&limits), Some(now + limits.stall_timeout));
        source.restart_watch(now + secs(5.0));
        assert_eq!(source.stall_at(&limits), Some(now + secs(5.0) + limits.stall_timeout));
        source.connection = Connection::BackingOff(now);
        assert_eq!(source.stall_at(&limits), None, "a closed connection has no timer");
    }

    #[test]
    fn few_bytes_are_no_sign_of_life() {
        let (mut source, now, limits) = source(Protocol::FetchStream);
        source.begin_request(now, ChunkIndex(0));
        let later = now + secs(10.0);
        source.progress(later, limits.stall_bytes - 1, &limits);
        assert_eq!(source.stall_at(&limits), Some(now + limits.stall_timeout));
        source.progress(later, 1, &limits);
        assert_eq!(source.stall_at(&limits), Some(later + limits.stall_timeout));
    }

    #[test]
    fn steady_bytes_do_not_replace_a_chunk() {
        let (mut source, begin, limits) = source(Protocol::FetchStream);
        source.begin_request(begin, ChunkIndex(0));
        let mut now = begin;
        while !source.is_stalled(now, &limits) {
            now += secs(1.0);
            source.progress(now, limits.stall_bytes, &limits);
        }
        assert_eq!(now, begin + limits.chunk_timeout);
    }

    #[test]
    fn bytes_count_once_by_block_or_by_chunk() {
        let cases: [(&[u64], u64, u64); 4] =
            [(&[], 100, 100), (&[60, 40], 100, 0), (&[60], 100, 40), (&[100, 50], 100, 0)];
        for (blocks, chunk, uncounted) in cases {
            let (mut source, now, limits) = source(Protocol::FetchStream);
            blocks.iter().for_each(|bytes| source.progress(now, *bytes, &limits));
            assert_eq!(source.delivered(now, chunk, 100, &limits), uncounted, "{blocks:?}");
        }
        let (mut source, now, limits) = source(Protocol::FetchStream);
        source.progress(now, 150, &limits);
        source.delivered(now, 100, 100, &limits);
        assert_eq!(source.delivered(now, 100, 100, &limits), 50, "the rest counts for the next chunk");
    }

    #[test]
    fn a_held_source_is_usable_after_its_pause() {
        let (mut source, now, limits) = source(Protocol::FetchStream);
        source.hold_until = Some(now + secs(1.0));
        assert!(!source.is_usable(now) && source.is_usable(now + secs(1.0)));
        source.delivered(now, 1, 1, &limits);
        assert!(source.is_usable(now), "a verified chunk ends the pause");
    }

    #[test]
    fn a_source_in_demand_has_a_small_window() {
        let (mut source, now, _) = source(Protocol::FetchStream);
        source.window = 20;
        assert!(source.has_room(now, 64) && !source.is_in_demand());
        source.given = Some(Bitmap::empty(ChunkCount(8)));
        assert!(source.is_in_demand());
        for chunk in 0..WINDOW_IN_DEMAND as u32 {
            assert!(source.has_room(now, 64), "chunk {chunk}");
            source.begin_request(now, ChunkIndex(chunk));
        }
        assert!(!source.has_room(now, 64));
        source.given = None;
        assert!(source.has_room(now, 64), "the large window is back");
        assert!(!source.has_room(now, WINDOW_IN_DEMAND), "within the share of all sources");
    }

    #[test]
    fn chunks_newly_given_to_others_are_found_in_flight() {
        let (mut source, now, _) = source(Protocol::FetchStream);
        let of = |chunks: &[u32]| {
            let mut bitmap = Bitmap::empty(ChunkCount(8));
            chunks.iter().for_each(|chunk| assert!(bitmap.insert(ChunkIndex(*chunk))));
            bitmap
        };
        [1, 2, 3].into_iter().for_each(|chunk| source.begin_request(now, ChunkIndex(chunk)));
        assert_eq!(source.newly_given(&of(&[0, 2, 3])), [ChunkIndex(2), ChunkIndex(3)]);
        source.given = Some(of(&[2]));
        assert_eq!(source.newly_given(&of(&[2, 3])), [ChunkIndex(3)]);
        assert!(source.repeats_any(&[ChunkIndex(2), ChunkIndex(5)]) && !source.repeats_any(&[ChunkIndex(5)]));
        source.has = Some(Has::Chunks(of(&[2])));
        assert!(!source.repeats_any(&[ChunkIndex(2)]), "a partial source gives nothing in the sense of super-seeding");
    }

    #[test]
    fn the_wait_for_a_chunk_follows_queue_and_protocol() {
        for (protocol, place, chunks_ahead) in [
            (Protocol::FetchStream, 0, 1.0),
            (Protocol::FetchStream, 3, 4.0),
            // Version 1 serves all calls side by side, so each takes as long as all of them.
            (Protocol::Version1, 0, 4.0),
            (Protocol::Version1, 5, 6.0),
        ] {
            let (mut source, begin, _) = source(protocol);
            (0..4).for_each(|chunk| source.begin_request(begin, ChunkIndex(chunk)));
            let mut now = begin;
            for _ in 0..100 {
                now += secs(0.1);
                source.meter.add(now, CHUNK_BYTES / 10);
            }
            let wait = source.secs_until(now, place, CHUNK_BYTES);
            assert!((wait - chunks_ahead).abs() < 0.1 * chunks_ahead, "{protocol:?} {place}: {wait} s");
        }
        let (source, now, _) = source(Protocol::FetchStream);
        assert!(source.secs_until(now, 0, CHUNK_BYTES).is_infinite(), "nothing is known of its rate");
    }

    #[test]
    fn only_partial_holdings_and_gifts_change_rarity() {
        let (mut source, _, _) = source(Protocol::FetchStream);
        assert_eq!(source.spread(), None, "a complete source raises all chunks alike");
        let some = Bitmap::full(ChunkCount(3));
        source.given = Some(some.clone());
        assert_eq!(source.spread(), Some(some.clone()));
        source.has = Some(Has::Chunks(Bitmap::empty(ChunkCount(3))));
        assert_eq!(source.spread(), Some(Bitmap::empty(ChunkCount(3))));
        source.has = None;
        assert_eq!(source.spread(), None);
    }
}
