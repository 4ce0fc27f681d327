//! Calls to another peer, as the download's source threads make them: blocking, each with a deadline, and interruptible
//! by a command from the download's owner at any moment.

mod chunk_calls;
mod fetch_call;

use std::ffi::CString;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_channel::mpsc;
use futures_util::Stream as _;
use grpcio::{CallOption, ChannelBuilder, Error, MetadataBuilder, RpcStatusCode};
use peernet_engine::cause::Cause;
use peernet_engine::ids::{ByteCount, ChunkIndex, FileHash, ManifestId};
use peernet_engine::manifest::Manifest;
use peernet_protos::grpc::{ManifestReply, ManifestRequest};

use super::credentials::Speech;
use super::{environment, marshal};
use crate::cancel::Cancel;
use crate::grants::{AUTHORIZATION, BEARER, Grant};

pub(crate) use chunk_calls::{ChunkCalls, ChunkEvent};
pub(crate) use fetch_call::{FetchCall, StreamEvent};

/// Largest reply: 1 MiB of payload and its header. C core's own default counts the header, and chunks of exactly its
/// limit would fail.
const REPLY_BYTES_MAX: i32 = (1 << 20) + (64 << 10);
/// Fewer, larger frames make for fewer, larger writes to the disk.
const FRAME_BYTES_MAX: i32 = 1 << 20;
const KEEPALIVE_TIME: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_BACKOFF_START: Duration = Duration::from_millis(200);
const RECONNECT_BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Commands to one source that it has not taken yet. The scheduler's windows keep them far below this.
const COMMANDS_MAX: usize = 1_024;
/// How often a call that is waited for looks whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(100);

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The other side answered that it will not.
    Refused(String),
    /// It may not serve us: we have no leave, or have it no more.
    NotAllowed(String),
    /// It has too much to do.
    Busy,
    /// No answer in time.
    TimedOut,
    /// No connection, or it broke, or what came makes no sense.
    Transport(String),
    /// We were told to stop.
    Cancelled,
}

impl CallError {
    /// As the scheduler counts it.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Refused(_) => Cause::Refused,
            Self::NotAllowed(_) => Cause::NotAllowed,
            Self::TimedOut => Cause::TimedOut,
            Self::Busy | Self::Transport(_) | Self::Cancelled => Cause::Transport,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) | Self::NotAllowed(why) => write!(f, "refused: {why}"),
            Self::Busy => f.write_str("busy"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Transport(why) => write!(f, "connection failed: {why}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::RpcFailure(status) | Error::RpcFinished(Some(status)) => status,
            other => return Self::Transport(other.to_string()),
        };
        match status.code() {
            RpcStatusCode::DEADLINE_EXCEEDED => Self::TimedOut,
            RpcStatusCode::RESOURCE_EXHAUSTED => Self::Busy,
            RpcStatusCode::PERMISSION_DENIED => Self::NotAllowed(status.message().to_owned()),
            RpcStatusCode::NOT_FOUND
            | RpcStatusCode::OUT_OF_RANGE
            | RpcStatusCode::INVALID_ARGUMENT
            | RpcStatusCode::FAILED_PRECONDITION
            | RpcStatusCode::UNAUTHENTICATED
            | RpcStatusCode::UNIMPLEMENTED => Self::Refused(status.message().to_owned()),
            _ => Self::Transport(status.message().to_owned()),
        }
    }
}

/// What a download's owner tells the thread of one source.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Also wanted, after what was wanted before.
    Request(Vec<ChunkIndex>),
    /// Likewise, though the source gave them to others.
    Again(Vec<ChunkIndex>),
    /// No longer wanted.
    Drop(Vec<ChunkIndex>),
    /// The last one: this chunk came wrong, which the source may want to know.
    Complain(ChunkIndex),
}

/// The owner's end. Dropping it ends the source's thread.
pub(crate) struct Commands(mpsc::Sender<Command>);

/// The source thread's end.
pub(crate) struct Orders(mpsc::Receiver<Command>);

/// A way to command one source's thread, whatever call it is in.
pub(crate) fn commands() -> (Commands, Orders) {
    let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
    (Commands(sender), Orders(receiver))
}

impl Orders {
    /// The next command; `None` when the owner wants nothing more.
    fn poll_command(&mut self, context: &mut Context<'_>) -> Poll<Option<Command>> {
        Pin::new(&mut self.0).poll_next(context)
    }
}

