//! Reading again what an earlier run left, chunk by chunk, against what it should be.

use std::io;

use peernet_engine::assembly::ChunkLen;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkHash, ChunkIndex};
use sha2::{Digest, Sha256};

use super::FetchError;
use super::blueprint::Blueprint;
use crate::cancel::Cancel;
use crate::part::Storage;

const PIECE_BYTES: usize = 256 << 10;

/// Which of `candidates` are right in the part. Tells `progress` how many it has looked at.
pub(super) fn right_chunks(
    part: &Storage,
    blueprint: &Blueprint,
    candidates: &Bitmap,
    progress: &mut dyn FnMut(u32),
    cancel: &Cancel,
) -> Result<Bitmap, FetchError> {
    let mut right = Bitmap::empty(blueprint.count());
    for (looked_at, chunk) in candidates.iter().enumerate() {
        if cancel.is_cancelled() {
            return Err(FetchError::Cancelled);
        }
        if is_right(part, blueprint, chunk).map_err(FetchError::local("reading the part file"))? {
            right.insert(chunk);
        }
        progress(looked_at as u32 + 1);
    }
    Ok(right)
}

fn is_right(part: &Storage, blueprint: &Blueprint, chunk: ChunkIndex) -> io::Result<bool> {
    // A last chunk of unknown length is not worth guessing at.
    let ChunkLen::Exactly(len) = blueprint.shape.chunk_len(chunk) else { return Ok(false) };
    let start = blueprint.shape.offset(chunk);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; PIECE_BYTES.min(len as usize)];
    let mut at = 0;
    while at < len as usize {
        let piece_len = buffer.len().min(len as usize - at);
        let piece = &mut buffer[..piece_len];
        match part.read_exact_at(piece, start + at as u64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
        hasher.update(&*piece);
        at += piece.len();
    }
    Ok(blueprint.hash(chunk) == Some(ChunkHash(hasher.finalize().into())))
}
