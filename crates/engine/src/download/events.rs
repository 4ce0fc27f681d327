//! The effect of each input on the state.

use std::time::Instant;

use crate::bitmap::Bitmap;
use crate::cause::Cause;
use crate::download::source::{Connection, Source};
use crate::download::{Download, Has, Input, Output, Protocol, SourceId, Why};
use crate::ids::{ChunkCount, ChunkIndex};

/// The most banned sources that are remembered. Past that, new sources are refused rather than a banned one let in
/// again.
const BANNED_MAX: usize = 4_096;

impl Download {
    pub(super) fn take(&mut self, now: Instant, input: Input) {
        match input {
            Input::SourceAdded { source, rank, protocol } => self.source_added(now, source, rank, protocol),
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

    fn source_added(&mut self, now: Instant, id: SourceId, rank: u32, protocol: Protocol) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.rank = rank;
            return;
        }
        let full = self.sources.len() >= self.limits.sources_max || self.banned.len() >= BANNED_MAX;
        if full || self.banned.contains(&id) {
            return;
        }
        self.sources.insert(id, Source::new(now, rank, protocol, &self.limits));
        self.lookup.brought_something(now, &self.limits);
        self.all_banned_since = None;
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
        source.exhausted = false;
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
        // Other callers of the source get these chunks and will pass them on. From this source, other chunks are worth
        // more.
        let chunks: Vec<_> = stale.into_iter().flatten().filter(|chunk| self.release(now, id, *chunk)).collect();
        if !chunks.is_empty() {
            self.outputs.push_back(Output::Drop { source: id, chunks });
        }
    }

    /// Updates the rarities when the chunks that a source holds, or gives to others, change.
    fn recount(&mut self, before: Option<Bitmap>, after: Option<Bitmap>, count: ChunkCount) {
        let is_in = |bitmap: &Option<Bitmap>, chunk| bitmap.as_ref().is_some_and(|bitmap| bitmap.contains(chunk));
        for chunk in (0..count.0).map(ChunkIndex) {
            let was = is_in(&before, chunk);
            let is = is_in(&after, chunk);
            if was != is {
                self.chunks.holder_changed(chunk, is);
            }
        }
    }

    fn chunk_verified(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex, bytes: u64) {
        let front = self.chunks.front();
        let Some(asked) = self.chunks.verify(chunk) else { return };
        if self.limits.read_ahead.is_some() && self.chunks.front() > front {
            // The read-ahead bound has moved, so more chunks may be requested.
            self.sources.values_mut().for_each(|source| source.exhausted = false);
        }
        self.chunk_bytes = if self.fetched == 0 { bytes.max(1) } else { self.chunk_bytes.max(bytes) };
        self.fetched = self.fetched.saturating_add(1);
        self.got_on(now);
        for holder in asked {
            self.end_request(now, holder, chunk, holder != id);
        }
        if let Some(source) = self.sources.get_mut(&id) {
            let news = source.delivered(now, bytes, self.chunk_bytes, &self.limits);
            self.meter.add(now, news);
            self.outputs.push_back(Output::Report { source: id, chunk, result: Ok(()) });
        }
        self.finish_if_complete();
    }

    fn end_request(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex, tell: bool) {
        let ended = self.sources.get_mut(&id).is_some_and(|source| source.end_request(now, chunk));
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

    /// A requested chunk does not come: it is unassigned again, and the source gets no request for a while.
    fn chunk_missed(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex, cause: Cause) {
        if !self.release(now, id, chunk) {
            return;
        }
        let is_failing = self.sources.get(&id).is_some_and(|source| !source.is_usable(now));
        if cause == Cause::Refused || !is_failing {
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

    /// Sends no new requests for a while. Failures during that while have the same cause, so they do not lengthen it.
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
        if self.sources.get(&id).is_some_and(|source| matches!(source.connection, Connection::Open(_))) {
            self.rest(now, id, cause);
        }
    }

    /// Takes all requests back from a source whose connection is gone, and backs off for a growing time.
    pub(super) fn rest(&mut self, now: Instant, id: SourceId, cause: Cause) {
        // One report for the incident, however many chunks were in flight.
        if let Some(chunk) = self.release_all(now, id) {
            self.outputs.push_back(Output::Report { source: id, chunk, result: Err(cause) });
        }
        let Some(source) = self.sources.get_mut(&id) else { return };
        source.last_failure = Some(cause);
        let span = source.fail(&self.limits);
        let until = now + self.jitter(span);
        if let Some(source) = self.sources.get_mut(&id) {
            source.connection = Connection::BackingOff(until);
        }
    }

    fn ban(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex) {
        if !self.sources.contains_key(&id) {
            return;
        }
        self.forget(now, id);
        self.banned.insert(id);
        if self.sources.is_empty() {
            self.all_banned_since = Some(now);
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

    /// Takes one request back. Returns whether the source had it.
    fn release(&mut self, now: Instant, id: SourceId, chunk: ChunkIndex) -> bool {
        if !self.sources.get_mut(&id).is_some_and(|source| source.end_request(now, chunk)) {
            return false;
        }
        self.put_back(id, chunk);
        true
    }

    /// Takes all requests of a source back. Returns the chunk that it was serving.
    fn release_all(&mut self, now: Instant, id: SourceId) -> Option<ChunkIndex> {
        let in_flight = self.sources.get_mut(&id)?.end_requests(now);
        for requested in &in_flight {
            self.put_back(id, requested.chunk);
        }
        in_flight.first().map(|requested| requested.chunk)
    }

    fn put_back(&mut self, id: SourceId, chunk: ChunkIndex) {
        self.chunks.release(chunk, id);
        self.sources.values_mut().for_each(|source| source.exhausted = false);
    }
}
