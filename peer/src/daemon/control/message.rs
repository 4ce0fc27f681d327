//! The messages of the control socket.

use std::num::NonZeroU32;

use peernet_engine::rate_limit::Rate;
use peernet_protos::rest::FileAccessRequest;
use serde::{Deserialize, Serialize};

use crate::daemon::control::TransfersMessage;
use crate::node::Shared;
use crate::throttle::SpeedLimits;

/// The version of the protocol. Every request carries it, and the daemon refuses another one with an explanation.
pub(crate) const VERSION: u32 = 1;
/// The longest request, in bytes: a path and 1,000 accounts to share it with.
pub(crate) const REQUEST_BYTES_MAX: u64 = 64 << 10;
/// The longest line of a reply, in bytes: a list of shares.
pub(crate) const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A request to the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Request {
    /// Report the daemon's status.
    Status,
    /// Hash and share a file.
    Share {
        /// The absolute path.
        path: String,
        /// The visibility to set, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audience: Option<FileAccessRequest>,
    },
    /// Set the visibility of a file.
    SetAccess {
        /// The file's hash, in hex.
        file_hash: String,
        /// The new visibility.
        audience: FileAccessRequest,
    },
    /// Stop sharing a file.
    Unshare {
        /// The file's hash, in hex.
        file_hash: String,
    },
    /// Report the current transfers.
    Transfers,
    /// Change limits, in the form in which they are typed. Absent limits stay as they are. The reply has all limits.
    Limit {
        /// The new upload limit, in bytes a second.
        max_upload: Option<String>,
        /// The new download limit, in bytes a second.
        max_download: Option<String>,
        /// The new limit on connections.
        max_connections: Option<String>,
        /// The new limit on memory, in bytes.
        max_memory: Option<String>,
    },
}

/// A request with its version.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// The sender's [`VERSION`].
    pub(crate) version: u32,
    /// The request itself.
    #[serde(flatten)]
    pub(crate) request: Request,
}

/// One line of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// Progress of hashing: the bytes that are done, and all bytes.
    Hashing(u64, u64),
    /// The last line of a reply to a request that succeeded.
    Done(Last),
    /// The last line of a reply to a request that failed.
    Problem(Problem),
}

/// The result of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Last {
    /// The result of [`Request::Status`].
    Status(DaemonStatus),
    /// The result of [`Request::Share`].
    Shared(SharedMessage),
    /// The result of [`Request::Unshare`].
    Unshared,
    /// The result of [`Request::SetAccess`].
    AccessSet,
    /// The result of [`Request::Transfers`].
    Transfers(TransfersMessage),
    /// The result of [`Request::Limit`].
    Limits(LimitsMessage),
}

/// The failure of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// The exit code of the command line, from `cli::EXIT_CODES`.
    pub(crate) exit_code: u8,
    /// The message for the user.
    pub(crate) message: String,
}

/// The status of a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DaemonStatus {
    /// The id of its process.
    pub(crate) pid: u32,
    /// The address that it listens on.
    pub(crate) listen: String,
    /// The address for unencrypted connections, if there is one.
    #[serde(default)]
    pub(crate) plaintext_listen: Option<String>,
    /// Seconds since it was started.
    pub(crate) uptime_s: u64,
    /// Bytes sent to other peers since then.
    pub(crate) bytes_sent: u64,
    /// The number of `Fetch` calls that it serves.
    pub(crate) uploads: usize,
    /// The number of these uploads that use plaintext.
    #[serde(default)]
    pub(crate) plaintext_uploads: usize,
    /// Bytes a second that are sent, to version 1 clients as well.
    pub(crate) upload_rate: u64,
    /// The number of its downloads.
    pub(crate) downloads: usize,
    /// Bytes a second that are received.
    pub(crate) download_rate: u64,
    /// The shares of the node, as `list --json` prints them.
    pub(crate) shares: serde_json::Value,
}

/// [`SpeedLimits`] as the control socket sends them; `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LimitsMessage {
    pub(crate) max_upload: Option<u64>,
    pub(crate) max_download: Option<u64>,
    pub(crate) max_connections: Option<u32>,
    /// Bytes; absent in replies of older daemons.
    #[serde(default)]
    pub(crate) max_memory: Option<u64>,
}

impl From<SpeedLimits> for LimitsMessage {
    fn from(limits: SpeedLimits) -> Self {
        Self {
            max_upload: limits.max_upload.map(Rate::bytes_per_second),
            max_download: limits.max_download.map(Rate::bytes_per_second),
            max_connections: limits.max_connections.map(NonZeroU32::get),
            max_memory: Some(limits.max_memory.bytes() as u64),
        }
    }
}

/// [`Shared`] as the control socket sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SharedMessage {
    pub(crate) path: String,
    pub(crate) file_hash: String,
    pub(crate) manifest_id: String,
    pub(crate) file_name: String,
    pub(crate) size: u64,
    pub(crate) chunks: u32,
    pub(crate) link: String,
    /// The number of files, of a directory.
    #[serde(default)]
    pub(crate) files: Option<usize>,
    #[serde(default)]
    pub(crate) left_out: u64,
    #[serde(default)]
    pub(crate) signed_with: Option<String>,
}

impl From<Shared> for SharedMessage {
    fn from(shared: Shared) -> Self {
        Self {
            path: shared.path.to_string_lossy().into_owned(),
            file_hash: shared.file_hash.to_string(),
            manifest_id: shared.manifest_id.to_string(),
            file_name: shared.file_name,
            size: shared.size,
            chunks: shared.chunks,
            link: shared.link,
            files: shared.directory.map(|directory| directory.files),
            left_out: shared.left_out,
            signed_with: shared.signed_with.map(|key| key.to_string()),
        }
    }
}
