//! A node: one account, what it shares, and its downloads, in one process. The embedding API.

mod access;
mod builder;
mod device;
mod download;
mod link;
mod member;
mod place;
mod running;
mod share;
mod stream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peernet_engine::ids::{FileHash, ManifestId, PeerId};

use crate::cancel::Cancel;
use crate::discovery::tracker::{Hits, LoginName, Me, TrackerClient};
use crate::error::NodeError;
use crate::home::{Credentials, Home};
use crate::identity::Fingerprint;
use crate::log::Log;
#[cfg(feature = "cli")]
use crate::memory::Memory;
use crate::publication::{Publication, PublicationKey, Publisher};
use crate::shares::{DirectoryInfo, ShareInfo, Shares};
use crate::throttle::{SpeedLimits, Throttle};
use crate::transfers::{Downloads, Transfers};
use crate::upload::{Held, UploadLimits};

#[cfg(feature = "cli")]
pub(crate) use access::IS_DIRECTORY;
pub use builder::Builder;
use member::Standing;
use running::Running;

/// How long the end waits for an exchange of tokens that is under way.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// One account, its shares and its downloads. All calls block; they may come from several threads at once.
///
/// Nothing runs in the background until [`Node::serve`] or [`Node::download`] is called; [`Node::stop`], or dropping the
/// node, ends what does.
pub struct Node {
    home: Home,
    tracker: Arc<TrackerClient>,
    shares: Arc<Shares>,
    settings: Settings,
    standing: Mutex<Standing>,
    /// For links, where this node is no member yet.
    authority: Mutex<Option<Fingerprint>>,
    log: Log,
    stop: Cancel,
    running: Running,
    lingering: Mutex<Vec<Arc<Held>>>,
    throttle: Arc<Throttle>,
    downloads: Arc<Downloads>,
    limits: Mutex<SpeedLimits>,
}

/// How a node serves.
#[derive(Debug, Clone)]
struct Settings {
    listen: String,
    /// Where plaintext is allowed.
    plaintext_listen: Option<String>,
    address: Option<String>,
    site: Option<String>,
    upload: UploadLimits,
    lasting: bool,
}

/// A file or directory on offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Where it lies, absolute.
    pub path: PathBuf,
    /// SHA-256 of the file; of a directory its listing's.
    pub file_hash: FileHash,
    /// What stands for its chunk hashes.
    pub manifest_id: ManifestId,
    /// What others see as its name.
    pub file_name: String,
    /// Bytes; of a directory those of all its files.
    pub size: u64,
    /// How many chunks it has; of a directory those of listing and pack.
    pub chunks: u32,
    /// For others to download it with.
    pub link: String,
    /// What there is to know about a directory; `None` for a file.
    pub directory: Option<DirectoryInfo>,
    /// Symbolic links and special files in a directory, which are not part of the share.
    pub left_out: u64,
    /// The key with which this account has signed it as its own; `None` where the tracker has no such signature.
    pub signed_with: Option<PublicationKey>,
}

/// How to download.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownloadOptions {
    /// A folder, for the source's name in it, or a file. What does not exist yet is a folder when it ends with a slash
    /// or has no extension. By default the current folder.
    pub output: Option<PathBuf>,
    /// Replace what is at the final path. Otherwise that is [`NodeError::Exists`], unless it is the file asked for.
    pub force: bool,
    /// Name it `<hash>.download`, as version 1 did.
    pub version1_name: bool,
    /// Share it from then on.
    pub share: bool,
    /// Offer what is there to others while the rest is fetched, and then until [`Node::linger`] or [`Node::stop`]. A node
    /// that does not serve yet begins to, for files that are worth it.
    pub offer: bool,
    /// Of a directory, only the files and empty folders whose relative path one of these patterns names: see
    /// [`peernet_engine::glob`]. Empty for all.
    pub include: Vec<String>,
    /// Of a directory, not those that one of these names.
    pub exclude: Vec<String>,
    /// Only what this publisher has signed; otherwise [`NodeError::NotFound`], before a byte is fetched.
    pub from: Option<Publisher>,
    /// Do not wait for the disk: faster where it is the slowest part, but a power cut may cost what was fetched.
    pub no_sync: bool,
}

/// A finished download: of a file, or of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its bytes, verified; of a directory that of its listing, with which every file was verified.
    pub file_hash: FileHash,
    /// What stands for its chunk hashes.
    pub manifest_id: ManifestId,
    /// Bytes; of a directory those of the files that were wanted.
    pub size: u64,
    /// How many files these are: 1, or of a directory those that were wanted.
    pub files: usize,
    /// Bytes that came over the network and were right.
    pub bytes_fetched: u64,
    /// Bytes that an earlier run had left.
    pub bytes_resumed: u64,
    /// Bytes that were copied from elsewhere on this machine: from what is shared here, or from what was replaced.
    pub bytes_copied: u64,
    /// Who sent how many right bytes.
    pub sources: Vec<(PeerId, u64)>,
    /// The file was there already, whole and right; nothing was fetched.
    pub was_there: bool,
    /// Who publishes it: the first who signed its manifest, or who was asked for; `None` where nobody did, or the tracker did not say.
    pub publication: Option<Publication>,
    /// From the call to the end.
    pub took: Duration,
}

