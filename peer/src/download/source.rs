//! The thread of one connection to one source: connects, takes the owner's orders, receives, writes, verifies.

mod rate_limit;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::cause::Cause;
use peernet_engine::download::Has;
use peernet_engine::ids::{ChunkIndex, ManifestId};
use peernet_protos::grpc::fetch_reply::Reason;

use crate::cancel::Cancel;
use crate::connect::Dial;
use crate::connect::HostPort;
use crate::discovery::Source;
use crate::download::FetchLimits;
use crate::download::event::{Event, LinkId, OwnerGone, tell};
use crate::download::expected::Blueprint;
use crate::download::leave::Leave;
use crate::download::pipeline::hash::Frontier;
use crate::download::pipeline::receive::{Destination, Intake};
use crate::download::pipeline::write::Writes;
use crate::download::stage_times::SpentCounters;
use crate::grpc::{CallError, ChunkCalls, ChunkEvent, Client, Command, FetchCall, Orders, Reply, StreamEvent};
use crate::part::Part;
use crate::throttle::{Connected, Throttle};
use crate::transfers::Transport;

/// Addresses of one source that are tried.
const ADDRESSES_MAX: usize = 8;

/// What one connection needs.
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) source: Source,
    pub(crate) dial: Dial,
    pub(crate) leave: Leave,
    pub(crate) blueprint: Arc<Blueprint>,
    pub(crate) part: Arc<Part>,
    pub(crate) frontier: Arc<Frontier>,
    pub(crate) writes: Writes,
    pub(crate) events: Sender<Event>,
    pub(crate) orders: Orders,
    pub(crate) limits: FetchLimits,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) spent: Arc<SpentCounters>,
    /// Counted as long as the thread lives.
    pub(crate) _connected: Connected,
    /// Set when the attempt ends, whatever the thread waits for.
    pub(crate) over: Cancel,
}

/// How a connection ended.
enum End {
    /// The owner wants nothing more.
    Stopped,
    /// It never came to anything: the next address may do better.
    NotReached(CallError),
    /// It worked, and then did not.
    Broke(CallError),
}

impl From<OwnerGone> for End {
    fn from(_: OwnerGone) -> Self {
        Self::Stopped
    }
}

/// The thread. A fault of ours in it costs this connection, not the download.
pub(crate) fn run(mut link: Link) {
    let end = catch_unwind(AssertUnwindSafe(|| connection(&mut link)));
    let error = match end {
        Ok(End::Stopped) => return,
        Ok(End::NotReached(error) | End::Broke(error)) => error,
        Err(_) => CallError::Transport("a fault in this program".to_owned()),
    };
    // The owner may have gone.
    let _ = tell(&link.events, Event::Ended(link.id, error.cause(), error.to_string()));
}

fn connection(link: &mut Link) -> End {
    let to = Destination {
        part: Arc::clone(&link.part),
        frontier: Arc::clone(&link.frontier),
        writes: link.writes.clone(),
        events: link.events.clone(),
    };
    let intake = Intake::new(link.id, Arc::clone(&link.blueprint), to, Arc::clone(&link.spent));
    Session { intake, answered: false, held_back: None }.over_addresses(link)
}

struct Session {
    intake: Intake,
    answered: bool,
    /// When the owner was last told that our own limit is at work.
    held_back: Option<Instant>,
}

impl Session {
    fn over_addresses(&mut self, link: &mut Link) -> End {
        let mut end = End::NotReached(CallError::Transport("no address to connect to".to_owned()));
        for text in link.source.addresses.clone().into_iter().take(ADDRESSES_MAX) {
            let resolved =
                text.parse::<HostPort>().and_then(|address| address.resolve(link.limits.connect_timeout, &link.over));
            let addresses = match resolved {
                Ok(addresses) => addresses,
                Err(error) => {
                    end = End::NotReached(CallError::Transport(error.to_string()));
                    continue;
                }
            };
            for address in addresses {
                end = self.one_address(link, address);
                if !matches!(end, End::NotReached(_)) {
                    return end;
                }
            }
        }
        end
    }

    fn one_address(&mut self, link: &mut Link, address: SocketAddr) -> End {
        // Asked for each attempt: the certificate may have been renewed.
        let client = match link.dial.speech(&link.source) {
            Ok(speech) => Client::new(address, &speech, link.limits.connect_timeout),
            Err(error) => return End::NotReached(error),
        };
        let manifest = link.blueprint.manifest.as_ref().map(|manifest| manifest.id());
        let result = match manifest.filter(|_| !link.source.v1) {
            Some(id) => self.stream(link, &client, id),
            None => self.chunk_by_chunk(link, &client),
        };
        match result {
            Err(end) => end,
            Ok(error) if self.answered => End::Broke(error),
            Ok(error @ CallError::Transport(_)) => End::NotReached(error),
            Ok(error) => End::Broke(error),
        }
    }

