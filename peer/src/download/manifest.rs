//! Before and around the transfer: finding the manifest to believe, and what to do when it proves false.

use std::sync::Arc;
use std::time::{Duration, Instant};

use peernet_engine::bottleneck::Bottleneck;
use peernet_engine::ids::ManifestId;
use peernet_engine::manifest::Manifest;

use crate::cancel::Cancel;
use crate::connect::HostPort;
use crate::discovery::{Directory, DirectoryError, Plan, PlannedManifest, Source};
use crate::download::expected::Blueprint;
use crate::download::leave::Leave;
use crate::download::session::{self, Outcome};
use crate::download::source_table::Known;
use crate::download::{FetchError, FetchJob, FetchProgress, Fetched, Phase};
use crate::grpc::Client;
use crate::part::{Part, sync_folder_of};
use crate::transfers::Transport;
use crate::upload::Held;

/// Manifests of one file that are tried; more than one is a sign of liars.
const MANIFESTS_MAX: usize = 8;
/// Sources asked for a manifest that the directory does not have.
const SOURCES_ASKED_MAX: usize = 4;
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What all attempts of one download share.
pub(crate) struct Context<'a> {
    pub(crate) job: FetchJob,
    pub(crate) directory: &'a dyn Directory,
    pub(crate) progress: &'a mut dyn FnMut(&FetchProgress),
    pub(crate) cancel: &'a Cancel,
    pub(crate) known: Known,
    pub(crate) leave: Leave,
    pub(crate) begun: Instant,
    pub(crate) held: Option<Arc<Held>>,
    pub(crate) bytes_fetched: u64,
    pub(crate) bytes_resumed: u64,
    pub(crate) bytes_copied: u64,
    /// There are sources of this manifest, and none may be spoken to for want of encryption.
    pub(crate) only_plaintext: bool,
}

impl Context<'_> {
    /// Those that may be spoken to, and what to tell the user of the others.
    pub(crate) fn usable(&self, sources: Vec<Source>) -> (Vec<Source>, Option<String>) {
        let others = sources.iter().filter(|source| Some(source.peer) != self.job.own_peer).count();
        let mut usable = self.job.dial.usable(sources);
        usable.retain(|source| Some(source.peer) != self.job.own_peer);
        let note = match others - usable.len() {
            0 => None,
            passed_over => Some(format!("{passed_over} sources cannot be used: they do not speak as this node may")),
        };
        (usable, note)
    }

    /// Shows a phase in which nothing is transferred.
    pub(crate) fn show(&mut self, phase: Phase, chunks: (u32, u32)) {
        let progress = FetchProgress {
            phase,
            bytes_total: None,
            bytes_done: 0,
            bytes_resumed: self.bytes_resumed,
            chunks_total: chunks.1,
            chunks_done: chunks.0,
            rate: 0.0,
            elapsed: self.begun.elapsed(),
            sources: Vec::new(),
            eta: None,
            bottleneck: Bottleneck::None,
            note: None,
        };
        (self.progress)(&progress);
    }
}

/// See [`fetch`](crate::download::fetch).
pub(crate) fn run(
    job: FetchJob,
    directory: &dyn Directory,
    progress: &mut dyn FnMut(&FetchProgress),
    cancel: &Cancel,
) -> Result<Fetched, FetchError> {
    let known = Known::new(job.own_peer);
    let (begun, held) = (Instant::now(), None);
    let (bytes_fetched, bytes_resumed, bytes_copied) = (0, 0, 0);
    let mut context = Context {
        job,
        directory,
        progress,
        cancel,
        known,
        leave: Leave::default(),
        begun,
        held,
        bytes_fetched,
        bytes_resumed,
        bytes_copied,
        only_plaintext: false,
    };
    let result = download(&mut context).map_err(|error| match error {
        // A question that was cut short has no answer, which is not what went wrong.
        FetchError::Directory(_) | FetchError::NoManifest if cancel.is_cancelled() => FetchError::Cancelled,
        error => error,
    });
    if result.is_err()
        && let Some(held) = &context.held
    {
        held.withdraw();
    }
    result
}

