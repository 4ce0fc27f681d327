//! The thread of one connection to one source: connects, obeys the event loop's commands, and hands on received bytes.

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
use crate::access::GrantCache;
use crate::cancel::Cancel;
use crate::connect::{Dial, resolve};
use crate::discovery::Source;
use crate::download::FetchLimits;
use crate::download::event::{ConnectionId, Event, EventLoopGone, send};
use crate::download::expected::Expected;
use crate::download::pipeline::hash::Frontier;
use crate::download::pipeline::receive::{ChunkReceiver, Destination};
use crate::download::pipeline::write::WriteQueue;
use crate::download::stage_times::StageTimes;
use crate::files::part::Part;
use crate::grpc::{CallError, Client, Command, CommandReceiver};
use crate::throttle::{Connected, Throttle};
use peernet_engine::candidate::Transport;

/// The state that all connections of one pass share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) expected: Arc<Expected>,
    pub(crate) part: Arc<Part>,
    pub(crate) frontier: Arc<Frontier>,
    pub(crate) writes: WriteQueue,
}

/// The inputs of one connection.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) source: Source,
    pub(crate) dial: Dial,
    pub(crate) grants: GrantCache,
    pub(crate) shared: Shared,
    pub(crate) events: Sender<Event>,
    pub(crate) commands: CommandReceiver,
    pub(crate) limits: FetchLimits,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) times: Arc<StageTimes>,
    /// Counts towards the limit on connections as long as the thread lives.
    pub(crate) _connected: Connected,
    /// Cancelled when the pass ends. Every wait of the thread checks it.
    pub(crate) stop: Cancel,
}

/// The end of the attempt with one address.
enum AddressEnd {
    /// The event loop wants nothing more.
    Stopped,
    /// The source was not reached: the next address may do better.
    NotReached(CallError),
    /// The connection worked, and then did not.
    Broke(CallError),
}

