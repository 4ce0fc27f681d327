//! One connection's life: it reads a request whole, has it answered, writes the reply, and repeats until one side ends
//! it.
//!
//! An exchange advances when there is something to read, when a stream has something to send, and when its deadline has
//! passed.

mod receive;
mod send;
mod streaming;

use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tiny_http::Method;

use crate::door::Shared;
use crate::head::scan::HeadScan;
use crate::head::{HeadError, ParsedHead, parse_whole};
use crate::inbox::Inbox;
use crate::link::Link;
use crate::print::Afterwards;
use crate::refusal::Refusal;
use crate::wire::Wire;
use crate::{Answer, Deferred, Reply, Request, RequestId};
use receive::NoRequest;
use streaming::Streaming;

/// Bytes that a closing connection still takes from a client that goes on sending.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// The needs of a connection after a step.
pub(crate) enum Next {
    /// To wait for its client or its deadline.
    Wait,
    /// A free worker as soon as the socket can take a byte: the next request is here already, or a stream is blocked.
    Again,
    /// The service defers the reply; the reply resumes the exchange.
    Deferred(Deferred),
    /// To be attached to the stream that it has begun.
    Streamed,
    /// To be closed.
    End,
}

/// The outcome of one request.
enum Turn {
    /// Another request may come.
    Next,
    /// The last reply is written.
    Last,
    /// The reply is deferred.
    Deferred(Deferred),
    /// A streamed reply begins.
    Streamed,
    /// The client is gone.
    Lost,
}

/// The event for which a connection waits.
enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    Head(HeadScan),
    /// The service's deferred reply.
    Service(Asked),
    /// Pushes of a streamed reply, or room in its socket.
    Stream(Box<Streaming>),
    /// The client's end, after the last reply; the number of bytes that came meanwhile.
    Linger(usize),
}

/// The parts of a request that its reply depends on.
#[derive(Debug, Clone, Copy)]
struct Asked {
    id: RequestId,
    /// The client, as the service sees it through trusted proxies.
    client: Option<IpAddr>,
    head_only: bool,
    keep_alive: bool,
    http_1_0: bool,
}

/// A connection and everything it needs between requests.
pub(crate) struct Exchange<W> {
    wire: W,
    link: Arc<Link>,
    inbox: Inbox,
    phase: Phase,
    deadline: Instant,
    /// No request has come yet: the first head's deadline runs from the accept.
    is_new: bool,
    /// The client has ended its side, behind what is still to be read.
    ended: bool,
}

impl Turn {
    /// The outcome of a written reply whose head said what comes `afterwards`.
    fn of(afterwards: Afterwards) -> Self {
        if afterwards == Afterwards::Closed { Self::Last } else { Self::Next }
    }
}

impl<W: Wire> Exchange<W> {
    pub(crate) fn new(wire: W, link: Arc<Link>, shared: &Shared) -> Self {
        let inbox = Inbox::new(shared.limits.head.head_bytes_max);
        let deadline = Instant::now() + shared.limits.head_deadline;
        Self { wire, link, inbox, phase: Phase::Idle, deadline, is_new: true, ended: false }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    pub(crate) fn inbox(&mut self) -> &mut Inbox {
        &mut self.inbox
    }

    pub(crate) fn deadline(&self, shared: &Shared) -> Instant {
        match &self.phase {
            Phase::Stream(streaming) => self.stream_deadline(streaming, shared),
            _ => self.deadline,
        }
    }

    /// Reads everything that has come, to the client's end if it has `ended`, and answers every complete request.
    /// Replies are printed to `out`.
    pub(crate) fn advance(&mut self, shared: &Shared, out: &mut Vec<u8>, ended: bool) -> Next {
        self.ended |= ended;
        loop {
            match self.advance_once(shared, out) {
                Next::Wait if matches!(self.phase, Phase::Stream(_)) => return self.advance_stream(shared, out),
                Next::Wait if matches!(self.phase, Phase::Linger(_)) => return self.linger_on(),
                Next::Wait if self.has_more() => {}
                next => return next,
            }
        }
    }

    /// Returns whether bytes arrived that no event will report again.
    fn has_more(&self) -> bool {
        self.ended || !self.wire.is_drained()
    }

    fn advance_once(&mut self, shared: &Shared, out: &mut Vec<u8>) -> Next {
        match self.phase {
            Phase::Stream(_) | Phase::Linger(_) => return Next::Wait,
            Phase::Idle if self.has_request() => return self.take_requests(shared, out),
            _ => {}
        }
        match self.inbox.fill(|free| self.wire.read_now(free)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ended = false;
                return Next::Wait;
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                return self.refuse_unread(shared, out, Refusal::Plaintext);
            }
            Err(_) => return Next::End,
            Ok(0) if matches!(self.phase, Phase::Idle) => return Next::End,
            Ok(0) => return self.refuse_unread(shared, out, Refusal::Truncated),
            Ok(_) => {}
        }
        self.link.set_idle(false);
        self.take_requests(shared, out)
    }