fn download(context: &mut Context<'_>) -> Result<Fetched, FetchError> {
    if !context.job.passing && context.job.final_path.symlink_metadata().is_ok() {
        return Err(FetchError::Exists(context.job.final_path.clone()));
    }
    if context.cancel.is_cancelled() {
        return Err(FetchError::Cancelled);
    }
    context.show(Phase::LookingUp, (0, 0));
    let plan = plan(context)?;
    ask_for_leave(context, &plan)?;
    let part = open_part(&context.job)?;
    let mut tried = false;
    let mut last_error = FetchError::NoManifest;
    for candidate in candidates(context, &plan) {
        if context.cancel.is_cancelled() {
            return Err(FetchError::Cancelled);
        }
        let (blueprint, sources) = match candidate.resolve(context) {
            Ok(found) => found,
            Err(error) => {
                last_error = error;
                continue;
            }
        };
        tried = true;
        let (sources, only_plaintext) = sources;
        context.only_plaintext = only_plaintext;
        match session::run(context, blueprint, sources, &part)? {
            Outcome::Finished(manifest, path, identity) => {
                return Ok(fetched(context, plan, (manifest, path, identity)));
            }
            Outcome::ManifestFalse(Some(file)) => return Err(FetchError::FalseListing(file)),
            Outcome::ManifestFalse(None) => continue,
        }
    }
    Err(if tried { FetchError::WrongFile } else { last_error })
}

fn open_part(job: &FetchJob) -> Result<Arc<Part>, FetchError> {
    let path = &job.part_path;
    let part = match &job.selected {
        None => Part::open(path),
        Some(selected) => Part::open_tree(path, selected.clone()),
    };
    let part = part.map_err(FetchError::local(format!("opening {}", path.display())))?;
    let part = part.ok_or_else(|| FetchError::InUse(path.clone()))?;
    if job.passing {
        std::fs::remove_file(path).map_err(FetchError::local(format!("unlinking {}", path.display())))?;
    } else {
        let _ = sync_folder_of(path);
    }
    Ok(Arc::new(part.within(job.throttle.memory())))
}

type Finished = (Arc<Manifest>, std::path::PathBuf, crate::upload::FileIdentity);

fn fetched(context: &mut Context<'_>, plan: Plan, (manifest, path, identity): Finished) -> Fetched {
    Fetched {
        path,
        manifest,
        identity,
        held: context.held.take(),
        file_name: plan.file_name,
        bytes_fetched: context.bytes_fetched,
        bytes_resumed: context.bytes_resumed,
        bytes_copied: context.bytes_copied,
        bytes_by_source: context.known.bytes_by_source(),
        took: context.begun.elapsed(),
    }
}

fn plan(context: &mut Context<'_>) -> Result<Plan, FetchError> {
    match context.job.plan.take() {
        Some(plan) => Ok(plan),
        None => context.directory.plan(context.job.file_hash).map_err(FetchError::Directory),
    }
}

