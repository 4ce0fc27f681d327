//! One `Fetch` call: waits for messages of the source and commands of the event loop.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_executor::block_on;
use futures_util::future::poll_fn;
use futures_util::{Sink, Stream as _};
use grpcio::{CallOption, ClientDuplexReceiver, ClientDuplexSender, MessageReader, WriteFlags};
use peernet_engine::cause::Cause;
use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId};
use peernet_protos::grpc::fetch_reply::Reason;
use peernet_protos::grpc::{ChunkRange, FetchRequest};
use peernet_protos::limits::RANGES_PER_REQUEST_MAX;

use super::{CallError, Command, CommandReceiver, showing};
use crate::access::GrantToken;
use crate::grpc::marshal::{CALL_FETCH, Reply};
use crate::grpc::{Received, environment};

/// A call lasts as long as a download may. The scheduler and keepalive notice a dead one long before.
const CALL_TIMEOUT: Duration = Duration::from_secs(24 * 3_600);

/// The time that a source has to read a complaint and end the call: enough for a round trip. Then the call is dropped.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// The most bytes discarded meanwhile: as much as is on its way over a long line.
const FAREWELL_BYTES_MAX: usize = 16 << 20;

/// An event of [`FetchCall::next`].
pub(crate) enum StreamEvent {
    /// The source sent something.
    Message(FetchMessage),
    /// The event loop wants something.
    Command(Command),
    /// The call is over; `Ok` where the source ended it in order.
    Ended(Result<(), CallError>),
    /// The event loop wants nothing more of this source.
    Stopped,
}

/// A message of the source, in the engine's types. This is the boundary: no wire enum passes it.
pub(crate) enum FetchMessage {
    /// Bytes of a chunk, from `offset` on; `last` when they complete it.
    Block { chunk: ChunkIndex, offset: u32, last: bool, data: Received },
    /// An availability update: bitmaps of the chunks that the source holds (`None` for all) and gives to others.
    Available { have: Option<Vec<u8>>, given: Option<Vec<u8>> },
    /// The source has too much to do to send this chunk now.
    Busy(ChunkIndex),
    /// The source will not send this chunk.
    Refused(ChunkIndex, Cause),
    /// A message of a later version.
    Unknown,
}

impl From<Reply<MessageReader>> for FetchMessage {
    fn from(reply: Reply<MessageReader>) -> Self {
        match reply {
            Reply::Block { chunk, offset, last, data } => Self::Block { chunk: ChunkIndex(chunk), offset, last, data },
            Reply::Available { have, given } => Self::Available { have, given },
            Reply::Refused { chunk, reason: Reason::BUSY } => Self::Busy(ChunkIndex(chunk)),
            Reply::Refused { chunk, .. } => Self::Refused(ChunkIndex(chunk), Cause::Refused),
            Reply::Unknown => Self::Unknown,
        }
    }
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
        file_hash: FileHash,
        id: ManifestId,
        grant: Option<&GrantToken>,
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

    /// Asks for chunks. Like the other requests below, it is sent by the next [`FetchCall::next`].
    pub(crate) fn want(&mut self, chunks: &[ChunkIndex]) {
        append(&mut self.wanted, chunks);
    }

    /// Asks for chunks although the source gives them to others.
    pub(crate) fn want_again(&mut self, chunks: &[ChunkIndex]) {
        append(&mut self.again, chunks);
    }

    /// Presents a newer grant.
    pub(crate) fn present(&mut self, grant: &GrantToken) {
        self.grant = Some(grant.text.clone());
    }

    /// Takes requests back.
    pub(crate) fn drop_wanted(&mut self, chunks: &[ChunkIndex]) {
        append(&mut self.dropped, chunks);
    }

    /// Sends the requests, and waits for a message or a command.
    pub(crate) fn next(&mut self, commands: &mut CommandReceiver) -> StreamEvent {
        block_on(poll_fn(|context| self.poll_next(context, commands)))
    }

    /// Reads nothing for `span`: messages of the source wait in the network. A command ends this early; `Some(None)`
    /// when the event loop has dropped its end.
    pub(crate) fn pause(&mut self, commands: &mut CommandReceiver, span: Duration) -> Option<Option<Command>> {
        let mut commanded = poll_fn(|context| {
            self.poll_send(context);
            commands.poll_command(context)
        });
        environment::wait_for(&mut commanded, span)
    }

