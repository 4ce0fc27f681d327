//! Downloading a file: its paths, the file that is there already, the download itself, and the steps after it.

mod collection;
mod nearby;
mod publisher;

use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use peernet_engine::ids::{FileHash, ManifestId};
use peernet_engine::link::Target;
use peernet_engine::manifest::Manifest;

use self::nearby::Here;
use self::publisher::Published;
use super::paths::{Output, Paths};
use super::{DownloadOptions, Downloaded, Node};
use crate::cancel::Cancel;
use crate::discovery::tracker::reports::ReportQueue;
use crate::discovery::tracker::{TrackerError, TrackerProvider};
use crate::discovery::{Combined, DiscoveryError, Plan, SourceDiscovery};
use crate::download::{FetchError, FetchJob, FetchLimits, FetchProgress, Fetched, fetch};
use crate::files::SharedFile;
use crate::files::hashing::hash_file_identified;
use crate::files::part::Journal;
use crate::identity::Identity;
use crate::node::NodeError;

/// The smallest download, in bytes, for which a node that serves nothing yet begins to serve. Smaller ones are over
/// before another peer hears of them.
const OFFER_BYTES_MIN: u64 = 8 << 20;
/// The time that the last feedback of a download has before it goes on in the background until the node stops.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a cancelled download, which should return at once.
const FLUSH_TIMEOUT_CANCELLED: Duration = Duration::from_millis(500);

/// A download that has looked its file up, with the state that its steps use.
pub(super) struct Call<'a> {
    pub(super) target: &'a Target,
    pub(super) options: &'a DownloadOptions,
    pub(super) discovery: Combined,
    pub(super) reports: ReportQueue,
    pub(super) published: Published,
    tracker: Arc<TrackerProvider>,
    pub(super) begun: Instant,
    pub(super) cancel: &'a Cancel,
}

impl Call<'_> {
    /// Gets another certificate for this node. Waits for the tracker until the download is cancelled at most.
    pub(super) fn certificate(&self) -> Result<Identity, TrackerError> {
        self.tracker.certificate()
    }
}

/// A call with the plan of its file. A failed lookup is an error only where the plan is needed.
pub(super) struct LookedUp<'a> {
    pub(super) call: Call<'a>,
    pub(super) plan: Result<Plan, FetchError>,
}

/// The file at the final path.
enum Existing {
    /// No file.
    None,
    /// The file that was asked for.
    Same(Box<Downloaded>),
    /// Another file, which is to be replaced.
    Other(Arc<SharedFile>),
}

impl Node {
    /// Downloads a file or a directory by its hash or by a link. Every chunk and every whole file is verified. An
    /// earlier call with the same output is resumed. While the node serves, it offers the verified chunks to other
    /// peers. Chunks that lie on this machine already, in a shared file or in the one that is replaced, are copied and
    /// not fetched.
    ///
    /// `progress` is called on this thread, about ten times a second. After `cancel`, returns within about a second.
    pub fn download(
        &self,
        target: &Target,
        options: &DownloadOptions,
        progress: &mut dyn FnMut(&FetchProgress),
        cancel: &Cancel,
    ) -> Result<Downloaded, NodeError> {
        let LookedUp { call, plan } = self.look_up(target, options, cancel)?;
        let done = match collection::name(target, plan.as_ref().ok()) {
            Some(name) => self.download_collection(&call, &name, plan, progress)?,
            None => self.download_file(&call, plan, progress)?,
        };
        Ok(Downloaded { publication: call.published.of(done.manifest_id), ..done })
    }