    /// Until the call ends; then why.
    fn stream(&mut self, link: &mut Link, client: &Client, id: ManifestId) -> Result<CallError, End> {
        // Whose it is can only be proven over TLS; elsewhere it would be everyone's who listens.
        let shows = link.source.transport == Transport::Tls;
        let (mut shown, grant) = if shows { link.leave.current() } else { (0, None) };
        let mut call = match client.fetch(link.blueprint.file_hash, id, grant.as_deref()) {
            Ok(call) => call,
            Err(error) => return Ok(error),
        };
        call.want(&self.intake.expected());
        loop {
            if shows && link.leave.number() != shown {
                let (number, grant) = link.leave.current();
                shown = number;
                grant.iter().for_each(|grant| call.show(grant));
            }
            let event = match self.intake.is_idle() {
                true => call.next(&mut link.orders),
                false => link.spent.while_waiting(|| call.next(&mut link.orders)),
            };
            match event {
                StreamEvent::Stopped => return Err(End::Stopped),
                StreamEvent::Ended(Err(error)) => {
                    if matches!(error, CallError::NotAllowed(_)) {
                        link.leave.doubt(shown);
                    }
                    return Ok(match error {
                        // It was served until now: the source has ended its share, which it may.
                        CallError::Refused(why) if self.answered => CallError::NotAllowed(why),
                        error => error,
                    });
                }
                StreamEvent::Ended(Ok(())) => return Ok(CallError::Transport("the source ended the call".to_owned())),
                StreamEvent::Command(command) => self.order_stream(&mut call, command)?,
                StreamEvent::Reply(reply) => {
                    self.answered = true;
                    let len = reply.payload_len();
                    self.reply(link, reply)?;
                    call.drop_wanted(&self.intake.take_untold());
                    self.pay(link, &mut call, len)?;
                }
            }
        }
    }

    fn order_stream(&mut self, call: &mut FetchCall, command: Command) -> Result<(), End> {
        match command {
            Command::Request(chunks) => {
                self.intake.expect(&chunks);
                call.want(&chunks);
            }
            Command::Again(chunks) => {
                self.intake.expect(&chunks);
                call.want_again(&chunks);
            }
            Command::Drop(chunks) => {
                for chunk in &chunks {
                    self.intake.forget(*chunk);
                }
                call.drop_wanted(&chunks);
            }
            Command::Complain(chunk) => {
                call.drop_wanted(&self.intake.expected());
                call.complain(chunk);
                return Err(End::Stopped);
            }
        }
        Ok(())
    }

    fn reply<R: std::io::BufRead>(&mut self, link: &Link, reply: Reply<R>) -> Result<(), OwnerGone> {
        match reply {
            Reply::Block { chunk, offset, last, mut data } => {
                let len = data.len();
                self.intake.block(ChunkIndex(chunk), (offset, last), len, &mut data)
            }
            Reply::Available { have, given } => {
                // A bitmap of another length says nothing about this file.
                let bitmap = |bytes: Vec<u8>| Bitmap::from_bytes(&bytes, link.blueprint.count());
                // This first: what is asked next depends on it.
                tell(&link.events, Event::Gave(link.id, given.and_then(bitmap)))?;
                match have.map(bitmap) {
                    None => tell(&link.events, Event::Has(link.id, Has::Complete)),
                    Some(Some(bitmap)) => tell(&link.events, Event::Has(link.id, Has::Chunks(bitmap))),
                    Some(None) => Ok(()),
                }
            }
            Reply::Refused { chunk, reason } => self.refused(link, ChunkIndex(chunk), reason),
            Reply::Unknown => Ok(()),
        }
    }

    fn refused(&mut self, link: &Link, chunk: ChunkIndex, reason: Reason) -> Result<(), OwnerGone> {
        if !self.intake.forget(chunk) {
            return Ok(());
        }
        match reason {
            Reason::BUSY => tell(&link.events, Event::Busy(link.id, chunk)),
            _ => tell(&link.events, Event::Failed(link.id, chunk, Cause::Refused)),
        }
    }

    /// Version 1: a call a chunk.
    fn chunk_by_chunk(&mut self, link: &mut Link, client: &Client) -> Result<CallError, End> {
        let mut calls = client.chunk_calls(link.blueprint.file_hash, link.limits.chunk_call_timeout);
        for chunk in self.intake.expected() {
            if let Err(error) = calls.start(chunk) {
                return Ok(error);
            }
        }
        loop {
            let event = match self.intake.is_idle() {
                true => calls.next(&mut link.orders),
                false => link.spent.while_waiting(|| calls.next(&mut link.orders)),
            };
            match event {
                ChunkEvent::Stopped => return Err(End::Stopped),
                ChunkEvent::Command(command) => {
                    if let Err(error) = self.order_calls(&mut calls, command) {
                        return Ok(error);
                    }
                }
                ChunkEvent::Chunk(chunk, Ok(mut data)) => {
                    self.answered = true;
                    let len = data.len();
                    self.intake.block(chunk, (0, true), len, &mut data)?;
                    if let Some(error) = self.pay_for_call(link, &mut calls, len)? {
                        return Ok(error);
                    }
                }
                ChunkEvent::Chunk(_, Err(error @ (CallError::Transport(_) | CallError::Cancelled))) => {
                    return Ok(error);
                }
                ChunkEvent::Chunk(chunk, Err(error)) => {
                    self.answered = true;
                    self.intake.forget(chunk);
                    let event = match error {
                        CallError::Busy => Event::Busy(link.id, chunk),
                        other => Event::Failed(link.id, chunk, other.cause()),
                    };
                    tell(&link.events, event)?;
                }
            }
        }
    }

    fn order_calls(&mut self, calls: &mut ChunkCalls, command: Command) -> Result<(), CallError> {
        match command {
            Command::Request(chunks) | Command::Again(chunks) => {
                self.intake.expect(&chunks);
                chunks.iter().try_for_each(|chunk| calls.start(*chunk))
            }
            Command::Drop(chunks) => {
                for chunk in chunks {
                    self.intake.forget(chunk);
                    calls.cancel(chunk);
                }
                Ok(())
            }
            // Version 1 has no words for it.
            Command::Complain(_) => Ok(()),
        }
    }
}