impl Node {
    /// Starts describing a node.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Makes an account at the tracker and logs in. Where the builder's address has an account with this password, logs
    /// in to that. The password is not kept; the tokens are, with mode 0600.
    pub fn register(&self, password: &str) -> Result<PeerId, NodeError> {
        self.register_with(password, None)
    }

    /// The same with the invite code that some trackers want of a new account.
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

    /// Sets another password. Every other device of this account is logged out; this one becomes a new one, with its label and scopes.
    pub fn change_password(&self, old: &str, new: &str) -> Result<(), NodeError> {
        self.tracker.change_password(old, new)?;
        Ok(())
    }

    /// The account in use, as it is known here; `None` before [`Node::register`] or [`Node::login`].
    pub fn account(&self) -> Result<Option<Credentials>, NodeError> {
        Ok(self.tracker.account()?)
    }

    /// The account as the tracker sees it.
    pub fn me(&self) -> Result<Me, NodeError> {
        Ok(self.tracker.me()?)
    }

    /// Files whose name contains every word, newest first, at most `limit` (up to 100); `after` continues an earlier page.
    pub fn search(&self, words: &str, limit: usize, after: Option<&str>) -> Result<Hits, NodeError> {
        Ok(self.tracker.search(words, limit, after)?)
    }

    /// Listens, serves everything shared, and keeps it announced. Does nothing when it does already. Needs an account, and a
    /// certificate of it unless plaintext is allowed. Returns where it listens.
    pub fn serve(&self) -> Result<SocketAddr, NodeError> {
        self.running.serve(self)
    }

    /// Where it listens; `None` before [`Node::serve`].
    pub fn listen_address(&self) -> Option<SocketAddr> {
        self.running.listen_address()
    }

    /// Where it listens in plaintext, if it does.
    pub fn plaintext_address(&self) -> Option<SocketAddr> {
        self.running.plaintext_address()
    }

    /// Payload bytes sent to others since it began to serve.
    pub fn bytes_sent(&self) -> u64 {
        self.running.bytes_sent()
    }

    /// Payload bytes received from others, right ones and wrong ones.
    pub fn bytes_received(&self) -> u64 {
        self.throttle.bytes_received()
    }

    /// What its server has done since it began to serve.
    #[cfg(feature = "cli")]
    pub(crate) fn upload_counters(&self) -> crate::grpc::UploadCounters {
        self.running.upload_counters()
    }

    /// Whether the last announce was answered; false before the first.
    #[cfg(feature = "cli")]
    pub(crate) fn tracker_answers(&self) -> bool {
        self.running.tracker_answers()
    }

    /// What it is sending and receiving.
    pub fn transfers(&self) -> Transfers {
        let (uploads, calls) = self.running.uploads();
        Transfers { uploads, calls, downloads: self.downloads.list(), connections: self.throttle.connections().count() }
    }

    /// How much it may use.
    pub fn limits(&self) -> SpeedLimits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how much it may use, from now on. Connections over a new limit go on to their end.
    pub fn set_limits(&self, limits: SpeedLimits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
        self.running.apply_limits(self);
    }

    /// Bytes of files that it holds in memory now, and the most it ever did at once.
    pub fn memory_used(&self) -> (usize, usize) {
        self.throttle.memory().used()
    }

    #[cfg(feature = "cli")]
    pub(crate) fn memory(&self) -> &Memory {
        self.throttle.memory()
    }

    /// Everything shared, ordered by path.
    pub fn shares(&self) -> Vec<ShareInfo> {
        self.shares.list()
    }

    /// The folders it lives in.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The tracker's URL.
    pub fn tracker_url(&self) -> &str {
        self.tracker.url()
    }

    /// Goes on offering what [`DownloadOptions::offer`] asked for as long as somebody is in the middle of fetching it, at most
    /// `longest`, and no longer than until `cancel`; then ends the offer. Calls `begins` if there is somebody.
    pub fn linger(&self, longest: Duration, cancel: &Cancel, begins: &mut dyn FnMut()) {
        let held = std::mem::take(&mut *self.lingering.lock().unwrap_or_else(PoisonError::into_inner));
        if !held.is_empty() {
            self.running.wait_until_idle(longest, cancel, begins);
        }
        held.iter().for_each(|held| self.shares.end(held));
    }

    /// Leaves the swarm, stops serving and ends the node's threads, within about ten seconds at worst. What was shared
    /// stays in the folder for the next node. Calling it again does nothing.
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
