//! One manifest, from what is on the disk to a verified file or the proof that the manifest is false.

mod owner;

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope};

use crossbeam_channel::{Sender, bounded};
use peernet_engine::assembly::Shape;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkIndex, FileHash};
use peernet_engine::manifest::Manifest;

use self::owner::Owner;
use super::blueprint::Blueprint;
use super::event::{EVENTS_MAX, Event};
use super::pick::Context;
use super::whole::{Follow, Frontier, Sink};
use super::{FetchError, Phase, Source, check, sync, whole};
use crate::cancel::Cancel;
use crate::part::{Journal, Part, allocate, rename_new, sync_folder_of};
use crate::upload::{FileIdentity, Held};

/// How an attempt ended.
pub(super) enum Outcome {
    /// The file is there.
    Finished(Arc<Manifest>, PathBuf, FileIdentity),
    /// Every chunk is right and the file is not the one asked for.
    ManifestFalse,
}

/// One pass: every chunk is there.
struct Pass {
    hash: FileHash,
    shape: Shape,
    journal: Journal,
}

/// Runs it. The part and its journal stay on the disk unless the file is finished.
pub(super) fn run(
    context: &mut Context<'_>,
    blueprint: Blueprint,
    sources: Vec<Source>,
    part: &Arc<Part>,
) -> Result<Outcome, FetchError> {
    let blueprint = Arc::new(blueprint);
    let (mut journal, mut shape, mut held) = resume(context, &blueprint, part)?;
    context.bytes_resumed = bytes_of(&held, shape);
    // Once all of it was read again there is nothing left to doubt but the manifest.
    let mut doubted = !held.is_empty();
    let delivers = context.job.sink.is_some();
    offer(context, &blueprint, part, &held);
    loop {
        part.reset(held.iter());
        let pass = transfer(context, (&blueprint, shape), &sources, part, (journal, held))?;
        if pass.hash == blueprint.file_hash {
            return finish(context, &blueprint, part, pass);
        }
        if delivers {
            return Err(FetchError::DeliveredWrong);
        }
        if !doubted {
            withdraw(context);
            return Ok(Outcome::ManifestFalse);
        }
        doubted = false;
        let sized = Blueprint::with_shape(&blueprint, pass.shape);
        let right = check_again(context, &sized, part, &Bitmap::full(blueprint.count()))?;
        if right.is_full() {
            withdraw(context);
            return Ok(Outcome::ManifestFalse);
        }
        context.bytes_resumed = context.bytes_resumed.min(bytes_of(&right, pass.shape));
        journal = restart(pass.journal, &blueprint, pass.shape, &right)?;
        (shape, held) = (pass.shape, right);
    }
}

fn withdraw(context: &mut Context<'_>) {
    if let Some(held) = context.held.take() {
        held.withdraw();
    }
}

fn restart(journal: Journal, blueprint: &Blueprint, shape: Shape, held: &Bitmap) -> Result<Journal, FetchError> {
    let failed = || FetchError::local("writing the journal");
    let mut journal = journal.restart(&blueprint.identity()).map_err(failed())?;
    journal.held(held.iter(), last_len(blueprint, shape)).map_err(failed())?;
    Ok(journal)
}

/// The last chunk's length, where the blueprint does not say it and we know it by now.
fn last_len(blueprint: &Blueprint, shape: Shape) -> Option<u32> {
    let (Shape::Unsized(_), Shape::Sized(geometry)) = (blueprint.shape, shape) else { return None };
    Some(geometry.chunk_len(ChunkIndex(blueprint.count().0.checked_sub(1)?)))
}

/// What is on the disk already, as far as it can be trusted before the whole file's hash proves it.
fn resume(
    context: &mut Context<'_>,
    blueprint: &Blueprint,
    part: &Arc<Part>,
) -> Result<(Journal, Shape, Bitmap), FetchError> {
    let failed = || FetchError::local(format!("preparing {}", part.path().display()));
    let found_len = part.file().metadata().map_err(failed())?.len();
    let journal_path = Journal::path_for(part.path());
    let (mut journal, resumed) =
        Journal::open(&journal_path, &blueprint.identity(), context.job.limits.survive_power_cut).map_err(failed())?;
    let wanted_len = blueprint.shape.offset(ChunkIndex(blueprint.count().0));
    let wanted_len = resumed.shape.size().map_or(wanted_len, |size| size.0);
    if context.job.passing {
        std::fs::remove_file(&journal_path).map_err(failed())?;
    }
    let (mut held, shape) = (resumed.held, resumed.shape);
    let cut_short = resumed.known && found_len < wanted_len && !held.is_empty();
    let unknown = !resumed.known && found_len > 0;
    // What was handed on cannot be taken back.
    let in_order = context.job.sink.is_some() && !held.is_empty();
    if cut_short || unknown || in_order {
        let candidates = if unknown { Bitmap::full(blueprint.count()) } else { held };
        held = check_again(context, &Blueprint::with_shape(blueprint, shape), part, &candidates)?;
        journal = restart(journal, blueprint, shape, &held)?;
    }
    allocate(part.file(), wanted_len).map_err(failed())?;
    Ok((journal, shape, held))
}

fn check_again(
    context: &mut Context<'_>,
    blueprint: &Blueprint,
    part: &Part,
    candidates: &Bitmap,
) -> Result<Bitmap, FetchError> {
    let (total, cancel) = (candidates.len(), context.cancel);
    let show = &mut |looked_at| context.show(Phase::CheckingPart, (looked_at, total));
    check::right_chunks(part.file(), blueprint, candidates, show, cancel)
}

fn bytes_of(held: &Bitmap, shape: Shape) -> u64 {
    owner::bytes_of(held, shape)
}

