//! The chunks that a caller wants, in its order, as ranges. Bounded whatever the caller asks for.

use std::collections::VecDeque;
use std::fmt;

use crate::ids::{ChunkCount, ChunkIndex};
use crate::manifest::CHUNKS_MAX;

/// The most ranges that one list of a request may have.
pub const RANGES_PER_LIST_MAX: usize = 1_024;
/// The most chunks wanted at once: every chunk of the largest file, twice. More would only be work for the source.
const WANTED_MAX: u32 = 2 * CHUNKS_MAX;

/// Consecutive chunks as a caller names them; not yet checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRange {
    /// Index of the first chunk.
    pub first: u32,
    /// Number of chunks, at least one.
    pub count: u32,
}

impl ChunkRange {
    /// Returns true if `chunk` is in the range.
    pub fn contains(&self, chunk: ChunkIndex) -> bool {
        chunk.0 >= self.first && chunk.0 - self.first < self.count
    }
}

/// The reason that a list of ranges is refused. The refusal ends the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedError {
    /// The list has more than [`RANGES_PER_LIST_MAX`] ranges.
    LongList,
    /// The list names more chunks than any file has.
    ManyChunks,
    /// No file has these chunks, or the range is empty.
    NoSuchChunks(ChunkRange),
    /// The caller has asked for more ranges than it may wait for.
    RangesExhausted,
    /// The caller has asked for more chunks than it may wait for.
    ChunksExhausted,
}

impl WantedError {
    /// Returns true if the caller asked for too much at once; false if the list makes no sense.
    pub fn is_exhausted(self) -> bool {
        matches!(self, Self::RangesExhausted | Self::ChunksExhausted)
    }
}

impl fmt::Display for WantedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongList => write!(f, "at most {RANGES_PER_LIST_MAX} ranges fit one message"),
            Self::ManyChunks => f.write_str("one message names more chunks than any file has"),
            Self::NoSuchChunks(range) => write!(f, "no file has {} chunks from {} on", range.count, range.first),
            Self::RangesExhausted => f.write_str("too many ranges are requested at once"),
            Self::ChunksExhausted => f.write_str("too many chunks are requested at once"),
        }
    }
}

impl std::error::Error for WantedError {}

/// Chunks from `first` to before `end`. Invariant: not empty, and `end` is at most [`CHUNKS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    first: u32,
    end: u32,
}

/// The chunks still to be sent. Invariant: at most `ranges_max` ranges, and `WANTED_MAX` chunks in all.
#[derive(Debug)]
pub struct Wanted {
    spans: VecDeque<Span>,
    ranges_max: usize,
}

impl Wanted {
    /// An empty list that may grow to `ranges_max` ranges.
    pub fn new(ranges_max: usize) -> Self {
        Self { spans: VecDeque::new(), ranges_max }
    }

    /// Returns true if nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.spans.clear();
    }

    /// Removes one chunk, wherever it stands.
    pub fn remove(&mut self, chunk: ChunkIndex) {
        if self.spans.front().is_some_and(|span| span.first == chunk.0) {
            self.pop();
            return;
        }
        let Some(place) = self.spans.iter().position(|span| (span.first..span.end).contains(&chunk.0)) else { return };
        let span = self.spans[place];
        self.spans.remove(place);
        let before = Span { first: span.first, end: chunk.0 };
        let after = Span { first: chunk.0 + 1, end: span.end };
        for rest in [after, before] {
            if rest.first < rest.end {
                self.spans.insert(place, rest);
            }
        }
    }

    /// Every wanted chunk, in order.
    pub fn iter(&self) -> impl Iterator<Item = ChunkIndex> + Clone + '_ {
        self.spans.iter().flat_map(|span| span.first..span.end).map(ChunkIndex)
    }

    /// Removes and returns the first chunk.
    pub fn pop(&mut self) -> Option<ChunkIndex> {
        let span = self.spans.front_mut()?;
        let chunk = ChunkIndex(span.first);
        span.first += 1;
        if span.first == span.end {
            self.spans.pop_front();
        }
        Some(chunk)
    }

    /// Appends ranges in their order.
    pub fn append(&mut self, ranges: &[ChunkRange]) -> Result<(), WantedError> {
        for span in checked(ranges)? {
            match self.spans.back_mut() {
                Some(last) if last.end == span.first => last.end = span.end,
                _ => self.spans.push_back(span),
            }
        }
        self.check_length()
    }

    /// Removes every chunk of `ranges`.
    pub fn drop_ranges(&mut self, ranges: &[ChunkRange]) -> Result<(), WantedError> {
        let dropped = merged(checked(ranges)?);
        if !dropped.is_empty() {
            self.spans = self.spans.iter().flat_map(|span| without(*span, &dropped)).collect();
        }
        self.check_length()
    }

    fn check_length(&self) -> Result<(), WantedError> {
        if self.spans.len() > self.ranges_max {
            return Err(WantedError::RangesExhausted);
        }
        if length(self.spans.iter()) > WANTED_MAX {
            return Err(WantedError::ChunksExhausted);
        }
        Ok(())
    }

    /// Asserts the invariants. For tests and fuzzing.
    pub fn assert_consistent(&self) {
        assert!(self.spans.iter().all(|span| span.first < span.end && span.end <= CHUNKS_MAX));
        assert!(self.spans.len() <= self.ranges_max && self.iter().count() <= WANTED_MAX as usize);
    }
}

