//! The thread of one connection to one source: connects, obeys the event loop's commands, and hands on what it receives.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::candidate::Candidate;
use peernet_engine::download::{Has, Protocol};

use super::fetch_stream::FetchStream;
use super::v1_calls::V1Calls;
use super::{Conversation, Message};
use crate::cancel::Cancel;
use crate::connect::{Dial, resolve};
use crate::discovery::Source;
use crate::download::FetchLimits;
use crate::download::event::{ConnectionId, Event, EventLoopGone, send};
use crate::download::expected::Expected;
use crate::download::leave::Leave;
use crate::download::pipeline::hash::Frontier;
use crate::download::pipeline::receive::{ChunkReceiver, Destination};
use crate::download::pipeline::write::WriteQueue;
use crate::download::stage_times::StageTimes;
use crate::grpc::{CallError, Client, Command, CommandReceiver};
use crate::part::Part;
use crate::throttle::{Connected, Throttle};
use crate::transfers::Transport;

/// What all connections of one pass share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) expected: Arc<Expected>,
    pub(crate) part: Arc<Part>,
    pub(crate) frontier: Arc<Frontier>,
    pub(crate) writes: WriteQueue,
}

/// What one connection needs.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) source: Source,
    pub(crate) dial: Dial,
    pub(crate) leave: Leave,
    pub(crate) shared: Shared,
    pub(crate) events: Sender<Event>,
    pub(crate) commands: CommandReceiver,
    pub(crate) limits: FetchLimits,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) times: Arc<StageTimes>,
    /// Counts towards the limit on connections as long as the thread lives.
    pub(crate) _connected: Connected,
    /// Cancelled when the pass ends, whatever the thread waits for.
    pub(crate) stop: Cancel,
}

/// How the attempt with one address ended.
enum AddressEnd {
    /// The event loop wants nothing more.
    Stopped,
    /// The source was not reached: the next address may do better.
    NotReached(CallError),
    /// The connection worked, and then did not.
    Broke(CallError),
}

/// How a conversation ended.
pub(crate) enum Ended {
    /// The event loop wants nothing more.
    Stopped,
    /// The call failed, or the source ended it.
    Failed(CallError),
}

impl From<EventLoopGone> for Ended {
    fn from(_: EventLoopGone) -> Self {
        Self::Stopped
    }
}

impl From<CallError> for Ended {
    fn from(error: CallError) -> Self {
        Self::Failed(error)
    }
}

/// Runs the thread. A panic in it ends this connection, not the download.
pub(crate) fn run(mut connection: Connection) {
    let end = catch_unwind(AssertUnwindSafe(|| Session::new(&connection).over_addresses(&mut connection)));
    let error = match end {
        Ok(AddressEnd::Stopped) => return,
        Ok(AddressEnd::NotReached(error) | AddressEnd::Broke(error)) => error,
        Err(_) => CallError::Transport("a fault in this program".to_owned()),
    };
    // The event loop may have ended.
    let _ = send(&connection.events, Event::Ended(connection.id, error.cause(), error.to_string()));
}

/// The state of the thread, over all addresses of its source.
pub(crate) struct Session {
    pub(crate) receiver: ChunkReceiver,
    /// Whether the source has sent anything.
    answered: bool,
    /// When the event loop was last told that our own rate limit holds the source back.
    pub(crate) held_back_at: Option<Instant>,
}

impl Session {
    fn new(connection: &Connection) -> Self {
        let to = Destination {
            part: Arc::clone(&connection.shared.part),
            frontier: Arc::clone(&connection.shared.frontier),
            writes: connection.shared.writes.clone(),
            events: connection.events.clone(),
        };
        let expected = Arc::clone(&connection.shared.expected);
        let receiver = ChunkReceiver::new(connection.id, expected, to, Arc::clone(&connection.times));
        Self { receiver, answered: false, held_back_at: None }
    }

    /// Tries the source's candidates, best first, until one is reached.
    fn over_addresses(&mut self, connection: &mut Connection) -> AddressEnd {
        let mut end = AddressEnd::NotReached(CallError::Transport("no address to connect to".to_owned()));
        let candidates: Vec<Candidate> = connection.source.candidates.iter().cloned().collect();
        for candidate in candidates {
            let timeout = connection.limits.connect_timeout;
            let addresses = match resolve(&candidate.host_port(), timeout, &connection.stop) {
                Ok(addresses) => addresses,
                Err(error) => {
                    end = AddressEnd::NotReached(CallError::Transport(error.to_string()));
                    continue;
                }
            };
            for address in addresses {
                end = self.one_address(connection, address);
                if !matches!(end, AddressEnd::NotReached(_)) {
                    return end;
                }
            }
        }
        end
    }