/// Puts the growing file on the shelf, the first time there is a manifest.
fn offer(context: &mut Context<'_>, blueprint: &Blueprint, part: &Part, held: &Bitmap) {
    let Some(manifest) = &blueprint.manifest else { return };
    let Some(on_growing) = context.job.on_growing.take() else { return };
    let path = part.path().to_owned();
    // What the journal claims is not offered before the whole file has proven it.
    let have = Bitmap::empty(held.count());
    let growing = Held::growing(Arc::clone(manifest), path, Arc::clone(part.file()), have, String::new());
    context.held = Some(Arc::clone(&growing));
    on_growing(growing);
}

/// Fetches what is missing, with all the threads that takes.
fn transfer(
    context: &mut Context<'_>,
    (blueprint, shape): (&Arc<Blueprint>, Shape),
    sources: &[Source],
    part: &Arc<Part>,
    (journal, held): (Journal, Bitmap),
) -> Result<Pass, FetchError> {
    let (over, skip_last) = (Cancel::new(), AtomicBool::new(false));
    let (follow, sink) = (Follow::Hash, context.job.sink.take());
    let frontier = Frontier::new(&follow);
    let limits = context.job.limits.clone();
    let thread_failed = || FetchError::local("starting a thread");
    thread::scope(|scope| {
        let (events, happening) = bounded(EVENTS_MAX);
        // One message a chunk at most, so it is never full.
        let (written, to_sync) = bounded(blueprint.count().0 as usize + 1);
        let (hash_events, front) = (events.clone(), &frontier);
        let hasher = thread::Builder::new().name("fetch-hash".to_owned());
        hasher
            .spawn_scoped(scope, move || {
                let read_at = |buffer: &mut [u8], at: u64| part.file().read_exact_at(buffer, at);
                whole::follow(&read_at, front, follow, &hash_events);
            })
            .map_err(thread_failed())?;
        let delivers = sink.is_some();
        let spawned = sink.map_or(Ok(()), |sink| spawn_delivery(scope, part, &frontier, sink, events.clone()));
        if let Err(error) = spawned {
            frontier.stop();
            return Err(thread_failed()(error));
        }
        let sync_events = events.clone();
        let (limits, skip_last) = (&limits, &skip_last);
        let syncer = thread::Builder::new()
            .name("fetch-sync".to_owned())
            .spawn_scoped(scope, move || sync::keep(part.file(), journal, &to_sync, skip_last, &sync_events, limits));
        let syncer = match syncer {
            Ok(syncer) => syncer,
            Err(error) => {
                frontier.stop();
                return Err(thread_failed()(error));
            }
        };
        let mut owner = Owner::new(context, scope, (blueprint, shape), part, &frontier, events, written, held, &over);
        if delivers {
            owner.wait_for_delivery();
        }
        let result = owner.run(sources, &happening);
        let shape = owner.shape();
        if matches!(&result, Ok(hash) if *hash == blueprint.file_hash) {
            skip_last.store(true, Ordering::Release);
        }
        // In this order everyone is told to end, and nobody waits for us while we wait for the threads.
        owner.end();
        over.cancel();
        frontier.stop();
        drop(happening);
        let journal = syncer
            .join()
            .map_err(|_| FetchError::local("syncing the part file")(std::io::Error::other("the thread panicked")))?;
        Ok(Pass { hash: result?, shape, journal })
    })
}

fn spawn_delivery<'scope>(
    scope: &'scope Scope<'scope, '_>,
    part: &Arc<Part>,
    frontier: &Arc<Frontier>,
    sink: Sink,
    events: Sender<Event>,
) -> std::io::Result<()> {
    let (part, frontier) = (Arc::clone(part), Arc::clone(frontier));
    let deliverer = thread::Builder::new().name("fetch-deliver".to_owned());
    let deliver = move || {
        let read_at = |buffer: &mut [u8], at: u64| part.file().read_exact_at(buffer, at);
        whole::deliver(&read_at, &frontier, sink, &events);
    };
    deliverer.spawn_scoped(scope, deliver).map(drop)
}

/// The whole hash matches: make it durable and give it its name.
fn finish(context: &mut Context<'_>, blueprint: &Blueprint, part: &Part, pass: Pass) -> Result<Outcome, FetchError> {
    let count = blueprint.count().0;
    context.show(Phase::Finishing, (count, count));
    let manifest = blueprint.manifest_as(pass.shape)?;
    let failed = || FetchError::local(format!("finishing {}", part.path().display()));
    let path = context.job.final_path.clone();
    if context.job.passing {
        let identity = FileIdentity::of(&part.file().metadata().map_err(failed())?);
        return Ok(Outcome::Finished(manifest, path, identity));
    }
    let size = manifest.geometry().size().0;
    part.file().set_len(size).map_err(failed())?;
    let syncs = context.job.limits.survive_power_cut;
    if syncs {
        part.file().sync_all().map_err(failed())?;
    }
    let mut journal = pass.journal;
    if let Err(error) = rename_new(part.path(), &path) {
        // All of it is on the disk, and the next run shall know; if that fails too, it reads the part again.
        let _ = journal.held(Bitmap::full(blueprint.count()).iter(), last_len(blueprint, pass.shape));
        return Err(match error.kind() {
            std::io::ErrorKind::AlreadyExists => FetchError::Exists(path),
            _ => FetchError::LocalDisk { doing: format!("renaming the part file to {}", path.display()), error },
        });
    }
    if syncs {
        sync_folder_of(&path).map_err(failed())?;
    }
    // The file is complete and named; a journal that cannot be removed is untidy, no failure.
    let _ = journal.remove();
    let identity = FileIdentity::of(&part.file().metadata().map_err(failed())?);
    if let Some(held) = &context.held {
        held.finish(&path, identity);
    }
    Ok(Outcome::Finished(manifest, path, identity))
}