/// Sorts spans in ascending order and joins those that touch or overlap.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.first <= last.end => last.end = span.end.max(last.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// Returns the rest of a span without `dropped`, which are in ascending order and apart.
fn without(span: Span, dropped: &[Span]) -> Vec<Span> {
    let mut from = span.first;
    let mut left = Vec::new();
    let begin = dropped.partition_point(|gone| gone.end <= span.first);
    for gone in dropped[begin..].iter().take_while(|gone| gone.first < span.end) {
        if from < gone.first {
            left.push(Span { first: from, end: gone.first });
        }
        from = from.max(gone.end);
    }
    if from < span.end {
        left.push(Span { first: from, end: span.end });
    }
    left
}

/// Returns the number of chunks. Saturates.
fn length<'a>(spans: impl Iterator<Item = &'a Span>) -> u32 {
    spans.fold(0, |sum, span| sum.saturating_add(span.end - span.first))
}

/// Returns the chunks of checked ranges that a file of `count` chunks has.
pub(super) fn chunks(ranges: &[ChunkRange], count: ChunkCount) -> impl Iterator<Item = ChunkIndex> + '_ {
    let of = move |range: &ChunkRange| range.first..range.first.saturating_add(range.count).min(count.0);
    ranges.iter().flat_map(of).map(ChunkIndex)
}

/// Returns true if `chunk` is in one of `ranges`.
pub fn covers(ranges: &[ChunkRange], chunk: ChunkIndex) -> bool {
    ranges.iter().any(|range| range.contains(chunk))
}

fn checked(ranges: &[ChunkRange]) -> Result<Vec<Span>, WantedError> {
    if ranges.len() > RANGES_PER_LIST_MAX {
        return Err(WantedError::LongList);
    }
    let spans: Vec<Span> = ranges.iter().map(|range| span_of(*range)).collect::<Result<_, _>>()?;
    // Each chunk is looked at by itself, on a thread that other calls wait for.
    if length(spans.iter()) > CHUNKS_MAX {
        return Err(WantedError::ManyChunks);
    }
    Ok(spans)
}

