//! What a progress display shows of a download.

use std::time::Instant;

use crate::bitmap::Bitmap;
use crate::download::source::{Link, Source};
use crate::download::{Download, SourceId};

/// How it stands with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// It has not told yet what it holds.
    Connecting,
    /// Chunks are in flight.
    Active,
    /// Nothing in flight: it holds nothing that is missing.
    Idle,
    /// It failed, and is left alone for a while.
    Resting,
}

/// One source, as a display shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceView {
    /// Who.
    pub source: SourceId,
    /// Speaks only version 1.
    pub v1: bool,
    /// How it stands.
    pub state: SourceState,
    /// Bytes a second.
    pub rate: f64,
    /// Chunks in flight.
    pub in_flight: usize,
    /// Chunks verified from it.
    pub chunks: u32,
}

impl Download {
    /// What is verified, from this run and those before: what may be offered to others.
    pub fn verified(&self) -> &Bitmap {
        self.chunks.verified()
    }

    /// Whether every wanted chunk is verified.
    pub fn is_complete(&self) -> bool {
        self.chunks.is_complete()
    }

    /// Bytes a second over all sources.
    pub fn rate(&self, now: Instant) -> f64 {
        self.meter.rate(now)
    }

    /// Whether `Finished` or `Failed` was said.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Every known source, by id.
    pub fn sources(&self, now: Instant) -> Vec<SourceView> {
        let view = |(id, source): (&SourceId, &Source)| SourceView {
            source: *id,
            v1: source.v1,
            state: state(source, now),
            rate: source.meter.rate(now),
            in_flight: source.flights.len(),
            chunks: source.chunks,
        };
        self.sources.iter().map(view).collect()
    }
}

fn state(source: &Source, now: Instant) -> SourceState {
    match source.link {
        Link::Resting(_) => SourceState::Resting,
        Link::Open(_) if source.has.is_none() => SourceState::Connecting,
        Link::Open(_) if !source.flights.is_empty() => SourceState::Active,
        Link::Open(_) if !source.is_usable(now) => SourceState::Resting,
        Link::Open(_) => SourceState::Idle,
    }
}