    fn one_address(&mut self, connection: &mut Connection, address: SocketAddr) -> AddressEnd {
        // Asked for each attempt: the certificate may have been renewed.
        let client = match connection.dial.speech(&connection.source) {
            Ok(speech) => Client::new(address, &speech, connection.limits.connect_timeout),
            Err(error) => return AddressEnd::NotReached(error),
        };
        match self.converse_with(connection, &client) {
            Ended::Stopped => AddressEnd::Stopped,
            Ended::Failed(error) if self.answered => AddressEnd::Broke(error),
            Ended::Failed(error @ CallError::Transport(_)) => AddressEnd::NotReached(error),
            Ended::Failed(error) => AddressEnd::Broke(error),
        }
    }

    /// Speaks the source's protocol. A file that only version 1 lists has no manifest, which a `Fetch` stream needs.
    fn converse_with(&mut self, connection: &mut Connection, client: &Client) -> Ended {
        let file_hash = connection.shared.expected.file_hash;
        let manifest = connection.shared.expected.manifest.as_ref().map(|manifest| manifest.id());
        let result = match (connection.source.protocol, manifest) {
            (Protocol::FetchStream, Some(id)) => {
                let is_encrypted = connection.source.transport == Transport::Tls;
                let leave = connection.leave.clone();
                FetchStream::open(client, file_hash, id, leave, is_encrypted)
                    .map_err(Ended::from)
                    .and_then(|stream| self.converse(connection, stream))
            }
            (Protocol::Version1, _) | (_, None) => {
                let calls = V1Calls::new(client, file_hash, connection.limits.chunk_call_timeout);
                self.converse(connection, calls)
            }
        };
        match result {
            Err(ended) => ended,
            Ok(never) => match never {},
        }
    }

    /// Converses until either side ends it.
    fn converse<C: Conversation>(
        &mut self,
        connection: &mut Connection,
        mut conversation: C,
    ) -> Result<std::convert::Infallible, Ended> {
        conversation.request(&self.receiver.restart())?;
        loop {
            let message = match self.receiver.is_idle() {
                true => conversation.next(&mut connection.commands),
                false => connection.times.while_waiting(|| conversation.next(&mut connection.commands)),
            };
            match message {
                Message::Stopped => return Err(Ended::Stopped),
                Message::Ended(error) => return Err(Ended::Failed(error)),
                Message::Command(command) => self.obey(&mut conversation, command)?,
                message => {
                    self.answered = true;
                    let len = self.take(connection, message)?;
                    conversation.withdraw(&self.receiver.take_untold());
                    self.pay(connection, &mut conversation, len)?;
                }
            }
        }
    }

    /// Does what the event loop wants.
    pub(crate) fn obey<C: Conversation>(&mut self, conversation: &mut C, command: Command) -> Result<(), Ended> {
        match command {
            Command::Request(chunks) => {
                self.receiver.expect(&chunks);
                conversation.request(&chunks)?;
            }
            Command::RequestAnyway(chunks) => {
                self.receiver.expect(&chunks);
                conversation.request_anyway(&chunks)?;
            }
            Command::Withdraw(chunks) => {
                for chunk in &chunks {
                    self.receiver.forget(*chunk);
                }
                conversation.withdraw(&chunks);
            }
            Command::Complain(chunk) => {
                if conversation.complain(chunk, &self.receiver.restart()) {
                    return Err(Ended::Stopped);
                }
            }
        }
        Ok(())
    }

    /// Hands a message of the source on. Returns the bytes of payload in it.
    fn take<D: std::io::BufRead>(&mut self, connection: &Connection, message: Message<D>) -> Result<usize, Ended> {
        let (events, id) = (&connection.events, connection.id);
        match message {
            Message::Block(mut block) => {
                let len = block.len;
                self.receiver.block(&mut block)?;
                return Ok(len);
            }
            Message::Available { held, given } => self.available(connection, held, given)?,
            Message::Busy(chunk) => {
                if self.receiver.forget(chunk) {
                    send(events, Event::Busy(id, chunk))?;
                }
            }
            Message::Refused(chunk, cause) => {
                if self.receiver.forget(chunk) {
                    send(events, Event::Failed(id, chunk, cause))?;
                }
            }
            Message::Unknown | Message::Command(_) | Message::Stopped | Message::Ended(_) => {}
        }
        Ok(0)
    }

    fn available(
        &self,
        connection: &Connection,
        held: Option<Vec<u8>>,
        given: Option<Vec<u8>>,
    ) -> Result<(), EventLoopGone> {
        // A bitmap of another length says nothing about this file.
        let count = connection.shared.expected.count();
        let bitmap = |bytes: Vec<u8>| Bitmap::from_bytes(&bytes, count);
        // This first: the scheduler decides by it which of the held chunks it asks for.
        send(&connection.events, Event::Gave(connection.id, given.and_then(bitmap)))?;
        let has = match held.map(bitmap) {
            None => Has::Complete,
            Some(Some(bitmap)) => Has::Chunks(bitmap),
            Some(None) => return Ok(()),
        };
        send(&connection.events, Event::Has(connection.id, has))
    }
}
