//! Snapshots of a download, for a progress display.

use std::time::Instant;

use crate::bitmap::Bitmap;
use crate::download::source::{Connection, Source};
use crate::download::{Download, Protocol, SourceId};

/// The state of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// Not announced its chunks yet.
    Connecting,
    /// Chunks are in flight.
    Active,
    /// Connected, with nothing in flight: the source holds no missing chunk.
    Idle,
    /// Failed; gets no requests before a deadline.
    BackingOff,
}

/// A snapshot of one source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceView {
    /// The driver's number for the source.
    pub source: SourceId,
    /// The calls it understands.
    pub protocol: Protocol,
    /// The state in which the scheduler has the source.
    pub state: SourceState,
    /// Bytes a second.
    pub rate: f64,
    /// Chunks in flight.
    pub in_flight: usize,
    /// Chunks verified from it.
    pub chunks: u32,
}

impl Download {
    /// Returns the verified chunks of this run and earlier ones.
    pub fn verified(&self) -> &Bitmap {
        self.chunks.verified()
    }

    /// Returns true when every wanted chunk is verified.
    pub fn is_complete(&self) -> bool {
        self.chunks.is_complete()
    }

    /// Returns the bytes per second over all sources.
    pub fn rate(&self, now: Instant) -> f64 {
        self.meter.rate(now)
    }

    /// Returns true once `Finished` or `Failed` has been put out.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Returns every known source, by number.
    pub fn sources(&self, now: Instant) -> Vec<SourceView> {
        let view = |(id, source): (&SourceId, &Source)| SourceView {
            source: *id,
            protocol: source.protocol,
            state: state(source, now),
            rate: source.meter.rate(now),
            in_flight: source.in_flight.len(),
            chunks: source.chunks,
        };
        self.sources.iter().map(view).collect()
    }
}

fn state(source: &Source, now: Instant) -> SourceState {
    match source.connection {
        Connection::BackingOff(_) => SourceState::BackingOff,
        Connection::Open(_) if source.has.is_none() => SourceState::Connecting,
        Connection::Open(_) if !source.in_flight.is_empty() => SourceState::Active,
        Connection::Open(_) if !source.is_usable(now) => SourceState::BackingOff,
        Connection::Open(_) => SourceState::Idle,
    }
}
