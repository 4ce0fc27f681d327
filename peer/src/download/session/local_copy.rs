//! What lies on this machine already is copied and not fetched: chunk by chunk, and each is hashed before it counts.

use std::time::Instant;

use peernet_engine::assembly::ChunkLen;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkHash, ChunkIndex};
use peernet_engine::manifest::Manifest;

use crate::download::expected::Blueprint;
use crate::download::manifest::Context;
use crate::download::{FetchError, Phase};
use crate::hashing::digest::Digest;
use crate::part::{Journal, Part};

/// Knows where bytes of a download may lie already.
pub(crate) trait Nearby: Send {
    /// What is missing of what; comes once, first. False when it knows of nothing.
    fn begin(&mut self, manifest: &Manifest, missing: &Bitmap) -> bool;

    /// Fills `buffer` with what may be this chunk; false when it knows of none. Wrong bytes do no harm.
    fn read(&mut self, chunk: ChunkIndex, buffer: &mut [u8]) -> bool;
}

/// Copies what it can, into the part, the journal and `held`.
pub(crate) fn copy(
    context: &mut Context<'_>,
    blueprint: &Blueprint,
    part: &Part,
    held: &mut Bitmap,
    journal: &mut Journal,
) -> Result<(), FetchError> {
    let (Some(mut nearby), Some(manifest)) = (context.job.nearby.take(), &blueprint.manifest) else { return Ok(()) };
    let missing = missing(blueprint, held);
    if missing.is_empty() || !nearby.begin(manifest, &missing) {
        return Ok(());
    }
    let (mut window, mut bytes, mut since) = (Vec::new(), 0, Instant::now());
    let mut buffer = Vec::new();
    for (looked_at, chunk) in missing.iter().enumerate() {
        if context.cancel.is_cancelled() {
            break;
        }
        let Some(len) = copy_one(nearby.as_mut(), blueprint, part, chunk, &mut buffer)? else { continue };
        held.insert(chunk);
        window.push(chunk);
        bytes += u64::from(len);
        context.bytes_copied += u64::from(len);
        if bytes >= context.job.limits.sync_bytes || since.elapsed() >= context.job.limits.sync_interval {
            flush(context, part, journal, &mut window)?;
            context.show(Phase::Copying, (looked_at as u32 + 1, missing.len()));
            (bytes, since) = (0, Instant::now());
        }
    }
    flush(context, part, journal, &mut window)?;
    if context.cancel.is_cancelled() { Err(FetchError::Cancelled) } else { Ok(()) }
}

fn missing(blueprint: &Blueprint, held: &Bitmap) -> Bitmap {
    let mut missing = Bitmap::empty(blueprint.count());
    for chunk in blueprint.wanted.iter().filter(|chunk| !held.contains(*chunk)) {
        missing.insert(chunk);
    }
    missing
}

fn copy_one(
    nearby: &mut dyn Nearby,
    blueprint: &Blueprint,
    part: &Part,
    chunk: ChunkIndex,
    buffer: &mut Vec<u8>,
) -> Result<Option<u32>, FetchError> {
    let ChunkLen::Exactly(len) = blueprint.shape.chunk_len(chunk) else { return Ok(None) };
    buffer.resize(len as usize, 0);
    if !nearby.read(chunk, buffer) {
        return Ok(None);
    }
    let mut digest = Digest::new();
    digest.update(buffer);
    if blueprint.hash(chunk) != Some(ChunkHash(digest.finish())) {
        return Ok(None);
    }
    let failed = FetchError::local(format!("writing {}", part.path().display()));
    part.storage().write_all_at(buffer, blueprint.shape.offset(chunk)).map_err(failed)?;
    Ok(Some(len))
}

fn flush(
    context: &Context<'_>,
    part: &Part,
    journal: &mut Journal,
    window: &mut Vec<ChunkIndex>,
) -> Result<(), FetchError> {
    if window.is_empty() {
        return Ok(());
    }
    let failed = || FetchError::local(format!("syncing {}", part.path().display()));
    if context.job.limits.survive_power_cut {
        part.storage().sync().map_err(failed())?;
    }
    journal.held(window.drain(..), None).map_err(failed())
}
