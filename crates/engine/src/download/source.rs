//! One source: the chunks it holds, its requests in flight, its rate and its failures.

use std::time::{Duration, Instant};

use crate::bitmap::Bitmap;
use crate::cause::Cause;
use crate::download::{Has, Limits, Protocol};
use crate::ids::ChunkIndex;
use crate::rate::RateMeter;

/// The largest window of a complete source that serves other callers too. It is small, because the best chunks to request
/// change with what the others get, and large enough to leave the source a choice.
const WINDOW_IN_DEMAND: usize = 4;

/// Other callers pass a chunk on in about this many times the time that the source takes for one.
const REPEAT_AFTER_CHUNKS: f64 = 1.5;

/// One chunk in flight: requested from one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) chunk: ChunkIndex,
    pub(super) since: Instant,
}

/// The state of the connection to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// The driver was told at this time to connect.
    Open(Instant),
    /// It failed, and is connected again at this time.
    BackingOff(Instant),
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
    /// Since when it holds no chunk for us that it has not given to others.
    pub(super) repeats_since: Option<Instant>,
    /// The chunks in flight, in the order of their requests. A `Fetch` stream serves them in this order.
    pub(super) flights: Vec<Flight>,
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

    /// Returns the chunks that this source makes less rare: those that a partial source holds, or that a complete one gives to
    /// others.
    pub(super) fn spread(&self) -> Option<Bitmap> {
        match &self.has {
            Some(Has::Chunks(bitmap)) => Some(bitmap.clone()),
            Some(Has::Complete) => self.given.clone(),
            None => None,
        }
    }

    /// Whether it is complete and serves other callers, which can pass on what they get.
    pub(super) fn is_in_demand(&self) -> bool {
        self.is_complete() && self.given.is_some()
    }

    /// Whether it gave any of these chunks to others. A request that contains one is sent as a whole with the order to send
    /// nevertheless: for the rest, which no other caller got, that changes nothing.
    pub(super) fn repeats_any(&self, chunks: &[ChunkIndex]) -> bool {
        let given = self.given.as_ref().filter(|_| self.is_complete());
        given.is_some_and(|given| chunks.iter().any(|chunk| given.contains(*chunk)))
    }

    /// Returns the chunks in flight here that it newly gives to others.
    pub(super) fn newly_given(&self, others: &Bitmap) -> Vec<ChunkIndex> {
        let is_new = |chunk: &ChunkIndex| self.given.as_ref().is_none_or(|given| !given.contains(*chunk));
        let in_flight = self.flights.iter().map(|flight| flight.chunk);
        in_flight.filter(|chunk| others.contains(*chunk)).filter(is_new).collect()
    }

    /// Whether it may be asked for chunks that it gives to others: only after a while, and for one at a time.
    pub(super) fn may_repeat(&self, now: Instant, (verified, chunk_bytes): (&Bitmap, u64), limits: &Limits) -> bool {
        !self.is_in_demand() || self.repeats_at((verified, chunk_bytes), limits).is_some_and(|at| now >= at)
    }

    /// Returns when [`Source::may_repeat`] becomes true, if only time is missing.
    pub(super) fn repeats_at(&self, (verified, chunk_bytes): (&Bitmap, u64), limits: &Limits) -> Option<Instant> {
        let since = self.repeats_since.filter(|_| self.is_in_demand() && self.flights.is_empty())?;
        if !self.gave_all(verified) {
            return Some(since + limits.repeat_after);
        }
        let chunk = self.secs_until(since, 0, chunk_bytes) * REPEAT_AFTER_CHUNKS;
        let wait = Duration::try_from_secs_f64(chunk).unwrap_or(limits.repeat_after);
        Some(since + wait.max(limits.rescue_after).min(limits.repeat_after))
    }

    /// Whether it has given every chunk to some caller. Verified chunks that no other caller got count as given to us.
    fn gave_all(&self, verified: &Bitmap) -> bool {
        self.given.as_ref().is_some_and(|given| given.missing().all(|chunk| verified.contains(chunk)))
    }

    /// Whether it is connected and may get requests.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        matches!(self.connection, Connection::Open(_)) && self.hold_until.is_none_or(|until| until <= now)
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

    /// Ends the request for a chunk. Returns whether there was one.
    pub(super) fn end_flight(&mut self, now: Instant, chunk: ChunkIndex) -> bool {
        let before = self.flights.len();
        self.flights.retain(|flight| flight.chunk != chunk);
        let ended = self.flights.len() < before;
        if ended && self.flights.is_empty() {
            self.meter.pause(now);
        }
        ended
    }

    /// Ends all requests, and returns them.
    pub(super) fn end_flights(&mut self, now: Instant) -> Vec<Flight> {
        if !self.flights.is_empty() {
            self.meter.pause(now);
        }
        std::mem::take(&mut self.flights)
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

    /// Moves the window one step towards the bytes of `window_span`. Growing by one with each chunk doubles it in a round trip.
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
            _ if self.flights.is_empty() => None,
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

    /// Returns the seconds until it has delivered the chunk at `place` of its queue, by its present rate; infinite without a
    /// rate.
    pub(super) fn secs_until(&self, now: Instant, place: usize, chunk_bytes: u64) -> f64 {
        // A version 1 source serves all its calls side by side.
        let ahead = if self.protocol == Protocol::Version1 { self.flights.len().max(place + 1) } else { place + 1 };
        ahead as f64 * chunk_bytes as f64 / self.meter.rate(now)
    }
}
