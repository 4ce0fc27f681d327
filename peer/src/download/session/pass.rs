//! One pass: fetches the missing chunks, with all the threads that takes, and joins them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::bounded;

use super::threads::Spawner;
use super::{Complete, OnDisk};
use crate::cancel::Cancel;
use crate::download::FetchError;
use crate::download::event::EVENTS_MAX;
use crate::download::event_loop::{EventLoop, Parts};
use crate::download::expected::Expected;
use crate::download::manifest::Usable;
use crate::download::pipeline::hash::{Frontier, WholeHash};
use crate::download::run::Context;
use crate::download::source::connection::Shared;
use crate::files::part::{Part, Storage};

/// Runs the pass until every wanted chunk is there and the whole is hashed, or cannot be had.
pub(crate) fn run(
    context: &mut Context<'_>,
    expected: &Arc<Expected>,
    usable: &Usable,
    part: &Arc<Part>,
    on_disk: OnDisk,
) -> Result<Complete, FetchError> {
    let OnDisk { journal, shape, held } = on_disk;
    if usable.only_plaintext && expected.wanted.iter().any(|chunk| !held.contains(chunk)) {
        return Err(FetchError::OnlyPlaintext);
    }
    let whole = match part.storage() {
        Storage::File(_) => WholeHash::Compute,
        // The listing names the manifest of the pack, and every file is hashed in the end.
        Storage::Tree(_) => WholeHash::Trust(expected.file_hash),
    };
    let sink = context.job.sink.take();
    let delivers = sink.is_some();
    let frontier = Frontier::new(&whole);
    let limits = context.job.limits.clone();
    let memory = context.job.throttle.memory().clone();
    let stop = Cancel::new();
    let skip_last = AtomicBool::new(false);
    let thread_failed = || FetchError::local("starting a thread");
    thread::scope(|scope| {
        // Ends the hashing and delivering threads on every way out of this scope, which waits for them.
        let stop_frontier = StopOnDrop(&frontier);
        // Dropped last: the other threads may still have something for the writers of a tree.
        let _writers = part.storage().tree().map(|tree| tree.spawn_writers(scope));
        let (events, receiver) = bounded(EVENTS_MAX);
        let spawner =
            Spawner { scope, part: Arc::clone(part), frontier: Arc::clone(&frontier), memory, events: events.clone() };
        let writes = spawner.writer().map_err(thread_failed())?;
        // One message for each chunk at most, so it is never full.
        let (written, to_sync) = bounded(expected.count().0 as usize + 1);
        spawner.hasher(whole).map_err(thread_failed())?;
        if let Some(sink) = sink {
            spawner.deliverer(sink).map_err(thread_failed())?;
        }
        let syncer = spawner.syncer(journal, to_sync, &skip_last, limits).map_err(thread_failed())?;
        drop(spawner);
        let shared =
            Shared { expected: Arc::clone(expected), part: Arc::clone(part), frontier: Arc::clone(&frontier), writes };
        let parts = Parts { scope, shared, shape, held, written, events, stop: stop.clone(), delivers };
        let mut event_loop = EventLoop::new(context, parts);
        let result = event_loop.run(usable.sources.clone(), &receiver);
        let shape = event_loop.shape();
        if matches!(&result, Ok(hash) if *hash == expected.file_hash) {
            skip_last.store(true, Ordering::Release);
        }
        // In this order, so that every thread is told to end before any is waited for.
        event_loop.end();
        stop.cancel();
        drop(stop_frontier);
        drop(receiver);
        let journal = syncer
            .join()
            .map_err(|_| FetchError::local("syncing the part file")(std::io::Error::other("the thread panicked")))?;
        Ok(Complete { hash: result?, shape, journal })
    })
}

struct StopOnDrop<'a>(&'a Frontier);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
