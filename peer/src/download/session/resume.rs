//! Takes over the data of an earlier run, as far as it can be trusted before the whole file's hash proves it.

use std::sync::Arc;

use peernet_engine::assembly::Shape;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::ChunkIndex;

use super::{OnDisk, recheck};
use crate::download::expected::Expected;
use crate::download::run::Context;
use crate::download::{FetchError, Phase};
use crate::files::part::{Journal, Part};

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
    recheck::right_chunks(part.storage(), expected, candidates, show, cancel)
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
