//! Streamed replies: a producer pushes bytes for as long as it likes, and the door's workers write them.
//!
//! The producer never waits for the client. What it pushes is buffered up to a bound; a push beyond the bound is
//! refused, and the producer decides to skip or to give up. Each push wakes a worker, which sends all that is buffered
//! at once, so an event reaches the client without a further push. Between pushes a stream is an entry in the door's
//! table and costs no thread.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use peernet_threads::lock;

/// Bytes that a stream buffers before the door has taken it over, which then sets the bound of its limits.
const BUFFER_BYTES_INITIAL: usize = 64 * 1024;

/// Wakes a worker for the stream's connection. Called with the stream locked, so it must not wait.
type Wake = Box<dyn Fn() + Send>;

/// The producer's end of a streamed reply.
///
/// Dropping it without [`StreamSender::finish`] cuts the reply after the pushed bytes: an HTTP/1.1 client can tell that
/// it is incomplete, because the last chunk is missing.
pub struct StreamSender {
    stream: Arc<Stream>,
}

/// The door's end of a streamed reply. Dropping it tells the producer that the stream is closed.
pub(crate) struct StreamReceiver {
    stream: Arc<Stream>,
}

/// The reason why a push was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushError {
    /// The client is slower than the producer: the buffer has no room for these bytes. A later push may succeed.
    Full,
    /// The client has left, was cut, or the door is draining. No later push will succeed.
    Closed,
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the stream's buffer is full",
            Self::Closed => "the stream is closed",
        })
    }
}

impl std::error::Error for PushError {}

/// The producer's end of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The producer pushed the whole body.
    Complete,
    /// The producer was dropped half-way.
    Aborted,
}

/// The state that the sender and the door share.
struct Stream {
    state: Mutex<State>,
}

struct State {
    /// Pushed and not yet taken by a worker.
    pending: Vec<u8>,
    /// Bytes that a worker has taken and the socket has not.
    unsent_bytes: usize,
    /// The bound of the two together.
    bytes_max: usize,
    /// A worker was woken and has not looked yet.
    is_woken: bool,
    /// The function that wakes a worker; `None` before the door has taken the stream over.
    wake: Option<Wake>,
    ending: Option<Ending>,
    is_closed: bool,
    last_push: Instant,
    /// When `pending` last went from empty to not empty.
    pending_since: Instant,
}

impl State {
    fn wake(&mut self) {
        if let Some(wake) = self.wake.as_ref().filter(|_| !self.is_woken) {
            self.is_woken = true;
            wake();
        }
    }
}

impl Stream {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Both ends of a streamed reply.
pub(crate) fn pair() -> (StreamSender, StreamReceiver) {
    let state = State {
        pending: Vec::new(),
        unsent_bytes: 0,
        bytes_max: BUFFER_BYTES_INITIAL,
        is_woken: false,
        wake: None,
        ending: None,
        is_closed: false,
        last_push: Instant::now(),
        pending_since: Instant::now(),
    };
    let stream = Arc::new(Stream { state: Mutex::new(state) });
    (StreamSender { stream: Arc::clone(&stream) }, StreamReceiver { stream })
}

impl StreamSender {
    /// Buffers `bytes` and has them sent. Takes all of them or none, and never waits.
    ///
    /// # Errors
    /// [`PushError::Full`] or [`PushError::Closed`].
    pub fn push(&self, bytes: &[u8]) -> Result<(), PushError> {
        let mut state = self.stream.lock();
        if state.is_closed {
            return Err(PushError::Closed);
        }
        let buffered = state.pending.len() + state.unsent_bytes;
        if buffered.saturating_add(bytes.len()) > state.bytes_max {
            return Err(PushError::Full);
        }
        state.last_push = Instant::now();
        if state.pending.is_empty() {
            state.pending_since = state.last_push;
        }
        state.pending.extend_from_slice(bytes);
        state.wake();
        Ok(())
    }

    /// Bytes that were pushed and that the client's socket has not taken.
    pub fn buffered_bytes(&self) -> usize {
        let state = self.stream.lock();
        state.pending.len() + state.unsent_bytes
    }

    /// Returns whether a push would fail with [`PushError::Closed`].
    pub fn is_closed(&self) -> bool {
        self.stream.lock().is_closed
    }

    /// Ends the reply in order: the client gets the pushed bytes, and can tell that it is complete.
    pub fn finish(self) {
        self.end(Ending::Complete);
    }

    fn end(&self, ending: Ending) {
        let mut state = self.stream.lock();
        if state.ending.is_none() {
            state.ending = Some(ending);
            state.wake();
        }
    }
}

impl Drop for StreamSender {
    fn drop(&mut self) {
        self.end(Ending::Aborted);
    }
}

impl fmt::Debug for StreamSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.stream.lock();
        f.debug_struct("StreamSender")
            .field("pending_bytes", &state.pending.len())
            .field("unsent_bytes", &state.unsent_bytes)
            .field("is_closed", &state.is_closed)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StreamReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReceiver").finish_non_exhaustive()
    }
}