/// Only where somebody may ask to see it. A tracker that cannot be reached now is asked again on the way.
fn ask_for_leave(context: &Context<'_>, plan: &Plan) -> Result<(), FetchError> {
    let speaks_tls = |source: &Source| source.transport == Transport::Tls;
    if !plan.manifests.iter().flat_map(|manifest| &manifest.sources).any(speaks_tls) {
        return Ok(());
    }
    match context.leave.ask(context.directory, context.job.file_hash) {
        // Of a public one the tracker that was asked may only not have heard yet.
        Err(error @ DirectoryError::NotFound) if plan.restricted => Err(FetchError::Directory(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A way to know what the chunks are.
enum Candidate {
    Manifest(ManifestId, Vec<Source>),
    V1,
}

/// In the order they are to be tried: the one a link named and no other; else the plan's, then version 1's listing.
fn candidates(context: &Context<'_>, plan: &Plan) -> Vec<Candidate> {
    let sources_of = |id: ManifestId| {
        let planned = plan.manifests.iter().find(|manifest| manifest.id == id);
        planned.map(|manifest| manifest.sources.clone()).unwrap_or_default()
    };
    if let Some(id) = context.job.manifest_id {
        return vec![Candidate::Manifest(id, sources_of(id))];
    }
    let of_plan = plan.manifests.iter().take(MANIFESTS_MAX);
    let mut all: Vec<Candidate> =
        of_plan.map(|PlannedManifest { id, sources, .. }| Candidate::Manifest(*id, sources.clone())).collect();
    if plan.v1_listed {
        all.push(Candidate::V1);
    }
    // Stable: the first one that somebody may be asked for is tried first.
    all.sort_by_key(
        |candidate| matches!(candidate, Candidate::Manifest(_, sources) if only_plaintext(context, sources)),
    );
    all
}

/// Whether there are sources, and the want of encryption is why none can be used.
fn only_plaintext(context: &Context<'_>, sources: &[Source]) -> bool {
    let others = || sources.iter().filter(|source| Some(source.peer) != context.job.own_peer);
    let usable = context.usable(sources.to_vec()).0;
    usable.is_empty() && others().any(|source| source.transport == Transport::Plaintext)
}

/// Those that may be spoken to, and whether there are others only.
type Usable = (Vec<Source>, bool);

impl Candidate {
    fn resolve(self, context: &mut Context<'_>) -> Result<(Blueprint, Usable), FetchError> {
        match self {
            Self::Manifest(id, sources) => {
                let only_plaintext = only_plaintext(context, &sources);
                let sources = context.usable(sources).0;
                let manifest = manifest(context, id, &sources)?;
                let size = manifest.geometry().size().0;
                if context.job.size_max.is_some_and(|most| size > most) {
                    return Err(FetchError::TooLarge(size));
                }
                let blueprint = match &context.job.selected {
                    None => Some(Blueprint::of_manifest(manifest)),
                    Some(selected) => Blueprint::of_pack(manifest, selected),
                };
                Ok((blueprint.ok_or(FetchError::NoManifest)?, (sources, only_plaintext)))
            }
            Self::V1 => {
                let listing = context.directory.v1_listing(context.job.file_hash).map_err(FetchError::Directory)?;
                let listing = listing.ok_or(FetchError::NoManifest)?;
                let blueprint = Blueprint::of_v1(context.job.file_hash, listing.chunk_hashes);
                let only_plaintext = only_plaintext(context, &listing.sources);
                let sources = context.usable(listing.sources).0;
                Ok((blueprint.ok_or(FetchError::NoManifest)?, (sources, only_plaintext)))
            }
        }
    }
}

/// From the directory, else from a source; checked to be the one with this id, of this file.
fn manifest(context: &Context<'_>, id: ManifestId, sources: &[Source]) -> Result<Manifest, FetchError> {
    let file_hash = context.job.file_hash;
    let refused = match context.directory.manifest(id) {
        Ok(manifest) if manifest.id() == id && manifest.file_hash() == file_hash => return Ok(manifest),
        Ok(_) => FetchError::NoManifest,
        Err(error @ DirectoryError::Refused(_)) => return Err(FetchError::Directory(error)),
        Err(_) => FetchError::NoManifest,
    };
    for source in sources.iter().filter(|source| !source.v1).take(SOURCES_ASKED_MAX) {
        if context.cancel.is_cancelled() {
            return Err(FetchError::Cancelled);
        }
        if let Some(manifest) = ask_source(context, id, source) {
            return Ok(manifest);
        }
    }
    Err(refused)
}

fn ask_source(context: &Context<'_>, id: ManifestId, source: &Source) -> Option<Manifest> {
    let timeout = context.job.limits.connect_timeout;
    let parsed = source.addresses.iter().filter_map(|text| text.parse::<HostPort>().ok());
    let address = parsed.flat_map(|address| address.resolve(timeout, context.cancel).unwrap_or_default()).next()?;
    let client = Client::new(address, &context.job.dial.speech(source).ok()?, timeout);
    let (_, grant) = context.leave.current();
    let grant = grant.filter(|_| source.transport == Transport::Tls);
    let patience = (MANIFEST_TIMEOUT, context.cancel);
    let asked = client.manifest(context.job.file_hash, Some(id), grant.as_deref(), patience);
    asked.ok().map(|(manifest, _)| manifest)
}
