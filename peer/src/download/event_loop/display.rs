//! The progress of a pass as it is shown, with its bottleneck.

use std::time::Instant;

use peernet_engine::bottleneck::{Bottleneck, BottleneckMeter};
use peernet_engine::download::{Protocol, SourceView};
use peernet_engine::ids::ByteCount;
use peernet_engine::rate::eta;

use super::EventLoop;
use crate::download::session::bytes_of;
use crate::download::{FetchProgress, Phase, SourceProgress};

/// State that lasts from one snapshot to the next.
pub(super) struct Display {
    shown_at: Option<Instant>,
    bottleneck: BottleneckMeter,
    /// A sentence about the present obstacle of the download.
    pub(super) note: Option<String>,
    /// The last failure of a connection, shown when nothing else explains why no bytes come.
    pub(super) last_error: Option<String>,
}

impl Default for Display {
    fn default() -> Self {
        Self { shown_at: None, bottleneck: BottleneckMeter::new(Instant::now()), note: None, last_error: None }
    }
}

impl<'env, 'c: 'env> EventLoop<'_, 'env, '_, 'c> {
    /// Shows the progress, unless that was done a moment ago and this is not the last time.
    pub(super) fn show(&mut self, last: bool) {
        let now = Instant::now();
        let interval = self.context.job.limits.progress_interval;
        if !last && self.display.shown_at.is_some_and(|shown| now - shown < interval) {
            return;
        }
        self.display.shown_at = Some(now);
        self.reporting.hand_over_many();
        let bottleneck = self.display.bottleneck.look(now, self.connections.times.sums());
        let progress = self.progress(now, bottleneck);
        (self.context.progress)(&progress);
    }

    fn progress(&self, now: Instant, bottleneck: Bottleneck) -> FetchProgress {
        let verified = self.scheduler.verified();
        let sources = self.scheduler.sources(now);
        let rate = self.scheduler.rate(now);
        let is_complete = self.scheduler.is_complete();
        let shape = self.completion.shape;
        let bytes_done = bytes_of(verified, shape);
        let bytes_total = shape.size().map(|_| bytes_of(&self.expected().wanted, shape));
        let rest = bytes_total.map(|total| ByteCount(total.saturating_sub(bytes_done)));
        let is_stuck = !is_complete && sources.iter().all(|source| source.in_flight == 0);
        let last_error = self.display.last_error.clone().filter(|_| is_stuck);
        FetchProgress {
            phase: if is_complete { Phase::Verifying } else { Phase::Fetching },
            bytes_total,
            bytes_done,
            bytes_resumed: self.context.bytes.resumed,
            chunks_total: self.expected().wanted.len(),
            chunks_done: verified.len(),
            rate,
            eta: rest.and_then(|rest| eta(rest, rate)),
            bottleneck,
            elapsed: self.context.begun.elapsed(),
            sources: sources.iter().filter_map(|view| self.source_progress(view)).collect(),
            note: self.connections.note().or(self.display.note.clone()).or(last_error),
        }
    }

    fn source_progress(&self, view: &SourceView) -> Option<SourceProgress> {
        let known = self.context.sources.get(view.source)?;
        Some(SourceProgress {
            peer: known.source.peer,
            address: known.source.first_address().to_owned(),
            transport: known.source.transport,
            v1: view.protocol == Protocol::Version1,
            rate: view.rate,
            in_flight: view.in_flight as u32,
            chunks: view.chunks,
            bytes: known.bytes,
        })
    }
}
