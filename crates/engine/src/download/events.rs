//! What each input does to the state.

use std::time::Instant;

use crate::bitmap::Bitmap;
use crate::cause::Cause;
use crate::download::source::{Link, Source};
use crate::download::{Download, Has, Input, Output, SourceId, Why};
use crate::ids::{ChunkCount, ChunkIndex};

/// Ids of banned sources kept; past that newcomers are turned away rather than a liar let in again.
const BANNED_MAX: usize = 4_096;

impl Download {
    pub(super) fn take(&mut self, now: Instant, input: Input) {
        match input {
            Input::SourceAdded { source, rank, v1 } => self.source_added(now, source, rank, v1),
            Input::SourceHas { source, has } => self.source_has(source, has),
            Input::SourceGave { source, others } => self.source_gave(now, source, others),
            Input::ChunkVerified { source, chunk, bytes, .. } => self.chunk_verified(now, source, chunk, bytes.0),
            Input::ChunkFailed { source, chunk, cause } => self.chunk_failed(now, source, chunk, cause),
            Input::SourceBusy { source, chunk } => self.source_busy(now, source, chunk),
            Input::SourceFailed { source, cause } => self.source_failed(now, source, cause),
            Input::SourceGone { source } => self.forget(now, source),
            Input::ProgressBytes { source, bytes } => self.progress_bytes(now, source, bytes.0),
            Input::HeldBack { source } => self.held_back(now, source),
            Input::Called => self.lookup.called(now, &self.limits),
            Input::Tick => {}
        }
    }

