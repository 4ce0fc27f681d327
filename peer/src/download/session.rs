//! One manifest, from what is on the disk to a verified file or the proof that the manifest is false.

mod finish;
pub(crate) mod local_copy;
mod recheck;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope};

use crossbeam_channel::{Sender, bounded};
use peernet_engine::assembly::Shape;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkIndex, FileHash};
use peernet_engine::manifest::Manifest;
use peernet_engine::memory::Use;

use crate::cancel::Cancel;
use crate::discovery::Source;
use crate::download::event::{EVENTS_MAX, Event};
use crate::download::event_loop::{self, Owner};
use crate::download::expected::Blueprint;
use crate::download::manifest::Context;
use crate::download::pipeline::hash::{Follow, Frontier, Sink};
use crate::download::pipeline::write::{Writes, writes};
use crate::download::pipeline::{hash, sync, write};
use crate::download::{FetchError, Phase};
use crate::memory::Memory;
use crate::part::{Journal, Part, Proof, Storage};
use crate::upload::{FileIdentity, Held};

pub(crate) use self::finish::without_bytes;

/// How an attempt ended.
pub(crate) enum Outcome {
    /// The file is there.
    Finished(Arc<Manifest>, PathBuf, FileIdentity),
    /// Every chunk is right and the file is not the one asked for; of a directory, this file is not.
    ManifestFalse(Option<String>),
}

/// One pass: every wanted chunk is there.
struct Pass {
    hash: FileHash,
    shape: Shape,
    journal: Journal,
}

/// Runs it. The part and its journal stay on the disk unless the file is finished.
pub(crate) fn run(
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
    local_copy::copy(context, &blueprint, part, &mut held, &mut journal)?;
    let delivers = context.job.sink.is_some();
    offer(context, &blueprint, part, &held);
    loop {
        part.reset(held.iter());
        let pass = transfer(context, (&blueprint, shape), &sources, part, (journal, held))?;
        let wrong = match prove(context, &blueprint, part, &pass)? {
            None => return finish::finish(context, &blueprint, part, pass),
            Some(_) if delivers => return Err(FetchError::DeliveredWrong),
            Some(wrong) => wrong,
        };
        if !doubted {
            withdraw(context);
            return Ok(Outcome::ManifestFalse(wrong.file));
        }
        doubted = false;
        let sized = Blueprint::with_shape(&blueprint, pass.shape);
        let right = check_again(context, &sized, part, &blueprint.wanted)?;
        if right == blueprint.wanted {
            withdraw(context);
            return Ok(Outcome::ManifestFalse(wrong.file));
        }
        context.bytes_resumed = context.bytes_resumed.min(bytes_of(&right, pass.shape));
        journal = restart(pass.journal, &blueprint, pass.shape, &right)?;
        (shape, held) = (pass.shape, right);
    }
}

/// What is wrong though every chunk is right.
struct Wrong {
    /// Which file of a directory.
    file: Option<String>,
}

