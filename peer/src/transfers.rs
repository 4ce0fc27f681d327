//! What a node is transferring, for whoever looks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peernet_engine::ids::{FileHash, PeerId};

use crate::fetch::FetchProgress;

/// How a connection between two peers is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Encrypted, and both sides have proven who they are.
    Tls,
    /// Neither.
    Plaintext,
}

impl Transport {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Plaintext => "plaintext",
        }
    }
}

/// A snapshot of all of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transfers {
    /// `Fetch` calls that are served, the oldest first.
    pub uploads: Vec<Upload>,
    /// Version 1's calls, summed.
    pub calls: Calls,
    /// Downloads that run in this node, the oldest first.
    pub downloads: Vec<RunningDownload>,
    /// Sources in use and `Fetch` calls served, together.
    pub connections: u32,
}

/// One `Fetch` call that is served.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    /// Of which file.
    pub file_hash: FileHash,
    /// What it is called here; may be empty.
    pub file_name: String,
    /// Where the caller is, `address:port`.
    pub address: String,
    /// How the two speak.
    pub transport: Transport,
    /// The caller's account, where it has proven it.
    pub peer: Option<PeerId>,
    /// Payload bytes a second, lately.
    pub rate: f64,
    /// Payload bytes since it began.
    pub bytes: u64,
    /// Since it began.
    pub age: Duration,
}

/// Version 1's calls, one for each chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Calls {
    /// How many are served now.
    pub running: usize,
    /// Payload bytes a second, lately, of all together.
    pub rate: f64,
    /// Payload bytes since the server began.
    pub bytes: u64,
}

/// One download.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningDownload {
    /// Of which file.
    pub file_hash: FileHash,
    /// The name of the file it becomes; empty for a stream.
    pub name: String,
    /// How far it is.
    pub progress: FetchProgress,
}

impl Transfers {
    /// Bytes a second that go out.
    pub fn upload_rate(&self) -> f64 {
        self.uploads.iter().map(|upload| upload.rate).sum::<f64>() + self.calls.rate
    }

    /// Bytes a second that come in.
    pub fn download_rate(&self) -> f64 {
        self.downloads.iter().map(|download| download.progress.rate).sum()
    }
}

/// The running downloads of a node. As many as there are callers that wait for one.
#[derive(Debug, Default)]
pub(crate) struct Downloads(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    next: u64,
    running: BTreeMap<u64, RunningDownload>,
}

/// A download in the list; dropping it takes it out.
pub(crate) struct Entry {
    downloads: Arc<Downloads>,
    number: u64,
    file_hash: FileHash,
    name: String,
}

impl Downloads {
    /// One begins. It is shown from its first [`Entry::update`] on.
    pub(crate) fn begin(self: &Arc<Self>, file_hash: FileHash, name: String) -> Entry {
        let mut listed = self.lock();
        listed.next += 1;
        Entry { downloads: Arc::clone(self), number: listed.next, file_hash, name }
    }

    /// All of them.
    pub(crate) fn list(&self) -> Vec<RunningDownload> {
        self.lock().running.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// How far it is now.
    pub(crate) fn update(&self, progress: &FetchProgress) {
        let (file_hash, name) = (self.file_hash, self.name.clone());
        let download = RunningDownload { file_hash, name, progress: progress.clone() };
        self.downloads.lock().running.insert(self.number, download);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.downloads.lock().running.remove(&self.number);
    }
}