    /// Refuses a request whose head was not read.
    fn refuse_unread(&mut self, shared: &Shared, out: &mut Vec<u8>, refusal: Refusal) -> Next {
        let turn = self.refuse(shared, out, refusal, &self.unread());
        self.after(shared, turn)
    }

    /// Stands in for a request whose head was not understood.
    fn unread(&self) -> Asked {
        let head_only = false;
        let keep_alive = false;
        let http_1_0 = false;
        Asked { id: RequestId::fresh(), client: self.link.remote, head_only, keep_alive, http_1_0 }
    }

    /// Ends what has passed its deadline at `now`. Never waits, because the thread of all deadlines calls it.
    pub(crate) fn expire(&mut self, shared: &Shared, out: &mut Vec<u8>, now: Instant) -> Next {
        match self.phase {
            Phase::Idle | Phase::Service(_) | Phase::Linger(_) => Next::End,
            Phase::Stream(_) => self.expire_stream(shared, now),
            Phase::Head(_) => {
                let asked = self.unread();
                let reply = self.count_refusal(shared, Refusal::Timeout, &asked);
                // A client that takes nothing is closed without a reply.
                let _ = self.send_now(out, &reply, &asked, Afterwards::Closed);
                self.after(shared, Turn::Last)
            }
        }
    }

    /// Goes on with the deferred reply; `None` if its responder was dropped. Never waits, because the thread that
    /// delivers the reply has others to deliver.
    pub(crate) fn resume(&mut self, shared: &Shared, out: &mut Vec<u8>, reply: Option<Reply>) -> Next {
        let Phase::Service(asked) = std::mem::replace(&mut self.phase, Phase::Idle) else { return Next::End };
        let (reply, afterwards) = match reply {
            Some(reply) => (reply, self.afterwards(shared, &asked)),
            None => {
                shared.counters.panics.add_one();
                (self.count_refusal(shared, Refusal::Panicked, &asked), Afterwards::Closed)
            }
        };
        let turn = match self.send_now(out, &reply, &asked, afterwards) {
            Ok(()) => Turn::of(afterwards),
            Err(_) => {
                shared.counters.write_failures.add_one();
                Turn::Lost
            }
        };
        match self.after(shared, turn) {
            Next::Wait if self.has_request() || self.has_more() => Next::Again,
            next => next,
        }
    }

    /// Returns whether another request arrived before the reply to the previous one.
    fn has_request(&self) -> bool {
        matches!(self.phase, Phase::Idle) && !self.inbox.bytes().is_empty()
    }

    /// Answers the complete requests in the inbox.
    fn take_requests(&mut self, shared: &Shared, out: &mut Vec<u8>) -> Next {
        loop {
            let turn = match self.next_head(shared) {
                Ok(Some(parsed)) => self.serve(shared, out, parsed),
                Ok(None) => return Next::Wait,
                Err(error) => self.refuse(shared, out, error.into(), &self.unread()),
            };
            match self.after(shared, turn) {
                Next::Wait if self.has_request() => {}
                next => return next,
            }
        }
    }

    /// Parses the next head; `None` if its end has not come yet.
    fn next_head(&mut self, shared: &Shared) -> Result<Option<ParsedHead>, HeadError> {
        let limits = &shared.limits;
        if let Phase::Idle = self.phase {
            self.phase = Phase::Head(HeadScan::default());
            if !self.is_new {
                self.deadline = Instant::now() + limits.head_deadline;
            }
        }
        let Phase::Head(scan) = &mut self.phase else { return Ok(None) };
        let Some(head_bytes) = scan.advance(self.inbox.bytes())? else {
            return if self.inbox.is_full() { Err(HeadError::TooLarge) } else { Ok(None) };
        };
        let parsed = parse_whole(&self.inbox.bytes()[..head_bytes], &limits.head)?;
        self.inbox.consume(head_bytes);
        self.is_new = false;
        Ok(Some(parsed))
    }