impl StreamReceiver {
    /// Takes the stream over: from now on each push calls `wake`, and at most `bytes_max` are buffered.
    pub(crate) fn attach(&self, bytes_max: usize, wake: impl Fn() + Send + 'static) {
        let mut state = self.stream.lock();
        state.bytes_max = bytes_max;
        state.wake = Some(Box::new(wake));
        state.last_push = Instant::now();
    }

    /// Takes all that is pending, and how the producer ended the stream, if it has. The bytes count as unsent.
    pub(crate) fn take(&self) -> (Vec<u8>, Option<Ending>) {
        let mut state = self.stream.lock();
        state.is_woken = false;
        let taken = std::mem::take(&mut state.pending);
        state.unsent_bytes = taken.len();
        (taken, state.ending)
    }

    /// Says how many of the taken bytes the socket has not taken, their framing included.
    pub(crate) fn set_unsent(&self, bytes: usize) {
        let mut state = self.stream.lock();
        state.unsent_bytes = state.unsent_bytes.min(bytes);
    }

    /// Ends the stream for the producer, in order: pending bytes are still sent.
    pub(crate) fn finish(&self) {
        let mut state = self.stream.lock();
        state.is_closed = true;
        state.ending.get_or_insert(Ending::Complete);
    }

    pub(crate) fn last_push(&self) -> Instant {
        self.stream.lock().last_push
    }

    /// Returns since when pushed bytes wait for a worker; `None` if there are none. They wait long when the socket's buffer
    /// is full, because a worker is woken only when the socket can take a byte.
    pub(crate) fn pending_since(&self) -> Option<Instant> {
        let state = self.stream.lock();
        (!state.pending.is_empty()).then_some(state.pending_since)
    }
}

impl Drop for StreamReceiver {
    fn drop(&mut self) {
        let mut state = self.stream.lock();
        state.is_closed = true;
        state.pending = Vec::new();
        state.unsent_bytes = 0;
        // It keeps the connection's socket open, which must close with the connection.
        state.wake = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// An attached stream and how often a worker was woken.
    fn attached(bytes_max: usize) -> (StreamSender, StreamReceiver, Arc<AtomicU32>) {
        let (sender, receiver) = pair();
        let woken = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&woken);
        receiver.attach(bytes_max, move || _ = counted.fetch_add(1, Ordering::Relaxed));
        (sender, receiver, woken)
    }

    #[test]
    fn pushes_are_taken_together_and_wake_once_between() {
        let (sender, receiver, woken) = attached(100);
        for piece in ["a", "b", "c"] {
            sender.push(piece.as_bytes()).expect("there is room");
        }
        assert_eq!((receiver.take(), woken.load(Ordering::Relaxed)), ((b"abc".to_vec(), None), 1));
        sender.push(b"d").expect("there is room");
        assert_eq!((receiver.take(), woken.load(Ordering::Relaxed)), ((b"d".to_vec(), None), 2));
    }

    #[test]
    fn pending_and_unsent_bytes_share_one_bound() {
        let (sender, receiver, _) = attached(10);
        assert_eq!(sender.push(b"12345678901"), Err(PushError::Full));
        sender.push(b"123456").expect("there is room");
        assert_eq!(sender.push(b"78901"), Err(PushError::Full));
        receiver.take();
        assert_eq!((sender.push(b"78901"), sender.buffered_bytes()), (Err(PushError::Full), 6));
        receiver.set_unsent(5);
        assert_eq!((sender.push(b"78901"), sender.buffered_bytes()), (Ok(()), 10));
    }

    #[test]
    fn the_producer_learns_that_the_client_left() {
        let (sender, receiver, _) = attached(10);
        sender.push(b"1").expect("there is room");
        drop(receiver);
        assert_eq!((sender.push(b"2"), sender.is_closed()), (Err(PushError::Closed), true));
        assert_eq!(sender.buffered_bytes(), 0);
    }

    #[test]
    fn the_way_a_stream_ends_is_told_with_the_last_bytes() {
        for (ending, end) in
            [(Ending::Complete, StreamSender::finish as fn(StreamSender)), (Ending::Aborted, drop as fn(StreamSender))]
        {
            let (sender, receiver, woken) = attached(10);
            sender.push(b"last").expect("there is room");
            end(sender);
            assert_eq!((receiver.take(), woken.load(Ordering::Relaxed)), ((b"last".to_vec(), Some(ending)), 1));
        }
    }

    #[test]
    fn a_drain_refuses_pushes_and_keeps_what_was_pushed() {
        let (sender, receiver, _) = attached(10);
        sender.push(b"kept").expect("there is room");
        receiver.finish();
        assert_eq!(sender.push(b"late"), Err(PushError::Closed));
        drop(sender);
        assert_eq!(receiver.take(), (b"kept".to_vec(), Some(Ending::Complete)));
    }

    #[test]
    fn pushes_before_the_door_takes_over_are_bounded_and_kept() {
        let (sender, receiver) = pair();
        sender.push(b"early").expect("there is room");
        assert_eq!(sender.push(&vec![0; BUFFER_BYTES_INITIAL]), Err(PushError::Full));
        receiver.attach(10, || {});
        assert_eq!(receiver.take().0, b"early");
    }
}
