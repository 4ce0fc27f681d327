//! The storage of a part: one file, or a tree of files that reads and writes like one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use peernet_engine::assembly::{ChunkLen, Shape};
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::ChunkIndex;

use super::sys::allocate;
use super::tree::{Gathered, Tree};
use crate::memory::Memory;

/// The file or tree. All offsets are those of the whole download.
#[derive(Clone)]
pub(crate) enum Storage {
    File(Arc<File>),
    Tree(Arc<Tree>),
}

impl Storage {
    pub(crate) fn tree(&self) -> Option<&Arc<Tree>> {
        match self {
            Self::File(_) => None,
            Self::Tree(tree) => Some(tree),
        }
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all_at(bytes, at),
            Self::Tree(tree) => tree.write_all_at(bytes, at),
        }
    }

    /// Reserves memory for the chunk at `at`, if its bytes are better written all at once.
    pub(super) fn gather(&self, at: u64, memory: &Memory) -> io::Result<Option<Gathered>> {
        match self {
            Self::File(_) => Ok(None),
            Self::Tree(tree) => tree.gather(at, memory),
        }
    }

    /// Queues a gathered chunk to be written.
    pub(super) fn hand_over(&self, chunk: Gathered) {
        if let Self::Tree(tree) = self {
            tree.hand_over(chunk);
        }
    }

    /// Waits until all queued chunks are written.
    pub(crate) fn finish_writing(&self) -> io::Result<()> {
        match self {
            Self::File(_) => Ok(()),
            Self::Tree(tree) => tree.finish_writing(),
        }
    }

    /// Reads bytes. Bytes behind the end of a file are [`io::ErrorKind::UnexpectedEof`].
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(buffer, at),
            Self::Tree(tree) => tree.read_exact_at(buffer, at),
        }
    }

    /// Tells whether nothing was written yet.
    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len() == 0),
            Self::Tree(tree) => tree.is_empty(),
        }
    }

    /// Tells whether the files are long enough to contain these chunks.
    pub(crate) fn is_long_enough(&self, held: &Bitmap, shape: Shape) -> io::Result<bool> {
        match self {
            Self::File(file) => {
                let end = shape.offset(ChunkIndex(shape.chunk_count().0));
                let wanted = shape.size().map_or(end, |size| size.0);
                Ok(held.is_empty() || file.metadata()?.len() >= wanted)
            }
            Self::Tree(tree) => tree.is_long_enough(held.iter().filter_map(|chunk| range(chunk, shape))),
        }
    }

    /// Reserves the space of the whole file, so that a full disk is noticed at the start. A tree reserves it file by
    /// file.
    pub(crate) fn reserve(&self, shape: Shape) -> io::Result<()> {
        let Self::File(file) = self else { return Ok(()) };
        let end = shape.offset(ChunkIndex(shape.chunk_count().0));
        allocate(file, shape.size().map_or(end, |size| size.0))
    }

    /// Syncs all earlier writes, which then survive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self {
            Self::File(file) => file.sync_data(),
            Self::Tree(tree) => tree.sync(),
        }
    }
}

fn range(chunk: ChunkIndex, shape: Shape) -> Option<(u64, u64)> {
    match shape.chunk_len(chunk) {
        ChunkLen::Exactly(len) => Some((shape.offset(chunk), u64::from(len))),
        ChunkLen::UpTo(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::{ByteCount, ChunkCount};
    use peernet_engine::manifest::Geometry;

    use super::*;

    fn storage() -> Storage {
        Storage::File(Arc::new(tempfile::tempfile().unwrap()))
    }

    #[test]
    fn a_file_reads_back_its_writes_and_ends_where_they_end() {
        let storage = storage();
        assert!(storage.is_empty().unwrap() && storage.tree().is_none());
        storage.write_all_at(b"tail", 4).unwrap();
        storage.write_all_at(b"head", 0).unwrap();
        storage.finish_writing().unwrap();
        storage.sync().unwrap();
        let mut bytes = [0; 8];
        storage.read_exact_at(&mut bytes, 0).unwrap();
        assert!(&bytes == b"headtail" && !storage.is_empty().unwrap());
        let past = storage.read_exact_at(&mut bytes, 1).unwrap_err();
        assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn reserved_space_makes_a_file_long_enough_for_its_chunks() {
        let shape = Shape::Sized(Geometry::new(ByteCount((2 << 20) + 5), 1 << 20).unwrap());
        let storage = storage();
        let mut held = Bitmap::empty(ChunkCount(3));
        assert!(storage.is_long_enough(&held, shape).unwrap(), "no chunk needs no bytes");
        assert!(held.insert(ChunkIndex(0)));
        assert!(!storage.is_long_enough(&held, shape).unwrap());
        storage.reserve(shape).unwrap();
        assert!(storage.is_long_enough(&held, shape).unwrap());
        let Storage::File(file) = &storage else { panic!("a file") };
        assert_eq!(file.metadata().unwrap().len(), (2 << 20) + 5);
    }
}
