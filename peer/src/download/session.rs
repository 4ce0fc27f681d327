//! One manifest, from the data on the disk to a verified file or the proof that the manifest is false.
//!
//! 1. [`resume`] takes over the data of an earlier run, and [`local_copy`] copies chunks from elsewhere on this
//!    machine.
//! 2. [`pass`] fetches the missing chunks, with all the threads that takes.
//! 3. The file is proven: by its hash, or for a directory by the hash of each file.
//! 4. If it is wrong, the part is read again once: bytes of the earlier run were trusted without being read. If they
//!    are right, the manifest is false.
//! 5. [`finish`] makes the file durable and gives it its name.

pub(crate) mod finish;
pub(crate) mod local_copy;
mod pass;
mod resume;
mod threads;

use std::sync::Arc;

use peernet_engine::assembly::Shape;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkIndex, FileHash};

use self::resume::check_again;
use crate::download::expected::Expected;
use crate::download::manifest::Chosen;
use crate::download::run::{Context, Finished};
use crate::download::{FetchError, Phase};
use crate::files::SharedFile;
use crate::files::part::{Journal, Part, Proof, Storage};

/// The end of a session.
pub(crate) enum Outcome {
    /// The file is there.
    Finished(Finished),
    /// Every chunk is right and the file is not the one asked for. Of a directory: this file of it is not.
    ManifestFalse(Option<String>),
}

/// The state on the disk: the chunks that count as held, and the sizes as known.
pub(crate) struct OnDisk {
    pub(crate) journal: Journal,
    pub(crate) shape: Shape,
    pub(crate) held: Bitmap,
}

/// A pass that has every wanted chunk.
pub(crate) struct Complete {
    /// The hash of the whole file.
    pub(crate) hash: FileHash,
    pub(crate) shape: Shape,
    pub(crate) journal: Journal,
}

/// Runs a session. The part and its journal stay on the disk unless the file is finished.
pub(crate) fn run(context: &mut Context<'_>, chosen: Chosen, part: &Arc<Part>) -> Result<Outcome, FetchError> {
    let Chosen { expected, usable } = chosen;
    let expected = Arc::new(expected);
    let mut on_disk = resume::resume(context, &expected, part)?;
    context.bytes.resumed = bytes_of(&on_disk.held, on_disk.shape);
    // Chunks of an earlier run were not read. Once they have been, nothing is left to doubt but the manifest.
    let mut doubted = !on_disk.held.is_empty();
    local_copy::copy(context, &expected, part, &mut on_disk)?;
    let delivers = context.job.sink.is_some();
    offer(context, &expected, part, &on_disk.held);
    loop {
        part.reset(on_disk.held.iter());
        let complete = pass::run(context, &expected, &usable, part, on_disk)?;
        let wrong = match prove(context, &expected, part, &complete)? {
            None => return finish::finish(context, &expected, part, complete).map(Outcome::Finished),
            Some(_) if delivers => return Err(FetchError::DeliveredWrong),
            Some(wrong) => wrong,
        };
        if !doubted {
            context.withdraw();
            return Ok(Outcome::ManifestFalse(wrong.file));
        }
        doubted = false;
        let sized = Expected::with_shape(&expected, complete.shape);
        let right = check_again(context, &sized, part, &expected.wanted)?;
        if right == expected.wanted {
            context.withdraw();
            return Ok(Outcome::ManifestFalse(wrong.file));
        }
        context.bytes.resumed = context.bytes.resumed.min(bytes_of(&right, complete.shape));
        let journal = resume::restart(complete.journal, &expected, complete.shape, &right)?;
        on_disk = OnDisk { journal, shape: complete.shape, held: right };
    }
}

/// A file whose chunks are all right and which is not the one asked for.
struct Wrong {
    /// The file's path in the directory, if it is in one.
    file: Option<String>,
}

/// Checks that the result is the requested file. A file is proven by the hash that was computed behind the transfer. Of
/// a directory every file is hashed, because the listing's claim about its pack is not proven by the pack's hash.
fn prove(
    context: &mut Context<'_>,
    expected: &Expected,
    part: &Part,
    complete: &Complete,
) -> Result<Option<Wrong>, FetchError> {
    let Some(tree) = part.storage().tree() else {
        return Ok((complete.hash != expected.file_hash).then_some(Wrong { file: None }));
    };
    let count = expected.wanted.len();
    context.show(Phase::Verifying, count, count);
    let failed = || FetchError::local(format!("verifying {}", part.path().display()));
    tree.make_empty_ones().map_err(failed())?;
    match tree.prove(context.cancel).map_err(failed())? {
        Proof::Right => Ok(None),
        Proof::Wrong(file) => Ok(Some(Wrong { file: Some(file) })),
        Proof::Cancelled => Err(FetchError::Cancelled),
    }
}

/// Offers the growing file to other peers, the first time there is a manifest.
fn offer(context: &mut Context<'_>, expected: &Expected, part: &Part, held: &Bitmap) {
    let Some(manifest) = &expected.manifest else { return };
    let Some(on_growing) = context.job.on_growing.take() else { return };
    let path = part.path().to_owned();
    // The journal's claims are not offered before the hash of the whole file has proven them.
    let have = Bitmap::empty(held.count());
    let growing = match part.storage() {
        Storage::File(file) => SharedFile::growing(Arc::clone(manifest), path, Arc::clone(file), have, String::new()),
        Storage::Tree(tree) => SharedFile::growing_pack(Arc::clone(manifest), path, Arc::clone(tree), have),
    };
    context.shared_file = Some(Arc::clone(&growing));
    on_growing(growing);
}

/// Returns the bytes of the held chunks. In a file of unknown size each chunk counts in full.
pub(crate) fn bytes_of(held: &Bitmap, shape: Shape) -> u64 {
    let all = shape.offset(ChunkIndex(held.len()));
    let count = held.count().0;
    match (shape, count.checked_sub(1).map(ChunkIndex)) {
        (Shape::Sized(geometry), Some(last)) if held.contains(last) => {
            all - u64::from(geometry.chunk_size() - geometry.chunk_len(last))
        }
        _ => all,
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::assembly::V1Geometry;
    use peernet_engine::ids::{ByteCount, ChunkCount};
    use peernet_engine::manifest::Geometry;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn bytes_of_held_chunks_count_the_short_last_one() {
        let sized = Shape::Sized(Geometry::new(ByteCount(2 * MIB + 5), MIB as u32).unwrap());
        let unsized_file = Shape::Unsized(V1Geometry::new(ChunkCount(3)).unwrap());
        for (chunks, bytes, bytes_unsized) in [
            (&[][..], 0, 0),
            (&[0], MIB, MIB),
            (&[2], 5, MIB),
            (&[1, 2], MIB + 5, 2 * MIB),
            (&[0, 1, 2], 2 * MIB + 5, 3 * MIB),
        ] {
            let mut held = Bitmap::empty(ChunkCount(3));
            for chunk in chunks {
                held.insert(ChunkIndex(*chunk));
            }
            assert_eq!((bytes_of(&held, sized), bytes_of(&held, unsized_file)), (bytes, bytes_unsized), "{chunks:?}");
        }
    }
}
