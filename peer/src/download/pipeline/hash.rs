//! The SHA-256 of the whole file, ready soon after the last chunk.
//!
//! The digest goes through the file in order. A connection that receives the very chunk that the digest has come to
//! borrows it ([`LentDigest`]), because two digests of the same bytes cost little more than one. Chunks that come out
//! of order are read again by one thread, in order behind the writes.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::Sender;
use peernet_engine::ids::FileHash;

use crate::download::event::{Event, send};
use crate::files::hashing::digest::Digest;

/// Bytes read at once: few enough to stay in the cache between reading and hashing.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// Fills a buffer from an offset of the part.
pub(crate) type ReadAt<'a> = &'a (dyn Fn(&mut [u8], u64) -> io::Result<()> + Sync);

/// The origin of the hash of the whole file.
pub(crate) enum WholeHash {
    /// The digest of all bytes, in order.
    Compute,
    /// The hash given here, without being computed: other hashes prove the bytes.
    Trust(FileHash),
}

/// The verified beginning of the file: how far it reaches, and how far the digest has come.
pub(crate) struct Frontier {
    state: Mutex<State>,
    moved: Condvar,
    /// Whether connections may borrow the digest.
    lends: bool,
}

struct State {
    /// Every byte before it is verified.
    ready: u64,
    complete: bool,
    stopped: bool,
    /// The digest is of every byte before it.
    at: u64,
    /// `None` while a connection or the thread has it.
    digest: Option<Digest>,
}

/// The next step of the hashing thread.
enum Next {
    Read(u64, usize, Digest),
    Done(Digest),
    Stopped,
}

impl Frontier {
    /// No byte is verified yet.
    pub(crate) fn new(whole: &WholeHash) -> Arc<Self> {
        let state = State { ready: 0, complete: false, stopped: false, at: 0, digest: Some(Digest::new()) };
        Arc::new(Self { state: Mutex::new(state), moved: Condvar::new(), lends: matches!(whole, WholeHash::Compute) })
    }

    /// Moves the frontier: all bytes before `ready` are verified. `complete` when that is the whole file.
    pub(crate) fn advance(&self, ready: u64, complete: bool) {
        let mut state = self.lock();
        (state.ready, state.complete) = (ready, complete);
        self.moved.notify_all();
    }

    /// Ends the hashing and delivering threads.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.moved.notify_all();
    }

    /// Lends the digest to the receiver of the bytes from `offset` on, if those are the next ones.
    pub(crate) fn lend(self: &Arc<Self>, offset: u64) -> Option<LentDigest> {
        let mut state = self.lock();
        if !self.lends || state.at != offset || state.stopped {
            return None;
        }
        let digest = state.digest.take()?;
        Some(LentDigest { frontier: Arc::clone(self), before: digest.clone(), digest, kept: None })
    }

    /// Waits until there are bytes past `at`, and returns how far they reach; `None` when no more come.
    pub(crate) fn wait_past(&self, at: u64) -> Option<u64> {
        let mut state = self.lock();
        while !state.stopped && !state.complete && state.ready <= at {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.stopped && state.ready > at).then_some(state.ready)
    }

    /// Returns true once [`Frontier::stop`] was called.
    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Waits for bytes to hash or for the end of the file. The caller has the digest from then on.
    fn next(&self) -> Next {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Next::Stopped;
            }
            let at = state.at;
            let ready = state.ready;
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

/// The digest of the whole file, lent to the receiver of the next bytes. Dropping it gives it back as it was.
pub(crate) struct LentDigest {
    frontier: Arc<Frontier>,
    before: Digest,
    digest: Digest,
    /// The number of bytes past the start at which the digest is given back.
    kept: Option<u64>,
}

impl LentDigest {
    /// Hashes `bytes` into `chunk` and into the digest of the whole file.
    pub(crate) fn update_both(&mut self, chunk: &mut Digest, bytes: &[u8]) {
        chunk.update_both(&mut self.digest, bytes);
    }

    /// Keeps the `len` bytes that were hashed: they are verified.
    pub(crate) fn keep(mut self, len: u64) {
        self.kept = Some(len);
    }
}

