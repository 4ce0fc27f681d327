//! Reading again what an earlier run left, chunk by chunk, against what it should be.

use std::io;

use peernet_engine::assembly::ChunkLen;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkHash, ChunkIndex};

use crate::cancel::Cancel;
use crate::download::FetchError;
use crate::download::expected::Blueprint;
use crate::hashing::digest::Digest;
use crate::part::Storage;

/// Which of `candidates` are right in the part. Tells `progress` how many it has looked at.
pub(crate) fn right_chunks(
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
    let read = |at, piece: &mut [u8]| part.read_exact_at(piece, at);
    match Digest::of_range(blueprint.shape.offset(chunk), len.into(), read) {
        Ok(hash) => Ok(blueprint.hash(chunk) == Some(ChunkHash(hash))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
