//! Receiving a request's body, under a total deadline of its own.

use std::io;
use std::time::Instant;

use peernet_threads::Blocking;

use super::Exchange;
use crate::budget::ByteShare;
use crate::door::Shared;
use crate::head::ParsedHead;
use crate::refusal::Refusal;
use crate::wire::Wire;

/// Bodies up to this size need no share of the budget: all connections together cannot make much of them.
const SMALL_BODY_BYTES: usize = 64 * 1024;
/// The bytes by which a body's memory runs ahead of the received bytes.
const BODY_STEP_BYTES: usize = 64 * 1024;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The reason why no request arrived.
pub(super) enum NoRequest {
    /// The client has closed or reset the connection, so there is no one to answer.
    Gone,
    /// Answered, and then the connection is closed.
    Refused(Refusal),
}

impl<W: Wire> Exchange<W> {
    /// Returns the body, whose length has passed [`body_budget`]. Waits for the bytes that have not arrived yet.
    pub(super) fn read_body(&mut self, shared: &Shared, parsed: &ParsedHead) -> Result<Vec<u8>, NoRequest> {
        // `body_budget` has compared it with a limit that is a `usize`.
        let length = usize::try_from(parsed.content_length).unwrap_or(usize::MAX);
        let here = length.min(self.inbox.bytes().len());
        let mut body = self.inbox.bytes()[..here].to_vec();
        self.inbox.consume(here);
        if here == length {
            return Ok(body);
        }
        self.wire.set_deadline(Instant::now() + shared.limits.body_deadline);
        if parsed.expects_continue && here == 0 {
            let blocking = Blocking::declare();
            self.wire.write_rest(&blocking, CONTINUE).map_err(|_| NoRequest::Gone)?;
        }
        while body.len() < length {
            let have = body.len();
            body.resize(length.min(have + BODY_STEP_BYTES), 0);
            let received = within_request(read(&mut self.wire, &mut body[have..]))?;
            body.truncate(have + received);
        }
        Ok(body)
    }
}

/// Decides, before a byte of it is read, whether the announced body may come.
pub(super) fn body_budget<'s>(shared: &'s Shared, parsed: &ParsedHead) -> Result<Option<ByteShare<'s>>, Refusal> {
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
    let budget = shared.admission.large_bodies.take(length, shared.limits.large_bodies_bytes_max);
    budget.map(Some).ok_or(Refusal::Busy)
}

/// Reads the available bytes, or those that arrive before the deadline.
fn read(wire: &mut impl Wire, buffer: &mut [u8]) -> io::Result<usize> {
    match wire.read_now(buffer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => wire.read_wait(&Blocking::declare(), buffer),
        received => received,
    }
}

/// The meaning of a read once a request has begun.
fn within_request(received: io::Result<usize>) -> Result<usize, NoRequest> {
    match received {
        Ok(0) => Err(NoRequest::Refused(Refusal::Truncated)),
        Ok(count) => Ok(count),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(NoRequest::Refused(Refusal::Timeout)),
        Err(_) => Err(NoRequest::Gone),
    }
}