/// Whether it is what was asked for: the file by the hash that was computed behind the transfer; of a directory every file
/// by its own, because nobody has proven that the listing says the truth about the pack.
fn prove(
    context: &mut Context<'_>,
    blueprint: &Blueprint,
    part: &Part,
    pass: &Pass,
) -> Result<Option<Wrong>, FetchError> {
    let Some(tree) = part.storage().tree() else {
        return Ok((pass.hash != blueprint.file_hash).then_some(Wrong { file: None }));
    };
    let count = blueprint.wanted.len();
    context.show(Phase::Verifying, (count, count));
    let failed = || FetchError::local(format!("verifying {}", part.path().display()));
    tree.make_empty_ones().map_err(failed())?;
    match tree.prove(context.cancel).map_err(failed())? {
        Proof::Right => Ok(None),
        Proof::Wrong(file) => Ok(Some(Wrong { file: Some(file) })),
        Proof::Cancelled => Err(FetchError::Cancelled),
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
    let was_empty = part.storage().is_empty().map_err(failed())?;
    let journal_path = Journal::path_for(part.path());
    let (mut journal, resumed) =
        Journal::open(&journal_path, &blueprint.identity(), context.job.limits.survive_power_cut).map_err(failed())?;
    if context.job.passing {
        std::fs::remove_file(&journal_path).map_err(failed())?;
    }
    let (mut held, shape) = (resumed.held, resumed.shape);
    let cut_short = resumed.known && !part.storage().is_long_enough(&held, shape).map_err(failed())?;
    let unknown = !resumed.known && !was_empty;
    // What was handed on cannot be taken back.
    let in_order = context.job.sink.is_some() && !held.is_empty();
    if cut_short || unknown || in_order {
        let candidates = if unknown { blueprint.wanted.clone() } else { held };
        held = check_again(context, &Blueprint::with_shape(blueprint, shape), part, &candidates)?;
        journal = restart(journal, blueprint, shape, &held)?;
    }
    part.storage().reserve(shape).map_err(failed())?;
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
    recheck::right_chunks(part.storage(), blueprint, candidates, show, cancel)
}

fn bytes_of(held: &Bitmap, shape: Shape) -> u64 {
    event_loop::bytes_of(held, shape)
}

/// Puts the growing file on the shelf, the first time there is a manifest.
fn offer(context: &mut Context<'_>, blueprint: &Blueprint, part: &Part, held: &Bitmap) {
    let Some(manifest) = &blueprint.manifest else { return };
    let Some(on_growing) = context.job.on_growing.take() else { return };
    let path = part.path().to_owned();
    // What the journal claims is not offered before the whole file has proven it.
    let have = Bitmap::empty(held.count());
    let growing = match part.storage() {
        Storage::File(file) => Held::growing(Arc::clone(manifest), path, Arc::clone(file), have, String::new()),
        Storage::Tree(tree) => Held::growing_pack(Arc::clone(manifest), path, Arc::clone(tree), have),
    };
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
    if context.only_plaintext && sources.is_empty() && blueprint.wanted.iter().any(|chunk| !held.contains(chunk)) {
        return Err(FetchError::OnlyPlaintext);
    }
    let (over, skip_last) = (Cancel::new(), AtomicBool::new(false));
    let follow = match part.storage() {
        Storage::File(_) => Follow::Hash,
        // The manifest is the one the listing names, and every file is read again in the end.
        Storage::Tree(_) => Follow::Trust(blueprint.file_hash),
    };
    let sink = context.job.sink.take();
    let frontier = Frontier::new(&follow);
    let limits = context.job.limits.clone();
    let memory = context.job.throttle.memory().clone();
    let thread_failed = || FetchError::local("starting a thread");
    thread::scope(|scope| {
        // The last to go, because whoever else is left may have something for them.
        let _writers = part.storage().tree().map(|tree| tree.spawn_writers(scope));
        let (events, happening) = bounded(EVENTS_MAX);
        let writes = spawn_writer(scope, part, &memory, events.clone()).map_err(thread_failed())?;
        // One message a chunk at most, so it is never full.
        let (written, to_sync) = bounded(blueprint.count().0 as usize + 1);
        spawn_hasher(scope, part, &frontier, follow, events.clone()).map_err(thread_failed())?;
        let delivers = sink.is_some();
        let spawned =
            sink.map_or(Ok(()), |sink| spawn_delivery(scope, part, (&frontier, &memory), sink, events.clone()));
        if let Err(error) = spawned {
            frontier.stop();
            return Err(thread_failed()(error));
        }
        let sync_events = events.clone();
        let (limits, skip_last) = (&limits, &skip_last);
        let syncer = thread::Builder::new().name("fetch-sync".to_owned()).spawn_scoped(scope, move || {
            sync::keep(part.storage(), journal, &to_sync, skip_last, &sync_events, limits)
        });
        let syncer = match syncer {
            Ok(syncer) => syncer,
            Err(error) => {
                frontier.stop();
                return Err(thread_failed()(error));
            }
        };
        let channels = (writes, written);
        let mut owner = Owner::new(context, scope, (blueprint, shape), part, &frontier, events, channels, held, &over);
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

fn spawn_writer<'scope>(
    scope: &'scope Scope<'scope, '_>,
    part: &Arc<Part>,
    memory: &Memory,
    events: Sender<Event>,
) -> std::io::Result<Writes> {
    let (part, (writes, waiting)) = (Arc::clone(part), writes(memory));
    let writer = thread::Builder::new().name("fetch-write".to_owned());
    writer.spawn_scoped(scope, move || write::run(&part, &waiting, &events)).map(|_| writes)
}

fn spawn_hasher<'scope>(
    scope: &'scope Scope<'scope, '_>,
    part: &Arc<Part>,
    frontier: &Arc<Frontier>,
    follow: Follow,
    events: Sender<Event>,
) -> std::io::Result<()> {
    let (part, frontier) = (Arc::clone(part), Arc::clone(frontier));
    let hasher = thread::Builder::new().name("fetch-hash".to_owned());
    let hash = move || {
        let read_at = |buffer: &mut [u8], at: u64| part.storage().read_exact_at(buffer, at);
        hash::follow(&read_at, &frontier, follow, &events);
    };
    hasher.spawn_scoped(scope, hash).map(drop)
}

fn spawn_delivery<'scope>(
    scope: &'scope Scope<'scope, '_>,
    part: &Arc<Part>,
    (frontier, memory): (&Arc<Frontier>, &Memory),
    sink: Sink,
    events: Sender<Event>,
) -> std::io::Result<()> {
    let (part, frontier, memory) = (Arc::clone(part), Arc::clone(frontier), memory.clone());
    let deliverer = thread::Builder::new().name("fetch-deliver".to_owned());
    let deliver = move || {
        // For the piece on its way; without it there is nobody left to deliver to.
        let permit = memory.take(Use::Delivery, hash::PIECE_BYTES, || frontier.is_stopped());
        let Some(_permit) = permit else { return };
        let read_at = |buffer: &mut [u8], at: u64| part.storage().read_exact_at(buffer, at);
        hash::deliver(&read_at, &frontier, sink, &events);
    };
    deliverer.spawn_scoped(scope, deliver).map(drop)
}
