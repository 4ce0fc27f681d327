//! Writing one reply, under a total deadline.

use std::io;
use std::time::Instant;

use peernet_threads::Blocking;

use super::{Asked, Exchange, Turn};
use crate::Reply;
use crate::budget::ByteShare;
use crate::door::Shared;
use crate::print::{Afterwards, has_body, print_head};
use crate::wire::Wire;

/// Bodies up to this size are put behind their head, to leave in one write. A worker keeps that much memory.
const ONE_WRITE_BYTES: usize = 16 * 1024;
/// Replies up to this size need no share of the budget: all connections together cannot make much of them.
const SMALL_REPLY_BYTES: usize = 64 * 1024;

impl<W: Wire> Exchange<W> {
    /// Writes a reply, and waits for a client that does not take it at once.
    pub(super) fn send(
        &mut self,
        shared: &Shared,
        out: &mut Vec<u8>,
        reply: &Reply,
        asked: &Asked,
        afterwards: Afterwards,
    ) -> Turn {
        let body = body_of(reply, asked.head_only);
        out.clear();
        print_head(out, reply, &asked.id, afterwards);
        let deadline = Instant::now() + shared.limits.write_deadline;
        let written = if body.len() <= ONE_WRITE_BYTES {
            out.extend_from_slice(body);
            write_all(&mut self.wire, out, deadline)
        } else {
            write_all(&mut self.wire, out, deadline).and_then(|()| write_all(&mut self.wire, body, deadline))
        };
        turn_of(shared, written, afterwards)
    }

    /// Writes a reply that is printed already.
    pub(super) fn send_printed(&mut self, shared: &Shared, printed: &[u8], afterwards: Afterwards) -> Turn {
        let deadline = Instant::now() + shared.limits.write_deadline;
        let written = write_all(&mut self.wire, printed, deadline);
        turn_of(shared, written, afterwards)
    }

    /// Writes a reply without waiting for the client. Fails if the client does not take all of it at once.
    pub(super) fn send_now(
        &mut self,
        out: &mut Vec<u8>,
        reply: &Reply,
        asked: &Asked,
        afterwards: Afterwards,
    ) -> io::Result<()> {
        out.clear();
        print_head(out, reply, &asked.id, afterwards);
        out.extend_from_slice(body_of(reply, asked.head_only));
        let sent = self.wire.write_now(out)?;
        if sent == out.len() && self.wire.is_flushed() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

fn turn_of(shared: &Shared, written: io::Result<()>, afterwards: Afterwards) -> Turn {
    if written.is_err() {
        shared.counters.write_failures.add_one();
        return Turn::Lost;
    }
    Turn::of(afterwards)
}

fn body_of(reply: &Reply, head_only: bool) -> &[u8] {
    if head_only || !has_body(reply.status) { &[] } else { &reply.body }
}

/// Writes what the socket takes at once, and waits for the client with the rest.
fn write_all(wire: &mut impl Wire, bytes: &[u8], deadline: Instant) -> io::Result<()> {
    let sent = match wire.write_now(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        sent => sent?,
    };
    if sent == bytes.len() && wire.is_flushed() {
        return Ok(());
    }
    let blocking = Blocking::declare();
    wire.set_deadline(deadline);
    wire.write_rest(&blocking, &bytes[sent..])
}

/// A large reply's share of the memory for those that are being written. Fails if none is left.
pub(super) fn reply_budget<'s>(shared: &'s Shared, reply: &Reply) -> Result<Option<ByteShare<'s>>, ()> {
    let length = reply.body.len();
    if length <= SMALL_REPLY_BYTES {
        return Ok(None);
    }
    shared.admission.large_replies.take(length, shared.limits.large_answers_bytes_max).map(Some).ok_or(())
}