impl Drop for LentDigest {
    fn drop(&mut self) {
        match self.kept {
            Some(len) => self.frontier.give_back(self.digest.clone(), len),
            None => self.frontier.give_back(self.before.clone(), 0),
        }
    }
}

/// Runs the hashing thread: hashes the file up to the frontier until it is complete, then sends the hash.
pub(crate) fn run(read_at: ReadAt<'_>, frontier: &Frontier, whole: WholeHash, events: &Sender<Event>) {
    let last = match whole {
        WholeHash::Trust(hash) => frontier.wait_until_complete().then_some(Event::Whole(hash)),
        WholeHash::Compute => hash_behind(read_at, frontier),
    };
    if let Some(last) = last {
        // The event loop may have ended.
        let _ = send(events, last);
    }
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
            return Some(Event::Disk("reading the part file".to_owned(), error));
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

    /// Returns the hash that is sent when the whole file is verified after `before`.
    fn check(whole: WholeHash, before: impl FnOnce(&Arc<Frontier>, &[u8])) -> Option<FileHash> {
        let bytes = content();
        let frontier = Frontier::new(&whole);
        before(&frontier, &bytes);
        frontier.advance(LEN as u64, true);
        let (events, told) = crossbeam_channel::bounded(1);
        let read_at = |buffer: &mut [u8], at: u64| {
            buffer.copy_from_slice(&bytes[at as usize..][..buffer.len()]);
            Ok(())
        };
        run(&read_at, &frontier, whole, &events);
        match told.try_recv() {
            Ok(Event::Whole(hash)) => Some(hash),
            _ => None,
        }
    }

    fn right() -> Option<FileHash> {
        Some(FileHash(Sha256::digest(content()).into()))
    }

    #[test]
    fn a_lent_digest_is_right_whether_kept_or_given_up() {
        let take = |frontier: &Arc<Frontier>, bytes: &[u8], at: usize, len: usize, keep: bool| {
            let mut lent = frontier.lend(at as u64).expect("not lent yet");
            let mut chunk = Digest::new();
            lent.update_both(&mut chunk, &bytes[at..][..len]);
            assert!(frontier.lend(at as u64).is_none(), "lent once");
            assert_eq!(chunk.finish(), <[u8; 32]>::from(Sha256::digest(&bytes[at..][..len])));
            if keep {
                lent.keep(len as u64);
            }
        };
        assert_eq!(check(WholeHash::Compute, |_, _| {}), right());
        let some = |frontier: &Arc<Frontier>, bytes: &[u8]| {
            take(frontier, bytes, 0, PIECE_BYTES, true);
            assert!(frontier.lend(0).is_none(), "it has moved on");
            take(frontier, bytes, PIECE_BYTES, 77, false);
            take(frontier, bytes, PIECE_BYTES, PIECE_BYTES, true);
        };
        assert_eq!(check(WholeHash::Compute, some), right());
        assert_eq!(check(WholeHash::Compute, |frontier, bytes| take(frontier, bytes, 0, LEN, true)), right());
    }

    #[test]
    fn a_trusted_hash_is_sent_without_reading() {
        let hash = FileHash([7; 32]);
        assert_eq!(check(WholeHash::Trust(hash), |_, _| {}), Some(hash));
        assert_eq!(check(WholeHash::Compute, |frontier, _| frontier.stop()), None);
    }

    #[test]
    fn a_failed_read_is_a_failure_of_the_local_disk() {
        let frontier = Frontier::new(&WholeHash::Compute);
        frontier.advance(1, true);
        let (events, receiver) = crossbeam_channel::bounded(1);
        run(&|_, _| Err(io::ErrorKind::Other.into()), &frontier, WholeHash::Compute, &events);
        assert!(matches!(receiver.try_recv(), Ok(Event::Disk(..))));
    }

    #[test]
    fn the_digest_is_not_lent_where_it_is_not_needed() {
        let trusting = Frontier::new(&WholeHash::Trust(FileHash([7; 32])));
        assert!(trusting.lend(0).is_none());
        let computing = Frontier::new(&WholeHash::Compute);
        assert!(computing.lend(1).is_none(), "not the next byte");
        computing.stop();
        assert!(computing.lend(0).is_none());
    }
}
