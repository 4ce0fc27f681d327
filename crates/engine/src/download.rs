//! The scheduler of one file's download: which chunk comes from which source, and how it continues when a source fails.
//!
//! It knows chunks by number and never touches a byte; drivers move those.
//!
//! - **Request window**: each source has a window of chunks in flight, which follows its measured rate.
//! - **Chunk picker**: with complete sources only, chunks are requested in order, so that the hash of the whole file
//!   stays
//!   right behind the writes. As soon as a partial source or another downloader is known, the rarest chunks go first.
//! - **Endgame, straggler rescue**: when no chunk is unassigned, an idle source is asked for chunks that a much slower
//!   one has not delivered. The first to deliver wins.
//! - **Bans and back-off**: a source that sends a wrong byte is never asked again. A source that fails or stalls backs
//!   off for a growing time. A failure of the local disk ends the download and costs no source anything.
//!
//! The driver takes one [`Input`], calls [`Download::handle`], drains [`Download::poll`], and takes the next. It calls
//! `handle` with [`Input::Tick`] at the [`Download::deadline`] at the latest.
//!
//! Invariants: a chunk is in exactly one state (`chunks.rs`); the requests of the sources and the holders of the chunks
//! agree; with the same inputs, times and seed the outputs are the same.

mod assign;
mod chunks;
mod events;
mod health;
mod limits;
mod message;
mod picker;
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
pub use self::message::{Has, Input, Output, Protocol, SourceId, Why};
pub use self::view::{SourceState, SourceView};

/// The assumed length of a chunk until the first one has come, in bytes.
const CHUNK_BYTES_GUESS: u64 = 1 << 20;

/// The scheduler. See the module.
#[derive(Debug)]
pub struct Download {
    limits: Limits,
    rng: Rng,
    chunks: Chunks,
    sources: BTreeMap<SourceId, Source>,
    /// The sources that sent a wrong byte.
    banned: BTreeSet<SourceId>,
    outputs: VecDeque<Output>,
    /// Whether `Finished` or `Failed` has been put out.
    ended: bool,
    /// When the download last made progress.
    progress_at: Instant,
    /// Bytes since then that are too few to count as progress.
    progress_bytes: u64,
    lookup: health::Lookup,
    /// The longest chunk seen, in bytes.
    chunk_bytes: u64,
    /// When to look for stragglers again; `None` while no source is idle.
    rescue_at: Option<Instant>,
    /// When a source may be asked for chunks that it gives to other callers.
    repeat_at: Option<Instant>,
    /// The instant at which the last known source was banned.
    all_banned_since: Option<Instant>,
    meter: RateMeter,
    /// Chunks verified since the start, without those held at the start.
    fetched: u32,
}

impl Download {
    /// Begins, or goes on after a restart. `held` names the chunks that were verified before, and its length is the
    /// number of chunks.
    pub fn new(now: Instant, seed: u64, limits: Limits, held: Bitmap) -> Self {
        let all = Bitmap::full(held.count());
        Self::of_some(now, seed, limits, held, &all)
    }

    /// Begins a download of a part of the file. Chunks outside of `wanted` are never requested, and the download is
    /// finished when the others are verified. Of a bitmap of another length, the chunks that exist count.
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
            all_banned_since: None,
            meter: RateMeter::new(now),
            fetched: 0,
            limits,
        };
        download.finish_if_complete();
        download
    }

    /// Takes one input. Drain [`Download::poll`] before the next.
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

    /// Returns the next output; `None` when there is none until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when to call [`Download::handle`] with a tick at the latest; `None` once the download has ended.
    pub fn deadline(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let sources = self.sources.values().filter_map(|source| self.source_deadline(source));
        sources
            .chain(self.repeat_at)
            .chain(self.rescue_at)
            .chain(self.lookup.deadline())
            .chain(self.all_banned_since.map(|since| since + self.limits.all_banned_timeout))
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

    /// Asserts that requests and holders, which are two views of one thing, agree.
    fn assert_consistent(&self) {
        if cfg!(debug_assertions) {
            self.chunks.assert_counts();
            let mut held = 0;
            for (id, source) in &self.sources {
                for requested in &source.in_flight {
                    assert!(self.chunks.holders(requested.chunk).contains(id), "a requested chunk has its holder");
                    held += 1;
                }
            }
            assert!(held >= self.chunks.in_flight(), "a chunk in flight is requested from a source");
        }
    }

    fn total_in_flight(&self) -> usize {
        self.sources.values().map(|source| source.in_flight.len()).sum()
    }

    fn jitter(&mut self, span: Duration) -> Duration {
        // Between three and five quarters, so that many downloaders do not come back at the same moment.
        span.mul_f64(0.75 + self.rng.below(501) as f64 / 1_000.0)
    }
}
