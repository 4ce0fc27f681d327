//! A whole download: looks up the file, tries one manifest after the other, and reports how it ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use peernet_engine::bottleneck::Bottleneck;
use peernet_engine::manifest::Manifest;

use crate::access::GrantCache;
use crate::cancel::Cancel;
use crate::discovery::{Discovery, DiscoveryError, Plan, Source};
use crate::download::manifest::{self, Usable};
use crate::download::session::{self, Outcome};
use crate::download::source_table::SourceTable;
use crate::download::{FetchError, FetchJob, FetchProgress, Fetched, Phase};
use crate::files::FileIdentity;
use crate::files::SharedFile;
use crate::files::part::{Part, sync_folder_of};
use peernet_engine::candidate::Transport;

/// The state that all passes of one download share.
pub(crate) struct Context<'a> {
    pub(crate) job: FetchJob,
    pub(crate) discovery: &'a dyn Discovery,
    pub(crate) progress: &'a mut dyn FnMut(&FetchProgress),
    pub(crate) cancel: &'a Cancel,
    pub(crate) sources: SourceTable,
    pub(crate) grants: GrantCache,
    pub(crate) begun: Instant,
    /// The growing file that is on offer, once there is a manifest.
    pub(crate) shared_file: Option<Arc<SharedFile>>,
    pub(crate) bytes: Bytes,
}

/// The number of bytes of a download by their origin.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes {
    /// The network.
    pub(crate) fetched: u64,
    /// An earlier run.
    pub(crate) resumed: u64,
    /// Elsewhere on this machine.
    pub(crate) copied: u64,
}

/// A file that is complete and has its final name.
pub(crate) struct Finished {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) path: PathBuf,
    pub(crate) identity: FileIdentity,
}

impl<'a> Context<'a> {
    /// A download that has not begun.
    pub(crate) fn new(
        job: FetchJob,
        discovery: &'a dyn Discovery,
        progress: &'a mut dyn FnMut(&FetchProgress),
        cancel: &'a Cancel,
    ) -> Self {
        let sources = SourceTable::new(job.own_peer);
        Self {
            job,
            discovery,
            progress,
            cancel,
            sources,
            grants: GrantCache::default(),
            begun: Instant::now(),
            shared_file: None,
            bytes: Bytes::default(),
        }
    }

    /// Selects the sources that this download may call.
    pub(crate) fn usable(&self, sources: Vec<Source>) -> Usable {
        Usable::of(sources, &self.job.dial, self.job.own_peer)
    }

    /// Shows a phase in which nothing is transferred, with how many of how many chunks are done.
    pub(crate) fn show(&mut self, phase: Phase, chunks_done: u32, chunks_total: u32) {
        let progress = FetchProgress {
            phase,
            bytes_total: None,
            bytes_done: 0,
            bytes_resumed: self.bytes.resumed,
            chunks_total,
            chunks_done,
            rate: 0.0,
            elapsed: self.begun.elapsed(),
            sources: Vec::new(),
            eta: None,
            bottleneck: Bottleneck::None,
            note: None,
        };
        (self.progress)(&progress);
    }

    /// Withdraws the growing file from offer.
    pub(crate) fn withdraw(&mut self) {
        if let Some(shared_file) = self.shared_file.take() {
            shared_file.withdraw();
        }
    }
}

/// See [`fetch`](crate::download::fetch).
pub(crate) fn run(
    job: FetchJob,
    discovery: &dyn Discovery,
    progress: &mut dyn FnMut(&FetchProgress),
    cancel: &Cancel,
) -> Result<Fetched, FetchError> {
    let mut context = Context::new(job, discovery, progress, cancel);
    let result = download(&mut context).map_err(|error| match error {
        // A question that the cancellation cut short has no answer. The cancellation is the reason to report.
        FetchError::Discovery(_) | FetchError::NoManifest if cancel.is_cancelled() => FetchError::Cancelled,
        error => error,
    });
    if result.is_err() {
        context.withdraw();
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
    context.show(Phase::LookingUp, 0, 0);
    let plan = plan(context)?;
    ask_for_grant(context, &plan)?;
    let part = open_part(&context.job)?;
    let choices = manifest::choices(&plan, context.job.manifest_id, &|sources| context.usable(sources.to_vec()));
    let mut tried = false;
    let mut last_error = FetchError::NoManifest;
    for choice in choices {
        if context.cancel.is_cancelled() {
            return Err(FetchError::Cancelled);
        }
        let chosen = match choice.resolve(context) {
            Ok(chosen) => chosen,
            Err(error) => {
                last_error = error;
                continue;
            }
        };
        tried = true;
        match session::run(context, chosen, &part)? {
            Outcome::Finished(finished) => return Ok(fetched(context, plan, finished)),
            Outcome::ManifestFalse(Some(file)) => return Err(FetchError::FalseListing(file)),
            Outcome::ManifestFalse(None) => {}
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

fn fetched(context: &mut Context<'_>, plan: Plan, finished: Finished) -> Fetched {
    Fetched {
        path: finished.path,
        manifest: finished.manifest,
        identity: finished.identity,
        shared_file: context.shared_file.take(),
        file_name: plan.file_name,
        bytes_fetched: context.bytes.fetched,
        bytes_resumed: context.bytes.resumed,
        bytes_copied: context.bytes.copied,
        bytes_by_source: context.sources.bytes_by_source(),
        took: context.begun.elapsed(),
    }
}

fn plan(context: &mut Context<'_>) -> Result<Plan, FetchError> {
    match context.job.plan.take() {
        Some(plan) => Ok(plan),
        None => context.discovery.plan(context.job.file_hash).map_err(FetchError::Discovery),
    }
}

/// Asks for a grant where a source may ask to see it. A tracker that cannot be reached now is asked again on the way.
fn ask_for_grant(context: &Context<'_>, plan: &Plan) -> Result<(), FetchError> {
    let speaks_tls = |source: &Source| source.transport == Transport::Tls;
    if !plan.manifests.iter().flat_map(|manifest| &manifest.sources).any(speaks_tls) {
        return Ok(());
    }
    match context.grants.renew(|| context.discovery.grant(context.job.file_hash)) {
        // Of a public file, the tracker that was asked may only not have heard yet.
        Err(error @ DiscoveryError::NotFound) if plan.restricted => Err(FetchError::Discovery(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
