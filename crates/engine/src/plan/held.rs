//! The chunks of one file that a peer holds.

use std::sync::Arc;

use crate::bitmap::Bitmap;
use crate::ids::ChunkIndex;

/// The chunks of a file that a holder has announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Every chunk.
    Complete,
    /// The chunks whose bit is set; shared, because each plan copies it.
    Chunks(Arc<Bitmap>),
}

impl Held {
    /// Takes a bitmap; a full one becomes [`Held::Complete`], which needs no memory.
    pub fn of(bitmap: Bitmap) -> Self {
        if bitmap.is_full() { Self::Complete } else { Self::Chunks(Arc::new(bitmap)) }
    }

    /// Returns true if the chunk is held. `index` must be below the file's number of chunks.
    pub fn contains(&self, index: ChunkIndex) -> bool {
        match self {
            Self::Complete => true,
            Self::Chunks(bitmap) => bitmap.contains(index),
        }
    }

    /// Returns true if no chunk is held, as by a peer that has just begun to fetch.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Chunks(bitmap) if bitmap.is_empty())
    }

    /// The bytes of its bitmap.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Complete => 0,
            Self::Chunks(bitmap) => bitmap.as_bytes().len(),
        }
    }

    /// Returns true if this holder has a chunk that a caller with the chunks `own` lacks. Both must be of one file.
    pub fn is_useful(&self, own: Option<&Self>) -> bool {
        match (self, own) {
            (_, Some(Self::Complete)) => false,
            (held, None) => !held.is_nothing(),
            (Self::Complete, Some(Self::Chunks(_))) => true,
            (Self::Chunks(theirs), Some(Self::Chunks(own))) => {
                theirs.as_bytes().iter().zip(own.as_bytes()).any(|(theirs, own)| theirs & !own != 0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ChunkCount;

    /// `*` is complete; otherwise each digit is a held chunk, of 4.
    fn held(spec: &str) -> Held {
        let mut bitmap = Bitmap::empty(ChunkCount(4));
        spec.chars().filter_map(|c| c.to_digit(10)).for_each(|chunk| assert!(bitmap.insert(ChunkIndex(chunk))));
        if spec == "*" { Held::Complete } else { Held::of(bitmap) }
    }

    #[test]
    fn a_full_bitmap_is_complete() {
        assert_eq!(held("0123"), Held::Complete);
        assert_eq!((held("*").bytes(), held("012").bytes()), (0, 1));
    }

    #[test]
    fn a_source_is_useful_for_a_chunk_that_the_caller_lacks() {
        for (theirs, own, useful) in [
            ("*", None, true),
            ("1", None, true),
            ("", None, false),
            ("*", Some("*"), false),
            ("*", Some("012"), true),
            ("01", Some("01"), false),
            ("01", Some("12"), true),
            ("", Some(""), false),
        ] {
            assert_eq!(held(theirs).is_useful(own.map(held).as_ref()), useful, "{theirs} for {own:?}");
        }
    }
}
