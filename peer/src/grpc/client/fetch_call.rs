//! One `Fetch` call: replies and commands, whichever comes first.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_executor::block_on;
use futures_util::future::poll_fn;
use futures_util::{Sink, Stream as _};
use grpcio::{CallOption, ClientDuplexReceiver, ClientDuplexSender, MessageReader, WriteFlags};
use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId};
use peernet_protos::grpc::{ChunkRange, FetchRequest};
use peernet_protos::limits::RANGES_PER_REQUEST_MAX;

use super::super::environment;
use super::super::marshal::{CALL_FETCH, Reply};
use super::{CallError, Command, Orders, showing};
use crate::grants::Grant;

/// A call lasts as long as a download may; a dead one is noticed long before by the scheduler and by keepalive.
const CALL_TIMEOUT: Duration = Duration::from_secs(24 * 3_600);

/// How long a source may take to hear a complaint and end the call: enough for a round trip. Then it is left unheard.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// What it had sent meanwhile is thrown away, up to so many bytes: as much as is on its way over a long line.
const FAREWELL_BYTES_MAX: usize = 16 << 20;

/// What [`FetchCall::next`] waits for.
pub(crate) enum StreamEvent {
    /// The other peer sent something.
    Reply(Reply<MessageReader>),
    /// The owner wants something.
    Command(Command),
    /// The call is over; `Ok` where the other peer ended it in order.
    Ended(Result<(), CallError>),
    /// The owner wants nothing more of this source.
    Stopped,
}

/// An open call. Dropping it cancels it.
pub(crate) struct FetchCall {
    sender: ClientDuplexSender<FetchRequest>,
    receiver: ClientDuplexReceiver<Reply<MessageReader>>,
    wanted: Vec<ChunkRange>,
    dropped: Vec<ChunkRange>,
    first: Option<(FileHash, ManifestId)>,
    again: Vec<ChunkRange>,
    complaints: Vec<u32>,
    grant: Option<String>,
    /// Sending failed. grpcio panics when a failed sender is asked again.
    broken: bool,
}

impl FetchCall {
    pub(super) fn open(
        client: &grpcio::Client,
        (file_hash, id): (FileHash, ManifestId),
        grant: Option<&Grant>,
    ) -> Result<Self, CallError> {
        let options = showing(CallOption::default().timeout(CALL_TIMEOUT), grant)?;
        let (sender, receiver) = client.duplex_streaming(&CALL_FETCH, options)?;
        Ok(Self {
            sender,
            receiver,
            wanted: Vec::new(),
            dropped: Vec::new(),
            first: Some((file_hash, id)),
            again: Vec::new(),
            complaints: Vec::new(),
            grant: None,
            broken: false,
        })
    }

    /// Appends to what is wanted; sent by the next [`FetchCall::next`].
    pub(crate) fn want(&mut self, chunks: &[ChunkIndex]) {
        append(&mut self.wanted, chunks);
    }

    /// The same for what the source gave to others, as is known here.
    pub(crate) fn want_again(&mut self, chunks: &[ChunkIndex]) {
        append(&mut self.again, chunks);
    }

    /// A newer grant; likewise.
    pub(crate) fn show(&mut self, grant: &Grant) {
        self.grant = Some(grant.text.clone());
    }

    /// Takes back; likewise.
    pub(crate) fn drop_wanted(&mut self, chunks: &[ChunkIndex]) {
        append(&mut self.dropped, chunks);
    }

    /// Sends what is to be sent, and waits for whatever comes first.
    pub(crate) fn next(&mut self, orders: &mut Orders) -> StreamEvent {
        block_on(poll_fn(|context| self.poll_next(context, orders)))
    }

    /// Takes no reply for `span`: what the other peer sends meanwhile waits in the network. A command ends that early.
    pub(crate) fn pause(&mut self, orders: &mut Orders, span: Duration) -> Option<StreamEvent> {
        let mut commanded = poll_fn(|context| {
            self.poll_send(context);
            orders.poll_command(context)
        });
        let command = environment::wait_for(&mut commanded, span)?;
        Some(command.map_or(StreamEvent::Stopped, StreamEvent::Command))
    }

