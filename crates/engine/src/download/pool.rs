//! The chunks nobody is asked for yet, in the order in which they should be asked for.

use std::collections::BTreeSet;

use crate::ids::{ChunkCount, ChunkIndex};
use crate::random::Rng;

/// Which of the unassigned chunks comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By index, which keeps the whole-file hash right behind the writes: where every source holds everything.
    InOrder,
    /// The chunk held by the fewest, ties by lot, so that downloaders of one file get different chunks.
    RarestFirst,
}

/// The unassigned chunks. Invariant: both sets hold the same chunks, each under its present rarity.
#[derive(Debug)]
pub(super) struct Pool {
    by_index: BTreeSet<ChunkIndex>,
    by_rarity: BTreeSet<(u32, u32, ChunkIndex)>,
    /// How many sources with a part of the file hold each chunk, or complete ones are giving it to others who will;
    /// complete sources themselves raise all alike and are left out.
    holders: Vec<u32>,
    /// The lot of each chunk.
    lots: Vec<u32>,
}

impl Pool {
    /// Of no chunk yet.
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

    /// One more source with a part of the file holds `chunk`, or one fewer.
    pub(super) fn holder_changed(&mut self, chunk: ChunkIndex, more: bool) {
        let was_in = self.remove(chunk);
        let holders = &mut self.holders[chunk.0 as usize];
        *holders = if more { *holders + 1 } else { holders.saturating_sub(1) };
        if was_in {
            self.insert(chunk);
        }
    }

    /// The first chunk in `order` that `wanted` accepts.
    pub(super) fn first(&self, order: Order, wanted: impl Fn(ChunkIndex) -> bool) -> Option<ChunkIndex> {
        match order {
            Order::InOrder => self.by_index.iter().copied().find(|chunk| wanted(*chunk)),
            Order::RarestFirst => self.by_rarity.iter().map(|key| key.2).find(|chunk| wanted(*chunk)),
        }
    }

    /// How many have `chunk` or will, as far as is known.
    pub(super) fn rarity(&self, chunk: ChunkIndex) -> u32 {
        self.holders.get(chunk.0 as usize).copied().unwrap_or(0)
    }

    /// The first chunk by index, and before `end`, that `wanted` accepts.
    pub(super) fn first_before(&self, end: ChunkIndex, wanted: impl Fn(ChunkIndex) -> bool) -> Option<ChunkIndex> {
        self.by_index.range(..end).copied().find(|chunk| wanted(*chunk))
    }

    /// How many unassigned chunks no source with a part of the file holds.
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

    fn pool(count: u32) -> Pool {
        let mut pool = Pool::new(ChunkCount(count), &mut Rng::new(7));
        (0..count).for_each(|i| pool.insert(ChunkIndex(i)));
        pool
    }

    fn drain(pool: &mut Pool, order: Order) -> Vec<u32> {
        std::iter::from_fn(|| {
            let chunk = pool.first(order, |_| true)?;
            pool.remove(chunk);
            Some(chunk.0)
        })
        .collect()
    }

    #[test]
    fn in_order_goes_by_index() {
        assert_eq!(drain(&mut pool(5), Order::InOrder), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn nothing_from_the_horizon_on_is_taken() {
        assert_eq!(pool(8).first_before(ChunkIndex(5), |chunk| chunk.0 > 2), Some(ChunkIndex(3)));
        assert_eq!(pool(8).first_before(ChunkIndex(5), |chunk| chunk.0 > 4), None);
    }

    #[test]
    fn the_rarest_comes_first_and_ties_go_by_lot() {
        let mut pool = pool(32);
        for chunk in (0..32).filter(|i| *i != 9) {
            pool.holder_changed(ChunkIndex(chunk), true);
        }
        assert_eq!(pool.held_by_none(), 1);
        let order = drain(&mut pool, Order::RarestFirst);
        assert_eq!(order[0], 9);
        assert!(!order[1..].is_sorted());
    }

    #[test]
    fn only_what_the_source_holds_is_taken() {
        assert_eq!(pool(8).first(Order::InOrder, |chunk| chunk.0 > 4), Some(ChunkIndex(5)));
        assert_eq!(pool(8).first(Order::RarestFirst, |_| false), None);
    }
}
