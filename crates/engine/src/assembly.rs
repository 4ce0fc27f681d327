//! The sizes of a file during its download, also where they are not all known. Version 1 sources announce the number of
//! chunks and never the size, so the length of the last chunk is known only when it has come.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::ids::{ByteCount, ChunkCount, ChunkHash, ChunkIndex, FileHash};
use crate::manifest::{CHUNK_SIZE_MIN, CHUNKS_MAX, Geometry};

/// Prefix of the hash that identifies a version 1 file's chunk list.
const V1_LIST_DOMAIN: &[u8] = b"peernet-v1-chunks\0";

/// A number of chunks or a length that no file can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShapeError {
    /// A version 1 file cannot have so many chunks, or none.
    ChunkCount(u32),
    /// A chunk at this index cannot have this length.
    ChunkLen {
        /// The chunk.
        chunk: ChunkIndex,
        /// The impossible length, in bytes.
        got: usize,
    },
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChunkCount(count) => {
                write!(f, "a version 1 file cannot have {count} chunks; expected 1 to {CHUNKS_MAX}")
            }
            Self::ChunkLen { chunk, got } => write!(f, "chunk {} cannot have {got} bytes", chunk.0),
        }
    }
}

impl std::error::Error for ShapeError {}

/// The geometry of a version 1 file: `count` chunks of 1 MiB, the last one of 1 byte to 1 MiB. Invariant: 1 <= count <=
/// 16,384.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct V1Geometry {
    count: ChunkCount,
}

impl V1Geometry {
    /// Checks the count.
    pub fn new(count: ChunkCount) -> Result<Self, ShapeError> {
        match count.0 {
            1..=CHUNKS_MAX => Ok(Self { count }),
            other => Err(ShapeError::ChunkCount(other)),
        }
    }

    /// The number of chunks.
    pub fn chunk_count(&self) -> ChunkCount {
        self.count
    }

    /// The last chunk, whose length is unknown.
    pub fn last(&self) -> ChunkIndex {
        ChunkIndex(self.count.0 - 1)
    }

    /// Returns the geometry of a file whose last chunk has `last_len` bytes.
    fn sized(&self, last_len: u32) -> Option<Geometry> {
        let size = u64::from(self.count.0 - 1) * u64::from(CHUNK_SIZE_MIN) + u64::from(last_len);
        let fits = (1..=CHUNK_SIZE_MIN).contains(&last_len);
        Geometry::new(ByteCount(size), CHUNK_SIZE_MIN).ok().filter(|_| fits)
    }
}

/// The length that a chunk may have, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkLen {
    /// Exactly this length.
    Exactly(u32),
    /// From 1 to this length.
    UpTo(u32),
}

/// The sizes of a file, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// All sizes are known.
    Sized(Geometry),
    /// The last chunk's length is not known yet.
    Unsized(V1Geometry),
}

impl Shape {
    /// The number of chunks.
    pub fn chunk_count(&self) -> ChunkCount {
        match self {
            Self::Sized(geometry) => geometry.chunk_count(),
            Self::Unsized(v1) => v1.chunk_count(),
        }
    }

    /// Bytes of every chunk but the last.
    pub fn chunk_size(&self) -> u32 {
        match self {
            Self::Sized(geometry) => geometry.chunk_size(),
            Self::Unsized(_) => CHUNK_SIZE_MIN,
        }
    }

    /// The position of a chunk in the file, in bytes.
    pub fn offset(&self, chunk: ChunkIndex) -> u64 {
        u64::from(chunk.0) * u64::from(self.chunk_size())
    }

    /// Bytes of the file; `None` while unknown.
    pub fn size(&self) -> Option<ByteCount> {
        match self {
            Self::Sized(geometry) => Some(geometry.size()),
            Self::Unsized(_) => None,
        }
    }

