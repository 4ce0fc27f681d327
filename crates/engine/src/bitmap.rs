//! The set of chunks that a peer holds: one bit a chunk, bit 7 of byte 0 for chunk 0 (BEP 3's order).

use crate::ids::{ChunkCount, ChunkIndex};

/// A set of chunk indexes below a fixed count. Invariant: bits past the count are zero.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bitmap {
    bytes: Vec<u8>,
    count: ChunkCount,
    set: u32,
}

impl Bitmap {
    /// Returns the empty set.
    pub fn empty(count: ChunkCount) -> Self {
        Self { bytes: vec![0; byte_len(count)], count, set: 0 }
    }

    /// Returns the set of all chunks.
    pub fn full(count: ChunkCount) -> Self {
        let mut bytes = vec![0xff; byte_len(count)];
        mask_tail(&mut bytes, count);
        Self { bytes, count, set: count.0 }
    }

    /// Reads exactly `ceil(count / 8)` bytes with every bit past `count` zero; `None` for other bytes.
    pub fn from_bytes(bytes: &[u8], count: ChunkCount) -> Option<Self> {
        if bytes.len() != byte_len(count) {
            return None;
        }
        let mut masked = bytes.to_vec();
        mask_tail(&mut masked, count);
        let set = masked.iter().map(|b| b.count_ones()).sum();
        (masked == bytes).then_some(Self { bytes: masked, count, set })
    }

    /// Returns the bytes, as they are stored and sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the number of chunks of the file.
    pub fn count(&self) -> ChunkCount {
        self.count
    }

    /// Returns the number of chunks in the set.
    pub fn len(&self) -> u32 {
        self.set
    }

    /// Tells whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.set == 0
    }

    /// Tells whether every chunk is in the set; true for an empty file.
    pub fn is_full(&self) -> bool {
        self.set == self.count.0
    }

    /// Tells whether `index` is in the set; false past the count.
    pub fn contains(&self, index: ChunkIndex) -> bool {
        index.0 < self.count.0 && self.bytes[index.0 as usize / 8] & bit(index) != 0
    }

    /// Adds `index` and tells whether it is new. Past the count it returns false and changes nothing.
    pub fn insert(&mut self, index: ChunkIndex) -> bool {
        if index.0 >= self.count.0 || self.contains(index) {
            return false;
        }
        self.bytes[index.0 as usize / 8] |= bit(index);
        self.set += 1;
        true
    }

    /// Removes `index` and tells whether it was in the set.
    pub fn remove(&mut self, index: ChunkIndex) -> bool {
        if !self.contains(index) {
            return false;
        }
        self.bytes[index.0 as usize / 8] &= !bit(index);
        self.set -= 1;
        true
    }

    /// Returns the set of the other chunks.
    pub fn complement(&self) -> Self {
        let mut bytes: Vec<u8> = self.bytes.iter().map(|byte| !byte).collect();
        mask_tail(&mut bytes, self.count);
        Self { bytes, count: self.count, set: self.count.0 - self.set }
    }

    /// Returns the indexes in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ChunkIndex> + '_ {
        (0..self.count.0).map(ChunkIndex).filter(|index| self.contains(*index))
    }

    /// Returns the indexes not in the set, ascending.
    pub fn missing(&self) -> impl Iterator<Item = ChunkIndex> + '_ {
        (0..self.count.0).map(ChunkIndex).filter(|index| !self.contains(*index))
    }
}

fn byte_len(count: ChunkCount) -> usize {
    count.0.div_ceil(8) as usize
}

fn bit(index: ChunkIndex) -> u8 {
    0x80 >> (index.0 % 8)
}

fn mask_tail(bytes: &mut [u8], count: ChunkCount) {
    let used = count.0 % 8;
    if let (Some(last), 1..) = (bytes.last_mut(), used) {
        *last &= 0xffu8 << (8 - used);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chunk_0_is_the_highest_bit_of_byte_0() {
        let mut bitmap = Bitmap::empty(ChunkCount(10));
        assert!(bitmap.insert(ChunkIndex(0)) && bitmap.insert(ChunkIndex(9)));
        assert_eq!(bitmap.as_bytes(), [0x80, 0x40]);
    }

    #[test]
    fn a_wrong_length_or_bits_past_the_count_are_refused() {
        assert!(Bitmap::from_bytes(&[0xff, 0xc0], ChunkCount(10)).is_some_and(|b| b.is_full()));
        for bad in [&[0xff][..], &[0xff, 0xc0, 0], &[0xff, 0xe0]] {
            assert_eq!(Bitmap::from_bytes(bad, ChunkCount(10)), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(count in 0u32..100, acts in prop::collection::vec((any::<bool>(), 0u32..120), 0..200)) {
            let mut bitmap = Bitmap::empty(ChunkCount(count));
            let mut model = std::collections::BTreeSet::new();
            for (add, index) in acts {
                let expected = if add { index < count && model.insert(index) } else { model.remove(&index) };
                let done = if add { bitmap.insert(ChunkIndex(index)) } else { bitmap.remove(ChunkIndex(index)) };
                prop_assert_eq!(done, expected);
            }
            prop_assert_eq!(bitmap.len() as usize, model.len());
            prop_assert!(bitmap.iter().map(|i| i.0).eq(model.iter().copied()));
            prop_assert_eq!(bitmap.missing().count() + model.len(), count as usize);
            prop_assert!(bitmap.complement().iter().eq(bitmap.missing()) && bitmap.complement().complement() == bitmap);
            prop_assert_eq!(Bitmap::from_bytes(bitmap.as_bytes(), ChunkCount(count)), Some(bitmap));
        }
    }
}
