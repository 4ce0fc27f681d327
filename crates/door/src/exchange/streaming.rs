//! Sending a streamed reply. Each push is sent as one chunk, and bytes that the socket does not take wait here.

use std::io::{self, Write as _};
use std::time::Instant;

use super::{Asked, Exchange, LINGER_BYTES_MAX, Next, Phase, Turn};
use crate::Streamed;
use crate::budget::StreamPlace;
use crate::door::Shared;
use crate::limits::StreamLimits;
use crate::link::Client;
use crate::print::{Afterwards, Framing, print_stream_head};
use crate::refusal::Refusal;
use crate::stream::{Ending, StreamReceiver};
use crate::wire::Wire;

/// Bytes handed to the socket at once. A TLS session buffers as many again, so this bounds what it holds for a slow
/// client.
const WRITE_BYTES_MAX: usize = 16 * 1024;
/// The chunk that ends a chunked reply (RFC 9112, section 7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A streamed reply under way.
pub(super) struct Streaming {
    receiver: StreamReceiver,
    framing: Framing,
    /// Framed bytes that the socket has not taken, `sent` of them apart.
    unsent: Vec<u8>,
    sent: usize,
    /// The end of the stream is behind `unsent`.
    ending: Option<Ending>,
    /// When the client last took something, or last had nothing to take.
    last_progress: Instant,
    /// Bytes that the client sent meanwhile, which are discarded.
    discarded: usize,
    /// Given back when the stream ends.
    _place: StreamPlace,
}

/// The progress of a write.
enum Sent {
    /// The socket took all pushed bytes; the stream continues.
    All,
    /// The socket is full.
    Blocked,
    /// The socket took all bytes, and the stream has ended.
    Ended(Ending),
}

impl Streaming {
    /// Returns the time at which the stream is cut: the client stalls while bytes wait for it, or the producer is silent.
    fn deadline(&self, limits: &StreamLimits, is_flushed: bool) -> Instant {
        let waiting_since = if self.unsent.is_empty() && is_flushed {
            self.receiver.pending_since().map(|since| since.max(self.last_progress))
        } else {
            Some(self.last_progress)
        };
        match waiting_since {
            Some(since) => since + limits.stall_max,
            None => self.receiver.last_push() + limits.silence_max,
        }
    }

    /// Sends all that was pushed, as far as the socket takes it at once.
    fn send(&mut self, wire: &mut impl Wire, out: &mut Vec<u8>) -> io::Result<Sent> {
        loop {
            if !self.flush(wire)? {
                self.receiver.set_unsent(self.unsent.len() - self.sent);
                return Ok(Sent::Blocked);
            }
            if let Some(ending) = self.ending {
                return Ok(Sent::Ended(ending));
            }
            let (pushed, ending) = self.receiver.take();
            if pushed.is_empty() && ending.is_none() {
                return Ok(Sent::All);
            }
            self.ending = ending;
            out.clear();
            self.frame(out, &pushed);
            // Most chunks are taken at once, and then the stream needs no buffer of its own.
            let taken = write_pieces(wire, out)?;
            self.last_progress = Instant::now();
            self.unsent.extend_from_slice(&out[taken..]);
            self.receiver.set_unsent(self.unsent.len());
        }
    }

    /// Appends the bytes as a chunk, and the last chunk if the producer has finished.
    fn frame(&self, out: &mut Vec<u8>, pushed: &[u8]) {
        let chunked = self.framing == Framing::Chunked;
        if chunked && !pushed.is_empty() {
            write!(out, "{:x}\r\n", pushed.len()).expect("writing to memory cannot fail");
        }
        out.extend_from_slice(pushed);
        if chunked && !pushed.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
        if chunked && self.ending == Some(Ending::Complete) {
            out.extend_from_slice(LAST_CHUNK);
        }
    }

    /// Sends what the socket did not take before; true if nothing is left, in the TLS session neither.
    fn flush(&mut self, wire: &mut impl Wire) -> io::Result<bool> {
        if self.sent < self.unsent.len() {
            let taken = write_pieces(wire, &self.unsent[self.sent..])?;
            if taken > 0 {
                self.sent += taken;
                self.last_progress = Instant::now();
            }
        }
        if self.sent < self.unsent.len() {
            return Ok(false);
        }
        self.unsent = Vec::new();
        self.sent = 0;
        if wire.is_flushed() {
            return Ok(true);
        }
        // Writing nothing sends what the TLS session holds.
        match wire.write_now(&[]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => _ = written?,
        }
        if wire.is_flushed() {
            self.last_progress = Instant::now();
        }
        Ok(wire.is_flushed())
    }
}