fn span_of(range: ChunkRange) -> Result<Span, WantedError> {
    let end = range.first.checked_add(range.count).filter(|end| *end <= CHUNKS_MAX && range.count > 0);
    end.map(|end| Span { first: range.first, end }).ok_or(WantedError::NoSuchChunks(range))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(list: &[(u32, u32)]) -> Vec<ChunkRange> {
        list.iter().map(|(first, count)| ChunkRange { first: *first, count: *count }).collect()
    }

    fn all(wanted: &Wanted) -> Vec<u32> {
        wanted.iter().map(|chunk| chunk.0).collect()
    }

    #[test]
    fn chunks_come_in_order_without_the_dropped_ones() {
        let mut wanted = Wanted::new(10);
        wanted.append(&ranges(&[(5, 3), (8, 2), (0, 4)])).unwrap();
        wanted.drop_ranges(&ranges(&[(6, 1), (2, 1), (100, 5)])).unwrap();
        let order: Vec<u32> = std::iter::from_fn(|| wanted.pop()).map(|chunk| chunk.0).collect();
        assert_eq!(order, [5, 7, 8, 9, 0, 1, 3]);
    }

    #[test]
    fn any_chunks_can_be_dropped_in_any_order() {
        for dropped in [&[(0, 1)][..], &[(9, 1), (0, 1)], &[(2, 3), (3, 4)], &[(4, 1), (4, 1), (5, 1)], &[(0, 20)], &[]]
        {
            let mut wanted = Wanted::new(10);
            wanted.append(&ranges(&[(5, 5), (0, 4)])).unwrap();
            let before: Vec<_> = wanted.iter().collect();
            wanted.drop_ranges(&ranges(dropped)).unwrap();
            let gone = |chunk: &ChunkIndex| covers(&ranges(dropped), *chunk);
            let expected: Vec<_> = before.into_iter().filter(|chunk| !gone(chunk)).collect();
            assert_eq!(wanted.iter().collect::<Vec<_>>(), expected, "{dropped:?}");
        }
    }

    #[test]
    fn a_chunk_can_be_taken_out_of_the_middle() {
        for (chunk, left) in [
            (5, vec![6, 7, 0, 1]),
            (6, vec![5, 7, 0, 1]),
            (7, vec![5, 6, 0, 1]),
            (1, vec![5, 6, 7, 0]),
            (9, vec![5, 6, 7, 0, 1]),
        ] {
            let mut wanted = Wanted::new(10);
            wanted.append(&ranges(&[(5, 3), (0, 2)])).unwrap();
            wanted.remove(ChunkIndex(chunk));
            assert_eq!(all(&wanted), left);
        }
    }

    #[test]
    fn ranges_that_make_no_sense_are_refused() {
        for bad in [(0, 0), (CHUNKS_MAX, 1), (u32::MAX, u32::MAX), (0, CHUNKS_MAX + 1)] {
            let error = Wanted::new(10).append(&ranges(&[bad])).unwrap_err();
            assert_eq!(error, WantedError::NoSuchChunks(ranges(&[bad])[0]));
            assert!(!error.is_exhausted());
        }
        // A few bytes of request that would be work for seconds.
        let twice = ranges(&[(0, CHUNKS_MAX), (0, 1)]);
        assert_eq!(Wanted::new(10).append(&twice), Err(WantedError::ManyChunks));
        assert_eq!(Wanted::new(10).drop_ranges(&twice), Err(WantedError::ManyChunks));
        let long = ranges(&vec![(5, 1); RANGES_PER_LIST_MAX + 1]);
        assert_eq!(Wanted::new(10).append(&long), Err(WantedError::LongList));
    }

    #[test]
    fn more_than_the_bounds_is_refused() {
        let mut wanted = Wanted::new(10);
        wanted.append(&ranges(&[(0, CHUNKS_MAX)])).unwrap();
        wanted.append(&ranges(&[(0, CHUNKS_MAX)])).unwrap();
        let error = wanted.append(&ranges(&[(7, 1)])).unwrap_err();
        assert_eq!((error, error.is_exhausted()), (WantedError::ChunksExhausted, true));
        let many: Vec<(u32, u32)> = (0..11).map(|i| (i * 2, 1)).collect();
        assert_eq!(Wanted::new(10).append(&ranges(&many)), Err(WantedError::RangesExhausted));
        assert!(Wanted::new(11).append(&ranges(&many)).is_ok());
    }

    #[test]
    fn chunks_past_the_end_of_the_file_are_left_out() {
        let list = ranges(&[(2, 5), (9, 1), (u32::MAX, 3)]);
        assert_eq!(chunks(&list, ChunkCount(4)).map(|chunk| chunk.0).collect::<Vec<_>>(), [2, 3]);
    }

    proptest! {
        /// A list of ranges behaves like a plain list of chunks.
        #[test]
        fn behaves_like_a_list(steps in prop::collection::vec((0u8..4, 0u32..20, 1u32..6), 0..60)) {
            let mut wanted = Wanted::new(RANGES_PER_LIST_MAX);
            let mut model: Vec<u32> = Vec::new();
            for (act, first, count) in steps {
                let one = [ChunkRange { first, count }];
                match act {
                    0 => {
                        wanted.append(&one).unwrap();
                        model.extend(first..first + count);
                    }
                    1 => {
                        wanted.drop_ranges(&one).unwrap();
                        model.retain(|chunk| !one[0].contains(ChunkIndex(*chunk)));
                    }
                    2 => {
                        let expected = if model.is_empty() { None } else { Some(model.remove(0)) };
                        prop_assert_eq!(wanted.pop().map(|chunk| chunk.0), expected);
                    }
                    _ => {
                        wanted.remove(ChunkIndex(first));
                        if let Some(place) = model.iter().position(|chunk| *chunk == first) {
                            model.remove(place);
                        }
                    }
                }
                wanted.assert_consistent();
                prop_assert_eq!(all(&wanted), model.clone());
            }
        }
    }
}
