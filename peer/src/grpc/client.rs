//! Calls to another peer, as the connection threads of a download make them: blocking, each with a deadline, and
//! interruptible by a command of the download's event loop at any moment.

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

use super::credentials::secure;
use super::{environment, marshal};
use crate::access::{AUTHORIZATION, BEARER, GrantToken};
use crate::cancel::Cancel;
use crate::connect::ChannelSecurity;

pub(crate) use chunk_calls::{ChunkCalls, ChunkEvent};
pub(crate) use fetch_call::{FetchCall, FetchMessage, StreamEvent};

/// The largest reply: 1 MiB of payload and its header. C core's own default counts the header, and chunks of exactly
/// its limit would fail.
const REPLY_BYTES_MAX: i32 = (1 << 20) + (64 << 10);
/// Fewer, larger frames make for fewer, larger writes to the disk.
const FRAME_BYTES_MAX: i32 = 1 << 20;
const KEEPALIVE_TIME: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_BACKOFF_START: Duration = Duration::from_millis(200);
const RECONNECT_BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Commands that the thread of one connection has not taken yet. The scheduler's windows keep them far below this.
const COMMANDS_MAX: usize = 1_024;
/// The interval at which a waiting call checks if it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(100);

/// The reason that a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The other peer answered that it will not.
    Refused(String),
    /// The other peer may not serve this node: there is no grant, or it is no longer good.
    NotAllowed(String),
    /// The other peer has too much to do.
    Busy,
    /// No answer in time.
    TimedOut,
    /// There is no connection, or it broke, or a message could not be parsed.
    Transport(String),
    /// Cancelled: this node was told to stop.
    Cancelled,
}

impl CallError {
    /// The failure as the scheduler counts it.
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

/// A command of a download's event loop to the thread of one connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Ask for these chunks, after those asked for before.
    Request(Vec<ChunkIndex>),
    /// Ask for these chunks although the source gives them to others.
    RequestAnyway(Vec<ChunkIndex>),
    /// Take these requests back.
    Withdraw(Vec<ChunkIndex>),
    /// Tell the source that this chunk came wrong. No command follows.
    Complain(ChunkIndex),
}

/// The event loop's end. Dropping it ends the connection's thread.
pub(crate) struct CommandSender(mpsc::Sender<Command>);

/// The connection thread's end.
pub(crate) struct CommandReceiver(mpsc::Receiver<Command>);

/// Makes a channel of commands to one connection's thread. Every call in which the thread waits takes them.
pub(crate) fn commands() -> (CommandSender, CommandReceiver) {
    let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
    (CommandSender(sender), CommandReceiver(receiver))
}

impl CommandReceiver {
    /// The next command; `None` when the event loop has dropped its end.
    fn poll_command(&mut self, context: &mut Context<'_>) -> Poll<Option<Command>> {
        Pin::new(&mut self.0).poll_next(context)
    }
}

impl CommandSender {
    /// Sends without blocking. Returns false when the thread has ended or does not keep up.
    pub(crate) fn send(&mut self, command: Command) -> bool {
        self.0.try_send(command).is_ok()
    }
}

/// The bounds of the wait for a call.
pub(crate) struct Patience<'a> {
    pub(crate) timeout: Duration,
    pub(crate) cancel: &'a Cancel,
}

/// A gRPC channel to one peer, connected with the first call. Dropping it closes the connection.
pub(crate) struct Client(grpcio::Client);