    fn source_added(&mut self, now: Instant, id: SourceId, rank: u32, v1: bool) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.rank = rank;
            return;
        }
        let full = self.sources.len() >= self.limits.sources_max || self.banned.len() >= BANNED_MAX;
        if full || self.banned.contains(&id) {
            return;
        }
        self.sources.insert(id, Source::new(now, rank, v1, &self.limits));
        self.lookup.brought_something(now, &self.limits);
        self.forsaken_since = None;
        self.outputs.push_back(Output::Connect { source: id });
    }

    fn source_has(&mut self, id: SourceId, has: Has) {
        let count = self.chunks.verified().count();
        let Some(source) = self.sources.get_mut(&id) else { return };
        let has = match has {
            Has::Chunks(bitmap) if bitmap.count() != count => return,
            Has::Chunks(bitmap) if bitmap.is_full() => Has::Complete,
            other => other,
        };
        if source.is_complete() && matches!(has, Has::Complete) {
            return;
        }
        let before = source.spread();
        source.has = Some(has);
        source.dry = false;
        let after = source.spread();
        self.recount(before, after, count);
    }

    fn source_gave(&mut self, now: Instant, id: SourceId, others: Option<Bitmap>) {
        let count = self.chunks.verified().count();
        let Some(source) = self.sources.get_mut(&id) else { return };
        if others.as_ref().is_some_and(|others| others.count() != count) {
            return;
        }
        if others.is_some() {
            self.lookup.crowd(now, &self.limits);
        }
        let stale = others.as_ref().filter(|_| source.is_complete()).map(|others| source.newly_given(others));
        let before = source.spread();
        source.given = others;
        let after = source.spread();
        self.recount(before, after, count);
        // They are to be had from whoever got them, soon; here something else is worth more.
        let chunks: Vec<_> = stale.into_iter().flatten().filter(|chunk| self.release(now, id, *chunk)).collect();
        if !chunks.is_empty() {
            self.outputs.push_back(Output::Drop { source: id, chunks });
        }
    }

    /// Keeps the rarities true when a source's part of the file changes, or what it gives to others.
    fn recount(&mut self, before: Option<Bitmap>, after: Option<Bitmap>, count: ChunkCount) {
        let is_in = |bitmap: &Option<Bitmap>, chunk| bitmap.as_ref().is_some_and(|bitmap| bitmap.contains(chunk));
        for chunk in (0..count.0).map(ChunkIndex) {
            let (was, is) = (is_in(&before, chunk), is_in(&after, chunk));
            if was != is {
                self.chunks.holder_changed(chunk, is);
            }
        }
    }

    fn chunk_verified(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex, bytes: u64) {
        let front = self.chunks.front();
        let Some(asked) = self.chunks.verify(chunk) else { return };
        if self.limits.read_ahead.is_some() && self.chunks.front() > front {
            // More is within reach now.
            self.sources.values_mut().for_each(|source| source.dry = false);
        }
        self.chunk_bytes = if self.fetched == 0 { bytes.max(1) } else { self.chunk_bytes.max(bytes) };
        self.fetched = self.fetched.saturating_add(1);
        self.got_on(now);
        for holder in asked {
            self.end_flight(now, holder, chunk, holder != id);
        }
        if let Some(source) = self.sources.get_mut(&id) {
            let news = source.delivered(now, bytes, self.chunk_bytes, &self.limits);
            self.meter.add(now, news);
            self.outputs.push_back(Output::Report { source: id, chunk, result: Ok(()) });
        }
        self.finish_if_complete();
    }

    fn end_flight(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex, tell: bool) {
        let ended = self.sources.get_mut(&id).is_some_and(|source| source.end_flight(now, chunk));
        if ended && tell {
            self.outputs.push_back(Output::Drop { source: id, chunks: vec![chunk] });
        }
    }

    fn chunk_failed(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex, cause: Cause) {
        match cause {
            Cause::LocalDisk => self.end(Output::Failed { why: Why::LocalDisk }),
            Cause::BadHash => self.ban(now, id, chunk),
            Cause::Refused | Cause::NotAllowed | Cause::TimedOut | Cause::Transport => {
                self.chunk_missed(now, id, chunk, cause);
            }
        }
    }

    /// It said it would and did not: the chunk goes back, and the source waits a little before the next one.
    fn chunk_missed(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex, cause: Cause) {
        if !self.release(now, id, chunk) {
            return;
        }
        let in_trouble = self.sources.get(&id).is_some_and(|source| !source.is_usable(now));
        if cause == Cause::Refused || !in_trouble {
            self.outputs.push_back(Output::Report { source: id, chunk, result: Err(cause) });
        }
        if cause == Cause::Refused {
            self.does_not_have(id, chunk);
        } else if let Some(source) = self.sources.get_mut(&id) {
            source.last_failure = Some(cause);
        }
        self.hold(now, id);
    }

    fn source_busy(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex) {
        if self.release(now, id, chunk) {
            self.hold(now, id);
        }
    }

    /// No new requests for a while. What fails during that while belongs to the same trouble and does not lengthen it.
    fn hold(&mut self, now: Instant, id: SourceId) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        if source.hold_until.is_some_and(|until| now < until) {
            return;
        }
        let span = source.fail(&self.limits);
        let until = now + self.jitter(span);
        if let Some(source) = self.sources.get_mut(&id) {
            source.hold_until = Some(until);
        }
    }

    fn does_not_have(&mut self, id: SourceId, chunk: ChunkIndex) {
        let count = self.chunks.verified().count();
        let Some(source) = self.sources.get(&id) else { return };
        let mut left = match &source.has {
            Some(Has::Complete) => Bitmap::full(count),
            Some(Has::Chunks(bitmap)) => bitmap.clone(),
            None => return,
        };
        left.remove(chunk);
        self.source_has(id, Has::Chunks(left));
    }

    fn source_failed(&mut self, now: Instant, id: SourceId, cause: Cause) {
        if cause == Cause::LocalDisk {
            return self.end(Output::Failed { why: Why::LocalDisk });
        }
        if self.sources.get(&id).is_some_and(|source| matches!(source.link, Link::Open(_))) {
            self.rest(now, id, cause);
        }
    }

    /// Takes everything back from a source whose connection is gone and leaves it alone for a growing while.
    pub(super) fn rest(&mut self, now: Instant, id: SourceId, cause: Cause) {
        // One incident, one report, however many chunks were in flight.
        if let Some(chunk) = self.release_all(now, id) {
            self.outputs.push_back(Output::Report { source: id, chunk, result: Err(cause) });
        }
        let Some(source) = self.sources.get_mut(&id) else { return };
        source.last_failure = Some(cause);
        let span = source.fail(&self.limits);
        let until = now + self.jitter(span);
        if let Some(source) = self.sources.get_mut(&id) {
            source.link = Link::Resting(until);
        }
    }

    fn ban(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex) {
        if !self.sources.contains_key(&id) {
            return;
        }
        self.forget(now, id);
        self.banned.insert(id);
        if self.sources.is_empty() {
            self.forsaken_since = Some(now);
        }
        self.outputs.push_back(Output::Report { source: id, chunk, result: Err(Cause::BadHash) });
        self.outputs.push_back(Output::Disconnect { source: id, cause: Cause::BadHash });
    }

    fn forget(&mut self, now: Instant, id: SourceId) {
        self.release_all(now, id);
        if let Some(source) = self.sources.remove(&id) {
            self.recount(source.spread(), None, self.chunks.verified().count());
        }
    }

    fn progress_bytes(&mut self, now: Instant, id: SourceId, bytes: u64) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        source.progress(now, bytes, &self.limits);
        self.meter.add(now, bytes);
        self.progress_bytes = self.progress_bytes.saturating_add(bytes);
        if self.progress_bytes >= self.limits.stall_bytes {
            self.got_on(now);
        }
    }

    fn held_back(&mut self, now: Instant, id: SourceId) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.restart_watch(now);
        }
        self.got_on(now);
    }

    fn got_on(&mut self, now: Instant) {
        self.progress_at = now;
        self.progress_bytes = 0;
    }

    /// Puts one chunk back; true when it was in flight there.
    fn release(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex) -> bool {
        if !self.sources.get_mut(&id).is_some_and(|source| source.end_flight(now, chunk)) {
            return false;
        }
        self.put_back(id, chunk);
        true
    }

    /// Puts all its chunks back, and returns the one that was being served.
    fn release_all(&mut self, now: Instant, id: SourceId) -> Option<ChunkIndex> {
        let flights = self.sources.get_mut(&id)?.end_flights(now);
        for flight in &flights {
            self.put_back(id, flight.chunk);
        }
        flights.first().map(|flight| flight.chunk)
    }

    fn put_back(&mut self, id: SourceId, chunk: ChunkIndex) {
        self.chunks.release(chunk, id);
        self.sources.values_mut().for_each(|source| source.dry = false);
    }
}
