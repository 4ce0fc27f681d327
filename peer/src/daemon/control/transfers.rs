//! [`Transfers`] as the control socket sends them, and as `status --watch --json` prints them.

use serde::{Deserialize, Serialize};

use crate::node::transfers::{RunningDownload, Transfers};
use crate::serve::Upload;
use peernet_engine::candidate::Transport;

/// The most uploads and downloads that are listed, so that a reply stays short. The sums include the others.
const LISTED_MAX: usize = 256;

/// All transfers of a node. Rates are bytes a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TransfersMessage {
    pub(crate) upload_rate: u64,
    pub(crate) download_rate: u64,
    pub(crate) connections: u32,
    pub(crate) bytes_sent: u64,
    pub(crate) uploads: Vec<UploadMessage>,
    pub(crate) v1_calls: CallsMessage,
    pub(crate) downloads: Vec<DownloadMessage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UploadMessage {
    pub(crate) file_hash: String,
    pub(crate) name: String,
    pub(crate) address: String,
    /// `tls` or `plaintext`.
    pub(crate) transport: String,
    /// The caller's account, if its certificate proves one.
    pub(crate) peer_id: Option<String>,
    pub(crate) rate: u64,
    pub(crate) bytes: u64,
    /// Seconds since it began.
    pub(crate) seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallsMessage {
    pub(crate) running: usize,
    pub(crate) rate: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DownloadMessage {
    pub(crate) file_hash: String,
    pub(crate) name: String,
    pub(crate) rate: u64,
    pub(crate) bytes_done: u64,
    pub(crate) bytes_total: Option<u64>,
    pub(crate) eta_s: Option<u64>,
    /// The sources with requests in flight.
    pub(crate) sources: usize,
    /// The number of these sources that use plaintext.
    pub(crate) plaintext_sources: usize,
    pub(crate) seconds: u64,
}

impl TransfersMessage {
    /// Makes the message. `bytes_sent` counts from when the node began to serve.
    pub(crate) fn new(transfers: &Transfers, bytes_sent: u64) -> Self {
        let calls = transfers.calls;
        Self {
            upload_rate: transfers.upload_rate() as u64,
            download_rate: transfers.download_rate() as u64,
            connections: transfers.connections,
            bytes_sent,
            uploads: transfers.uploads.iter().take(LISTED_MAX).map(UploadMessage::new).collect(),
            v1_calls: CallsMessage { running: calls.running, rate: calls.rate as u64, bytes: calls.bytes },
            downloads: transfers.downloads.iter().take(LISTED_MAX).map(DownloadMessage::new).collect(),
        }
    }
}

impl UploadMessage {
    fn new(upload: &Upload) -> Self {
        Self {
            file_hash: upload.file_hash.to_string(),
            name: upload.file_name.clone(),
            address: upload.address.clone(),
            transport: upload.transport.as_str().to_owned(),
            peer_id: upload.peer.map(|peer| peer.to_string()),
            rate: upload.rate as u64,
            bytes: upload.bytes,
            seconds: upload.age.as_secs(),
        }
    }
}

impl DownloadMessage {
    fn new(download: &RunningDownload) -> Self {
        let progress = &download.progress;
        let in_use = || progress.sources.iter().filter(|source| source.in_flight > 0);
        Self {
            file_hash: download.file_hash.to_string(),
            name: download.name.clone(),
            rate: progress.rate as u64,
            bytes_done: progress.bytes_done,
            bytes_total: progress.bytes_total,
            eta_s: progress.eta.map(|eta| eta.as_secs()),
            sources: in_use().count(),
            plaintext_sources: in_use().filter(|source| source.transport == Transport::Plaintext).count(),
            seconds: progress.elapsed.as_secs(),
        }
    }
}
