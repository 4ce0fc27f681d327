//! The embedding API: a node is one account, its shares and its downloads, in one process.

mod access;
mod builder;
mod device;
mod download;
pub(crate) mod error;
mod link;
mod member;
mod paths;
mod renewal;
mod running;
mod share;
mod stream;
pub(crate) mod transfers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peernet_engine::ids::{FileHash, ManifestId, PeerId};

use crate::cancel::Cancel;
use crate::discovery::tracker::{Hits, LoginName, Me, TrackerClient};
use crate::files::SharedFile;
use crate::home::{Credentials, Home};
use crate::identity::Fingerprint;
use crate::log::Log;
#[cfg(feature = "cli")]
use crate::memory::Memory;
use crate::node::transfers::{Downloads, Transfers};
use crate::publication::{Publication, PublicationKey, Publisher};
use crate::serve::UploadLimits;
use crate::shares::{DirectoryInfo, ShareInfo, Shares};
use crate::throttle::{SpeedLimits, Throttle};

#[cfg(feature = "cli")]
pub(crate) use access::IS_DIRECTORY;
pub use builder::Builder;
pub use error::NodeError;
use member::MemberState;
use running::Running;

/// The time for which [`Node::stop`] waits for an exchange of tokens that has begun.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// One account, its shares and its downloads. All calls block, and may come from several threads at once.
///
/// Background threads run only after [`Node::serve`] or [`Node::download`]. [`Node::stop`] or dropping the node ends
/// them.
pub struct Node {
    home: Home,
    tracker: Arc<TrackerClient>,
    shares: Arc<Shares>,
    settings: Settings,
    membership_state: Mutex<MemberState>,
    /// The swarm's authority for links, if this node is no member yet.
    authority: Mutex<Option<Fingerprint>>,
    log: Log,
    stop: Cancel,
    running: Running,
    lingering: Mutex<Vec<Arc<SharedFile>>>,
    throttle: Arc<Throttle>,
    downloads: Arc<Downloads>,
    limits: Mutex<SpeedLimits>,
}

/// The settings of a node that serves.
#[derive(Debug, Clone)]
struct Settings {
    listen: String,
    /// The address for unencrypted connections, if they are allowed.
    plaintext_listen: Option<String>,
    address: Option<String>,
    site: Option<String>,
    upload: UploadLimits,
    lasting: bool,
}

/// A shared file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The absolute path.
    pub path: PathBuf,
    /// The SHA-256 of the file, or of a directory's listing.
    pub file_hash: FileHash,
    /// The id of its manifest, which verifies each chunk.
    pub manifest_id: ManifestId,
    /// The name that other peers see.
    pub file_name: String,
    /// Bytes of the file, or of all files of a directory.
    pub size: u64,
    /// The number of chunks of the file, or of a directory's listing and pack.
    pub chunks: u32,
    /// The link for downloading it.
    pub link: String,
    /// Facts about a directory; `None` for a file.
    pub directory: Option<DirectoryInfo>,
    /// The number of symbolic links and special files in a directory. They are not part of the share.
    pub left_out: u64,
    /// The key with which this account has signed it as its publisher; `None` if the tracker has no such signature.
    pub signed_with: Option<PublicationKey>,
}

/// The options of a download.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownloadOptions {
    /// The output: a folder, in which the file gets the name that the source gives, or a file. A path that does not
    /// exist is a folder if it ends with a slash or has no extension. By default the current folder.
    pub output: Option<PathBuf>,
    /// Replace an existing file at the final path. Without this it is [`NodeError::Exists`], unless it is the wanted
    /// file.
    pub force: bool,
    /// Name the file `<hash>.download`, as version 1 did.
    pub version1_name: bool,
    /// Share the file from then on.
    pub share: bool,
    /// Serve finished chunks to other peers during the download, and afterwards until [`Node::linger`] or
    /// [`Node::stop`]. A node that does not serve yet begins to, if the file is large enough.
    pub offer: bool,
    /// Patterns (see [`peernet_engine::glob`]) for the relative paths of a directory. Only files and empty folders that
    /// match one are selected. Empty for all.
    pub include: Vec<String>,
    /// Patterns for the relative paths of a directory. Files and folders that match one are left out.
    pub exclude: Vec<String>,
    /// Only a file that this publisher has signed; otherwise [`NodeError::NotFound`], before any byte is fetched.
    pub from: Option<Publisher>,
    /// Do not wait for the disk. This is faster if the disk is the slowest part, but a power cut may lose fetched
    /// chunks.
    pub no_sync: bool,
}

/// A finished download of a file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// The path of the file or directory.
    pub path: PathBuf,
    /// The verified SHA-256 of the file, or of a directory's listing, with which every file was verified.
    pub file_hash: FileHash,
    /// The id of its manifest.
    pub manifest_id: ManifestId,
    /// Bytes of the file, or of the wanted files of a directory.
    pub size: u64,
    /// The number of files: 1, or the wanted files of a directory.
    pub files: usize,
    /// Bytes that came over the network and were verified.
    pub bytes_fetched: u64,
    /// Bytes that an earlier, interrupted download had left.
    pub bytes_resumed: u64,
    /// Bytes that were copied on this machine: from shared files, or from the file that was replaced.
    pub bytes_copied: u64,
    /// The sources, each with the number of verified bytes that it sent.
    pub sources: Vec<(PeerId, u64)>,
    /// Whether the file existed already, complete and verified, so that nothing was fetched.
    pub was_there: bool,
    /// The publisher: the first account that signed the manifest, or the requested one. `None` if there is no signature
    /// or the tracker did not say.
    pub publication: Option<Publication>,
    /// The time from the call to the end.
    pub took: Duration,
}

