//! The chunks a caller wants, in its order, as ranges; bounded whatever it asks for.

use std::collections::VecDeque;

use grpcio::{RpcStatus, RpcStatusCode};
use peernet_engine::ids::{ChunkCount, ChunkIndex};
use peernet_protos::grpc::{ChunkRange, FetchRequest};
use peernet_protos::limits::{CHUNKS_MAX, RANGES_PER_REQUEST_MAX};

use super::super::calls::{invalid, status};

/// Chunks wanted at once: every one of the largest file, and as many again that are wanted twice. More would only be work for us.
const WANTED_MAX: u32 = 2 * CHUNKS_MAX;

/// Invariant: no range is empty or reaches past `CHUNKS_MAX`, there are at most `max`, and [`WANTED_MAX`] chunks in all.
pub(in crate::grpc) struct Wanted {
    ranges: VecDeque<(u32, u32)>,
    max: usize,
}

impl Wanted {
    pub(super) fn new(max: usize) -> Self {
        Self { ranges: VecDeque::new(), max }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.ranges.clear();
    }

    /// Takes one out, wherever it stands.
    pub(super) fn remove(&mut self, chunk: ChunkIndex) {
        if self.ranges.front().is_some_and(|(first, _)| *first == chunk.0) {
            let _the_same = self.next();
            return;
        }
        let Some(place) = self.ranges.iter().position(|(first, end)| (*first..*end).contains(&chunk.0)) else { return };
        let (first, end) = self.ranges[place];
        self.ranges.remove(place);
        for range in [(chunk.0 + 1, end), (first, chunk.0)] {
            if range.0 < range.1 {
                self.ranges.insert(place, range);
            }
        }
    }

    /// All of it, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = ChunkIndex> + Clone + '_ {
        self.ranges.iter().flat_map(|(first, end)| *first..*end).map(ChunkIndex)
    }

    pub(super) fn next(&mut self) -> Option<ChunkIndex> {
        let (first, end) = self.ranges.front_mut()?;
        let chunk = ChunkIndex(*first);
        *first += 1;
        if first == end {
            self.ranges.pop_front();
        }
        Some(chunk)
    }

    pub(super) fn append(&mut self, ranges: &[ChunkRange]) -> Result<(), RpcStatus> {
        for range in checked(ranges)? {
            match self.ranges.back_mut() {
                Some((_, end)) if *end == range.0 => *end = range.1,
                _ => self.ranges.push_back(range),
            }
        }
        self.check_length()
    }

    pub(super) fn drop_ranges(&mut self, ranges: &[ChunkRange]) -> Result<(), RpcStatus> {
        let dropped = merged(checked(ranges)?);
        if !dropped.is_empty() {
            self.ranges = self.ranges.iter().flat_map(|range| without(*range, &dropped)).collect();
        }
        self.check_length()
    }

    fn check_length(&self) -> Result<(), RpcStatus> {
        if self.ranges.len() > self.max {
            return Err(status(RpcStatusCode::RESOURCE_EXHAUSTED, "too many ranges are wanted at once"));
        }
        if length(self.ranges.iter().copied()) > WANTED_MAX {
            return Err(status(RpcStatusCode::RESOURCE_EXHAUSTED, "too many chunks are wanted at once"));
        }
        Ok(())
    }
}

/// In ascending order, with those that touch as one.
fn merged(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
    for (first, end) in ranges {
        match merged.last_mut() {
            Some((_, last)) if first <= *last => *last = end.max(*last),
            _ => merged.push((first, end)),
        }
    }
    merged
}

/// What is left of a range without these, which are in ascending order and apart.
fn without((first, end): (u32, u32), dropped: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let (mut from, mut left) = (first, Vec::new());
    let begin = dropped.partition_point(|(_, last)| *last <= first);
    for (a, b) in dropped[begin..].iter().take_while(|(a, _)| *a < end) {
        if from < *a {
            left.push((from, *a));
        }
        from = from.max(*b);
    }
    if from < end {
        left.push((from, end));
    }
    left
}

/// How many chunks these are; no more than a message has ranges, so that the sum is small.
fn length(ranges: impl Iterator<Item = (u32, u32)>) -> u32 {
    ranges.fold(0, |sum, (first, end)| sum.saturating_add(end - first))
}

/// The chunks of ranges that were found to be within bounds, as far as a file of so many chunks has them.
pub(super) fn chunks(ranges: &[ChunkRange], count: ChunkCount) -> impl Iterator<Item = ChunkIndex> + '_ {
    let of = move |range: &ChunkRange| range.first..range.first.saturating_add(range.count).min(count.0);
    ranges.iter().flat_map(of).map(ChunkIndex)
}

/// Whether `chunk` is in one of `ranges`.
pub(super) fn covers(ranges: &[ChunkRange], chunk: ChunkIndex) -> bool {
    ranges.iter().any(|range| chunk.0 >= range.first && chunk.0 - range.first < range.count)
}

