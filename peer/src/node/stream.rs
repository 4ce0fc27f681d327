//! Downloading into a sink instead of a file.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use peernet_engine::ids::ChunkCount;
use peernet_engine::link::{Kind, Target};

use super::download::{LookedUp, random_seed};
use super::{DownloadOptions, Downloaded, Node};
use crate::cancel::Cancel;
use crate::download::{FetchJob, FetchLimits, FetchProgress, Sink};
use crate::node::NodeError;

/// The number of chunks past the first missing one that are fetched: as many as may be in flight, so that no source is
/// idle.
const READ_AHEAD: ChunkCount = ChunkCount(64);

impl Node {
    /// Downloads a file and hands its bytes to `sink`, in order, as they are verified. With a link every byte is right.
    /// With a bare hash, only the end proves the bytes: [`NodeError::Verification`] means that they were not the
    /// file's.
    ///
    /// The bytes gather in a file without a name, in the folder `options.output` or the node's own. It needs the size
    /// of the file there, and is gone with the call or the process. So there is no resuming. Of `options`, only
    /// `output` and `from` are used. `path` of the result is empty. The call does not end while `sink` blocks, not even
    /// by `cancel`.
    pub fn stream(
        &self,
        target: &Target,
        options: &DownloadOptions,
        sink: Sink,
        progress: &mut dyn FnMut(&FetchProgress),
        cancel: &Cancel,
    ) -> Result<Downloaded, NodeError> {
        if matches!(target, Target::Link(link) if link.kind == Kind::Collection) {
            let text = "a collection is many files and no stream; download it into a folder, and read that (or pack it with tar)";
            return Err(NodeError::Invalid(text.to_owned()));
        }
        let folder = options.output.clone().unwrap_or_else(|| self.home.state_folder().to_owned());
        fs::create_dir_all(&folder).map_err(NodeError::local("making the folder", &folder))?;
        let seed = random_seed()?;
        let LookedUp { call, plan } = self.look_up(target, options, cancel)?;
        let plan = plan.map_err(|error| self.explained(error, target.file_hash()))?;
        let mut limits = FetchLimits { survive_power_cut: false, ..FetchLimits::default() };
        limits.scheduler.read_ahead = Some(READ_AHEAD);
        let part = folder.join(format!(".peernet-stream-{seed:016x}"));
        let job = FetchJob {
            manifest_id: call.published.manifest,
            plan: Some(plan),
            limits,
            dial: self.dial(&|| call.certificate())?,
            throttle: Arc::clone(&self.throttle),
            own_peer: self.tracker.account()?.map(|account| account.peer_id),
            sink: Some(sink),
            passing: true,
            ..FetchJob::new(target.file_hash(), part, PathBuf::new(), seed)
        };
        let fetched = self.fetch(job, &call, progress)?;
        let manifest = &fetched.manifest;
        Ok(Downloaded {
            path: PathBuf::new(),
            file_hash: manifest.file_hash(),
            manifest_id: manifest.id(),
            size: manifest.geometry().size().0,
            bytes_fetched: fetched.bytes_fetched,
            files: 1,
            bytes_resumed: 0,
            bytes_copied: 0,
            sources: fetched.bytes_by_source,
            was_there: false,
            publication: call.published.of(manifest.id()),
            took: call.begun.elapsed(),
        })
    }
}
