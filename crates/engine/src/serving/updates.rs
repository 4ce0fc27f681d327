//! Availability updates of one stream: the time of the next one, and its part about other callers.

use std::time::{Duration, Instant};

use crate::bitmap::Bitmap;
use crate::serving::machine::OpenFile;
use crate::serving::super_seed::{SharedSuperSeed, SuperSeed};

/// The least time between two updates.
pub const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// The least time between two updates for each stream of the source, because an update costs both sides work.
pub const INTERVAL_PER_STREAM: Duration = Duration::from_millis(6);
/// For every so many bytes of bitmap the interval is once more as long, so that updates stay a small part of the bytes
/// that are sent.
const BITMAP_BYTES_PER_INTERVAL: usize = 512;

/// The contents of the last update, and the changes since.
#[derive(Debug)]
pub(super) struct Updates {
    /// Streams of the source.
    streams: u32,
    /// Whether the chunks that the source holds have changed since the last update.
    have_changed: bool,
    begun: Instant,
    last: Option<Instant>,
    reported: Reported,
}

/// The part of the last update that was about other callers.
#[derive(Debug, Default)]
struct Reported {
    /// The version of the super-seeding state.
    version: u64,
    had_others: bool,
}

impl Updates {
    pub(super) fn new(now: Instant, streams: u32) -> Self {
        Self { streams, have_changed: false, begun: now, last: None, reported: Reported::default() }
    }

    /// The source holds other chunks than before.
    pub(super) fn changed(&mut self) {
        self.have_changed = true;
    }

    pub(super) fn set_streams(&mut self, streams: u32) {
        self.streams = streams;
    }

    /// Returns true if an update is due. The clock comes first, because the other condition costs access to shared
    /// state.
    pub(super) fn are_due<S: SharedSuperSeed>(&self, now: Instant, file: &OpenFile<S>) -> bool {
        self.not_before(file) <= now && self.is_news(file)
    }

    /// The time of the next update; `None` while there is nothing to tell.
    pub(super) fn due<S: SharedSuperSeed>(&self, file: &OpenFile<S>) -> Option<Instant> {
        self.is_news(file).then(|| self.not_before(file))
    }

    /// Makes an update: returns the chunks that other callers got. The chunks that the source holds are read after
    /// this, so that one added meanwhile makes another update.
    pub(super) fn take<S: SharedSuperSeed>(&mut self, now: Instant, file: &OpenFile<S>) -> Option<Bitmap> {
        self.have_changed = false;
        self.last = Some(now);
        let member = file.super_seed.as_ref()?;
        let (others, version) = member.with(|seed, id| (seed.distributed_to_others(id), seed.version()));
        self.reported = Reported { version, had_others: others.is_some() };
        others
    }

    fn not_before<S: SharedSuperSeed>(&self, file: &OpenFile<S>) -> Instant {
        self.last.map_or(self.begun, |last| last + self.interval(file))
    }

    fn is_news<S: SharedSuperSeed>(&self, file: &OpenFile<S>) -> bool {
        self.have_changed || self.others_changed(file)
    }

    fn others_changed<S: SharedSuperSeed>(&self, file: &OpenFile<S>) -> bool {
        let Some(member) = &file.super_seed else { return false };
        let (version, callers) = member.with(|seed: &mut SuperSeed, _| (seed.version(), seed.callers()));
        version != self.reported.version && (self.reported.had_others || callers > 1)
    }

    fn interval<S: SharedSuperSeed>(&self, file: &OpenFile<S>) -> Duration {
        let bytes = file.geometry.chunk_count().0 as usize / 8;
        INTERVAL_MIN.max(INTERVAL_PER_STREAM * self.streams) * (1 + bytes / BITMAP_BYTES_PER_INTERVAL) as u32
    }
}
