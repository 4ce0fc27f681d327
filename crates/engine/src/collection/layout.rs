//! Where each file's bytes lie in the pack.
//!
//! Bodies first, then tails. A file's body is its longest prefix of whole pack chunks, so large files begin at a chunk's
//! boundary, and their chunks are found again in another version of the collection, whatever came or went beside them.
//! A tail is what is left of a file, less than a chunk; small files are all tail, and many of them fill a chunk.

use crate::ids::ChunkIndex;

/// Bytes of one file, as they lie in the pack in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Which file: its place among the entries.
    pub entry: usize,
    /// Where in the file.
    pub offset: u64,
    /// How many bytes, at least one.
    pub len: u64,
}

/// Where a part of a file lies in the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where in the pack.
    pub pack_offset: u64,
    /// Where in the file.
    pub file_offset: u64,
    /// How many bytes, at least one.
    pub len: u64,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    entry: usize,
    piece: Piece,
}

/// The map between a pack and its files. Invariants: `runs` tile the pack from 0 to its end in order, without empty ones;
/// bodies stand before `tails_from` and tails from there on, each by ascending entry, at most one of each for an entry.
#[derive(Debug, Clone)]
pub struct Layout {
    runs: Vec<Run>,
    tails_from: usize,
    chunk_size: u64,
    size: u64,
}

impl Layout {
    /// Of files with these sizes, by the place of each entry (0 for a folder), whose sum is at most `u64::MAX`; and of the
    /// pack's chunk size, at least 1.
    pub fn new(sizes: impl IntoIterator<Item = u64>, chunk_size: u32) -> Self {
        let chunk_size = u64::from(chunk_size.max(1));
        let sizes: Vec<u64> = sizes.into_iter().collect();
        let mut layout = Self { runs: Vec::new(), tails_from: 0, chunk_size, size: 0 };
        for (entry, size) in sizes.iter().enumerate() {
            layout.push(entry, 0, size - size % chunk_size);
        }
        layout.tails_from = layout.runs.len();
        for (entry, size) in sizes.iter().enumerate() {
            layout.push(entry, size - size % chunk_size, size % chunk_size);
        }
        layout
    }

    fn push(&mut self, entry: usize, file_offset: u64, len: u64) {
        if len > 0 {
            self.runs.push(Run { entry, piece: Piece { pack_offset: self.size, file_offset, len } });
            self.size = self.size.saturating_add(len);
        }
    }

    /// Bytes of the pack.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What lies at `at` and the `len` bytes from there, in the order of the pack; less where the pack ends before. The
    /// first is found in logarithmic time.
    pub fn segments(&self, at: u64, len: u64) -> impl Iterator<Item = Segment> + '_ {
        let end = at.saturating_add(len);
        let first = self.runs.partition_point(|run| run.piece.pack_offset + run.piece.len <= at);
        let within = self.runs[first..].iter().take_while(move |run| run.piece.pack_offset < end);
        within.map(move |Run { entry, piece }| {
            let from = at.max(piece.pack_offset);
            let until = end.min(piece.pack_offset + piece.len);
            Segment { entry: *entry, offset: piece.file_offset + (from - piece.pack_offset), len: until - from }
        })
    }

    /// Where a file's bytes lie: its body, its tail, both, or for an empty one neither. In the order of the file.
    pub fn pieces_of(&self, entry: usize) -> impl Iterator<Item = Piece> + '_ {
        let (bodies, tails) = self.runs.split_at(self.tails_from);
        [bodies, tails].into_iter().filter_map(move |runs| {
            let place = runs.binary_search_by_key(&entry, |run| run.entry).ok()?;
            Some(runs[place].piece)
        })
    }

    /// The pack's chunks that have bytes of this file, each once, ascending.
    pub fn chunks_of(&self, entry: usize) -> impl Iterator<Item = ChunkIndex> + '_ {
        // A body ends where a chunk does, so no chunk has bytes of the body and of the tail.
        self.pieces_of(entry).flat_map(|piece| {
            let first = piece.pack_offset / self.chunk_size;
            let last = (piece.pack_offset + piece.len - 1) / self.chunk_size;
            // A pack has at most 16,384 chunks.
            (first..=last).map(|chunk| ChunkIndex(chunk as u32))
        })
    }
}
