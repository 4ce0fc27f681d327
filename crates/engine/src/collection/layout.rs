//! The position of each file's bytes in the pack: first all bodies, then all tails.
//!
//! A file's body is its longest prefix of whole pack chunks. So large files begin at a chunk boundary, and another
//! version of the collection has the same chunks, whatever other files came or went. A tail is the rest of a file, less
//! than a chunk. Small files are all tail, and many of them fill a chunk.

use crate::ids::ChunkIndex;

/// A contiguous range of the pack that belongs to one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The index of the file among the entries.
    pub entry: usize,
    /// The offset in the file.
    pub offset: u64,
    /// The number of bytes, at least one.
    pub len: u64,
}

/// The position of a file's body or tail in the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The offset in the pack.
    pub pack_offset: u64,
    /// The offset in the file.
    pub file_offset: u64,
    /// The number of bytes, at least one.
    pub len: u64,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    entry: usize,
    piece: Piece,
}

/// The map between a pack and its files.
///
/// Invariants: `runs` tile the pack from 0 to its end in order, and none is empty. Bodies stand before `tails_from` and
/// tails from there on, each by ascending entry. An entry has at most one body and one tail.
#[derive(Debug, Clone)]
pub struct Layout {
    runs: Vec<Run>,
    tails_from: usize,
    chunk_size: u64,
    size: u64,
}

impl Layout {
    /// Lays out files with these sizes, one for each entry (0 for a folder). Their sum is at most `u64::MAX`, and the
    /// pack's chunk size at least 1.
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

    /// Returns the size of the pack in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the segments of the `len` bytes from `at` on, in the order of the pack; fewer if the pack ends earlier.
    /// The first is found in logarithmic time.
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

    /// Returns where a file's bytes lie, in the order of the file: its body, its tail, both, or neither if it is empty.
    pub fn pieces_of(&self, entry: usize) -> impl Iterator<Item = Piece> + '_ {
        let (bodies, tails) = self.runs.split_at(self.tails_from);
        [bodies, tails].into_iter().filter_map(move |runs| {
            let place = runs.binary_search_by_key(&entry, |run| run.entry).ok()?;
            Some(runs[place].piece)
        })
    }

    /// Returns the pack's chunks that hold bytes of this file, each once, ascending.
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
