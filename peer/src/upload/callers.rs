//! The callers of one complete file, behind a lock: who gets what is decided by [`peernet_engine::serving::super_seed`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkCount, ChunkIndex};
use peernet_engine::serving::super_seed::{CallerId, Choice, Giving};

/// All of them.
#[derive(Debug)]
pub(crate) struct Callers {
    state: Mutex<(Giving, u64)>,
}

/// One of them, as long as it lives.
#[derive(Debug)]
pub(crate) struct Caller {
    all: Arc<Callers>,
    id: CallerId,
}

impl Callers {
    /// None yet, of a file with `count` chunks.
    pub(crate) fn new(count: ChunkCount) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new((Giving::new(count), 0)) })
    }

    /// One more.
    pub(crate) fn join(self: &Arc<Self>) -> Caller {
        let mut state = self.lock();
        let id = CallerId(state.1);
        state.1 += 1;
        state.0.join(id);
        Caller { all: Arc::clone(self), id }
    }

    fn lock(&self) -> MutexGuard<'_, (Giving, u64)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caller {
    /// See [`Giving::insist`].
    pub(crate) fn insist(&self, chunks: impl Iterator<Item = ChunkIndex>) {
        self.all.lock().0.insist(self.id, chunks);
    }

    /// See [`Giving::take_back`].
    pub(crate) fn take_back(&self, chunks: impl Iterator<Item = ChunkIndex>) {
        self.all.lock().0.take_back(self.id, chunks);
    }

    /// See [`Giving::choose`].
    pub(crate) fn choose(&self, now: Instant, wanted: impl Iterator<Item = ChunkIndex> + Clone) -> Choice {
        self.all.lock().0.choose(now, self.id, wanted)
    }

    /// What others got, and the version of that; see [`Giving::tell`].
    pub(crate) fn tell(&self) -> (Option<Bitmap>, u64) {
        let state = self.all.lock();
        (state.0.tell(self.id), state.0.version())
    }

    /// See [`Giving::version`]; and whether there are others.
    pub(crate) fn version(&self) -> (u64, bool) {
        let state = self.all.lock();
        (state.0.version(), state.0.callers() > 1)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.all.lock().0.leave(self.id);
    }
}