impl Client {
    /// `connect_timeout` bounds one attempt to connect.
    pub(crate) fn new(address: SocketAddr, security: &ChannelSecurity, connect_timeout: Duration) -> Self {
        let timeout_ms = i32::try_from(connect_timeout.as_millis()).unwrap_or(i32::MAX);
        let backoff_name = CString::from(c"grpc.min_reconnect_backoff_ms");
        let channel = secure(ChannelBuilder::new(environment::client()), security)
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

    /// Asks for the file's manifest and the suggested name. The manifest is checked: it is of this file, and has the id
    /// that was asked for.
    pub(crate) fn manifest(
        &self,
        file_hash: FileHash,
        id: Option<ManifestId>,
        grant: Option<&GrantToken>,
        patience: Patience<'_>,
    ) -> Result<(Manifest, String), CallError> {
        let request = ManifestRequest {
            file_hash: file_hash.as_bytes().to_vec(),
            manifest_id: id.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
            ..ManifestRequest::default()
        };
        let Patience { timeout, cancel } = patience;
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

    /// Opens a `Fetch` call and presents a grant with it.
    pub(crate) fn fetch(
        &self,
        file_hash: FileHash,
        id: ManifestId,
        grant: Option<&GrantToken>,
    ) -> Result<FetchCall, CallError> {
        FetchCall::open(&self.0, file_hash, id, grant)
    }

    /// Prepares `DownloadChunk` calls, several at once.
    pub(crate) fn chunk_calls(&self, file_hash: FileHash, timeout: Duration) -> ChunkCalls {
        ChunkCalls::new(self.0.clone(), file_hash, timeout)
    }
}

fn showing(options: CallOption, grant: Option<&GrantToken>) -> Result<CallOption, CallError> {
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
        .map_err(|error| CallError::Transport(format!("the manifest is not valid: {error}")))?;
    let right = reply.file_hash == file_hash.as_bytes() && id.is_none_or(|id| id == manifest.id());
    if right {
        Ok((manifest, reply.file_name))
    } else {
        Err(CallError::Transport("the manifest is not the one asked for".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use grpcio::RpcStatus;
    use peernet_engine::ids::ChunkHash;
    use peernet_engine::manifest::Geometry;

    #[test]
    fn each_status_of_a_source_has_its_cause_and_its_text() {
        use RpcStatusCode as Code;
        let refused = |text: &str| CallError::Refused(text.to_owned());
        let broken = |text: &str| CallError::Transport(text.to_owned());
        for (code, expected, cause, text) in [
            (Code::NOT_FOUND, refused("why"), Cause::Refused, "refused: why"),
            (Code::OUT_OF_RANGE, refused("why"), Cause::Refused, "refused: why"),
            (Code::INVALID_ARGUMENT, refused("why"), Cause::Refused, "refused: why"),
            (Code::FAILED_PRECONDITION, refused("why"), Cause::Refused, "refused: why"),
            (Code::UNAUTHENTICATED, refused("why"), Cause::Refused, "refused: why"),
            (Code::UNIMPLEMENTED, refused("why"), Cause::Refused, "refused: why"),
            (Code::PERMISSION_DENIED, CallError::NotAllowed("why".to_owned()), Cause::NotAllowed, "refused: why"),
            (Code::DEADLINE_EXCEEDED, CallError::TimedOut, Cause::TimedOut, "timed out"),
            (Code::RESOURCE_EXHAUSTED, CallError::Busy, Cause::Transport, "busy"),
            (Code::UNAVAILABLE, broken("why"), Cause::Transport, "connection failed: why"),
            (Code::INTERNAL, broken("why"), Cause::Transport, "connection failed: why"),
            (Code::CANCELLED, broken("why"), Cause::Transport, "connection failed: why"),
        ] {
            let status = || RpcStatus::with_message(code, "why".to_owned());
            for error in [Error::RpcFailure(status()), Error::RpcFinished(Some(status()))] {
                let found = CallError::from(error);
                assert_eq!((&found, found.cause(), found.to_string().as_str()), (&expected, cause, text), "{code:?}");
            }
        }
        let other = CallError::from(Error::RpcFinished(None));
        assert!(matches!(&other, CallError::Transport(_)), "{other:?}");
        assert_eq!(
            (CallError::Cancelled.cause(), CallError::Cancelled.to_string()),
            (Cause::Transport, "cancelled".to_owned())
        );
    }

    #[test]
    fn a_manifest_must_be_the_one_that_was_asked_for() {
        let file_hash = FileHash([1; 32]);
        let geometry = Geometry::new(ByteCount((1 << 20) + 1), 1 << 20).unwrap();
        let manifest = Manifest::new(file_hash, geometry, vec![ChunkHash([2; 32]), ChunkHash([3; 32])]).unwrap();
        let reply = || ManifestReply {
            file_hash: file_hash.as_bytes().to_vec(),
            size: geometry.size().0,
            chunk_size: geometry.chunk_size(),
            file_name: "a.bin".to_owned(),
            chunk_hashes: manifest.hash_bytes(),
            ..ManifestReply::default()
        };
        let expected = Ok((manifest.clone(), "a.bin".to_owned()));
        assert_eq!(checked_manifest(reply(), file_hash, Some(manifest.id())), expected);
        assert_eq!(checked_manifest(reply(), file_hash, None), expected);
        let other = Err(CallError::Transport("the manifest is not the one asked for".to_owned()));
        assert_eq!(checked_manifest(reply(), file_hash, Some(ManifestId([0; 32]))), other);
        let another_file = ManifestReply { file_hash: vec![9; 32], ..reply() };
        assert_eq!(checked_manifest(another_file, file_hash, None), other);
        for place in 0..manifest.hash_bytes().len() {
            let mut bent = reply();
            bent.chunk_hashes[place] ^= 1;
            assert_eq!(checked_manifest(bent, file_hash, Some(manifest.id())), other, "{place}");
        }
        for broken in [
            ManifestReply { size: u64::MAX, ..reply() },
            ManifestReply { chunk_size: 3, ..reply() },
            ManifestReply { chunk_hashes: vec![2; 63], ..reply() },
            ManifestReply { chunk_hashes: Vec::new(), ..reply() },
        ] {
            let text = checked_manifest(broken, file_hash, None).unwrap_err().to_string();
            assert!(text.starts_with("connection failed: the manifest is not valid: "), "{text}");
        }
    }

    #[test]
    fn commands_come_in_order_and_a_full_channel_refuses() {
        let (mut sender, mut receiver) = commands();
        let command = |number: u32| Command::Request(vec![ChunkIndex(number)]);
        let sent = (0..2 * COMMANDS_MAX as u32).take_while(|number| sender.send(command(*number))).count();
        assert!((COMMANDS_MAX..2 * COMMANDS_MAX).contains(&sent), "{sent}");
        let mut context = Context::from_waker(std::task::Waker::noop());
        for number in 0..sent as u32 {
            assert_eq!(receiver.poll_command(&mut context), Poll::Ready(Some(command(number))));
        }
        assert_eq!(receiver.poll_command(&mut context), Poll::Pending);
        assert!(sender.send(Command::Complain(ChunkIndex(1))), "there is room again");
        drop(sender);
        assert_eq!(receiver.poll_command(&mut context), Poll::Ready(Some(Command::Complain(ChunkIndex(1)))));
        assert_eq!(receiver.poll_command(&mut context), Poll::Ready(None));
        let (mut sender, receiver) = commands();
        drop(receiver);
        assert!(!sender.send(command(1)), "the thread has ended");
    }
}
