//! The scheduler of one file's download: which chunk from whom, and what to do when someone does not deliver.
//!
//! It knows chunks by number and never touches a byte; drivers move those. Each source has a window of chunks in flight
//! that follows its measured rate. With only complete sources chunks are asked in order, so that the whole-file hash
//! stays right behind the writes; as soon as someone holds a part, the rarest go first, ties by lot. When nothing is
//! unassigned an idle source is asked for what a much slower one has not delivered; the first to deliver wins. Whoever
//! sends a wrong byte is never asked again, whoever fails or falls silent rests for a growing while, and a fault of the
//! local disk ends the download without costing anyone anything.
//!
//! Invariants: a chunk is in exactly one state (`chunks.rs`); a source's flights and the chunks' holders agree; with
//! the same inputs, times and seed the outputs are the same.

mod assign;
mod chunks;
mod events;
mod health;
mod limits;
mod message;
mod pool;
mod source;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use self::chunks::Chunks;
use self::source::Source;
use crate::bitmap::Bitmap;
use crate::random::Rng;
use crate::rate::RateMeter;

pub use self::limits::Limits;
pub use self::message::{Has, Input, Output, SourceId, Why};
pub use self::view::{SourceState, SourceView};

/// A chunk's length until the first one tells.
const CHUNK_BYTES_GUESS: u64 = 1 << 20;

/// The machine. See the module.
#[derive(Debug)]
pub struct Download {
    limits: Limits,
    rng: Rng,
    chunks: Chunks,
    sources: BTreeMap<SourceId, Source>,
    /// Who sent a wrong byte.
    banned: BTreeSet<SourceId>,
    outputs: VecDeque<Output>,
    /// `Finished` or `Failed` was said.
    ended: bool,
    /// When the download last got on.
    progress_at: Instant,
    /// Bytes since then, until they are enough to count.
    progress_bytes: u64,
    lookup: health::Lookup,
    /// The longest chunk seen, in bytes.
    chunk_bytes: u64,
    /// When to look for someone to rescue again; `None` while nobody is idle.
    rescue_at: Option<Instant>,
    /// When a source may be asked for what it gave to others.
    repeat_at: Option<Instant>,
    /// Since when every source there was is banned.
    forsaken_since: Option<Instant>,
    meter: RateMeter,
    /// Chunks verified by this machine, not counting those it began with.
    fetched: u32,
}

impl Download {
    /// Begins, or goes on after a restart: `held` says what was verified before, and how many chunks there are.
    pub fn new(now: Instant, seed: u64, limits: Limits, held: Bitmap) -> Self {
        let all = Bitmap::full(held.count());
        Self::of_some(now, seed, limits, held, &all)
    }

    /// The same for a part of the file: chunks that are not in `wanted` are never asked for, and the download is finished
    /// when the others are there. A bitmap of another number of chunks wants what it can of them.
    pub fn of_some(now: Instant, seed: u64, limits: Limits, held: Bitmap, wanted: &Bitmap) -> Self {
        let mut rng = Rng::new(seed);
        let mut download = Self {
            chunks: Chunks::new(held, wanted, &mut rng),
            rng,
            sources: BTreeMap::new(),
            banned: BTreeSet::new(),
            outputs: VecDeque::new(),
            ended: false,
            progress_at: now,
            progress_bytes: 0,
            lookup: health::Lookup::new(now, &limits),
            chunk_bytes: CHUNK_BYTES_GUESS,
            rescue_at: None,
            repeat_at: None,
            forsaken_since: None,
            meter: RateMeter::new(now),
            fetched: 0,
            limits,
        };
        download.finish_if_complete();
        download
    }

    /// Takes one input in. Drain [`Download::poll`] before the next.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if self.ended {
            return;
        }
        self.forgive_lost_time(now);
        self.take(now, input);
        if !self.ended {
            self.check_times(now);
        }
        if !self.ended {
            self.assign(now);
        }
        self.assert_consistent();
    }

    /// What to do next; `None` when that was all.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Download::handle`] with a tick at the latest; `None` once it ended.
    pub fn deadline(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let sources = self.sources.values().filter_map(|source| self.source_deadline(source));
        sources
            .chain(self.repeat_at)
            .chain(self.rescue_at)
            .chain(self.lookup.deadline())
            .chain(self.forsaken_since.map(|since| since + self.limits.forsaken_after))
            .chain([self.progress_at + self.limits.no_progress])
            .min()
    }

    fn finish_if_complete(&mut self) {
        if self.chunks.is_complete() {
            self.end(Output::Finished);
        }
    }

    fn end(&mut self, output: Output) {
        self.ended = true;
        self.outputs.push_back(output);
    }

    /// Flights and holders are two views of one thing.
    fn assert_consistent(&self) {
        if cfg!(debug_assertions) {
            self.chunks.assert_counts();
            let mut held = 0;
            for (id, source) in &self.sources {
                for flight in &source.flights {
                    assert!(self.chunks.holders(flight.chunk).contains(id), "a flight has its holder");
                    held += 1;
                }
            }
            assert!(held >= self.chunks.in_flight(), "a chunk in flight has a flight");
        }
    }

    fn total_flights(&self) -> usize {
        self.sources.values().map(|source| source.flights.len()).sum()
    }

    fn jitter(&mut self, span: Duration) -> Duration {
        // Between three quarters and five quarters, so that many downloaders do not come back at once.
        span.mul_f64(0.75 + self.rng.below(501) as f64 / 1_000.0)
    }
}
