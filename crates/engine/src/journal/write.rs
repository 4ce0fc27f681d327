//! Writes a journal.

use std::collections::BTreeSet;

use crate::assembly::Shape;
use crate::ids::{ByteCount, ChunkIndex};
use crate::journal::{CHECK_LEN, Check, Identity, MAGIC, RANGES_MAX, RECORD_HEAD_LEN, check};

pub(super) const KIND_HELD: u8 = 1;
pub(super) const KIND_LAST: u8 = 2;

/// Encodes records and tracks where the next one goes. The bytes that a method returns must be appended, whole and in
/// order. If an append fails, the journal must be decoded again.
#[derive(Debug, Clone)]
pub struct Writer {
    header: Check,
    offset: u64,
}

impl Writer {
    /// Begins a journal. Returns the writer, and the header to write at offset 0.
    pub fn create(identity: &Identity) -> (Self, Vec<u8>) {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&identity.file_hash.0);
        bytes.extend_from_slice(&identity.manifest);
        bytes.push(u8::from(matches!(identity.shape, Shape::Sized(_))));
        bytes.extend_from_slice(&identity.shape.size().unwrap_or(ByteCount(0)).0.to_be_bytes());
        bytes.extend_from_slice(&identity.shape.chunk_size().to_be_bytes());
        bytes.extend_from_slice(&identity.shape.chunk_count().0.to_be_bytes());
        let header = check(&Check::default(), 0, &bytes);
        bytes.extend_from_slice(&header);
        (Self::at(header, bytes.len() as u64), bytes)
    }

    pub(super) fn at(header: Check, offset: u64) -> Self {
        Self { header, offset }
    }

    /// Returns where the next record goes: the length of the journal.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Encodes that these chunks are on disk and synced. Returns no bytes for no chunks.
    pub fn held(&mut self, chunks: impl IntoIterator<Item = ChunkIndex>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for some in ranges(chunks).chunks(RANGES_MAX) {
            let payload: Vec<u8> =
                some.iter().flat_map(|(first, count)| [first.to_be_bytes(), count.to_be_bytes()]).flatten().collect();
            self.record(KIND_HELD, &payload, &mut bytes);
        }
        bytes
    }

    /// Encodes the length of the last chunk of a file whose size was unknown. It must be written no later than the
    /// record that names this chunk.
    pub fn last_chunk_len(&mut self, len: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.record(KIND_LAST, &len.to_be_bytes(), &mut bytes);
        bytes
    }

    fn record(&mut self, kind: u8, payload: &[u8], out: &mut Vec<u8>) {
        let begin = out.len();
        let len = u16::try_from(payload.len()).expect("1,024 ranges of 8 bytes at most");
        out.push(kind);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(payload);
        let check = check(&self.header, self.offset, &out[begin..]);
        out.extend_from_slice(&check);
        self.offset += (RECORD_HEAD_LEN + payload.len() + CHECK_LEN) as u64;
    }
}

/// Joins neighbours into ascending ranges (first, count).
fn ranges(chunks: impl IntoIterator<Item = ChunkIndex>) -> Vec<(u32, u32)> {
    let sorted: BTreeSet<_> = chunks.into_iter().collect();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for ChunkIndex(chunk) in sorted {
        match ranges.last_mut() {
            Some((first, count)) if *first + *count == chunk => *count += 1,
            _ => ranges.push((chunk, 1)),
        }
    }
    ranges
}