impl Node {
    /// Begins to describe a node.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Makes an account at the tracker and logs in. If the builder's address has an account with this password, logs in
    /// to that one. The password is not stored; the tokens are, with mode 0600.
    pub fn register(&self, password: &str) -> Result<PeerId, NodeError> {
        self.register_with(password, None)
    }

    /// Does the same with an invite code, which some trackers require for a new account.
    pub fn register_invited(&self, password: &str, invite: &str) -> Result<PeerId, NodeError> {
        self.register_with(password, Some(invite))
    }

    fn register_with(&self, password: &str, invite: Option<&str>) -> Result<PeerId, NodeError> {
        self.home.prepare()?;
        let account = self.tracker.register(self.settings.address.as_deref(), password, invite)?;
        self.forget_refusal();
        Ok(account.peer_id)
    }

    /// Logs in to an account.
    pub fn login(&self, name: &LoginName, password: &str) -> Result<PeerId, NodeError> {
        self.home.prepare()?;
        let account = self.tracker.login(name, password)?;
        self.forget_refusal();
        Ok(account.peer_id)
    }

    /// Changes the password. All other devices of the account are logged out. This one becomes a new device with its
    /// old label and scopes.
    pub fn change_password(&self, old: &str, new: &str) -> Result<(), NodeError> {
        self.tracker.change_password(old, new)?;
        Ok(())
    }

    /// Returns the account that this folder is logged in to; `None` if there is none.
    pub fn account(&self) -> Result<Option<PeerId>, NodeError> {
        Ok(self.credentials()?.map(|credentials| credentials.peer_id))
    }

    /// Returns the credentials of that account.
    pub(crate) fn credentials(&self) -> Result<Option<Credentials>, NodeError> {
        Ok(self.tracker.account()?)
    }

    /// Returns the account as the tracker sees it.
    pub fn me(&self) -> Result<Me, NodeError> {
        Ok(self.tracker.me()?)
    }

    /// Searches for files whose name contains every word, newest first, at most `limit` (up to 100). `after` continues
    /// an earlier page.
    pub fn search(&self, words: &str, limit: usize, after: Option<&str>) -> Result<Hits, NodeError> {
        Ok(self.tracker.search(words, limit, after)?)
    }

    /// Listens, serves everything shared and keeps it announced, and returns the address. Does nothing if it serves
    /// already. Needs an account, and its certificate unless plaintext is allowed.
    pub fn serve(&self) -> Result<SocketAddr, NodeError> {
        self.running.serve(self)
    }

    /// Returns the address that it listens on; `None` before [`Node::serve`].
    pub fn listen_address(&self) -> Option<SocketAddr> {
        self.running.listen_address()
    }

    /// Returns the address for unencrypted connections, if there is one.
    pub fn plaintext_address(&self) -> Option<SocketAddr> {
        self.running.plaintext_address()
    }

    /// Returns the payload bytes sent since it began to serve.
    pub fn bytes_sent(&self) -> u64 {
        self.running.bytes_sent()
    }

    /// Returns the payload bytes received, verified or not.
    pub fn bytes_received(&self) -> u64 {
        self.throttle.bytes_received()
    }

    /// Returns the counters of its server since it began to serve.
    #[cfg(feature = "cli")]
    pub(crate) fn upload_counters(&self) -> crate::grpc::UploadCounters {
        self.running.upload_counters()
    }

    /// Reports whether the tracker answered the last announce; false before the first.
    #[cfg(feature = "cli")]
    pub(crate) fn tracker_answers(&self) -> bool {
        self.running.tracker_answers()
    }

    /// Returns the current uploads and downloads.
    pub(crate) fn transfers(&self) -> Transfers {
        let (uploads, calls) = self.running.uploads();
        Transfers { uploads, calls, downloads: self.downloads.list(), connections: self.throttle.connections().count() }
    }

    /// Returns the limits in force.
    pub fn limits(&self) -> SpeedLimits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the limits. Connections over a new limit go on to their end.
    pub fn set_limits(&self, limits: SpeedLimits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
        self.running.apply_limits(self);
    }

    /// Returns the bytes of files that it holds in memory now, and the most that it ever held at once.
    pub(crate) fn memory_used(&self) -> (usize, usize) {
        self.throttle.memory().used()
    }

    #[cfg(feature = "cli")]
    pub(crate) fn memory(&self) -> &Memory {
        self.throttle.memory()
    }

    /// Returns everything shared, ordered by path.
    pub fn shares(&self) -> Vec<ShareInfo> {
        self.shares.list()
    }

    /// Returns its folders.
    #[doc(hidden)]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Returns the tracker's URL.
    pub fn tracker_url(&self) -> &str {
        self.tracker.url()
    }

    /// Keeps serving downloads with [`DownloadOptions::offer`] while other peers are in the middle of fetching them,
    /// then stops. Waits at most `longest`, and no longer than until `cancel`. Calls `begins` if it has to wait.
    pub fn linger(&self, longest: Duration, cancel: &Cancel, begins: &mut dyn FnMut()) {
        let finished = std::mem::take(&mut *self.lingering.lock().unwrap_or_else(PoisonError::into_inner));
        if !finished.is_empty() {
            self.running.wait_until_idle(longest, cancel, begins);
        }
        finished.iter().for_each(|shared_file| self.shares.end(shared_file));
    }

    /// Leaves the swarm, stops serving and ends the node's threads, within about ten seconds at worst. The list of
    /// shares stays in the folder for the next node. Calling it again does nothing.
    pub fn stop(&self) {
        self.stop.cancel();
        self.running.stop(&self.log);
        self.tracker.settle(SETTLE_MAX);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}