/// The end of a conversation.
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
        // Read for each attempt, because the certificate may have been renewed.
        let client = match connection.dial.security(&connection.source) {
            Ok(security) => Client::new(address, &security, connection.limits.connect_timeout),
            // Reported as a broken connection, this node's own failure costs the source no more than a pause.
            Err(error) => return AddressEnd::NotReached(CallError::Transport(error.to_string())),
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
                let grants = connection.grants.clone();
                FetchStream::open(client, file_hash, id, grants, is_encrypted)
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

    /// Carries out a command of the event loop.
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
        let events = &connection.events;
        let id = connection.id;
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
        // This goes first, because it decides which of the held chunks the scheduler requests.
        send(&connection.events, Event::Gave(connection.id, given.and_then(bitmap)))?;
        let has = match held.map(bitmap) {
            None => Has::Complete,
            Some(Some(bitmap)) => Has::Chunks(bitmap),
            Some(None) => return Ok(()),
        };
        send(&connection.events, Event::Has(connection.id, has))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use crossbeam_channel::{Receiver, unbounded};
    use peernet_engine::cause::Cause;
    use peernet_engine::download::SourceId;
    use peernet_engine::ids::{ByteCount, ChunkHash, ChunkIndex};
    use peernet_engine::manifest::{Geometry, Manifest};

    use super::*;
    use crate::discovery::testing::{FILE, source};
    use crate::download::pipeline::hash::WholeHash;
    use crate::download::pipeline::write::{QueuedWrites, writes};
    use crate::download::source::Block;
    use crate::throttle::SpeedLimits;

    const CHUNKS: u32 = 3;

    /// A conversation that plays messages and notes down the calls.
    #[derive(Default)]
    struct Script {
        messages: VecDeque<Message<&'static [u8]>>,
        calls: Vec<String>,
        /// Whether the protocol has a message for complaints.
        complains: bool,
    }

    impl Script {
        fn note(&mut self, call: &str, chunks: &[ChunkIndex]) {
            if !chunks.is_empty() {
                self.calls.push(format!("{call} {:?}", chunks.iter().map(|chunk| chunk.0).collect::<Vec<_>>()));
            }
        }
    }

    impl Conversation for &mut Script {
        type Data = &'static [u8];

        fn request(&mut self, chunks: &[ChunkIndex]) -> Result<(), CallError> {
            self.note("request", chunks);
            Ok(())
        }

        fn request_anyway(&mut self, chunks: &[ChunkIndex]) -> Result<(), CallError> {
            self.note("request anyway", chunks);
            Ok(())
        }

        fn withdraw(&mut self, chunks: &[ChunkIndex]) {
            self.note("withdraw", chunks);
        }

        fn complain(&mut self, chunk: ChunkIndex, _: &[ChunkIndex]) -> bool {
            self.note("complain", &[chunk]);
            self.complains
        }

        fn next(&mut self, _: &mut CommandReceiver) -> Message<Self::Data> {
            self.messages.pop_front().unwrap_or(Message::Stopped)
        }

        fn pause(&mut self, _: &mut CommandReceiver, _: Duration) -> Option<Message<Self::Data>> {
            None
        }
    }

    /// A connection to a source of a file of [`CHUNKS`] chunks, with the ends that keep it alive.
    struct Scene {
        connection: Connection,
        events: Receiver<Event>,
        _queued: QueuedWrites,
        _commands: crate::grpc::CommandSender,
        _folder: tempfile::TempDir,
    }

    fn scene() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let part = Arc::new(Part::open(&folder.path().join("part")).unwrap().unwrap());
        let geometry = Geometry::new(ByteCount(u64::from(CHUNKS) << 20), 1 << 20).unwrap();
        let manifest = Manifest::new(FILE, geometry, vec![ChunkHash([1; 32]); CHUNKS as usize]).unwrap();
        let (write_queue, queued) = writes(&crate::memory::Memory::default());
        let (sender, events) = unbounded();
        let (command_sender, commands) = crate::grpc::commands();
        let throttle = Throttle::new(&SpeedLimits::default());
        let connection = Connection {
            id: ConnectionId { source: SourceId(0), number: 1 },
            source: source(1),
            dial: Dial::default(),
            grants: GrantCache::default(),
            shared: Shared {
                expected: Arc::new(Expected::of_manifest(manifest)),
                part,
                frontier: Frontier::new(&WholeHash::Compute),
                writes: write_queue,
            },
            events: sender,
            commands,
            limits: FetchLimits::default(),
            _connected: throttle.connections().begin().unwrap(),
            throttle,
            times: Arc::default(),
            stop: Cancel::new(),
        };
        Scene { connection, events, _queued: queued, _commands: command_sender, _folder: folder }
    }

    /// Plays the script, and returns the events in short, the calls, and how it ended.
    fn play(mut script: Script) -> (Vec<String>, Vec<String>, Ended) {
        let mut scene = scene();
        let mut session = Session::new(&scene.connection);
        let Err(ended) = session.converse(&mut scene.connection, &mut script);
        drop(session);
        let short = |event: Event| match event {
            Event::Has(_, Has::Complete) => "has all".to_owned(),
            Event::Has(_, Has::Chunks(held)) => format!("has {}", held.len()),
            Event::Gave(_, given) => format!("gave {:?}", given.map(|given| given.len())),
            Event::Busy(_, chunk) => format!("busy {}", chunk.0),
            Event::Failed(_, chunk, cause) => format!("failed {} {cause:?}", chunk.0),
            other => format!("{other:?}"),
        };
        (scene.events.try_iter().map(short).collect(), script.calls, ended)
    }

    fn request(chunks: &[u32]) -> Message<&'static [u8]> {
        Message::Command(Command::Request(chunks.iter().copied().map(ChunkIndex).collect()))
    }

    #[track_caller]
    fn check(messages: Vec<Message<&'static [u8]>>, events: &[&str], calls: &[&str]) {
        let (got, called, ended) = play(Script { messages: messages.into(), ..Script::default() });
        assert_eq!((got, called), (events.iter().map(|e| (*e).to_owned()).collect(), to_strings(calls)));
        assert!(matches!(ended, Ended::Stopped));
    }

    fn to_strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn commands_become_requests_of_the_conversation() {
        let chunks = |numbers: &[u32]| numbers.iter().copied().map(ChunkIndex).collect::<Vec<_>>();
        let anyway = Message::Command(Command::RequestAnyway(chunks(&[2])));
        let withdraw = Message::Command(Command::Withdraw(chunks(&[0])));
        check(vec![request(&[0, 1]), anyway, withdraw], &[], &["request [0, 1]", "request anyway [2]", "withdraw [0]"]);
    }

    #[test]
    fn only_requested_chunks_are_turned_away() {
        let messages = vec![
            request(&[0, 1]),
            Message::Busy(ChunkIndex(0)),
            Message::Busy(ChunkIndex(0)),
            Message::Refused(ChunkIndex(1), Cause::Refused),
            Message::Refused(ChunkIndex(2), Cause::Refused),
        ];
        check(messages, &["busy 0", "failed 1 Refused"], &["request [0, 1]"]);
    }

    #[test]
    fn availability_is_told_after_what_the_source_gives_to_others() {
        let update = |held: Option<Vec<u8>>, given: Option<Vec<u8>>| Message::Available { held, given };
        check(vec![update(None, None)], &["gave None", "has all"], &[]);
        check(vec![update(Some(vec![0b1010_0000]), Some(vec![0b1000_0000]))], &["gave Some(1)", "has 2"], &[]);
        // A bitmap of another number of chunks says nothing about this file.
        check(vec![update(Some(vec![0; 9]), Some(vec![0; 9]))], &["gave None"], &[]);
    }

    #[test]
    fn a_block_that_does_not_fit_fails_its_chunk() {
        let block = |chunk, offset| {
            let data: &'static [u8] = b"abc";
            Message::Block(Block { chunk: ChunkIndex(chunk), offset, last: false, len: data.len(), data })
        };
        check(vec![request(&[0]), block(0, 5), block(1, 0)], &["failed 0 BadHash"], &["request [0]"]);
    }

    #[test]
    fn a_complaint_ends_the_conversation_where_the_protocol_has_one() {
        for complains in [true, false] {
            let complaint = Message::Command(Command::Complain(ChunkIndex(0)));
            let messages = VecDeque::from([complaint, request(&[1])]);
            let (_, calls, ended) = play(Script { messages, complains, ..Script::default() });
            let goes_on = to_strings(&["complain [0]", "request [1]"]);
            assert_eq!(calls, goes_on[..if complains { 1 } else { 2 }]);
            assert!(matches!(ended, Ended::Stopped));
        }
    }

    #[test]
    fn the_end_of_the_call_is_its_error() {
        let messages = VecDeque::from([Message::Ended(CallError::TimedOut)]);
        let (_, _, ended) = play(Script { messages, ..Script::default() });
        assert!(matches!(ended, Ended::Failed(CallError::TimedOut)));
    }
}
