//! One connection's life: read a request whole, have it answered, write the answer, and so on until one side has enough.
//!
//! It advances when there is something to read and when a deadline has passed, and says until when it waits for more.

mod answer;
mod receive;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tiny_http::Method;

use crate::admission::Link;
use crate::door::Shared;
use crate::head::scan::HeadScan;
use crate::head::{HeadError, ParsedHead, parse_whole};
use crate::inbox::Inbox;
use crate::print::Afterwards;
use crate::refusal::Refusal;
use crate::wire::Wire;
use crate::{Answer, Later, Reply, Request, RequestId};
use answer::answer_budget;
use receive::NoRequest;

/// What a closing connection still takes from a client that goes on sending.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// What a connection does after it has advanced.
pub(crate) enum Next {
    /// Waits for its client, or its deadline.
    Wait,
    /// Waits for a thread: the next request is here already.
    Again,
    /// Waits for its reply; then it is resumed.
    Later(Later),
    /// Is over.
    End,
}

/// What a turn on the connection ended in.
enum Turn {
    /// Another request may come.
    Next,
    /// The last answer is written.
    Last,
    /// The reply is yet to come.
    Later(Later),
    /// Nothing more can be said.
    Lost,
}

/// What a connection waits for.
enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    Head(HeadScan),
    /// Its reply.
    Service(Asked),
    /// The client's end, after the last answer: so many bytes came meanwhile.
    Linger(usize),
}

/// What of a request decides about its answer.
struct Asked {
    id: RequestId,
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
    until: Instant,
    /// No request has come yet: the first head's deadline runs from the accept.
    is_new: bool,
    /// The client's end has come, behind what is yet to be read.
    ended: bool,
}

impl Turn {
    /// An answer was written that says what comes after it.
    fn of(afterwards: Afterwards) -> Self {
        if afterwards == Afterwards::Closed { Self::Last } else { Self::Next }
    }
}

impl<W: Wire> Exchange<W> {
    pub(crate) fn new(wire: W, link: Arc<Link>, shared: &Shared) -> Self {
        let inbox = Inbox::new(shared.limits.head.head_bytes_max);
        let until = Instant::now() + shared.limits.head_deadline;
        Self { wire, link, inbox, phase: Phase::Idle, until, is_new: true, ended: false }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// What it has received.
    pub(crate) fn inbox(&mut self) -> &mut Inbox {
        &mut self.inbox
    }

    /// Until when it waits.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// Takes in everything that has come, to its end where it `ended`, and answers every request that is complete. `out` is where answers
    /// are printed.
    pub(crate) fn advance(&mut self, shared: &Shared, out: &mut Vec<u8>, ended: bool) -> Next {
        self.ended |= ended;
        loop {
            match self.advance_once(shared, out) {
                Next::Wait if matches!(self.phase, Phase::Linger(_)) => return self.linger_on(),
                Next::Wait if self.has_more() => {}
                next => return next,
            }
        }
    }

    /// Something has come that no event will tell of again.
    fn has_more(&self) -> bool {
        self.ended || !self.wire.is_drained()
    }

    fn advance_once(&mut self, shared: &Shared, out: &mut Vec<u8>) -> Next {
        match self.phase {
            Phase::Linger(_) => return Next::Wait,
            Phase::Idle if self.has_request() => return self.take_requests(shared, out),
            _ => {}
        }
        match self.inbox.fill(|free| self.wire.read_now(free)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ended = false;
                return Next::Wait;
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                let turn = self.refuse(shared, out, Refusal::Plaintext, RequestId::fresh(), false);
                return self.after(shared, turn);
            }
            Err(_) => return Next::End,
            Ok(0) if matches!(self.phase, Phase::Idle) => return Next::End,
            Ok(0) => {
                let turn = self.refuse(shared, out, Refusal::Truncated, RequestId::fresh(), false);
                return self.after(shared, turn);
            }
            Ok(_) => {}
        }
        self.link.set_idle(false);
        self.take_requests(shared, out)
    }

    /// The deadline has passed. Waits for nothing, for it is the clock's own thread that calls it.
    pub(crate) fn expire(&mut self, shared: &Shared, out: &mut Vec<u8>) -> Next {
        match self.phase {
            Phase::Idle | Phase::Service(_) | Phase::Linger(_) => Next::End,
            Phase::Head(_) => {
                let id = RequestId::fresh();
                self.count_refusal(shared, Refusal::Timeout, id);
                // A client that takes nothing is closed without an answer.
                let _ = self.answer_now(out, &Refusal::Timeout.reply(&id), &id, false, Afterwards::Closed);
                self.after(shared, Turn::Last)
            }
        }
    }

