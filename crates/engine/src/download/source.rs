//! What is known of one source: what it holds, what it is asked for, how fast it is, and how it behaved.

use std::time::{Duration, Instant};

use crate::bitmap::Bitmap;
use crate::cause::Cause;
use crate::download::{Has, Limits};
use crate::ids::ChunkIndex;
use crate::rate::RateMeter;

/// The most in flight at a source that serves others too: enough to leave it a choice, and what is best to ask for
/// changes with what they get.
const WINDOW_IN_DEMAND: usize = 4;

/// Who was given a chunk passes it on in about this many times the time that one takes from the source.
const REPEAT_AFTER_CHUNKS: f64 = 1.5;

/// One chunk asked of one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) chunk: ChunkIndex,
    pub(super) since: Instant,
}

/// Whether a source can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// The driver was told to connect at this time.
    Open(Instant),
    /// It failed; to be connected again at this time.
    Resting(Instant),
}

/// One source of the download.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) rank: u32,
    pub(super) v1: bool,
    pub(super) link: Link,
    /// `None` until it told.
    pub(super) has: Option<Has>,
    /// What it has given to others; `None` while it serves us alone.
    pub(super) given: Option<Bitmap>,
    /// Since when there is nothing for us at it that it has not given to others.
    pub(super) repeats_since: Option<Instant>,
    /// In the order of the requests, which is the order a version-2 source serves them in.
    pub(super) flights: Vec<Flight>,
    /// How many flights it may have.
    pub(super) window: usize,
    pub(super) meter: RateMeter,
    /// Bytes told block by block that the chunk they belong to will tell again.
    credit: u64,
    /// When it last showed life, and how many bytes since then, until they are enough to show it again.
    life: (Instant, u64),
    /// When its last chunk came, or when it was last given work after having none.
    last_chunk: Instant,
    /// Chunks verified from it.
    pub(super) chunks: u32,
    /// Failures since the last verified chunk.
    pub(super) failures: u32,
    /// Why it could not be reached, since the last verified chunk.
    pub(super) last_failure: Option<Cause>,
    /// No new requests before this time.
    pub(super) hold_until: Option<Instant>,
    /// Nothing unassigned is of use from it, until something is put back or it tells of more.
    pub(super) dry: bool,
}

