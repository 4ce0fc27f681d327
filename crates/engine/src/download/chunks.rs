//! Where every chunk of a download stands. Invariant: a chunk is in exactly one state: not wanted, unassigned, in flight at
//! one or more sources, or verified. It moves only by the three verbs here, and is never lost.

use crate::bitmap::Bitmap;
use crate::download::SourceId;
use crate::download::pool::Pool;
use crate::ids::{ChunkCount, ChunkIndex};
use crate::random::Rng;

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Nobody is ever asked for it.
    Unwanted,
    Unassigned,
    /// At these sources; never empty.
    InFlight(Vec<SourceId>),
    Verified,
}

/// The states of all chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    states: Vec<State>,
    /// Exactly the unassigned ones.
    pool: Pool,
    /// Exactly the verified ones.
    verified: Bitmap,
    in_flight: usize,
    unwanted: usize,
    /// Every chunk before it is verified.
    front: ChunkIndex,
}

impl Chunks {
    /// With some verified in an earlier run, and some wanted: of the same number of chunks.
    pub(super) fn new(verified: Bitmap, wanted: &Bitmap, rng: &mut Rng) -> Self {
        let count = verified.count();
        let mut pool = Pool::new(count, rng);
        verified.missing().filter(|chunk| wanted.contains(*chunk)).for_each(|chunk| pool.insert(chunk));
        let state = |i| match (verified.contains(ChunkIndex(i)), wanted.contains(ChunkIndex(i))) {
            (true, _) => State::Verified,
            (false, true) => State::Unassigned,
            (false, false) => State::Unwanted,
        };
        let states: Vec<State> = (0..count.0).map(state).collect();
        let unwanted = states.iter().filter(|state| **state == State::Unwanted).count();
        let mut chunks = Self { states, pool, verified, in_flight: 0, unwanted, front: ChunkIndex(0) };
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

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The first unassigned chunk by index, not as far as `ahead` past the first missing one, that `wanted` accepts.
    pub(super) fn first_within(&self, ahead: ChunkCount, wanted: impl Fn(ChunkIndex) -> bool) -> Option<ChunkIndex> {
        self.pool.first_before(ChunkIndex(self.front.0.saturating_add(ahead.0.max(1))), wanted)
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

    /// See [`Pool::holder_changed`]; nothing for a chunk past the end.
    pub(super) fn holder_changed(&mut self, chunk: ChunkIndex, more: bool) {
        if (chunk.0 as usize) < self.states.len() {
            self.pool.holder_changed(chunk, more);
        }
    }

    /// The sources `chunk` is in flight at.
    pub(super) fn holders(&self, chunk: ChunkIndex) -> &[SourceId] {
        match self.states.get(chunk.0 as usize) {
            Some(State::InFlight(holders)) => holders,
            _ => &[],
        }
    }

    /// Asks `source` for `chunk`, beside those already asked. Nothing for a chunk that is verified or not
    /// wanted, or one past the end.
    pub(super) fn assign(&mut self, chunk: ChunkIndex, source: SourceId) -> bool {
        match self.states.get_mut(chunk.0 as usize) {
            Some(State::InFlight(holders)) if !holders.contains(&source) => holders.push(source),
            Some(state @ State::Unassigned) => {
                *state = State::InFlight(vec![source]);
                self.pool.remove(chunk);
                self.in_flight += 1;
            }
            _ => return false,
        }
        true
    }

    /// `source` will not deliver `chunk`: unassigned again when nobody else is asked for it.
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
        self.pool.insert(chunk);
    }

    /// The chunk is there. Returns who was asked for it; `None` when it was there before or lies past the end.
    pub(super) fn verify(&mut self, chunk: ChunkIndex) -> Option<Vec<SourceId>> {
        let state = self.states.get_mut(chunk.0 as usize)?;
        let asked = match std::mem::replace(state, State::Verified) {
            State::Verified => return None,
            // It came unasked, and is right.
            State::Unwanted => {
                self.unwanted -= 1;
                Vec::new()
            }
            State::Unassigned => {
                self.pool.remove(chunk);
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

    /// The invariant, as far as it can be seen from the counts alone.
    pub(super) fn assert_counts(&self) {
        let counted = self.unwanted + self.pool.len() + self.in_flight + self.verified.len() as usize;
        assert_eq!(counted, self.states.len(), "every chunk is in exactly one state");
    }
}
