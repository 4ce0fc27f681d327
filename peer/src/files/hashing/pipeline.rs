//! The pipeline that reads a file and hashes each byte twice, with a fixed number of reused buffers.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::ids::{ChunkHash, ChunkIndex, FileHash};
use peernet_engine::manifest::{Geometry, Manifest};

use super::digest::{self, Digest};
use super::{HashError, HashProgress};
use crate::cancel::Cancel;
use crate::files::{PackError, ReadError};

/// The bytes that are read at once: few enough to be hashed out of the cache. Chunks are whole multiples of it.
const PIECE_BYTES: usize = 256 << 10;
/// The pieces that the reader may be ahead of a hashing thread.
pub(super) const AHEAD_MAX: usize = 16;
/// If so many pieces wait, the reader is faster than the hasher and helps it.
const AHEAD_FAR: usize = AHEAD_MAX / 2;

/// The reason that [`manifest_of`] failed. The caller adds the path.
pub(super) enum Failure {
    Io(io::Error),
    Shorter,
    Cancelled,
    Thread(io::Error),
    /// One of a directory's files cannot be read.
    OneOf(PackError),
}

impl Failure {
    pub(super) fn at(self, path: &Path) -> HashError {
        match self {
            Self::Io(error) | Self::Thread(error) => HashError::Io { path: path.to_owned(), error },
            Self::Shorter => HashError::Changed(path.to_owned()),
            Self::Cancelled => HashError::Cancelled,
            Self::OneOf(PackError { path, error: ReadError::Io(error) }) => HashError::Io { path, error },
            Self::OneOf(PackError { path, .. }) => HashError::Changed(path),
        }
    }
}

/// A piece of one chunk.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) offset: u64,
    chunk: ChunkIndex,
    /// Whether it is the first piece of its chunk.
    first: bool,
    /// Whether it is the last piece of its chunk.
    last: bool,
    /// The thread that hashes it as part of its chunk.
    by: By,
}

/// The thread that hashes a chunk. All pieces of a chunk have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The thread that hashes the whole file, in the same pass.
    Hasher,
    /// The reader, which has hashed it already. The last piece carries the result.
    Reader(Option<ChunkHash>),
}

/// The digests that the hashing threads computed.
pub(super) struct Hashes {
    pub(super) whole: FileHash,
    pub(super) chunks: Vec<ChunkHash>,
}

/// Reads `file` up to the size in `geometry` and computes its manifest.
pub(super) fn manifest_of(
    file: &File,
    geometry: Geometry,
    workers: usize,
    progress: &mut dyn FnMut(HashProgress),
    cancel: &Cancel,
) -> Result<Manifest, Failure> {
    let mut read = |offset, bytes: &mut [u8]| read_exact(file, offset, bytes);
    let mut source = Source { read: &mut read, geometry, progress, cancel };
    let hashes = match digest::is_fast() {
        true => in_one_pass(&mut source, if workers > 1 { AHEAD_FAR } else { usize::MAX }),
        false => side_by_side(&mut source, workers),
    }?;
    Manifest::new(hashes.whole, geometry, hashes.chunks).map_err(|error| Failure::Io(io::Error::other(error)))
}

/// Hashes with one thread that computes both digests of every byte. That takes longer than reading, so the reader
/// hashes a chunk itself if `ahead_far` pieces wait.
fn in_one_pass(source: &mut Source<'_>, ahead_far: usize) -> Result<Hashes, Failure> {
    let (pieces, waiting) = bounded(AHEAD_MAX);
    thread::scope(|scope| {
        let hasher = thread::Builder::new().name("hash-both".to_owned());
        let hasher = hasher.spawn_scoped(scope, move || hash_both(&waiting)).map_err(Failure::Thread)?;
        let mut own = None;
        source.read_all(&mut |mut piece| {
            if piece.first {
                own = (pieces.len() >= ahead_far).then(Digest::new);
            }
            if let Some(chunk) = &mut own {
                chunk.update(&piece.bytes);
                piece.by = By::Reader(piece.last.then(|| ChunkHash(chunk.take())));
            }
            pieces.send(piece).map_err(|_| ended())
        })?;
        // The hasher ends when its sender is gone.
        drop(pieces);
        hasher.join().map_err(|_| panicked())
    })
}

/// Hashes with one thread for the whole file and `workers` threads for its chunks.
fn side_by_side(source: &mut Source<'_>, workers: usize) -> Result<Hashes, Failure> {
    let count = source.geometry.chunk_count().0 as usize;
    let (whole, whole_pieces) = bounded::<Arc<Vec<u8>>>(AHEAD_MAX);
    let (result, results) = bounded(count.max(1));
    thread::scope(|scope| {
        let named = |name: String| thread::Builder::new().name(name);
        let whole_thread = named("hash-whole".to_owned()).spawn_scoped(scope, move || hash_whole(&whole_pieces));
        let whole_thread = whole_thread.map_err(Failure::Thread)?;
        let mut chunks = Vec::new();
        for number in 0..workers.clamp(1, count.max(1)) {
            let (pieces, waiting) = bounded(AHEAD_MAX);
            let result = result.clone();
            let thread = named(format!("hash-chunk-{number}"));
            thread.spawn_scoped(scope, move || hash_chunks(&waiting, &result)).map_err(Failure::Thread)?;
            chunks.push(pieces);
        }
        drop(result);
        source.read_all(&mut |piece| {
            whole.send(Arc::clone(&piece.bytes)).map_err(|_| ended())?;
            // One worker takes a whole chunk; the next chunk goes to the next worker.
            let worker = &chunks[piece.chunk.0 as usize % chunks.len()];
            worker.send(piece).map_err(|_| ended())
        })?;
        // The hashers end when their senders are gone.
        drop((whole, chunks));
        let mut hashes = vec![ChunkHash([0; 32]); count];
        for (chunk, hash) in &results {
            hashes[chunk.0 as usize] = hash;
        }
        Ok(Hashes { whole: whole_thread.join().map_err(|_| panicked())?, chunks: hashes })
    })
}