    /// Looks a file up and finds its publisher: the first steps of every download.
    pub(super) fn look_up<'a>(
        &self,
        target: &'a Target,
        options: &'a DownloadOptions,
        cancel: &'a Cancel,
    ) -> Result<LookedUp<'a>, NodeError> {
        let begun = Instant::now();
        let reports = self.running.reports(self)?;
        let tracker = Arc::new(TrackerProvider::new(Arc::clone(&self.tracker), reports.clone(), cancel.clone()));
        let discovery = Combined::new(cancel.clone()).with(Arc::clone(&tracker));
        let plan = discovery.plan(target.file_hash()).map_err(FetchError::Discovery);
        if cancel.is_cancelled() {
            return Err(NodeError::Cancelled);
        }
        let published = self.published(&tracker, target, &plan, options.from)?;
        let call = Call { target, options, discovery, reports, published, tracker, begun, cancel };
        Ok(LookedUp { call, plan })
    }

    fn download_file(
        &self,
        call: &Call<'_>,
        plan: Result<Plan, FetchError>,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<Downloaded, NodeError> {
        let options = call.options;
        let file_hash = call.target.file_hash();
        if !options.include.is_empty() || !options.exclude.is_empty() {
            return Err(NodeError::Invalid("patterns choose files of a directory, and this is a file".to_owned()));
        }
        // A file that is at the final path already needs no source.
        let named = name_in(call.target).or_else(|| plan.as_ref().ok().map(|plan| plan.file_name.clone()));
        let paths = Paths::of(Output::of(options), options, file_hash, &named.unwrap_or_default());
        let old = match self.existing_file(&paths, file_hash, options, call.begun, call.cancel)? {
            Existing::Same(downloaded) => return Ok(*downloaded),
            Existing::Other(old) => Some(old),
            Existing::None => None,
        };
        let plan = plan.map_err(|error| self.explained(error, file_hash))?;
        fs::create_dir_all(&paths.folder).map_err(NodeError::local("making the folder", &paths.folder))?;
        let last = if options.force { &paths.beside } else { &paths.last };
        let base = self.job(file_hash, &paths.part, last, call)?;
        if options.offer {
            self.begin_to_offer(&plan);
        }
        let job = FetchJob {
            manifest_id: call.published.manifest,
            plan: Some(plan),
            nearby: Some(Box::new(Here::of_file(Arc::clone(&self.shares), old))),
            ..base
        };
        let fetched = self.fetch(job, call, progress)?;
        self.finish(fetched, &paths, options, call.begun)
    }

    /// Begins to serve, so that other peers get the chunks that are here. A download does not fail when that fails.
    fn begin_to_offer(&self, plan: &Plan) {
        let is_worth_it = plan.manifests.iter().any(|manifest| manifest.size.0 >= OFFER_BYTES_MIN);
        if is_worth_it
            && self.listen_address().is_none()
            && let Err(error) = self.serve()
        {
            self.log.info(&format!("the download is not offered to other peers meanwhile: {error}"));
        }
    }

    fn job(&self, file_hash: FileHash, part: &Path, last: &Path, call: &Call<'_>) -> Result<FetchJob, NodeError> {
        let seed = random_seed()?;
        Ok(FetchJob {
            limits: FetchLimits { survive_power_cut: !call.options.no_sync, ..FetchLimits::default() },
            dial: self.dial(&|| call.certificate())?,
            throttle: Arc::clone(&self.throttle),
            own_peer: self.tracker.account()?.map(|account| account.peer_id),
            ..FetchJob::new(file_hash, part.to_owned(), last.to_owned(), seed)
        })
    }

    /// Runs the download, offers its chunks meanwhile, and sends the feedback.
    pub(super) fn fetch(
        &self,
        mut job: FetchJob,
        call: &Call<'_>,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<Fetched, NodeError> {
        let growing: Arc<Mutex<Option<Arc<SharedFile>>>> = Arc::default();
        if self.listen_address().is_some() && !job.passing {
            let slot = Arc::clone(&growing);
            let shares = Arc::clone(&self.shares);
            job.on_growing = Some(Box::new(move |shared_file| {
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&shared_file));
                shares.begin(shared_file);
            }));
        }
        let name = job.final_path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let entry = self.downloads.begin(job.file_hash, name);
        let mut watched = |now: &FetchProgress| {
            entry.update(now);
            progress(now);
        };
        let fetched = fetch(job, &call.discovery, &mut watched, call.cancel);
        drop(entry);
        let patience = if call.cancel.is_cancelled() { FLUSH_TIMEOUT_CANCELLED } else { FLUSH_TIMEOUT };
        if !call.reports.flush(patience) {
            self.log.warn("the tracker was slow to take feedback; some of it may be lost");
        }
        if fetched.is_err()
            && let Some(shared_file) = growing.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            self.shares.end(&shared_file);
        }
        Ok(fetched?)
    }

    fn finish(
        &self,
        fetched: Fetched,
        paths: &Paths,
        options: &DownloadOptions,
        begun: Instant,
    ) -> Result<Downloaded, NodeError> {
        let renamed = options.force;
        if renamed {
            replace(&paths.beside, &paths.last, &paths.folder)?;
        }
        let real = fs::canonicalize(&paths.last).map_err(NodeError::local("looking at", &paths.last))?;
        let manifest = Arc::clone(&fetched.manifest);
        // After a rename the growing file points to a path that does not exist any more.
        let kept = fetched.shared_file.clone().filter(|_| !renamed);
        if options.share {
            self.add_share(Arc::clone(&manifest), &real, fetched.identity, kept)?;
        }
        match fetched.shared_file.filter(|_| renamed || !options.share) {
            Some(shared_file) if options.offer && !renamed => {
                self.lingering.lock().unwrap_or_else(PoisonError::into_inner).push(shared_file);
            }
            Some(shared_file) => self.shares.end(&shared_file),
            None => {}
        }
        if options.share {
            self.running.settle()?;
        }
        Ok(Downloaded {
            path: paths.last.clone(),
            file_hash: manifest.file_hash(),
            manifest_id: manifest.id(),
            size: manifest.geometry().size().0,
            files: 1,
            bytes_fetched: fetched.bytes_fetched,
            bytes_resumed: fetched.bytes_resumed,
            bytes_copied: fetched.bytes_copied,
            sources: fetched.bytes_by_source,
            was_there: false,
            publication: None,
            took: begun.elapsed(),
        })
    }

    /// Looks for the file at its final path. Another file there is refused here, before a byte is fetched.
    fn existing_file(
        &self,
        paths: &Paths,
        file_hash: FileHash,
        options: &DownloadOptions,
        begun: Instant,
        cancel: &Cancel,
    ) -> Result<Existing, NodeError> {
        if options.force {
            // A crash between two renames leaves this file. It is fetched again.
            let _none_usually = fs::remove_file(&paths.beside);
        }
        let Ok(metadata) = fs::symlink_metadata(&paths.last) else { return Ok(Existing::None) };
        let workers = available_parallelism().map_or(1, |n| n.get());
        let hashed = match metadata.is_file() {
            true => Some(hash_file_identified(&paths.last, workers, &mut |_| {}, cancel)?),
            false => None,
        };
        match hashed {
            Some((manifest, _)) if manifest.file_hash() == file_hash => {
                if !paths.part.exists() {
                    // A crash between the rename and the end of the download leaves this journal.
                    let _none_usually = fs::remove_file(Journal::path_for(&paths.part));
                }
                Ok(Existing::Same(Box::new(was_there(
                    paths,
                    &manifest,
                    Extent { size: metadata.len(), files: 1 },
                    begun,
                ))))
            }
            Some((manifest, identity)) if options.force => {
                let manifest = Arc::new(manifest);
                let path = paths.last.clone();
                Ok(Existing::Other(SharedFile::complete(manifest, path, identity, String::new())))
            }
            None if options.force && !metadata.is_dir() => Ok(Existing::None),
            _ => Err(NodeError::Exists(paths.last.clone())),
        }
    }

    /// Explains that a file which only this node shares has no source.
    pub(super) fn explained(&self, error: FetchError, file_hash: FileHash) -> NodeError {
        let own = self.shares().into_iter().find(|share| share.file_hash == file_hash);
        match (error, own) {
            (FetchError::Discovery(DiscoveryError::NotFound), Some(share)) => {
                NodeError::NotFound(format!("no other peer shares this file; yours is {}", share.path.display()))
            }
            (error, _) => error.into(),
        }
    }
}

