//! The whole file's SHA-256, computed in order right behind the writes, so that it is ready when the last chunk is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::Sender;
use peernet_engine::ids::FileHash;
use sha2::{Digest, Sha256};

use super::event::{Event, tell};

/// Read at once: small enough to stay in the cache between reading and hashing.
const PIECE_BYTES: usize = 256 << 10;

/// How far the hash may go: every byte before it is verified.
#[derive(Default)]
pub(super) struct Frontier {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default, Clone, Copy)]
struct State {
    ready: u64,
    complete: bool,
    stopped: bool,
}

impl Frontier {
    /// All bytes before `ready` are there; `complete` when that is the whole file.
    pub(super) fn advance(&self, ready: u64, complete: bool) {
        let mut state = self.lock();
        (state.ready, state.complete) = (ready, complete);
        self.moved.notify_all();
    }

    /// The hash is not wanted any more.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.moved.notify_all();
    }

    /// Waits for something beyond `at`, or for the end.
    fn beyond(&self, at: u64) -> State {
        let mut state = self.lock();
        while state.ready <= at && !state.complete && !state.stopped {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        *state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread: hashes `file` up to the frontier until that is the whole, then tells.
pub(super) fn hash_behind(file: &File, frontier: &Frontier, events: &Sender<Event>) {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; PIECE_BYTES];
    let mut at = 0;
    loop {
        let state = frontier.beyond(at);
        if state.stopped {
            return;
        }
        if at == state.ready && state.complete {
            // The owner may have gone.
            let _ = tell(events, Event::Whole(FileHash(hasher.finalize().into())));
            return;
        }
        let piece = &mut buffer[..PIECE_BYTES.min(usize::try_from(state.ready - at).unwrap_or(PIECE_BYTES))];
        if let Err(error) = file.read_exact_at(piece, at) {
            let _ = tell(events, Event::Disk("reading the part file again".to_owned(), error));
            return;
        }
        hasher.update(&*piece);
        at += piece.len() as u64;
    }
}
