//! One connection's life: read a request whole, have it answered, write the answer, and so on until one side has enough.

mod receive;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tiny_http::Method;

use super::Shared;
use super::admission::{LargeBody, Link};
use super::inbox::Inbox;
use super::wire::Wire;
use crate::http::print::{Afterwards, has_body, print_head};
use crate::http::refusal::Refusal;
use crate::http::{Reply, Request, RequestId};
use receive::NoRequest;

/// Answers up to this size are put behind their head, to leave in one write; a connection keeps that much memory.
const ONE_WRITE_BYTES: usize = 16 * 1024;
/// Answers up to this size need no share of the budget: all connections together cannot make much of them.
const SMALL_ANSWER_BYTES: usize = 64 * 1024;
/// What a closing connection still takes from a client that goes on sending.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// What a turn on the connection ended in.
#[derive(PartialEq, Eq)]
enum Turn {
    /// Another request may come.
    Next,
    /// The last answer is written.
    Last,
    /// Nothing more can be said.
    Lost,
}

/// A connection and everything it needs between requests.
pub(super) struct Exchange<'a, W> {
    wire: W,
    link: &'a Link,
    shared: &'a Shared,
    inbox: Inbox,
    /// Where answers are printed; kept for its memory.
    out: Vec<u8>,
}

impl<'a, W: Wire> Exchange<'a, W> {
    pub(super) fn new(wire: W, link: &'a Link, shared: &'a Shared) -> Self {
        let inbox = Inbox::new(shared.limits.head.head_bytes_max);
        Self { wire, link, shared, inbox, out: Vec::new() }
    }

    /// Runs the connection to its end. The first head's deadline runs from here.
    pub(super) fn run(mut self) {
        let limits = &self.shared.limits;
        let mut turn = self.turn(limits.head_deadline, true);
        while turn == Turn::Next {
            turn = self.turn(limits.idle_deadline, false);
        }
        if turn == Turn::Last {
            self.linger();
        }
    }

    /// One request and its answer. `wait` is how long its first byte may take.
    fn turn(&mut self, wait: Duration, first: bool) -> Turn {
        let parsed = match self.read_head(wait, first) {
            Ok(parsed) => parsed,
            Err(why) => return self.no_request(&why, RequestId::fresh()),
        };
        let shared = self.shared;
        let id = RequestId::of(&parsed.head);
        let head_only = parsed.head.method == Method::Head;
        let budget = match self.body_budget(shared, &parsed) {
            Ok(budget) => budget,
            Err(refusal) => return self.refuse(refusal, id, head_only),
        };
        let body = match self.read_body(&parsed) {
            Ok(body) => body,
            Err(why) => return self.no_request(&why, id),
        };
        let remote = shared.service.client_of(self.link.remote, &parsed.head);
        let request = Request { head: parsed.head, body, remote: Some(remote), id };
        let Some(reply) = self.ask_service(&request) else { return self.refuse(Refusal::Panicked, id, head_only) };
        drop((request, budget));
        let Ok(_writing) = answer_budget(shared, &reply) else { return self.refuse(Refusal::Busy, id, head_only) };
        // Who keeps a connection open while others of his wait for one would make them wait until it is idle too long.
        let stays = parsed.keep_alive && !shared.draining() && !shared.admission.is_wanted(self.link);
        let afterwards = match (stays, parsed.http_1_0) {
            (false, _) => Afterwards::Closed,
            (true, false) => Afterwards::Open,
            (true, true) => Afterwards::OpenSaid,
        };
        self.answer(&reply, &id, head_only, afterwards)
    }

    /// Has the service answer; `None` where it panicked.
    fn ask_service(&self, request: &Request) -> Option<Reply> {
        self.shared.counters.requests.add_one();
        // The service is shared by all threads and so must stand a panic of one; the request is dropped.
        let reply = catch_unwind(AssertUnwindSafe(|| self.shared.service.handle(request))).ok();
        if reply.is_none() {
            self.shared.counters.panics.add_one();
        }
        reply
    }

    fn no_request(&mut self, why: &NoRequest, id: RequestId) -> Turn {
        match why {
            NoRequest::Gone => Turn::Lost,
            NoRequest::Refused(refusal) => self.refuse(*refusal, id, false),
        }
    }

    fn refuse(&mut self, refusal: Refusal, id: RequestId, head_only: bool) -> Turn {
        let counters = &self.shared.counters;
        match refusal {
            Refusal::Panicked => {}
            Refusal::Timeout => {
                counters.timeouts.add_one();
                counters.refused.add_one();
            }
            _ => counters.refused.add_one(),
        }
        self.shared.service.refused(&refusal.told(id, Some(self.link.remote)));
        self.answer(&refusal.reply(&id), &id, head_only, Afterwards::Closed)
    }

    fn answer(&mut self, reply: &Reply, id: &RequestId, head_only: bool, afterwards: Afterwards) -> Turn {
        let body: &[u8] = if head_only || !has_body(reply.status) { &[] } else { &reply.body };
        self.out.clear();
        print_head(&mut self.out, reply, id, afterwards);
        self.wire.set_deadline(Instant::now() + self.shared.limits.write_deadline);
        let written = if body.len() <= ONE_WRITE_BYTES {
            self.out.extend_from_slice(body);
            self.wire.write_all(&self.out)
        } else {
            self.wire.write_all(&self.out).and_then(|()| self.wire.write_all(body))
        };
        if written.is_err() {
            self.shared.counters.write_failures.add_one();
            return Turn::Lost;
        }
        if afterwards == Afterwards::Closed { Turn::Last } else { Turn::Next }
    }

    /// Reads on for a moment after the last answer: closing over unread bytes would reset the connection, and the
    /// client might lose the answer to that.
    fn linger(&mut self) {
        self.link.set_idle(true);
        self.wire.finish_sending();
        self.wire.set_deadline(Instant::now() + self.shared.limits.linger);
        let mut taken = 0;
        while taken < LINGER_BYTES_MAX {
            self.inbox.clear();
            match self.inbox.fill(&mut self.wire) {
                Ok(0) | Err(_) => return,
                Ok(count) => taken += count,
            }
        }
    }
}

/// A large answer's share of the memory for those that are being written; the error is that there is none left.
fn answer_budget<'s>(shared: &'s Shared, reply: &Reply) -> Result<Option<LargeBody<'s>>, ()> {
    let length = reply.body.len();
    if length <= SMALL_ANSWER_BYTES {
        return Ok(None);
    }
    shared.admission.large_answer(length, shared.limits.large_answers_bytes_max).map(Some).ok_or(())
}
