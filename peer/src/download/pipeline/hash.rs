//! The whole file's SHA-256, ready when the last chunk is.
//!
//! Whoever receives the very chunk that the digest has come to takes the digest along, since a second digest of the same
//! bytes costs next to nothing ([`Taken`]). What comes out of order is read again by one thread, in order behind the
//! writes. Whoever wants the bytes in order is fed by another ([`deliver`]), so that a slow reader holds up no hash.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::Sender;
use peernet_engine::ids::FileHash;

use crate::download::event::{Event, tell};
use crate::hashing::digest::Digest;

/// Read at once: small enough to stay in the cache between reading and hashing.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// Takes verified bytes in the file's order. An error ends the download.
pub type Sink = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// Fills a buffer from an offset of what is written.
pub(crate) type ReadAt<'a> = &'a (dyn Fn(&mut [u8], u64) -> io::Result<()> + Sync);

/// What becomes of the bytes in order.
pub(crate) enum Follow {
    /// They are hashed.
    Hash,
    /// Nothing: other hashes prove them. This is told in the end.
    Trust(FileHash),
}

/// How far the digest may go, and how far it is.
pub(crate) struct Frontier {
    state: Mutex<State>,
    moved: Condvar,
    /// Whether receivers may take the digest along.
    lends: bool,
}

struct State {
    /// Every byte before it is verified.
    ready: u64,
    complete: bool,
    stopped: bool,
    /// The digest is of every byte before it.
    at: u64,
    /// `None` while a receiver has it.
    digest: Option<Digest>,
}

/// What the thread does next.
enum Next {
    Read(u64, usize, Digest),
    Done(Digest),
    Stopped,
}

impl Frontier {
    /// At the start of the file.
    pub(crate) fn new(follow: &Follow) -> Arc<Self> {
        let state = State { ready: 0, complete: false, stopped: false, at: 0, digest: Some(Digest::new()) };
        Arc::new(Self { state: Mutex::new(state), moved: Condvar::new(), lends: matches!(follow, Follow::Hash) })
    }

    /// All bytes before `ready` are there; `complete` when that is the whole file.
    pub(crate) fn advance(&self, ready: u64, complete: bool) {
        let mut state = self.lock();
        (state.ready, state.complete) = (ready, complete);
        self.moved.notify_all();
    }

