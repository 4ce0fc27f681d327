//! The state of every chunk. Invariant: a chunk is in exactly one state: not wanted, unassigned, in flight at one or more
//! sources, or verified. Only `assign`, `release` and `verify` change it, so no chunk is lost.

use crate::bitmap::Bitmap;
use crate::download::SourceId;
use crate::download::picker::Picker;
use crate::ids::{ChunkCount, ChunkIndex};
use crate::random::Rng;

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// It is never requested.
    Unwanted,
    Unassigned,
    /// It is requested from these sources; never empty.
    InFlight(Vec<SourceId>),
    Verified,
}

/// The states of all chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    states: Vec<State>,
    /// Exactly the unassigned chunks.
    picker: Picker,
    /// Exactly the verified chunks.
    verified: Bitmap,
    in_flight: usize,
    unwanted: usize,
    /// The first chunk that is not verified.
    front: ChunkIndex,
}

impl Chunks {
    /// The states at the start: some chunks are verified, and some are wanted.
    pub(super) fn new(verified: Bitmap, wanted: &Bitmap, rng: &mut Rng) -> Self {
        let count = verified.count();
        let mut picker = Picker::new(count, rng);
        verified.missing().filter(|chunk| wanted.contains(*chunk)).for_each(|chunk| picker.insert(chunk));
        let state = |i| match (verified.contains(ChunkIndex(i)), wanted.contains(ChunkIndex(i))) {
            (true, _) => State::Verified,
            (false, true) => State::Unassigned,
            (false, false) => State::Unwanted,
        };
        let states: Vec<State> = (0..count.0).map(state).collect();
        let unwanted = states.iter().filter(|state| **state == State::Unwanted).count();
        let mut chunks = Self { states, picker, verified, in_flight: 0, unwanted, front: ChunkIndex(0) };
        chunks.advance_front();
        chunks
    }

    /// Whether every wanted chunk is verified.
    pub(super) fn is_complete(&self) -> bool {
        self.verified.len() as usize + self.unwanted == self.states.len()
    }

    pub(super) fn verified(&self) -> &Bitmap {
        &self.verified
    }

    pub(super) fn picker(&self) -> &Picker {
        &self.picker
    }

    /// Returns the first unassigned chunk by index that `wanted` accepts, less than `ahead` past the first missing one.
    pub(super) fn first_within(&self, ahead: ChunkCount, wanted: impl Fn(ChunkIndex) -> bool) -> Option<ChunkIndex> {
        self.picker.first_before(ChunkIndex(self.front.0.saturating_add(ahead.0.max(1))), wanted)
    }

    /// The first chunk that is not verified; past the end when all are.
    pub(super) fn front(&self) -> ChunkIndex {
        self.front
    }

    fn advance_front(&mut self) {
        while self.verified.contains(self.front) {
            self.front.0 += 1;
        }
    }

    /// How many chunks are in flight, each counted once.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// See [`Picker::holder_changed`]. A chunk past the end is ignored.
    pub(super) fn holder_changed(&mut self, chunk: ChunkIndex, more: bool) {
        if (chunk.0 as usize) < self.states.len() {
            self.picker.holder_changed(chunk, more);
        }
    }

    /// Returns the sources from which `chunk` is requested.
    pub(super) fn holders(&self, chunk: ChunkIndex) -> &[SourceId] {
        match self.states.get(chunk.0 as usize) {
            Some(State::InFlight(holders)) => holders,
            _ => &[],
        }
    }

    /// Requests `chunk` from `source`, beside the sources that have the request already. Returns false for a chunk that is verified,
    /// not wanted, or past the end.
    pub(super) fn assign(&mut self, chunk: ChunkIndex, source: SourceId) -> bool {
        match self.states.get_mut(chunk.0 as usize) {
            Some(State::InFlight(holders)) if !holders.contains(&source) => holders.push(source),
            Some(state @ State::Unassigned) => {
                *state = State::InFlight(vec![source]);
                self.picker.remove(chunk);
                self.in_flight += 1;
            }
            _ => return false,
        }
        true
    }

    /// Takes the request for `chunk` from `source`. The chunk is unassigned again when no other source has the request.
    pub(super) fn release(&mut self, chunk: ChunkIndex, source: SourceId) {
        let Some(state @ State::InFlight(_)) = self.states.get_mut(chunk.0 as usize) else { return };
        if let State::InFlight(holders) = state {
            holders.retain(|holder| *holder != source);
            if !holders.is_empty() {
                return;
            }
        }
        *state = State::Unassigned;
        self.in_flight -= 1;
        self.picker.insert(chunk);
    }

    /// Marks a chunk as verified. Returns the sources that have the request; `None` when it was verified before or is past the
    /// end.
    pub(super) fn verify(&mut self, chunk: ChunkIndex) -> Option<Vec<SourceId>> {
        let state = self.states.get_mut(chunk.0 as usize)?;
        let asked = match std::mem::replace(state, State::Verified) {
            State::Verified => return None,
            // It was not requested, but its bytes are right.
            State::Unwanted => {
                self.unwanted -= 1;
                Vec::new()
            }
            State::Unassigned => {
                self.picker.remove(chunk);
                Vec::new()
            }
            State::InFlight(holders) => {
                self.in_flight -= 1;
                holders
            }
        };
        self.verified.insert(chunk);
        self.advance_front();
        Some(asked)
    }

    /// Asserts the invariant, as far as the counts show it.
    pub(super) fn assert_counts(&self) {
        let counted = self.unwanted + self.picker.len() + self.in_flight + self.verified.len() as usize;
        assert_eq!(counted, self.states.len(), "every chunk is in exactly one state");
    }
}