    /// Reads the body of one request and has the service answer.
    fn serve(&mut self, shared: &Shared, out: &mut Vec<u8>, parsed: ParsedHead) -> Turn {
        let remote = self.link.remote;
        let asked = Asked {
            id: RequestId::of(&parsed.head),
            client: remote.map(|remote| shared.service.client_of(remote, &parsed.head)),
            head_only: parsed.head.method == Method::Head,
            keep_alive: parsed.keep_alive,
            http_1_0: parsed.http_1_0,
        };
        let budget = match receive::body_budget(shared, &parsed) {
            Ok(budget) => budget,
            Err(refusal) => return self.refuse(shared, out, refusal, &asked),
        };
        let body = match self.read_body(shared, &parsed) {
            Ok(body) => body,
            Err(NoRequest::Gone) => return Turn::Lost,
            Err(NoRequest::Refused(refusal)) => {
                return self.refuse(shared, out, refusal, &Asked { head_only: false, ..asked });
            }
        };
        let answer = ask_service(shared, Request { head: parsed.head, body, remote: asked.client, id: asked.id });
        drop(budget);
        match answer {
            None => self.refuse(shared, out, Refusal::Panicked, &asked),
            Some(Answer::Now(reply)) => self.reply(shared, out, &reply, &asked),
            Some(Answer::Deferred(deferred)) => {
                self.phase = Phase::Service(asked);
                Turn::Deferred(deferred)
            }
            Some(Answer::Streamed(streamed)) => self.start_stream(shared, out, streamed, &asked),
        }
    }

    fn reply(&mut self, shared: &Shared, out: &mut Vec<u8>, reply: &Reply, asked: &Asked) -> Turn {
        let Ok(_writing) = send::reply_budget(shared, reply) else {
            return self.refuse(shared, out, Refusal::Busy, asked);
        };
        let afterwards = self.afterwards(shared, asked);
        self.send(shared, out, reply, asked, afterwards)
    }

    /// Closes a keep-alive connection when the same client has connections that wait for a place. They would otherwise
    /// wait until this one reaches its idle deadline.
    fn afterwards(&self, shared: &Shared, asked: &Asked) -> Afterwards {
        let stays = asked.keep_alive && !shared.draining() && !shared.admission.is_wanted(&self.link);
        match (stays, asked.http_1_0) {
            (false, _) => Afterwards::Closed,
            (true, false) => Afterwards::Open,
            (true, true) => Afterwards::OpenSaid,
        }
    }

    fn refuse(&mut self, shared: &Shared, out: &mut Vec<u8>, refusal: Refusal, asked: &Asked) -> Turn {
        let reply = self.count_refusal(shared, refusal, asked);
        self.send(shared, out, &reply, asked, Afterwards::Closed)
    }

    /// Counts the refusal and returns the reply that the service gives it.
    fn count_refusal(&self, shared: &Shared, refusal: Refusal, asked: &Asked) -> Reply {
        let counters = &shared.counters;
        match refusal {
            Refusal::Panicked => {}
            Refusal::Timeout => {
                counters.timeouts.add_one();
                counters.refused.add_one();
            }
            _ => counters.refused.add_one(),
        }
        shared.refusal_reply(refusal, asked.id, self.link.remote)
    }

    /// Decides what the connection waits for after a request. It is marked idle before the drain is looked at: so a
    /// drain either sees it idle, or it sees the drain.
    fn after(&mut self, shared: &Shared, turn: Turn) -> Next {
        match turn {
            Turn::Lost => return Next::End,
            Turn::Deferred(deferred) => return Next::Deferred(deferred),
            Turn::Streamed => return Next::Streamed,
            Turn::Next => {
                self.phase = Phase::Idle;
                self.deadline = Instant::now() + shared.limits.idle_deadline;
                self.link.set_idle(self.inbox.bytes().is_empty());
                if shared.draining() && self.inbox.bytes().is_empty() {
                    return Next::End;
                }
            }
            Turn::Last => {
                self.link.set_idle(true);
                self.wire.finish_sending();
                self.phase = Phase::Linger(0);
                self.deadline = Instant::now() + shared.limits.linger;
            }
        }
        Next::Wait
    }

    /// Reads on for a moment after the last reply. Closing over unread bytes would reset the connection, and the client
    /// might lose the reply to that.
    fn linger_on(&mut self) -> Next {
        let Phase::Linger(taken) = &mut self.phase else { return Next::End };
        while *taken < LINGER_BYTES_MAX {
            self.inbox.clear();
            match self.inbox.fill(|free| self.wire.read_now(free)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Wait,
                Ok(0) | Err(_) => return Next::End,
                Ok(count) => *taken += count,
            }
        }
        Next::End
    }
}

/// Has the service answer; `None` if it panicked.
fn ask_service(shared: &Shared, request: Request) -> Option<Answer> {
    shared.counters.requests.add_one();
    // The service is shared by all workers, so it must withstand the panic of one of them. The request is dropped.
    let answer = catch_unwind(AssertUnwindSafe(|| shared.service.answer(request))).ok();
    if answer.is_none() {
        shared.counters.panics.add_one();
    }
    answer
}
