//! Takes over the data of an earlier run, as far as it can be trusted before the whole file's hash proves it.

use std::io;
use std::sync::Arc;

use peernet_engine::assembly::{ChunkLen, Shape};
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkHash, ChunkIndex};

use super::OnDisk;
use crate::cancel::Cancel;
use crate::download::expected::Expected;
use crate::download::run::Context;
use crate::download::{FetchError, Phase};
use crate::files::hashing::digest::Digest;
use crate::files::part::{Journal, Part, Storage};

/// Opens the journal and the part. Chunks that the journal names count as held without being read, unless something is
/// wrong with the part.
pub(crate) fn resume(context: &mut Context<'_>, expected: &Expected, part: &Arc<Part>) -> Result<OnDisk, FetchError> {
    let failed = || FetchError::local(format!("preparing {}", part.path().display()));
    let was_empty = part.storage().is_empty().map_err(failed())?;
    let journal_path = Journal::path_for(part.path());
    let survives_power_cut = context.job.limits.survive_power_cut;
    let (mut journal, resumed) =
        Journal::open(&journal_path, &expected.identity(), survives_power_cut).map_err(failed())?;
    if context.job.passing {
        std::fs::remove_file(&journal_path).map_err(failed())?;
    }
    let shape = resumed.shape;
    let mut held = resumed.held;
    let cut_short = resumed.known && !part.storage().is_long_enough(&held, shape).map_err(failed())?;
    let unknown = !resumed.known && !was_empty;
    // A sink gets the bytes at once and cannot give them back, so they are read first.
    let delivered = context.job.sink.is_some() && !held.is_empty();
    if cut_short || unknown || delivered {
        let candidates = if unknown { expected.wanted.clone() } else { held };
        held = check_again(context, &Expected::with_shape(expected, shape), part, &candidates)?;
        journal = restart(journal, expected, shape, &held)?;
    }
    part.storage().reserve(shape).map_err(failed())?;
    Ok(OnDisk { journal, shape, held })
}

/// Reads chunks of the part again, and returns those that are right.
pub(crate) fn check_again(
    context: &mut Context<'_>,
    expected: &Expected,
    part: &Part,
    candidates: &Bitmap,
) -> Result<Bitmap, FetchError> {
    let total = candidates.len();
    let cancel = context.cancel;
    let show = &mut |done| context.show(Phase::CheckingPart, done, total);
    right_chunks(part.storage(), expected, candidates, show, cancel)
}

/// Begins the journal anew with these chunks.
pub(crate) fn restart(
    journal: Journal,
    expected: &Expected,
    shape: Shape,
    held: &Bitmap,
) -> Result<Journal, FetchError> {
    let failed = || FetchError::local("writing the journal");
    let mut journal = journal.restart(&expected.identity()).map_err(failed())?;
    journal.held(held.iter(), last_len(expected, shape)).map_err(failed())?;
    Ok(journal)
}

/// Returns the last chunk's length where `expected` does not say it and `shape` does: the journal has to keep it.
pub(crate) fn last_len(expected: &Expected, shape: Shape) -> Option<u32> {
    let Shape::Unsized(_) = expected.shape else { return None };
    let Shape::Sized(geometry) = shape else { return None };
    Some(geometry.chunk_len(ChunkIndex(expected.count().0.checked_sub(1)?)))
}

/// Returns the chunks of `candidates` that are right in the part. Calls `progress` with how many have been read.
fn right_chunks(
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