    /// Tells the source that `chunk` came whole and wrong, and asks for nothing more. Waits until the source has read
    /// it, because dropping the call would overtake the message; but at most [`FAREWELL_TIMEOUT`].
    pub(crate) fn complain(&mut self, chunk: ChunkIndex) {
        self.wanted.clear();
        self.again.clear();
        self.complaints.push(chunk.0);
        let mut closed = false;
        let mut left = FAREWELL_BYTES_MAX;
        let mut ended = poll_fn(|context| self.poll_end(context, &mut closed, &mut left));
        // A source that does not read it in time is left without it: there is nothing more to do.
        let _ = environment::wait_for(&mut ended, FAREWELL_TIMEOUT);
    }

    /// Sends the rest, closes our half, and discards messages until the source has closed its half.
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

    fn poll_next(&mut self, context: &mut Context<'_>, commands: &mut CommandReceiver) -> Poll<StreamEvent> {
        if let Poll::Ready(command) = commands.poll_command(context) {
            return Poll::Ready(command.map_or(StreamEvent::Stopped, StreamEvent::Command));
        }
        self.poll_send(context);
        match Pin::new(&mut self.receiver).poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(reply))) => Poll::Ready(StreamEvent::Message(reply.into())),
            Poll::Ready(Some(Err(error))) => Poll::Ready(StreamEvent::Ended(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(StreamEvent::Ended(Ok(()))),
        }
    }

    /// Starts sending as much as gRPC takes. A failure is reported by the receiving side, which knows the call's
    /// status.
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

#[cfg(test)]
mod tests {
    use super::*;

    use peernet_engine::random::Rng;

    fn chunks(numbers: &[u32]) -> Vec<ChunkIndex> {
        numbers.iter().copied().map(ChunkIndex).collect()
    }

    fn pairs(ranges: &[ChunkRange]) -> Vec<(u32, u32)> {
        ranges.iter().map(|range| (range.first, range.count)).collect()
    }

    #[test]
    fn chunks_in_a_row_are_one_range() {
        for (batches, expected) in [
            (&[&[][..]][..], &[][..]),
            (&[&[7]], &[(7, 1)]),
            (&[&[1, 2, 3]], &[(1, 3)]),
            (&[&[1, 2], &[3, 5], &[6]], &[(1, 3), (5, 2)]),
            (&[&[3, 2, 1]], &[(3, 1), (2, 1), (1, 1)]),
            (&[&[4, 4]], &[(4, 1), (4, 1)]),
            (&[&[u32::MAX - 1]], &[(u32::MAX - 1, 1)]),
        ] {
            let mut ranges = Vec::new();
            batches.iter().for_each(|batch| append(&mut ranges, &chunks(batch)));
            assert_eq!(pairs(&ranges), expected, "{batches:?}");
        }
    }

    #[test]
    fn ranges_name_exactly_the_chunks_in_their_order() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let wanted: Vec<u32> = (0..100).map(|_| rng.below(40) as u32).collect();
            let mut ranges = Vec::new();
            wanted.chunks(7).for_each(|batch| append(&mut ranges, &chunks(batch)));
            let named: Vec<u32> = ranges.iter().flat_map(|range| range.first..range.first + range.count).collect();
            assert_eq!(named, wanted, "seed {seed}");
        }
    }

    #[test]
    fn one_message_has_no_more_ranges_than_a_source_reads() {
        let mut ranges = Vec::new();
        let spread: Vec<u32> = (0..=RANGES_PER_REQUEST_MAX as u32).map(|number| 2 * number).collect();
        append(&mut ranges, &chunks(&spread));
        let first = take_some(&mut ranges);
        assert_eq!(
            (first.len(), pairs(&ranges)),
            (RANGES_PER_REQUEST_MAX, vec![(2 * RANGES_PER_REQUEST_MAX as u32, 1)])
        );
        assert_eq!((first[0].first, take_some(&mut ranges).len(), ranges.len()), (0, 1, 0));
        assert!(take_some(&mut ranges).is_empty());
    }

    #[test]
    fn a_chunk_that_will_not_come_is_refused_or_put_off() {
        let chunk = ChunkIndex(3);
        for (reason, is_busy) in
            [(Reason::BUSY, true), (Reason::NOT_HELD, false), (Reason::READ_FAILED, false), (Reason::NONE, false)]
        {
            match FetchMessage::from(Reply::Refused { chunk: 3, reason }) {
                FetchMessage::Busy(found) => assert!(found == chunk && is_busy, "{reason:?}"),
                FetchMessage::Refused(found, cause) => {
                    assert_eq!((found, cause, is_busy), (chunk, Cause::Refused, false), "{reason:?}");
                }
                _ => panic!("{reason:?} is about one chunk"),
            }
        }
        let update = FetchMessage::from(Reply::Available { have: Some(vec![1]), given: None });
        assert!(matches!(update, FetchMessage::Available { have: Some(have), given: None } if have == [1]));
        assert!(matches!(FetchMessage::from(Reply::Unknown), FetchMessage::Unknown));
    }
}
