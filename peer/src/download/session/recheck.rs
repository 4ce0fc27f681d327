//! Reads the chunks that an earlier run left again, and compares their hashes with the expected ones.

use std::io;

use peernet_engine::assembly::ChunkLen;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkHash, ChunkIndex};

use crate::cancel::Cancel;
use crate::download::FetchError;
use crate::download::expected::Expected;
use crate::files::hashing::digest::Digest;
use crate::files::part::Storage;

/// Returns the chunks of `candidates` that are right in the part. Calls `progress` with how many have been read.
pub(crate) fn right_chunks(
    part: &Storage,
    expected: &Expected,
    candidates: &Bitmap,
    progress: &mut dyn FnMut(u32),
    cancel: &Cancel,
) -> Result<Bitmap, FetchError> {
    let mut right = Bitmap::empty(expected.count());
    for (done, chunk) in candidates.iter().enumerate() {
        if cancel.is_cancelled() {
            return Err(FetchError::Cancelled);
        }
        if is_right(part, expected, chunk).map_err(FetchError::local("reading the part file"))? {
            right.insert(chunk);
        }
        progress(done as u32 + 1);
    }
    Ok(right)
}

fn is_right(part: &Storage, expected: &Expected, chunk: ChunkIndex) -> io::Result<bool> {
    // The last chunk of a file of unknown size: it is fetched again, rather than tried at every length.
    let ChunkLen::Exactly(len) = expected.shape.chunk_len(chunk) else { return Ok(false) };
    let read = |at, piece: &mut [u8]| part.read_exact_at(piece, at);
    match Digest::of_range(expected.shape.offset(chunk), len.into(), read) {
        Ok(hash) => Ok(expected.hash(chunk) == Some(ChunkHash(hash))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
