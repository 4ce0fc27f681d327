//! The state of every chunk. Invariant: a chunk is in exactly one state: not wanted, unassigned, in flight at one or
//! more sources, or verified. Only `assign`, `release` and `verify` change it, so no chunk is lost.

use crate::bitmap::Bitmap;
use crate::download::SourceId;
use crate::download::picker::Picker;
use crate::ids::{ChunkCount, ChunkIndex};
use crate::random::Rng;

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Never requested: the chunk is not wanted, or this node had it at the start.
    Unwanted,
    Unassigned,
    /// Requested from these sources; the list is never empty.
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

    /// Returns true when every wanted chunk is verified.
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

    /// Returns the number of chunks in flight; a chunk requested twice counts once.
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

    /// Requests `chunk` from `source`, beside the sources that have the request already. Returns false for a chunk that
    /// is verified, not wanted, or past the end.
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

    /// Marks a chunk as verified. Returns the sources that have the request; `None` when it was verified before or is
    /// past the end.
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::random::Rng;

    /// A simple model: the wanted, verified and requested chunks as plain sets.
    #[derive(Debug, Default)]
    struct Model {
        wanted: BTreeSet<u32>,
        verified: BTreeSet<u32>,
        requested: BTreeMap<u32, BTreeSet<u64>>,
    }

    impl Model {
        fn is_unassigned(&self, chunk: u32) -> bool {
            self.wanted.contains(&chunk) && !self.verified.contains(&chunk) && !self.requested.contains_key(&chunk)
        }

        fn front(&self) -> u32 {
            (0..).find(|chunk| !self.verified.contains(chunk)).unwrap_or(u32::MAX)
        }

        fn assign(&mut self, chunk: u32, source: u64) -> bool {
            if let Some(holders) = self.requested.get_mut(&chunk) {
                return holders.insert(source);
            }
            let is_new = self.is_unassigned(chunk);
            if is_new {
                self.requested.insert(chunk, BTreeSet::from([source]));
            }
            is_new
        }

        fn release(&mut self, chunk: u32, source: u64) {
            if let Some(holders) = self.requested.get_mut(&chunk) {
                holders.remove(&source);
                if holders.is_empty() {
                    self.requested.remove(&chunk);
                }
            }
        }

        fn verify(&mut self, count: u32, chunk: u32) -> Option<BTreeSet<u64>> {
            if chunk >= count || !self.verified.insert(chunk) {
                return None;
            }
            Some(self.requested.remove(&chunk).unwrap_or_default())
        }

        fn is_complete(&self) -> bool {
            self.wanted.iter().all(|chunk| self.verified.contains(chunk))
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Act {
        Assign(u32, u64),
        Release(u32, u64),
        Verify(u32),
    }

    fn act() -> impl Strategy<Value = Act> {
        let chunk = 0u32..14;
        let source = 0u64..3;
        prop_oneof![
            4 => (chunk.clone(), source.clone()).prop_map(|(chunk, source)| Act::Assign(chunk, source)),
            2 => (chunk.clone(), source).prop_map(|(chunk, source)| Act::Release(chunk, source)),
            1 => chunk.prop_map(Act::Verify),
        ]
    }

    fn bitmap(count: u32, chunks: &BTreeSet<u32>) -> Bitmap {
        let mut bitmap = Bitmap::empty(ChunkCount(count));
        chunks.iter().for_each(|chunk| {
            bitmap.insert(ChunkIndex(*chunk));
        });
        bitmap
    }

    fn start(count: u32, held: &[u32], wanted: &[u32]) -> (Chunks, Model) {
        let verified: BTreeSet<u32> = held.iter().copied().filter(|chunk| *chunk < count).collect();
        let wanted: BTreeSet<u32> = wanted.iter().copied().filter(|chunk| *chunk < count).collect();
        let chunks = Chunks::new(bitmap(count, &verified), &bitmap(count, &wanted), &mut Rng::new(1));
        (chunks, Model { wanted, verified, requested: BTreeMap::new() })
    }

    fn assert_equal(count: u32, chunks: &Chunks, model: &Model) {
        chunks.assert_counts();
        assert_eq!(chunks.is_complete(), model.is_complete());
        assert_eq!(chunks.front().0, model.front());
        assert_eq!(chunks.in_flight(), model.requested.len());
        assert_eq!(chunks.verified().iter().map(|chunk| chunk.0).collect::<BTreeSet<_>>(), model.verified);
        for chunk in 0..count {
            let holders: BTreeSet<u64> = chunks.holders(ChunkIndex(chunk)).iter().map(|source| source.0).collect();
            assert_eq!(holders, model.requested.get(&chunk).cloned().unwrap_or_default(), "chunk {chunk}");
        }
        let unassigned: Vec<u32> = (0..count).filter(|chunk| model.is_unassigned(*chunk)).collect();
        assert_eq!(chunks.picker().len(), unassigned.len());
        let first = chunks.first_within(ChunkCount(u32::MAX), |_| true).map(|chunk| chunk.0);
        assert_eq!(first, unassigned.first().copied());
        let near = chunks.first_within(ChunkCount(2), |_| true).map(|chunk| chunk.0);
        assert_eq!(near, unassigned.iter().copied().find(|chunk| *chunk < model.front() + 2));
    }

    proptest! {
        #[test]
        fn chunks_behave_like_plain_sets(
            count in 0u32..12,
            held in prop::collection::vec(0u32..12, 0..6),
            wanted in prop::collection::vec(0u32..12, 0..12),
            acts in prop::collection::vec(act(), 0..60),
        ) {
            let (mut chunks, mut model) = start(count, &held, &wanted);
            assert_equal(count, &chunks, &model);
            for act in acts {
                match act {
                    Act::Assign(chunk, source) => {
                        let done = chunks.assign(ChunkIndex(chunk), SourceId(source));
                        prop_assert_eq!(done, model.assign(chunk, source), "{:?}", act);
                    }
                    Act::Release(chunk, source) => {
                        chunks.release(ChunkIndex(chunk), SourceId(source));
                        model.release(chunk, source);
                    }
                    Act::Verify(chunk) => {
                        let asked = chunks.verify(ChunkIndex(chunk));
                        let asked = asked.map(|asked| asked.iter().map(|source| source.0).collect::<BTreeSet<_>>());
                        prop_assert_eq!(asked, model.verify(count, chunk), "{:?}", act);
                    }
                }
                assert_equal(count, &chunks, &model);
            }
        }
    }

    #[test]
    fn a_chunk_that_comes_back_keeps_its_rarity() {
        let (mut chunks, _) = start(4, &[], &[0, 1, 2, 3]);
        chunks.holder_changed(ChunkIndex(2), true);
        assert!(chunks.assign(ChunkIndex(2), SourceId(0)));
        chunks.holder_changed(ChunkIndex(2), true);
        chunks.release(ChunkIndex(2), SourceId(0));
        assert_eq!(chunks.picker().rarity(ChunkIndex(2)), 2);
        assert_eq!(chunks.picker().held_by_none(), 3);
        chunks.holder_changed(ChunkIndex(2), false);
        chunks.holder_changed(ChunkIndex(2), false);
        chunks.holder_changed(ChunkIndex(2), false);
        assert_eq!(chunks.picker().rarity(ChunkIndex(2)), 0, "never below zero");
    }

    #[test]
    fn chunks_past_the_end_have_no_state() {
        let (mut chunks, _) = start(2, &[], &[0, 1]);
        chunks.holder_changed(ChunkIndex(2), true);
        chunks.release(ChunkIndex(2), SourceId(0));
        assert!(!chunks.assign(ChunkIndex(2), SourceId(0)));
        assert_eq!(chunks.verify(ChunkIndex(2)), None);
        assert!(chunks.holders(ChunkIndex(u32::MAX)).is_empty());
    }
}