impl Source {
    pub(super) fn new(now: Instant, rank: u32, v1: bool, limits: &Limits) -> Self {
        let window = if v1 { limits.window_start.min(limits.window_max_v1) } else { limits.window_start };
        Self {
            rank,
            v1,
            link: Link::Open(now),
            has: None,
            given: None,
            repeats_since: None,
            flights: Vec::new(),
            window,
            meter: RateMeter::new(now),
            credit: 0,
            life: (now, 0),
            last_chunk: now,
            chunks: 0,
            failures: 0,
            last_failure: None,
            hold_until: None,
            dry: false,
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

    /// What this source makes less rare: the part of the file it holds. A complete one holds all alike; then it is what
    /// others get from it.
    pub(super) fn spread(&self) -> Option<Bitmap> {
        match &self.has {
            Some(Has::Chunks(bitmap)) => Some(bitmap.clone()),
            Some(Has::Complete) => self.given.clone(),
            None => None,
        }
    }

    /// It holds everything and serves others too: what they get from it they can pass on.
    pub(super) fn is_in_demand(&self) -> bool {
        self.is_complete() && self.given.is_some()
    }

    /// Whether it gave any of these to others who can pass them on. Insisting on the rest of a request too is harmless:
    /// nobody else was given that.
    pub(super) fn repeats_any(&self, chunks: &[ChunkIndex]) -> bool {
        let given = self.given.as_ref().filter(|_| self.is_complete());
        given.is_some_and(|given| chunks.iter().any(|chunk| given.contains(*chunk)))
    }

    /// In flight here and, as is known now and was not before, given to others by it.
    pub(super) fn newly_given(&self, others: &Bitmap) -> Vec<ChunkIndex> {
        let is_news = |chunk: &ChunkIndex| self.given.as_ref().is_none_or(|given| !given.contains(*chunk));
        let in_flight = self.flights.iter().map(|flight| flight.chunk);
        in_flight.filter(|chunk| others.contains(*chunk)).filter(is_news).collect()
    }

    /// Whether it may be asked for what others get from it: only after a while, and for one chunk at a time.
    pub(super) fn may_repeat(&self, now: Instant, (verified, chunk_bytes): (&Bitmap, u64), limits: &Limits) -> bool {
        !self.is_in_demand() || self.repeats_at((verified, chunk_bytes), limits).is_some_and(|at| now >= at)
    }

    /// When [`Source::may_repeat`] begins to hold, where time is all that is wanting.
    pub(super) fn repeats_at(&self, (verified, chunk_bytes): (&Bitmap, u64), limits: &Limits) -> Option<Instant> {
        let since = self.repeats_since.filter(|_| self.is_in_demand() && self.flights.is_empty())?;
        if !self.gave_all(verified) {
            return Some(since + limits.repeat_after);
        }
        let chunk = self.secs_until(since, 0, chunk_bytes) * REPEAT_AFTER_CHUNKS;
        let wait = Duration::try_from_secs_f64(chunk).unwrap_or(limits.repeat_after);
        Some(since + wait.max(limits.rescue_after).min(limits.repeat_after))
    }

    /// Whether there is nothing left that it has not given to anyone; what we have and it did not give to others, it gave
    /// to us.
    fn gave_all(&self, verified: &Bitmap) -> bool {
        self.given.as_ref().is_some_and(|given| given.missing().all(|chunk| verified.contains(chunk)))
    }

    /// Connected and not resting.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        matches!(self.link, Link::Open(_)) && self.hold_until.is_none_or(|until| until <= now)
    }

    /// Whether it can take one more request.
    pub(super) fn has_room(&self, now: Instant, cap: usize) -> bool {
        let window = if self.is_in_demand() { self.window.min(WINDOW_IN_DEMAND) } else { self.window };
        self.is_usable(now) && self.has.is_some() && self.flights.len() < window.min(cap)
    }

    pub(super) fn has_flight(&self, chunk: ChunkIndex) -> bool {
        self.flights.iter().any(|flight| flight.chunk == chunk)
    }

    pub(super) fn start_flight(&mut self, now: Instant, chunk: ChunkIndex) {
        if self.flights.is_empty() {
            self.life = (now, 0);
            self.last_chunk = now;
            self.meter.resume(now);
        }
        self.flights.push(Flight { chunk, since: now });
    }

    /// True when it was in flight here.
    pub(super) fn end_flight(&mut self, now: Instant, chunk: ChunkIndex) -> bool {
        let before = self.flights.len();
        self.flights.retain(|flight| flight.chunk != chunk);
        let ended = self.flights.len() < before;
        if ended && self.flights.is_empty() {
            self.meter.pause(now);
        }
        ended
    }

    /// Ends all, and returns them.
    pub(super) fn end_flights(&mut self, now: Instant) -> Vec<Flight> {
        if !self.flights.is_empty() {
            self.meter.pause(now);
        }
        std::mem::take(&mut self.flights)
    }

    /// A block came.
    pub(super) fn progress(&mut self, now: Instant, bytes: u64, limits: &Limits) {
        self.credit = self.credit.saturating_add(bytes);
        self.alive(now, bytes, limits);
    }

    /// A chunk came whole. Returns the bytes no block told of before.
    pub(super) fn delivered(&mut self, now: Instant, bytes: u64, chunk_bytes: u64, limits: &Limits) -> u64 {
        let news = bytes.saturating_sub(self.credit);
        self.credit = self.credit.saturating_sub(bytes);
        self.alive(now, news, limits);
        // A whole chunk is a sign of life, however short it is.
        self.life = (now, 0);
        self.last_chunk = now;
        self.chunks = self.chunks.saturating_add(1);
        self.failures = 0;
        self.last_failure = None;
        self.hold_until = None;
        self.turn_window(now, chunk_bytes, limits);
        news
    }

    fn alive(&mut self, now: Instant, bytes: u64, limits: &Limits) {
        self.meter.add(now, bytes);
        self.life.1 = self.life.1.saturating_add(bytes);
        if self.life.1 >= limits.stall_bytes {
            self.life = (now, 0);
        }
    }

    /// One step towards `window_span` worth of its rate. Growing by one for each chunk doubles it in a round trip.
    fn turn_window(&mut self, now: Instant, chunk_bytes: u64, limits: &Limits) {
        let span_bytes = self.meter.rate(now) * limits.window_span.as_secs_f64();
        let aim = (span_bytes / chunk_bytes.max(1) as f64) as usize + 1;
        let step = if aim > self.window {
            self.window + 1
        } else {
            self.window.saturating_sub(usize::from(aim < self.window))
        };
        let most = if self.v1 { limits.window_max_v1 } else { limits.window_max };
        self.window = step.max(limits.window_min).min(most).max(1);
    }

    /// When it counts as stalled unless something comes; `None` while nothing is expected of it.
    pub(super) fn stall_at(&self, limits: &Limits) -> Option<Instant> {
        let patience = if self.v1 { limits.stall_timeout_v1 } else { limits.stall_timeout };
        match (self.link, &self.has) {
            (Link::Resting(_), _) => None,
            (Link::Open(since), None) => Some(since + patience),
            _ if self.flights.is_empty() => None,
            _ => Some((self.life.0 + patience).min(self.last_chunk + limits.chunk_timeout)),
        }
    }

    /// Begins every watch anew.
    pub(super) fn restart_watch(&mut self, now: Instant) {
        self.life = (now, 0);
        self.last_chunk = now;
        if let Link::Open(since) = &mut self.link {
            *since = now;
        }
    }

    pub(super) fn is_stalled(&self, now: Instant, limits: &Limits) -> bool {
        self.stall_at(limits).is_some_and(|at| at <= now)
    }

    /// Counts a failure and returns how long to leave it alone, before jitter.
    pub(super) fn fail(&mut self, limits: &Limits) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.credit = 0;
        self.window = self.window.min(limits.window_start);
        let doublings = (self.failures - 1).min(16);
        limits.backoff_start.saturating_mul(1 << doublings).min(limits.backoff_max)
    }

    /// Seconds until it has delivered the flight at `place` of its queue, by its present rate; infinite without one.
    pub(super) fn secs_until(&self, now: Instant, place: usize, chunk_bytes: u64) -> f64 {
        // A version-1 source serves all its calls side by side.
        let ahead = if self.v1 { self.flights.len().max(place + 1) } else { place + 1 };
        ahead as f64 * chunk_bytes as f64 / self.meter.rate(now)
    }
}