fn read_exact(file: &File, offset: u64, bytes: &mut [u8]) -> Result<(), Failure> {
    file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Failure::Shorter,
        _ => Failure::Io(error),
    })
}

pub(super) fn ended() -> Failure {
    Failure::Thread(io::Error::other("a hashing thread ended early"))
}

pub(super) fn panicked() -> Failure {
    Failure::Thread(io::Error::other("a hashing thread panicked"))
}

/// A function that fills a buffer from an offset on.
type Read<'a> = dyn FnMut(u64, &mut [u8]) -> Result<(), Failure> + 'a;

/// The input of the pipeline, and the callers' progress and stop token.
pub(super) struct Source<'a> {
    pub(super) read: &'a mut Read<'a>,
    pub(super) geometry: Geometry,
    pub(super) progress: &'a mut dyn FnMut(HashProgress),
    pub(super) cancel: &'a Cancel,
}

impl Source<'_> {
    pub(super) fn read_all(&mut self, hand_over: &mut dyn FnMut(Piece) -> Result<(), Failure>) -> Result<(), Failure> {
        let total = self.geometry.size().0;
        let mut pool = Pool::default();
        for chunk in (0..self.geometry.chunk_count().0).map(ChunkIndex) {
            let start = self.geometry.offset(chunk);
            let len = self.geometry.chunk_len(chunk) as usize;
            for at in (0..len).step_by(PIECE_BYTES) {
                if self.cancel.is_cancelled() {
                    return Err(Failure::Cancelled);
                }
                let piece_len = PIECE_BYTES.min(len - at);
                let offset = start + at as u64;
                let bytes = pool.fill(piece_len, &mut |bytes| (self.read)(offset, bytes))?;
                let last = at + piece_len == len;
                hand_over(Piece { bytes, offset, chunk, first: at == 0, last, by: By::Hasher })?;
            }
            (self.progress)(HashProgress { done: start + len as u64, total });
        }
        Ok(())
    }
}

/// Reused buffers. A buffer is free when no hashing thread holds it any more. The queues are bounded, so the number of
/// buffers is too.
#[derive(Default)]
struct Pool {
    buffers: Vec<Arc<Vec<u8>>>,
}

impl Pool {
    fn fill(
        &mut self,
        len: usize,
        read: &mut dyn FnMut(&mut [u8]) -> Result<(), Failure>,
    ) -> Result<Arc<Vec<u8>>, Failure> {
        let free = self.buffers.iter().position(|buffer| Arc::strong_count(buffer) == 1);
        let mut buffer = free.map_or_else(Arc::default, |position| self.buffers.swap_remove(position));
        let bytes: &mut Vec<u8> = Arc::make_mut(&mut buffer);
        bytes.resize(len, 0);
        read(bytes)?;
        self.buffers.push(Arc::clone(&buffer));
        Ok(buffer)
    }
}

pub(super) fn hash_both(pieces: &Receiver<Piece>) -> Hashes {
    let mut whole = Digest::new();
    let mut chunk = Digest::new();
    let mut chunks = Vec::new();
    for piece in pieces {
        match piece.by {
            By::Hasher => {
                whole.update_both(&mut chunk, &piece.bytes);
                if piece.last {
                    chunks.push(ChunkHash(chunk.take()));
                }
            }
            By::Reader(result) => {
                whole.update(&piece.bytes);
                chunks.extend(result);
            }
        }
    }
    Hashes { whole: FileHash(whole.finish()), chunks }
}

fn hash_whole(pieces: &Receiver<Arc<Vec<u8>>>) -> FileHash {
    let mut hasher = Digest::new();
    for piece in pieces {
        hasher.update(&piece);
    }
    FileHash(hasher.finish())
}

fn hash_chunks(pieces: &Receiver<Piece>, results: &Sender<(ChunkIndex, ChunkHash)>) {
    let mut hasher = Digest::new();
    for piece in pieces {
        hasher.update(&piece.bytes);
        if piece.last {
            let hash = ChunkHash(hasher.take());
            if results.send((piece.chunk, hash)).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use peernet_engine::ids::ByteCount;

    use super::*;

    #[test]
    fn one_pass_and_several_threads_compute_the_same() {
        for size in [0_u64, 1, 1 << 20, (5 << 20) + 77] {
            let mut file = tempfile::tempfile().unwrap();
            let bytes: Vec<u8> = (0..size).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect();
            file.write_all(&bytes).unwrap();
            let geometry = Geometry::new(ByteCount(size), 1 << 20).unwrap();
            let cancel = Cancel::new();
            let mut read = |offset, bytes: &mut [u8]| read_exact(&file, offset, bytes);
            let mut source = Source { read: &mut read, geometry, progress: &mut |_| {}, cancel: &cancel };
            let Ok(expected) = side_by_side(&mut source, 3) else { panic!("{size} bytes") };
            // The hasher does all, the reader does some, the reader does all chunks.
            for ahead_far in [usize::MAX, 1, 0] {
                let Ok(found) = in_one_pass(&mut source, ahead_far) else { panic!("{size} bytes, {ahead_far}") };
                assert_eq!((found.whole, found.chunks), (expected.whole, expected.chunks.clone()), "{size} bytes");
            }
        }
    }
}