/// Writes until the socket takes no more. Returns the number of bytes it took.
fn write_pieces(wire: &mut impl Wire, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        let end = bytes.len().min(taken + WRITE_BYTES_MAX);
        match wire.write_now(&bytes[taken..end]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Ok(0) => break,
            written => taken += written?,
        }
    }
    Ok(taken)
}

impl<W: Wire> Exchange<W> {
    pub(crate) fn is_streaming(&self) -> bool {
        matches!(self.phase, Phase::Stream(_))
    }

    /// Begins a streamed reply, if there is a place for it. Its head is sent with the first step after it is attached.
    pub(super) fn start_stream(
        &mut self,
        shared: &Shared,
        out: &mut Vec<u8>,
        streamed: Streamed,
        asked: &Asked,
    ) -> Turn {
        let framing = if asked.http_1_0 { Framing::UntilClose } else { Framing::Chunked };
        let mut head = Vec::new();
        if asked.head_only {
            let afterwards = self.afterwards(shared, asked);
            print_stream_head(&mut head, &streamed.head, &asked.id, framing, afterwards);
            return self.send_printed(shared, &head, afterwards);
        }
        let Some(place) = shared.streams.take(Client::of(asked.client)) else {
            return self.refuse(shared, out, Refusal::Busy, asked);
        };
        shared.counters.streams.add_one();
        print_stream_head(&mut head, &streamed.head, &asked.id, framing, Afterwards::Closed);
        let streaming = Streaming {
            receiver: streamed.receiver,
            framing,
            unsent: head,
            sent: 0,
            ending: None,
            last_progress: Instant::now(),
            discarded: 0,
            _place: place,
        };
        self.phase = Phase::Stream(Box::new(streaming));
        Turn::Streamed
    }

    /// Returns the deadline of a stream. It moves with each push, which does not go through this exchange.
    pub(super) fn stream_deadline(&self, streaming: &Streaming, shared: &Shared) -> Instant {
        streaming.deadline(&shared.limits.streams, self.wire.is_flushed())
    }

    /// Has each push call `wake`.
    pub(crate) fn attach_stream(&self, shared: &Shared, wake: impl Fn() + Send + 'static) {
        if let Phase::Stream(streaming) = &self.phase {
            streaming.receiver.attach(shared.limits.streams.buffer_bytes_max, wake);
        }
    }

    /// Sends the pushed bytes. Ends the connection if the client has left or the stream has ended.
    pub(super) fn advance_stream(&mut self, shared: &Shared, out: &mut Vec<u8>) -> Next {
        if !self.client_is_there() {
            return Next::End;
        }
        let Phase::Stream(streaming) = &mut self.phase else { return Next::End };
        if shared.draining() {
            streaming.receiver.finish();
        }
        match streaming.send(&mut self.wire, out) {
            Ok(Sent::All) => Next::Wait,
            // The poller reports room in the socket's buffer only after a request for it.
            Ok(Sent::Blocked) => Next::Again,
            Ok(Sent::Ended(Ending::Complete)) => match self.after(shared, Turn::Last) {
                Next::Wait => self.linger_on(),
                next => next,
            },
            // Closed without the last chunk, which tells the client that the reply is incomplete.
            Ok(Sent::Ended(Ending::Aborted)) => Next::End,
            Err(_) => {
                shared.counters.write_failures.add_one();
                Next::End
            }
        }
    }

    /// Reads and discards what the client sends; false if it has left. A client that ends its side of the connection
    /// counts as gone: a reader of a stream has nothing else to say.
    fn client_is_there(&mut self) -> bool {
        let Phase::Stream(streaming) = &mut self.phase else { return false };
        loop {
            self.inbox.clear();
            match self.inbox.fill(|free| self.wire.read_now(free)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Ok(0) | Err(_) => return false,
                Ok(count) => streaming.discarded += count,
            }
            if streaming.discarded > LINGER_BYTES_MAX {
                return false;
            }
        }
    }

    /// Cuts the stream if its deadline has passed. A push or progress since the thread looked moves it.
    pub(super) fn expire_stream(&mut self, shared: &Shared, now: Instant) -> Next {
        let Phase::Stream(streaming) = &self.phase else { return Next::End };
        if self.stream_deadline(streaming, shared) > now {
            return Next::Wait;
        }
        shared.counters.streams_cut.add_one();
        Next::End
    }
}