    /// The reply it waited for is there. Waits for nothing, for many others have their reply from the same thread.
    pub(crate) fn resume(&mut self, shared: &Shared, out: &mut Vec<u8>, reply: &Reply) -> Next {
        let Phase::Service(asked) = std::mem::replace(&mut self.phase, Phase::Idle) else { return Next::End };
        let afterwards = self.afterwards(shared, &asked);
        let turn = match self.answer_now(out, reply, &asked.id, asked.head_only, afterwards) {
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

    /// Another request has come before the answer to the one before.
    fn has_request(&self) -> bool {
        matches!(self.phase, Phase::Idle) && !self.inbox.bytes().is_empty()
    }

    /// Answers the requests that the inbox holds, until it holds none or half of one.
    fn take_requests(&mut self, shared: &Shared, out: &mut Vec<u8>) -> Next {
        loop {
            let turn = match self.next_head(shared) {
                Ok(Some(parsed)) => self.serve(shared, out, parsed),
                Ok(None) => return Next::Wait,
                Err(error) => self.refuse(shared, out, error.into(), RequestId::fresh(), false),
            };
            match self.after(shared, turn) {
                Next::Wait if self.has_request() => {}
                next => return next,
            }
        }
    }

    /// A whole head; `None` where its end has not come yet.
    fn next_head(&mut self, shared: &Shared) -> Result<Option<ParsedHead>, HeadError> {
        let limits = &shared.limits;
        if let Phase::Idle = self.phase {
            self.phase = Phase::Head(HeadScan::default());
            if !self.is_new {
                self.until = Instant::now() + limits.head_deadline;
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

    /// One request and its answer.
    fn serve(&mut self, shared: &Shared, out: &mut Vec<u8>, parsed: ParsedHead) -> Turn {
        let (id, head_only) = (RequestId::of(&parsed.head), parsed.head.method == Method::Head);
        let asked = Asked { id, head_only, keep_alive: parsed.keep_alive, http_1_0: parsed.http_1_0 };
        let budget = match receive::body_budget(shared, &parsed) {
            Ok(budget) => budget,
            Err(refusal) => return self.refuse(shared, out, refusal, id, head_only),
        };
        let body = match self.read_body(shared, &parsed) {
            Ok(body) => body,
            Err(NoRequest::Gone) => return Turn::Lost,
            Err(NoRequest::Refused(refusal)) => return self.refuse(shared, out, refusal, id, false),
        };
        let remote = shared.service.client_of(self.link.remote, &parsed.head);
        let request = Request { head: parsed.head, body, remote: Some(remote), id };
        let answer = ask_service(shared, request);
        drop(budget);
        match answer {
            None => self.refuse(shared, out, Refusal::Panicked, id, head_only),
            Some(Answer::Now(reply)) => self.reply(shared, out, &reply, &asked),
            Some(Answer::Later(later)) => {
                self.phase = Phase::Service(asked);
                Turn::Later(later)
            }
        }
    }

    fn reply(&mut self, shared: &Shared, out: &mut Vec<u8>, reply: &Reply, asked: &Asked) -> Turn {
        let Asked { id, head_only, .. } = *asked;
        let Ok(_writing) = answer_budget(shared, reply) else {
            return self.refuse(shared, out, Refusal::Busy, id, head_only);
        };
        let afterwards = self.afterwards(shared, asked);
        self.answer(shared, out, reply, &id, head_only, afterwards)
    }

    /// Who keeps a connection open while others of his wait for one would make them wait until it is idle too long.
    fn afterwards(&self, shared: &Shared, asked: &Asked) -> Afterwards {
        let stays = asked.keep_alive && !shared.draining() && !shared.admission.is_wanted(&self.link);
        match (stays, asked.http_1_0) {
            (false, _) => Afterwards::Closed,
            (true, false) => Afterwards::Open,
            (true, true) => Afterwards::OpenSaid,
        }
    }

    fn refuse(&mut self, shared: &Shared, out: &mut Vec<u8>, refusal: Refusal, id: RequestId, head_only: bool) -> Turn {
        self.count_refusal(shared, refusal, id);
        self.answer(shared, out, &refusal.reply(&id), &id, head_only, Afterwards::Closed)
    }

    fn count_refusal(&self, shared: &Shared, refusal: Refusal, id: RequestId) {
        let counters = &shared.counters;
        match refusal {
            Refusal::Panicked => {}
            Refusal::Timeout => {
                counters.timeouts.add_one();
                counters.refused.add_one();
            }
            _ => counters.refused.add_one(),
        }
        shared.service.refused(&refusal.told(id, Some(self.link.remote)));
    }

    /// What the connection waits for after a turn. The order matters: a drain either sees it idle, or is seen by it.
    fn after(&mut self, shared: &Shared, turn: Turn) -> Next {
        match turn {
            Turn::Lost => return Next::End,
            Turn::Later(later) => return Next::Later(later),
            Turn::Next => {
                self.phase = Phase::Idle;
                self.until = Instant::now() + shared.limits.idle_deadline;
                self.link.set_idle(self.inbox.bytes().is_empty());
                if shared.draining() && self.inbox.bytes().is_empty() {
                    return Next::End;
                }
            }
            Turn::Last => {
                self.link.set_idle(true);
                self.wire.finish_sending();
                self.phase = Phase::Linger(0);
                self.until = Instant::now() + shared.limits.linger;
            }
        }
        Next::Wait
    }

    /// Reads on for a moment after the last answer: closing over unread bytes would reset the connection, and the
    /// client might lose the answer to that.
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

/// Has the service answer; `None` where it panicked.
fn ask_service(shared: &Shared, request: Request) -> Option<Answer> {
    shared.counters.requests.add_one();
    // The service is shared by all threads and so must stand a panic of one; the request is dropped.
    let answer = catch_unwind(AssertUnwindSafe(|| shared.service.answer(request))).ok();
    if answer.is_none() {
        shared.counters.panics.add_one();
    }
    answer
}