    /// The hash is not wanted any more.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.moved.notify_all();
    }

    /// The digest, for a receiver of the bytes from `offset` on, if that is what it needs next.
    pub(crate) fn take(self: &Arc<Self>, offset: u64) -> Option<Taken> {
        let mut state = self.lock();
        if !self.lends || state.at != offset || state.stopped {
            return None;
        }
        let digest = state.digest.take()?;
        Some(Taken { frontier: Arc::clone(self), before: digest.clone(), digest, kept: None })
    }

    /// Waits until there are bytes past `at`, and says up to where; `None` when nothing more comes.
    fn wait_past(&self, at: u64) -> Option<u64> {
        let mut state = self.lock();
        while !state.stopped && !state.complete && state.ready <= at {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.stopped && state.ready > at).then_some(state.ready)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Waits until there is something to read or nothing more to come. The digest is the caller's from then on.
    fn next(&self) -> Next {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Next::Stopped;
            }
            let (at, ready) = (state.at, state.ready);
            if (at < ready || state.complete)
                && let Some(digest) = state.digest.take()
            {
                let left = ready.saturating_sub(at);
                let len = PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES));
                return if len == 0 { Next::Done(digest) } else { Next::Read(at, len, digest) };
            }
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, digest: Digest, more: u64) {
        let mut state = self.lock();
        state.at += more;
        state.digest = Some(digest);
        self.moved.notify_all();
    }

    fn wait_until_complete(&self) -> bool {
        let mut state = self.lock();
        while !state.complete && !state.stopped {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.stopped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole file's digest in the hands of the receiver of the next bytes. Dropping it gives it back as it was.
pub(crate) struct Taken {
    frontier: Arc<Frontier>,
    before: Digest,
    digest: Digest,
    /// How many bytes it is further for good.
    kept: Option<u64>,
}

impl Taken {
    /// `bytes` go into `chunk` and into the whole file's digest.
    pub(crate) fn update_both(&mut self, chunk: &mut Digest, bytes: &[u8]) {
        chunk.update_both(&mut self.digest, bytes);
    }

    /// The `len` bytes that were shown are verified and written.
    pub(crate) fn keep(mut self, len: u64) {
        self.kept = Some(len);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        match self.kept {
            Some(len) => self.frontier.give_back(self.digest.clone(), len),
            None => self.frontier.give_back(self.before.clone(), 0),
        }
    }
}

/// The thread: takes what is written up to the frontier until that is the whole, then tells.
pub(crate) fn follow(read_at: ReadAt<'_>, frontier: &Frontier, follow: Follow, events: &Sender<Event>) {
    let last = match follow {
        Follow::Trust(hash) => frontier.wait_until_complete().then_some(Event::Whole(hash)),
        Follow::Hash => hash_behind(read_at, frontier),
    };
    if let Some(last) = last {
        // The owner may have gone.
        let _ = tell(events, last);
    }
}

/// The thread that feeds a sink: every byte in order, each as soon as all before it are verified; then it tells.
pub(crate) fn deliver(read_at: ReadAt<'_>, frontier: &Frontier, sink: Sink, events: &Sender<Event>) {
    let last = match hand_on(read_at, frontier, sink) {
        // What was cut short was not delivered.
        Ok(()) if frontier.is_stopped() => return,
        Ok(()) => Event::Delivered,
        Err(event) => event,
    };
    // The owner may have gone.
    let _ = tell(events, last);
}

fn hand_on(read_at: ReadAt<'_>, frontier: &Frontier, mut sink: Sink) -> Result<(), Event> {
    let (mut buffer, mut at) = (vec![0; PIECE_BYTES], 0);
    while let Some(ready) = frontier.wait_past(at) {
        let len = PIECE_BYTES.min(usize::try_from(ready - at).unwrap_or(PIECE_BYTES));
        let piece = &mut buffer[..len];
        read_at(piece, at).map_err(|error| Event::Disk("reading the part file again".to_owned(), error))?;
        sink(piece).map_err(Event::Sink)?;
        at += len as u64;
    }
    Ok(())
}

fn hash_behind(read_at: ReadAt<'_>, frontier: &Frontier) -> Option<Event> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let (at, len, mut digest) = match frontier.next() {
            Next::Stopped => return None,
            Next::Done(digest) => return Some(Event::Whole(FileHash(digest.finish()))),
            Next::Read(at, len, digest) => (at, len, digest),
        };
        let piece = &mut buffer[..len];
        if let Err(error) = read_at(piece, at) {
            return Some(Event::Disk("reading the part file again".to_owned(), error));
        }
        digest.update(piece);
        frontier.give_back(digest, len as u64);
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    const LEN: usize = 3 * PIECE_BYTES + 100;

    fn content() -> Vec<u8> {
        (0..LEN).map(|i| (i / 3 + i / 1_000) as u8).collect()
    }

    /// The hash that is told when `before` has happened and all of the file is ready then.
    fn check(follow_how: Follow, before: impl FnOnce(&Arc<Frontier>, &[u8])) -> Option<FileHash> {
        let (bytes, frontier) = (content(), Frontier::new(&follow_how));
        before(&frontier, &bytes);
        frontier.advance(LEN as u64, true);
        let (events, told) = crossbeam_channel::bounded(1);
        let read_at = |buffer: &mut [u8], at: u64| {
            buffer.copy_from_slice(&bytes[at as usize..][..buffer.len()]);
            Ok(())
        };
        follow(&read_at, &frontier, follow_how, &events);
        match told.try_recv() {
            Ok(Event::Whole(hash)) => Some(hash),
            _ => None,
        }
    }

    /// What is told of a sink when all of the file is ready and then `after` happens.
    fn delivered(sink: Sink, after: impl FnOnce(&Frontier)) -> Option<Event> {
        let (bytes, frontier) = (content(), Frontier::new(&Follow::Hash));
        frontier.advance(LEN as u64, true);
        after(&frontier);
        let (events, told) = crossbeam_channel::bounded(1);
        let read_at = |buffer: &mut [u8], at: u64| {
            buffer.copy_from_slice(&bytes[at as usize..][..buffer.len()]);
            Ok(())
        };
        deliver(&read_at, &frontier, sink, &events);
        told.try_recv().ok()
    }

    fn right() -> Option<FileHash> {
        Some(FileHash(Sha256::digest(content()).into()))
    }

    #[test]
    fn the_digest_is_right_whoever_took_it_along_and_gave_it_up() {
        let take = |frontier: &Arc<Frontier>, bytes: &[u8], at: usize, len: usize, keep: bool| {
            let (mut taken, mut chunk) = (frontier.take(at as u64).expect("it is there"), Digest::new());
            taken.update_both(&mut chunk, &bytes[at..][..len]);
            assert!(frontier.take(at as u64).is_none(), "only one has it");
            assert_eq!(chunk.finish(), <[u8; 32]>::from(Sha256::digest(&bytes[at..][..len])));
            if keep {
                taken.keep(len as u64);
            }
        };
        assert_eq!(check(Follow::Hash, |_, _| {}), right());
        let some = |frontier: &Arc<Frontier>, bytes: &[u8]| {
            take(frontier, bytes, 0, PIECE_BYTES, true);
            assert!(frontier.take(0).is_none(), "it has gone on");
            take(frontier, bytes, PIECE_BYTES, 77, false);
            take(frontier, bytes, PIECE_BYTES, PIECE_BYTES, true);
        };
        assert_eq!(check(Follow::Hash, some), right());
        assert_eq!(check(Follow::Hash, |frontier, bytes| take(frontier, bytes, 0, LEN, true)), right());
    }

    #[test]
    fn a_sink_gets_every_byte_in_order_and_its_error_ends_it() {
        let (out, bytes) = crossbeam_channel::unbounded();
        let sink: Sink = Box::new(move |piece| out.send(piece.to_vec()).map_err(io::Error::other));
        assert!(matches!(delivered(sink, |_| {}), Some(Event::Delivered)));
        assert!(bytes.try_iter().flatten().eq(content()));
        let broken: Sink = Box::new(|_| Err(io::ErrorKind::BrokenPipe.into()));
        assert!(matches!(delivered(broken, |_| {}), Some(Event::Sink(_))));
        let unused: Sink = Box::new(|_| Ok(()));
        assert!(delivered(unused, Frontier::stop).is_none());
    }

    #[test]
    fn what_other_hashes_prove_is_not_read() {
        let hash = FileHash([7; 32]);
        assert_eq!(check(Follow::Trust(hash), |_, _| {}), Some(hash));
        assert_eq!(check(Follow::Hash, |frontier, _| frontier.stop()), None);
    }
}
