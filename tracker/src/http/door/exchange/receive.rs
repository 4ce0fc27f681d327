//! Receiving one request: its head under one deadline, then its body under another.

use std::io;
use std::time::{Duration, Instant};

use super::Exchange;
use crate::http::door::Shared;
use crate::http::door::admission::LargeBody;
use crate::http::door::wire::Wire;
use crate::http::head::scan::HeadScan;
use crate::http::head::{HeadError, ParsedHead, parse_whole};
use crate::http::refusal::Refusal;

/// Bodies up to this size need no share of the budget: all connections together cannot make much of them.
const SMALL_BODY_BYTES: usize = 64 * 1024;
/// How far a body's memory runs ahead of what has arrived.
const BODY_STEP_BYTES: usize = 64 * 1024;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Why no request came.
pub(super) enum NoRequest {
    /// Nobody is there to be answered: closed, reset, or idle for too long.
    Gone,
    /// Answered, and then the connection is closed.
    Refused(Refusal),
}

impl From<Refusal> for NoRequest {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<W: Wire> Exchange<'_, W> {
    /// Waits for a head and parses it.
    pub(super) fn read_head(&mut self, wait: Duration, first: bool) -> Result<ParsedHead, NoRequest> {
        let limits = &self.shared.limits;
        self.wire.set_deadline(Instant::now() + wait);
        if self.inbox.bytes().is_empty() {
            self.await_first_byte()?;
        }
        if !first {
            self.wire.set_deadline(Instant::now() + limits.head_deadline);
        }
        let mut scan = HeadScan::default();
        loop {
            if let Some(head_bytes) = scan.advance(self.inbox.bytes()).map_err(Refusal::from)? {
                let parsed = parse_whole(&self.inbox.bytes()[..head_bytes], &limits.head).map_err(Refusal::from)?;
                self.inbox.consume(head_bytes);
                return Ok(parsed);
            }
            if self.inbox.is_full() {
                return Err(Refusal::Head(HeadError::TooLarge).into());
            }
            within_request(self.inbox.fill(&mut self.wire))?;
        }
    }

    /// Waits idle. The order matters: a drain either sees this connection idle, or is seen by it.
    fn await_first_byte(&mut self) -> Result<(), NoRequest> {
        self.link.set_idle(true);
        if self.shared.draining() {
            return Err(NoRequest::Gone);
        }
        let received = self.inbox.fill(&mut self.wire);
        self.link.set_idle(false);
        match received {
            Ok(0) | Err(_) => Err(NoRequest::Gone),
            Ok(_) => Ok(()),
        }
    }

    /// Decides, before a byte of it is read, whether the announced body may come.
    pub(super) fn body_budget<'s>(
        &self,
        shared: &'s Shared,
        parsed: &ParsedHead,
    ) -> Result<Option<LargeBody<'s>>, Refusal> {
        if parsed.content_length == 0 {
            return Ok(None);
        }
        let length = usize::try_from(parsed.content_length).unwrap_or(usize::MAX);
        if length > shared.service.body_bytes_max(&parsed.head) {
            return Err(Refusal::BodyTooLarge);
        }
        if length <= SMALL_BODY_BYTES {
            return Ok(None);
        }
        let budget = shared.admission.large_body(length, shared.limits.large_bodies_bytes_max);
        budget.map(Some).ok_or(Refusal::Busy)
    }

    pub(super) fn read_body(&mut self, parsed: &ParsedHead) -> Result<Vec<u8>, NoRequest> {
        // `body_budget` has compared it with a limit that is a `usize`.
        let length = usize::try_from(parsed.content_length).unwrap_or(usize::MAX);
        let here = length.min(self.inbox.bytes().len());
        let mut body = self.inbox.bytes()[..here].to_vec();
        self.inbox.consume(here);
        if here == length {
            return Ok(body);
        }
        self.wire.set_deadline(Instant::now() + self.shared.limits.body_deadline);
        if parsed.expects_continue && here == 0 {
            self.wire.write_all(CONTINUE).map_err(|_| NoRequest::Gone)?;
        }
        while body.len() < length {
            let have = body.len();
            body.resize(length.min(have + BODY_STEP_BYTES), 0);
            let received = within_request(self.wire.read(&mut body[have..]))?;
            body.truncate(have + received);
        }
        Ok(body)
    }
}

/// What a read means once a request has begun.
fn within_request(received: io::Result<usize>) -> Result<usize, NoRequest> {
    match received {
        Ok(0) => Err(NoRequest::Refused(Refusal::Truncated)),
        Ok(count) => Ok(count),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(NoRequest::Refused(Refusal::Timeout)),
        Err(_) => Err(NoRequest::Gone),
    }
}
