//! The chunk picker: the unassigned chunks, in the order in which they should be requested.

use std::collections::BTreeSet;

use crate::ids::{ChunkCount, ChunkIndex};
use crate::random::Rng;

/// The order of the unassigned chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By index, which keeps the hash of the whole file right behind the writes. Used while every source is complete.
    InOrder,
    /// Rarest first, ties by lot, so that downloaders of one file get different chunks.
    RarestFirst,
}

/// The unassigned chunks. Invariant: both sets hold the same chunks, each under its present rarity.
#[derive(Debug)]
pub(super) struct Picker {
    by_index: BTreeSet<ChunkIndex>,
    by_rarity: BTreeSet<(u32, u32, ChunkIndex)>,
    /// The rarity of each chunk: how many partial sources hold it, or will, because a complete source gives it to them.
    /// Complete sources are left out, because they raise all chunks alike.
    holders: Vec<u32>,
    /// The lot of each chunk, which decides ties.
    lots: Vec<u32>,
}

impl Picker {
    /// A picker without chunks.
    pub(super) fn new(count: ChunkCount, rng: &mut Rng) -> Self {
        let mut lots: Vec<u32> = (0..count.0).collect();
        rng.shuffle(&mut lots);
        Self { by_index: BTreeSet::new(), by_rarity: BTreeSet::new(), holders: vec![0; count.0 as usize], lots }
    }

    pub(super) fn len(&self) -> usize {
        self.by_index.len()
    }

    pub(super) fn insert(&mut self, chunk: ChunkIndex) {
        self.by_index.insert(chunk);
        self.by_rarity.insert(self.key(chunk));
    }

    pub(super) fn remove(&mut self, chunk: ChunkIndex) -> bool {
        self.by_rarity.remove(&self.key(chunk));
        self.by_index.remove(&chunk)
    }

    /// Updates the rarity of `chunk`: one more partial source holds it, or one fewer.
    pub(super) fn holder_changed(&mut self, chunk: ChunkIndex, more: bool) {
        let was_in = self.remove(chunk);
        let holders = &mut self.holders[chunk.0 as usize];
        *holders = if more { *holders + 1 } else { holders.saturating_sub(1) };
        if was_in {
            self.insert(chunk);
        }
    }

    /// Returns the first chunk in `order` that `wanted` accepts.
    pub(super) fn first(&self, order: Order, wanted: impl Fn(ChunkIndex) -> bool) -> Option<ChunkIndex> {
        match order {
            Order::InOrder => self.by_index.iter().copied().find(|chunk| wanted(*chunk)),
            Order::RarestFirst => self.by_rarity.iter().map(|key| key.2).find(|chunk| wanted(*chunk)),
        }
    }

    /// Returns how many partial sources hold `chunk`, or will, as far as is known.
    pub(super) fn rarity(&self, chunk: ChunkIndex) -> u32 {
        self.holders.get(chunk.0 as usize).copied().unwrap_or(0)
    }

    /// Returns the first chunk by index before `end` that `wanted` accepts.
    pub(super) fn first_before(&self, end: ChunkIndex, wanted: impl Fn(ChunkIndex) -> bool) -> Option<ChunkIndex> {
        self.by_index.range(..end).copied().find(|chunk| wanted(*chunk))
    }

    /// Returns the number of unassigned chunks that no partial source holds.
    pub(super) fn held_by_none(&self) -> usize {
        self.by_rarity.range(..(1, 0, ChunkIndex(0))).count()
    }

    fn key(&self, chunk: ChunkIndex) -> (u32, u32, ChunkIndex) {
        (self.holders[chunk.0 as usize], self.lots[chunk.0 as usize], chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picker(count: u32) -> Picker {
        let mut picker = Picker::new(ChunkCount(count), &mut Rng::new(7));
        (0..count).for_each(|i| picker.insert(ChunkIndex(i)));
        picker
    }

    fn drain(picker: &mut Picker, order: Order) -> Vec<u32> {
        std::iter::from_fn(|| {
            let chunk = picker.first(order, |_| true)?;
            picker.remove(chunk);
            Some(chunk.0)
        })
        .collect()
    }

    #[test]
    fn in_order_goes_by_index() {
        assert_eq!(drain(&mut picker(5), Order::InOrder), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn chunks_past_the_end_of_the_range_are_not_picked() {
        assert_eq!(picker(8).first_before(ChunkIndex(5), |chunk| chunk.0 > 2), Some(ChunkIndex(3)));
        assert_eq!(picker(8).first_before(ChunkIndex(5), |chunk| chunk.0 > 4), None);
    }

    #[test]
    fn rarest_first_decides_ties_by_lot() {
        let mut picker = picker(32);
        for chunk in (0..32).filter(|i| *i != 9) {
            picker.holder_changed(ChunkIndex(chunk), true);
        }
        assert_eq!(picker.held_by_none(), 1);
        let order = drain(&mut picker, Order::RarestFirst);
        assert_eq!(order[0], 9);
        assert!(!order[1..].is_sorted());
    }

    #[test]
    fn only_accepted_chunks_are_picked() {
        assert_eq!(picker(8).first(Order::InOrder, |chunk| chunk.0 > 4), Some(ChunkIndex(5)));
        assert_eq!(picker(8).first(Order::RarestFirst, |_| false), None);
    }
}
