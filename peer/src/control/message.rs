//! The lines of the control socket.

mod transfers;

use std::num::NonZeroU32;

use peernet_engine::rate_limit::Rate;
use peernet_protos::rest::FileAccessRequest;
use serde::{Deserialize, Serialize};

use crate::node::Shared;
use crate::throttle::SpeedLimits;

#[cfg(test)]
pub(crate) use transfers::CallsMessage;
pub(crate) use transfers::{DownloadMessage, TransfersMessage, UploadMessage};

/// Both sides say it; another one is refused with words.
pub(crate) const VERSION: u32 = 1;
/// The longest request, in bytes: a path and 1,000 accounts that may have it.
pub(crate) const REQUEST_BYTES_MAX: u64 = 64 << 10;
/// The longest line of an answer, in bytes: a list of shares.
pub(crate) const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Request {
    /// Who are you?
    Status,
    /// Hash and share a file, by its absolute path.
    Share {
        /// Which.
        path: String,
        /// Whom it is for, if that is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audience: Option<FileAccessRequest>,
    },
    /// Say who may have a file.
    SetAccess {
        /// Which, in hex.
        file_hash: String,
        /// Whom it is for.
        audience: FileAccessRequest,
    },
    /// No longer share a file.
    Unshare {
        /// Which, in hex.
        file_hash: String,
    },
    /// What are you transferring?
    Transfers,
    /// Change limits, as they are typed; those that are absent stay. Answered with all of them.
    Limit {
        /// Bytes a second.
        max_upload: Option<String>,
        /// Bytes a second.
        max_download: Option<String>,
        /// A number.
        max_connections: Option<String>,
        /// Bytes.
        max_memory: Option<String>,
    },
}

/// A request with its version.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// What.
    #[serde(flatten)]
    pub(crate) request: Request,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// Hashing goes on: done and all bytes.
    Hashing(u64, u64),
    /// The end.
    Done(Last),
    /// The end, too.
    Problem(Problem),
}

/// The good end of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Last {
    /// To [`Request::Status`].
    Status(DaemonStatus),
    /// To [`Request::Share`].
    Shared(SharedMessage),
    /// To [`Request::Unshare`].
    Unshared,
    /// To [`Request::SetAccess`].
    AccessSet,
    /// To [`Request::Transfers`].
    Transfers(TransfersMessage),
    /// To [`Request::Limit`].
    Limits(LimitsMessage),
}

/// Why not: the exit code of the command line's table and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// See `cli::EXIT_CODES`.
    pub(crate) exit_code: u8,
    /// For people.
    pub(crate) message: String,
}

/// A daemon as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DaemonStatus {
    /// Its process.
    pub(crate) pid: u32,
    /// Where it listens.
    pub(crate) listen: String,
    /// Where it listens in plaintext, if it does.
    #[serde(default)]
    pub(crate) plaintext_listen: Option<String>,
    /// Since when it runs, in seconds.
    pub(crate) uptime_s: u64,
    /// Bytes it has sent to others since then.
    pub(crate) bytes_sent: u64,
    /// `Fetch` calls it serves, and bytes a second that go out, version 1's included.
    pub(crate) uploads: usize,
    /// Of these, those of callers in plaintext.
    #[serde(default)]
    pub(crate) plaintext_uploads: usize,
    pub(crate) upload_rate: u64,
    /// Downloads that run in it, and bytes a second that come in.
    pub(crate) downloads: usize,
    pub(crate) download_rate: u64,
    /// What it shares, as `list --json` prints it.
    pub(crate) shares: serde_json::Value,
}

/// [`SpeedLimits`] as they travel; `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LimitsMessage {
    pub(crate) max_upload: Option<u64>,
    pub(crate) max_download: Option<u64>,
    pub(crate) max_connections: Option<u32>,
    /// Bytes; absent only from daemons of another version.
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

/// [`Shared`] as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SharedMessage {
    pub(crate) path: String,
    pub(crate) file_hash: String,
    pub(crate) manifest_id: String,
    pub(crate) file_name: String,
    pub(crate) size: u64,
    pub(crate) chunks: u32,
    pub(crate) link: String,
    /// Of a directory.
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