impl Commands {
    /// Never blocks. False when the thread has ended or does not keep up.
    pub(crate) fn send(&mut self, command: Command) -> bool {
        self.0.try_send(command).is_ok()
    }
}

/// A channel to one peer, connected with the first call. Dropping it closes the connection.
pub(crate) struct Client(grpcio::Client);

impl Client {
    /// `connect_timeout` bounds one attempt to connect.
    pub(crate) fn new(address: SocketAddr, speech: &Speech, connect_timeout: Duration) -> Self {
        let timeout_ms = i32::try_from(connect_timeout.as_millis()).unwrap_or(i32::MAX);
        let backoff_name = CString::from(c"grpc.min_reconnect_backoff_ms");
        let channel = speech
            .of(ChannelBuilder::new(environment::client()))
            .enable_http_proxy(false)
            .use_local_subchannel_pool(true)
            .max_receive_message_len(REPLY_BYTES_MAX)
            .http2_max_frame_size(FRAME_BYTES_MAX)
            .keepalive_time(KEEPALIVE_TIME)
            .keepalive_timeout(KEEPALIVE_TIMEOUT)
            .http2_max_pings_without_data(0)
            .raw_cfg_int(backoff_name, timeout_ms)
            .initial_reconnect_backoff(RECONNECT_BACKOFF_START)
            .max_reconnect_backoff(RECONNECT_BACKOFF_MAX)
            .connect(&format!("{}:{address}", if address.is_ipv4() { "ipv4" } else { "ipv6" }));
        Self(grpcio::Client::new(channel))
    }

    /// The file's manifest as this peer has it, checked to be one of this file and, where one is named, the right one;
    /// and the name it suggests.
    pub(crate) fn manifest(
        &self,
        file_hash: FileHash,
        id: Option<ManifestId>,
        grant: Option<&Grant>,
        (timeout, cancel): (Duration, &Cancel),
    ) -> Result<(Manifest, String), CallError> {
        let request = ManifestRequest {
            file_hash: file_hash.as_bytes().to_vec(),
            manifest_id: id.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
            ..ManifestRequest::default()
        };
        let options = showing(CallOption::default().timeout(timeout), grant)?;
        let mut call = self.0.unary_call_async(&marshal::GET, &request, options)?;
        let give_up = Instant::now() + timeout;
        loop {
            if let Some(reply) = environment::wait_for(&mut call, CANCEL_CHECK) {
                return checked_manifest(reply?, file_hash, id);
            }
            if cancel.is_cancelled() {
                return Err(CallError::Cancelled);
            }
            if Instant::now() > give_up + KEEPALIVE_TIMEOUT {
                return Err(CallError::TimedOut);
            }
        }
    }

    /// Opens a `Fetch` call and shows a grant with it.
    pub(crate) fn fetch(
        &self,
        file_hash: FileHash,
        id: ManifestId,
        grant: Option<&Grant>,
    ) -> Result<FetchCall, CallError> {
        FetchCall::open(&self.0, (file_hash, id), grant)
    }

    /// For `DownloadChunk` calls, several at once.
    pub(crate) fn chunk_calls(&self, file_hash: FileHash, timeout: Duration) -> ChunkCalls {
        ChunkCalls::new(self.0.clone(), file_hash, timeout)
    }
}

fn showing(options: CallOption, grant: Option<&Grant>) -> Result<CallOption, CallError> {
    let Some(grant) = grant else { return Ok(options) };
    let mut headers = MetadataBuilder::with_capacity(1);
    headers.add_str(AUTHORIZATION, &format!("{BEARER}{}", grant.text))?;
    Ok(options.headers(headers.build()))
}

fn checked_manifest(
    reply: ManifestReply,
    file_hash: FileHash,
    id: Option<ManifestId>,
) -> Result<(Manifest, String), CallError> {
    let size = ByteCount(reply.size);
    let manifest = Manifest::from_parts(file_hash, size, reply.chunk_size, &reply.chunk_hashes)
        .map_err(|error| CallError::Transport(format!("the manifest makes no sense: {error}")))?;
    let right = reply.file_hash == file_hash.as_bytes() && id.is_none_or(|id| id == manifest.id());
    if right {
        Ok((manifest, reply.file_name))
    } else {
        Err(CallError::Transport("the manifest is not the one asked for".to_owned()))
    }
}