    /// The last word: `chunk` came whole and wrong, and nothing more is wanted. Waits until the source has heard it, because
    /// dropping the call would overtake it; but not for long.
    pub(crate) fn complain(&mut self, chunk: ChunkIndex) {
        self.wanted.clear();
        self.again.clear();
        self.complaints.push(chunk.0);
        let (mut closed, mut left) = (false, FAREWELL_BYTES_MAX);
        let mut ended = poll_fn(|context| self.poll_end(context, &mut closed, &mut left));
        // Whether it was heard or not, there is nothing more to do about it.
        let _ = environment::wait_for(&mut ended, FAREWELL_TIMEOUT);
    }

    /// Sends what is left to send, closes our half, and takes what comes until the other half is closed as well.
    fn poll_end(&mut self, context: &mut Context<'_>, closed: &mut bool, left: &mut usize) -> Poll<()> {
        self.poll_send(context);
        if !self.has_more_to_send() && !self.broken && !*closed {
            *closed = Pin::new(&mut self.sender).poll_close(context).is_ready();
        }
        while *left > 0 {
            match Pin::new(&mut self.receiver).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(reply))) => *left = left.saturating_sub(reply.payload_len().max(1)),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }

    fn poll_next(&mut self, context: &mut Context<'_>, orders: &mut Orders) -> Poll<StreamEvent> {
        if let Poll::Ready(command) = orders.poll_command(context) {
            return Poll::Ready(command.map_or(StreamEvent::Stopped, StreamEvent::Command));
        }
        self.poll_send(context);
        match Pin::new(&mut self.receiver).poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(reply))) => Poll::Ready(StreamEvent::Reply(reply)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(StreamEvent::Ended(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(StreamEvent::Ended(Ok(()))),
        }
    }

    /// Starts sending as much as gRPC takes. A failure is left to the receiving side, which knows the call's status.
    fn poll_send(&mut self, context: &mut Context<'_>) {
        while self.has_more_to_send() && !self.broken {
            match Pin::new(&mut self.sender).poll_ready(context) {
                Poll::Pending => return,
                Poll::Ready(Err(_)) => self.broken = true,
                Poll::Ready(Ok(())) => {
                    let request = self.next_request();
                    let started = Pin::new(&mut self.sender).start_send((request, WriteFlags::default()));
                    self.broken = started.is_err();
                }
            }
        }
    }

    fn has_more_to_send(&self) -> bool {
        let lists = [&self.wanted, &self.again, &self.dropped];
        self.first.is_some()
            || self.grant.is_some()
            || !self.complaints.is_empty()
            || lists.iter().any(|list| !list.is_empty())
    }

    fn next_request(&mut self) -> FetchRequest {
        let mut request = FetchRequest::new();
        if let Some((file_hash, id)) = self.first.take() {
            request.file_hash = file_hash.as_bytes().to_vec();
            request.manifest_id = id.as_bytes().to_vec();
        }
        request.grant = self.grant.take().unwrap_or_default();
        request.wanted = take_some(&mut self.wanted);
        request.again = take_some(&mut self.again);
        request.dropped = take_some(&mut self.dropped);
        request.complaints = std::mem::take(&mut self.complaints);
        request
    }
}

fn take_some(ranges: &mut Vec<ChunkRange>) -> Vec<ChunkRange> {
    let count = ranges.len().min(RANGES_PER_REQUEST_MAX);
    ranges.drain(..count).collect()
}

fn append(ranges: &mut Vec<ChunkRange>, chunks: &[ChunkIndex]) {
    for chunk in chunks {
        match ranges.last_mut() {
            Some(last) if last.first + last.count == chunk.0 => last.count += 1,
            _ => ranges.push(ChunkRange { first: chunk.0, count: 1, ..ChunkRange::default() }),
        }
    }
}
