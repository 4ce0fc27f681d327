//! Reading, and hashing twice, with a fixed number of buffers going round.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::ids::{ChunkHash, ChunkIndex, FileHash};
use peernet_engine::manifest::{Geometry, Manifest};
use sha2::{Digest, Sha256};

use super::{HashError, HashProgress};
use crate::cancel::Cancel;

/// Bytes read at once; chunks are whole multiples of it.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces between the reader and the hash of the whole: what one thread may run ahead of another.
const AHEAD_MAX: usize = 4;

/// Why [`manifest_of`] has none; the caller knows the path.
pub(super) enum Failure {
    Io(io::Error),
    Shorter,
    Cancelled,
    Thread(io::Error),
}

impl Failure {
    pub(super) fn at(self, path: &Path) -> HashError {
        match self {
            Self::Io(error) | Self::Thread(error) => HashError::Io { path: path.to_owned(), error },
            Self::Shorter => HashError::Changed(path.to_owned()),
            Self::Cancelled => HashError::Cancelled,
        }
    }
}

/// A piece of one chunk.
struct Piece {
    bytes: Arc<Vec<u8>>,
}

struct Chunks {
    workers: Vec<Sender<(ChunkIndex, Piece, bool)>>,
    results: Receiver<(ChunkIndex, ChunkHash)>,
}

/// Reads `file` from the start to the size in `geometry`.
pub(super) fn manifest_of(
    file: &File,
    geometry: Geometry,
    workers: usize,
    progress: &mut dyn FnMut(HashProgress),
    cancel: &Cancel,
) -> Result<Manifest, Failure> {
    let count = geometry.chunk_count().0 as usize;
    let workers = workers.min(count.max(1));
    let (whole, whole_pieces) = bounded::<Piece>(AHEAD_MAX);
    let (result, results) = bounded(count.max(1));
    thread::scope(|scope| {
        let whole_thread = thread::Builder::new()
            .name("hash-whole".to_owned())
            .spawn_scoped(scope, move || hash_whole(&whole_pieces))
            .map_err(Failure::Thread)?;
        let mut chunks = Chunks { workers: Vec::new(), results };
        for number in 0..workers {
            let (pieces, waiting) = bounded(AHEAD_MAX);
            let result = result.clone();
            thread::Builder::new()
                .name(format!("hash-chunk-{number}"))
                .spawn_scoped(scope, move || hash_chunks(&waiting, &result))
                .map_err(Failure::Thread)?;
            chunks.workers.push(pieces);
        }
        drop(result);
        read_all(file, geometry, &whole, &chunks, progress, cancel)?;
        // The hashers end when their senders are gone.
        drop(whole);
        chunks.workers.clear();
        let mut hashes = vec![ChunkHash([0; 32]); count];
        for (chunk, hash) in &chunks.results {
            hashes[chunk.0 as usize] = hash;
        }
        let file_hash =
            whole_thread.join().map_err(|_| Failure::Thread(io::Error::other("a hashing thread panicked")))?;
        Manifest::new(file_hash, geometry, hashes).map_err(|error| Failure::Io(io::Error::other(error)))
    })
}

fn read_all(
    file: &File,
    geometry: Geometry,
    whole: &Sender<Piece>,
    chunks: &Chunks,
    progress: &mut dyn FnMut(HashProgress),
    cancel: &Cancel,
) -> Result<(), Failure> {
    let ended = |_| Failure::Thread(io::Error::other("a hashing thread ended early"));
    let total = geometry.size().0;
    let mut pool = Pool::default();
    for index in 0..geometry.chunk_count().0 {
        let chunk = ChunkIndex(index);
        let (start, len) = (geometry.offset(chunk), geometry.chunk_len(chunk) as usize);
        // One worker takes a whole chunk; the next chunk goes to the next worker.
        let worker = &chunks.workers[index as usize % chunks.workers.len()];
        for at in (0..len).step_by(PIECE_BYTES) {
            if cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let piece_len = PIECE_BYTES.min(len - at);
            let bytes = pool.fill(file, start + at as u64, piece_len)?;
            whole.send(Piece { bytes: Arc::clone(&bytes) }).map_err(|_| ended(()))?;
            worker.send((chunk, Piece { bytes }, at + piece_len == len)).map_err(|_| ended(()))?;
        }
        progress(HashProgress { done: start + len as u64, total });
    }
    Ok(())
}

/// Buffers that come back by themselves: one is free when no hasher holds it any more. There are at most as many as the
/// queues hold, so memory is bounded.
#[derive(Default)]
struct Pool {
    buffers: Vec<Arc<Vec<u8>>>,
}

impl Pool {
    fn fill(&mut self, file: &File, offset: u64, len: usize) -> Result<Arc<Vec<u8>>, Failure> {
        let free = self.buffers.iter().position(|buffer| Arc::strong_count(buffer) == 1);
        let mut buffer = free.map_or_else(Arc::default, |position| self.buffers.swap_remove(position));
        let bytes: &mut Vec<u8> = Arc::make_mut(&mut buffer);
        bytes.resize(len, 0);
        file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Failure::Shorter,
            _ => Failure::Io(error),
        })?;
        self.buffers.push(Arc::clone(&buffer));
        Ok(buffer)
    }
}

fn hash_whole(pieces: &Receiver<Piece>) -> FileHash {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece.bytes.as_slice());
    }
    FileHash(hasher.finalize().into())
}

fn hash_chunks(pieces: &Receiver<(ChunkIndex, Piece, bool)>, results: &Sender<(ChunkIndex, ChunkHash)>) {
    let mut hasher = Sha256::new();
    for (chunk, piece, last) in pieces {
        hasher.update(piece.bytes.as_slice());
        if last {
            let hash = ChunkHash(std::mem::take(&mut hasher).finalize().into());
            if results.send((chunk, hash)).is_err() {
                return;
            }
        }
    }
}