/// Size and number of the files of a download.
struct Extent {
    size: u64,
    files: usize,
}

fn was_there(paths: &Paths, manifest: &Manifest, extent: Extent, begun: Instant) -> Downloaded {
    Downloaded {
        path: paths.last.clone(),
        file_hash: manifest.file_hash(),
        manifest_id: manifest.id(),
        size: extent.size,
        files: extent.files,
        bytes_fetched: 0,
        bytes_resumed: 0,
        bytes_copied: 0,
        sources: Vec::new(),
        was_there: true,
        publication: None,
        took: begun.elapsed(),
    }
}

pub(super) fn random_seed() -> Result<u64, NodeError> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| NodeError::Failed(format!("no randomness: {error}")))?;
    Ok(u64::from_le_bytes(seed))
}

pub(super) fn manifest_of(target: &Target) -> Option<ManifestId> {
    match target {
        Target::Hash(_) => None,
        Target::Link(link) => link.manifest,
    }
}

fn name_in(target: &Target) -> Option<String> {
    match target {
        Target::Hash(_) => None,
        Target::Link(link) => link.name.clone(),
    }
}

fn replace(from: &Path, to: &Path, folder: &Path) -> Result<(), NodeError> {
    fs::rename(from, to).and_then(|()| File::open(folder)?.sync_all()).map_err(NodeError::local("replacing", to))
}
