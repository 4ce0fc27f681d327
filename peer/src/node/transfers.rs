//! Snapshots of what a node is transferring, for its status.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peernet_engine::ids::FileHash;

use crate::download::FetchProgress;
use crate::serve::{Calls, Upload};

/// A snapshot of all transfers of a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Transfers {
    /// `Fetch` calls being served, oldest first.
    pub uploads: Vec<Upload>,
    /// Version 1's calls, summed up.
    pub calls: Calls,
    /// Downloads running in this node, oldest first.
    pub downloads: Vec<RunningDownload>,
    /// Sources in use and `Fetch` calls served, together.
    pub connections: u32,
}

/// A running download.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunningDownload {
    /// The file.
    pub file_hash: FileHash,
    /// The name of the file it becomes; empty for a stream.
    pub name: String,
    /// The progress of the download.
    pub progress: FetchProgress,
}

impl Transfers {
    /// The rate of all uploads, in bytes a second.
    pub(crate) fn upload_rate(&self) -> f64 {
        self.uploads.iter().map(|upload| upload.rate).sum::<f64>() + self.calls.rate
    }

    /// The rate of all downloads, in bytes a second.
    pub(crate) fn download_rate(&self) -> f64 {
        self.downloads.iter().map(|download| download.progress.rate).sum()
    }
}

/// The running downloads of a node. There are as many as threads that wait for one.
#[derive(Debug, Default)]
pub(crate) struct Downloads(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    next: u64,
    running: BTreeMap<u64, RunningDownload>,
}

/// A download in the list. Dropping it removes the download.
pub(crate) struct Entry {
    downloads: Arc<Downloads>,
    number: u64,
    file_hash: FileHash,
    name: String,
}

impl Downloads {
    /// Adds a download. It is listed from its first [`Entry::update`] on.
    pub(crate) fn begin(self: &Arc<Self>, file_hash: FileHash, name: String) -> Entry {
        let mut listed = self.lock();
        listed.next += 1;
        Entry { downloads: Arc::clone(self), number: listed.next, file_hash, name }
    }

    /// Returns all listed downloads.
    pub(crate) fn list(&self) -> Vec<RunningDownload> {
        self.lock().running.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Records the progress.
    pub(crate) fn update(&self, progress: &FetchProgress) {
        let file_hash = self.file_hash;
        let name = self.name.clone();
        let download = RunningDownload { file_hash, name, progress: progress.clone() };
        self.downloads.lock().running.insert(self.number, download);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.downloads.lock().running.remove(&self.number);
    }
}
