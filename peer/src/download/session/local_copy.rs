//! Copies chunks that lie on this machine already instead of fetching them. Each is hashed before it counts.

use std::time::{Duration, Instant};

use peernet_engine::assembly::ChunkLen;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkHash, ChunkIndex};
use peernet_engine::manifest::Manifest;

use crate::download::expected::Expected;
use crate::download::run::Context;
use crate::download::session::OnDisk;
use crate::download::{FetchError, Phase};
use crate::files::hashing::digest::Digest;
use crate::files::part::{Journal, Part};

/// Knows places on this machine where bytes of a download may lie already.
pub(crate) trait Nearby: Send {
    /// Prepares for the missing chunks of a file. Called once, before any read. Returns false when there is no such
    /// place.
    fn begin(&mut self, manifest: &Manifest, missing: &Bitmap) -> bool;

    /// Fills `buffer` with bytes that may be this chunk. Returns false when there are none. Wrong bytes do no harm.
    fn read(&mut self, chunk: ChunkIndex, buffer: &mut [u8]) -> bool;
}

/// Chunks that were copied and are not synced yet.
struct Window {
    chunks: Vec<ChunkIndex>,
    bytes: u64,
    since: Instant,
}

impl Window {
    fn new() -> Self {
        Self { chunks: Vec::new(), bytes: 0, since: Instant::now() }
    }

    fn is_due(&self, bytes_max: u64, interval: Duration) -> bool {
        self.bytes >= bytes_max || self.since.elapsed() >= interval
    }
}

/// Copies the chunks that are nearby into the part, and names them in the journal.
pub(crate) fn copy(
    context: &mut Context<'_>,
    expected: &Expected,
    part: &Part,
    on_disk: &mut OnDisk,
) -> Result<(), FetchError> {
    let Some(mut nearby) = context.job.nearby.take() else { return Ok(()) };
    let Some(manifest) = &expected.manifest else { return Ok(()) };
    let missing = missing(expected, &on_disk.held);
    if missing.is_empty() || !nearby.begin(manifest, &missing) {
        return Ok(());
    }
    let mut window = Window::new();
    let mut buffer = Vec::new();
    for (done, chunk) in missing.iter().enumerate() {
        if context.cancel.is_cancelled() {
            break;
        }
        let Some(len) = copy_one(nearby.as_mut(), expected, part, chunk, &mut buffer)? else { continue };
        on_disk.held.insert(chunk);
        window.chunks.push(chunk);
        window.bytes += u64::from(len);
        context.bytes.copied += u64::from(len);
        if window.is_due(context.job.limits.sync_bytes, context.job.limits.sync_interval) {
            flush(context, part, &mut on_disk.journal, window.chunks)?;
            context.show(Phase::Copying, done as u32 + 1, missing.len());
            window = Window::new();
        }
    }
    flush(context, part, &mut on_disk.journal, window.chunks)?;
    if context.cancel.is_cancelled() { Err(FetchError::Cancelled) } else { Ok(()) }
}

fn missing(expected: &Expected, held: &Bitmap) -> Bitmap {
    let mut missing = Bitmap::empty(expected.count());
    for chunk in expected.wanted.iter().filter(|chunk| !held.contains(*chunk)) {
        missing.insert(chunk);
    }
    missing
}

fn copy_one(
    nearby: &mut dyn Nearby,
    expected: &Expected,
    part: &Part,
    chunk: ChunkIndex,
    buffer: &mut Vec<u8>,
) -> Result<Option<u32>, FetchError> {
    let ChunkLen::Exactly(len) = expected.shape.chunk_len(chunk) else { return Ok(None) };
    buffer.resize(len as usize, 0);
    if !nearby.read(chunk, buffer) {
        return Ok(None);
    }
    let mut digest = Digest::new();
    digest.update(buffer);
    if expected.hash(chunk) != Some(ChunkHash(digest.finish())) {
        return Ok(None);
    }
    let failed = FetchError::local(format!("writing {}", part.path().display()));
    part.storage().write_all_at(buffer, expected.shape.offset(chunk)).map_err(failed)?;
    Ok(Some(len))
}

fn flush(context: &Context<'_>, part: &Part, journal: &mut Journal, chunks: Vec<ChunkIndex>) -> Result<(), FetchError> {
    if chunks.is_empty() {
        return Ok(());
    }
    let failed = || FetchError::local(format!("syncing {}", part.path().display()));
    if context.job.limits.survive_power_cut {
        part.storage().sync().map_err(failed())?;
    }
    journal.held(chunks, None).map_err(failed())
}