fn checked(ranges: &[ChunkRange]) -> Result<Vec<(u32, u32)>, RpcStatus> {
    if ranges.len() > RANGES_PER_REQUEST_MAX {
        return Err(invalid(format!("at most {RANGES_PER_REQUEST_MAX} ranges fit one message")));
    }
    let ranges: Vec<_> = ranges.iter().map(half_open).collect::<Result<_, _>>()?;
    // Each is looked at by itself, on a thread that others wait for.
    if length(ranges.iter().copied()) > CHUNKS_MAX {
        return Err(invalid("one message names more chunks than any file has"));
    }
    Ok(ranges)
}

fn half_open(range: &ChunkRange) -> Result<(u32, u32), RpcStatus> {
    let end = range.first.checked_add(range.count).filter(|end| *end <= CHUNKS_MAX && range.count > 0);
    end.map(|end| (range.first, end)).ok_or_else(|| {
        let text = format!("no file has {} chunks from {} on", range.count, range.first);
        RpcStatus::with_message(RpcStatusCode::OUT_OF_RANGE, text)
    })
}

/// For fuzzing: what a caller may say in one call, message after message, keeps the invariant, and a refusal is a status.
pub(in crate::grpc) fn holds(requests: &[FetchRequest]) {
    let mut wanted = Wanted::new(RANGES_PER_REQUEST_MAX);
    for request in requests {
        let said = wanted
            .drop_ranges(&request.dropped)
            .and_then(|()| wanted.append(&request.wanted))
            .and_then(|()| wanted.append(&request.again));
        if said.is_err() {
            return;
        }
        assert!(wanted.ranges.iter().all(|(first, end)| first < end && *end <= CHUNKS_MAX));
        assert!(wanted.ranges.len() <= wanted.max && wanted.iter().count() <= WANTED_MAX as usize);
        let first = wanted.iter().next();
        if let Some(chunk) = first {
            let before = wanted.iter().count();
            wanted.remove(chunk);
            assert_eq!(wanted.iter().count(), before - 1);
        }
        for range in request.dropped.iter().filter(|_| request.wanted.is_empty() && request.again.is_empty()) {
            assert!(!wanted.iter().any(|chunk| covers(std::slice::from_ref(range), chunk)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(list: &[(u32, u32)]) -> Vec<ChunkRange> {
        list.iter().map(|(first, count)| ChunkRange { first: *first, count: *count, ..Default::default() }).collect()
    }

    #[test]
    fn chunks_come_in_order_without_what_was_dropped() {
        let mut wanted = Wanted::new(10);
        wanted.append(&ranges(&[(5, 3), (8, 2), (0, 4)])).unwrap();
        wanted.drop_ranges(&ranges(&[(6, 1), (2, 1), (100, 5)])).unwrap();
        let order: Vec<u32> = std::iter::from_fn(|| wanted.next()).map(|chunk| chunk.0).collect();
        assert_eq!(order, [5, 7, 8, 9, 0, 1, 3]);
    }

    #[test]
    fn whatever_is_dropped_in_whatever_order_is_what_is_missing_then() {
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
        for (chunk, left) in
            [(5, vec![6, 7, 0, 1]), (6, vec![5, 7, 0, 1]), (7, vec![5, 6, 0, 1]), (1, vec![5, 6, 7, 0])]
        {
            let mut wanted = Wanted::new(10);
            wanted.append(&ranges(&[(5, 3), (0, 2)])).unwrap();
            wanted.remove(ChunkIndex(chunk));
            assert_eq!(wanted.iter().map(|chunk| chunk.0).collect::<Vec<_>>(), left);
        }
    }

    #[test]
    fn nonsense_and_too_much_are_refused() {
        for bad in [(0, 0), (CHUNKS_MAX, 1), (u32::MAX, u32::MAX), (0, CHUNKS_MAX + 1)] {
            assert!(Wanted::new(10).append(&ranges(&[bad])).is_err(), "{bad:?}");
        }
        // A few bytes that would be work for seconds.
        assert!(Wanted::new(10).append(&ranges(&[(0, CHUNKS_MAX), (0, 1)])).is_err());
        assert!(Wanted::new(10).drop_ranges(&ranges(&[(0, CHUNKS_MAX), (0, 1)])).is_err());
        let mut wanted = Wanted::new(10);
        wanted.append(&ranges(&[(0, CHUNKS_MAX)])).unwrap();
        wanted.append(&ranges(&[(0, CHUNKS_MAX)])).unwrap();
        assert!(wanted.append(&ranges(&[(7, 1)])).is_err());
        let many: Vec<(u32, u32)> = (0..11).map(|i| (i * 2, 1)).collect();
        assert!(Wanted::new(10).append(&ranges(&many)).is_err());
        assert!(Wanted::new(11).append(&ranges(&many)).is_ok());
    }
}
