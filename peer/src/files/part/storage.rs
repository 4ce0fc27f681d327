//! What a download writes to: one file, or a tree of them that is one file to the rest.

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

/// See the module. Reads and writes name places in the whole.
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

    /// Memory for the chunk that begins here, where its bytes are better written all at once.
    pub(super) fn gather(&self, at: u64, memory: &Memory) -> io::Result<Option<Gathered>> {
        match self {
            Self::File(_) => Ok(None),
            Self::Tree(tree) => tree.gather(at, memory),
        }
    }

    /// Has a chunk that was gathered written, soon.
    pub(super) fn hand_over(&self, chunk: Gathered) {
        if let Self::Tree(tree) = self {
            tree.hand_over(chunk);
        }
    }

    /// Comes back when what was handed over is written.
    pub(crate) fn finish_writing(&self) -> io::Result<()> {
        match self {
            Self::File(_) => Ok(()),
            Self::Tree(tree) => tree.finish_writing(),
        }
    }

    /// [`io::ErrorKind::UnexpectedEof`] for what was never written, where that can be seen.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(buffer, at),
            Self::Tree(tree) => tree.read_exact_at(buffer, at),
        }
    }

    /// Whether nothing was written yet.
    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len() == 0),
            Self::Tree(tree) => tree.is_empty(),
        }
    }

    /// Whether it is long enough for these chunks to be there.
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

    /// Makes room, so that a full disk is noticed at the start; in a tree that is done file by file.
    pub(crate) fn reserve(&self, shape: Shape) -> io::Result<()> {
        let Self::File(file) = self else { return Ok(()) };
        let end = shape.offset(ChunkIndex(shape.chunk_count().0));
        allocate(file, shape.size().map_or(end, |size| size.0))
    }

    /// What was written before survives a power cut from now on.
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
