//! Writing one answer, under a total deadline.

use std::io;
use std::time::Instant;

use peernet_threads::about_to_block;

use super::{Exchange, Turn};
use crate::admission::LargeBody;
use crate::door::Shared;
use crate::print::{Afterwards, has_body, print_head};
use crate::wire::Wire;
use crate::{Reply, RequestId};

/// Answers up to this size are put behind their head, to leave in one write; a thread keeps that much memory.
const ONE_WRITE_BYTES: usize = 16 * 1024;
/// Answers up to this size need no share of the budget: all connections together cannot make much of them.
const SMALL_ANSWER_BYTES: usize = 64 * 1024;

impl<W: Wire> Exchange<W> {
    pub(super) fn answer(
        &mut self,
        shared: &Shared,
        out: &mut Vec<u8>,
        reply: &Reply,
        id: &RequestId,
        head_only: bool,
        afterwards: Afterwards,
    ) -> Turn {
        let body = body_of(reply, head_only);
        out.clear();
        print_head(out, reply, id, afterwards);
        let deadline = Instant::now() + shared.limits.write_deadline;
        let written = if body.len() <= ONE_WRITE_BYTES {
            out.extend_from_slice(body);
            write_all(&mut self.wire, out, deadline)
        } else {
            write_all(&mut self.wire, out, deadline).and_then(|()| write_all(&mut self.wire, body, deadline))
        };
        if written.is_err() {
            shared.counters.write_failures.add_one();
            return Turn::Lost;
        }
        Turn::of(afterwards)
    }

    /// Writes an answer without waiting for the client; the error is that it does not take all of it at once.
    pub(super) fn answer_now(
        &mut self,
        out: &mut Vec<u8>,
        reply: &Reply,
        id: &RequestId,
        head_only: bool,
        afterwards: Afterwards,
    ) -> io::Result<()> {
        out.clear();
        print_head(out, reply, id, afterwards);
        out.extend_from_slice(body_of(reply, head_only));
        let sent = self.wire.write_now(out)?;
        if sent == out.len() && self.wire.is_flushed() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

fn body_of(reply: &Reply, head_only: bool) -> &[u8] {
    if head_only || !has_body(reply.status) { &[] } else { &reply.body }
}

/// Writes at once what can be, and waits for the client with the rest.
fn write_all(wire: &mut impl Wire, bytes: &[u8], deadline: Instant) -> io::Result<()> {
    let sent = match wire.write_now(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        sent => sent?,
    };
    if sent == bytes.len() && wire.is_flushed() {
        return Ok(());
    }
    about_to_block();
    wire.set_deadline(deadline);
    wire.write_all(&bytes[sent..])?;
    wire.flush()
}

/// A large answer's share of the memory for those that are being written; the error is that there is none left.
pub(super) fn answer_budget<'s>(shared: &'s Shared, reply: &Reply) -> Result<Option<LargeBody<'s>>, ()> {
    let length = reply.body.len();
    if length <= SMALL_ANSWER_BYTES {
        return Ok(None);
    }
    shared.admission.large_answer(length, shared.limits.large_answers_bytes_max).map(Some).ok_or(())
}