    /// The length of a chunk; exactly 0 past the end.
    pub fn chunk_len(&self, chunk: ChunkIndex) -> ChunkLen {
        match self {
            Self::Sized(geometry) => ChunkLen::Exactly(geometry.chunk_len(chunk)),
            Self::Unsized(v1) if chunk == v1.last() => ChunkLen::UpTo(CHUNK_SIZE_MIN),
            Self::Unsized(v1) if chunk.0 < v1.count.0 => ChunkLen::Exactly(CHUNK_SIZE_MIN),
            Self::Unsized(_) => ChunkLen::Exactly(0),
        }
    }

    /// Learns from a verified chunk of `len` bytes: the last chunk of an unsized file makes it sized. Fails when the
    /// chunk cannot have this length.
    pub fn learn(self, chunk: ChunkIndex, len: usize) -> Result<Self, ShapeError> {
        let wrong = ShapeError::ChunkLen { chunk, got: len };
        let len = u32::try_from(len).map_err(|_| wrong)?;
        match (self, self.chunk_len(chunk)) {
            (_, ChunkLen::Exactly(0)) => Err(wrong),
            (_, ChunkLen::Exactly(exactly)) if exactly == len => Ok(self),
            (Self::Unsized(v1), ChunkLen::UpTo(_)) => v1.sized(len).map(Self::Sized).ok_or(wrong),
            _ => Err(wrong),
        }
    }
}

/// Returns the id of a version 1 file's list of chunk hashes, in place of a manifest id: SHA-256 over
/// `"peernet-v1-chunks\0" ‖ file_hash ‖ every chunk hash`.
pub fn v1_list_id(file_hash: &FileHash, chunk_hashes: &[ChunkHash]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(V1_LIST_DOMAIN);
    hasher.update(file_hash.0);
    for hash in chunk_hashes {
        hasher.update(hash.0);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn v1(count: u32) -> Shape {
        Shape::Unsized(V1Geometry::new(ChunkCount(count)).expect("within bounds"))
    }

    #[test]
    fn the_last_chunk_of_an_unsized_file_tells_its_size() {
        let shape = v1(3);
        assert_eq!((shape.size(), shape.offset(ChunkIndex(2))), (None, 2 << 20));
        assert_eq!(shape.learn(ChunkIndex(0), MIB), Ok(shape));
        for last in [1, 5, MIB] {
            let sized = shape.learn(ChunkIndex(2), last).expect("a valid last chunk");
            assert_eq!(sized.size(), Some(ByteCount(2 * MIB as u64 + last as u64)));
            assert_eq!((sized.chunk_count(), sized.chunk_size()), (shape.chunk_count(), shape.chunk_size()));
        }
    }

    #[test]
    fn chunks_of_an_impossible_length_are_refused() {
        let sized = v1(3).learn(ChunkIndex(2), 5).expect("a valid last chunk");
        for (shape, chunk, len) in [
            (v1(3), 0, MIB - 1),
            (v1(3), 1, MIB + 1),
            (v1(3), 2, 0),
            (v1(3), 2, MIB + 1),
            (v1(3), 2, usize::MAX),
            (v1(3), 3, 1),
            (v1(3), 3, 0),
            (sized, 2, 6),
            (sized, 3, 0),
        ] {
            assert!(shape.learn(ChunkIndex(chunk), len).is_err(), "{shape:?} {chunk} {len}");
        }
    }

    #[test]
    fn a_version_1_file_has_a_chunk_and_not_too_many() {
        for (count, ok) in [(0, false), (1, true), (16_384, true), (16_385, false), (u32::MAX, false)] {
            assert_eq!(V1Geometry::new(ChunkCount(count)).is_ok(), ok, "{count}");
        }
    }

    #[test]
    fn the_list_id_covers_file_and_chunks() {
        let id = |file, chunks: &[u8]| {
            v1_list_id(&FileHash([file; 32]), &chunks.iter().map(|c| ChunkHash([*c; 32])).collect::<Vec<_>>())
        };
        assert_ne!(id(1, &[1, 2]), id(2, &[1, 2]));
        assert_ne!(id(1, &[1, 2]), id(1, &[2, 1]));
    }
}
