//! The `Fetch` calls of one server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_channel::mpsc;
use peernet_engine::serving::MESSAGES_MAX;

use super::super::Core;
use super::super::disk::Pump;
use super::super::upkeep::Upkeep;
use super::{Out, Remote, State, Stream};
use crate::throttle::Connected;

/// Messages between a disk thread and gRPC: those of the window, one availability update, and the end.
const OUTGOING_MAX: usize = MESSAGES_MAX + 2;

/// All `Fetch` calls of one server.
pub(in crate::grpc::server) struct Streams {
    all: Mutex<Vec<Weak<Stream>>>,
    /// Has one clone for each stream.
    count: Arc<()>,
    next: AtomicU64,
    upkeep: Upkeep,
}

impl Streams {
    pub(in crate::grpc::server) fn new() -> Self {
        Self { all: Mutex::new(Vec::new()), count: Arc::default(), next: AtomicU64::new(0), upkeep: Upkeep::default() }
    }

    /// Adds a stream; `None` when there are as many as the server may have.
    pub(in crate::grpc::server) fn begin(
        &self,
        pump: Pump,
        core: &Arc<Core>,
        remote: Remote,
    ) -> Option<(Arc<Stream>, mpsc::Receiver<Out>)> {
        let mut all = self.lock();
        all.retain(|stream| stream.strong_count() > 0);
        if all.len() >= core.streams_max() {
            return None;
        }
        let connected = core.connections.begin()?;
        let (outgoing, receiver) = mpsc::channel(OUTGOING_MAX);
        let slot = StreamSlot {
            core: Arc::downgrade(core),
            number: self.next.fetch_add(1, Ordering::Relaxed),
            _connected: connected,
            _counted: Arc::clone(&self.count),
        };
        let state = Mutex::new(State::new(core, outgoing, self.count()));
        let upkeep = self.upkeep.clone();
        let stream = Arc::new_cyclic(|me| Stream { me: me.clone(), pump, upkeep, slot, remote, state });
        all.push(Arc::downgrade(&stream));
        Some((stream, receiver))
    }

    pub(in crate::grpc::server) fn all(&self) -> Vec<Arc<Stream>> {
        self.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Number of streams. Takes no lock.
    pub(in crate::grpc::server) fn count(&self) -> u32 {
        u32::try_from(Arc::strong_count(&self.count) - 1).unwrap_or(u32::MAX)
    }

    pub(in crate::grpc::server) fn upkeep(&self) -> Upkeep {
        self.upkeep.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Stream>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream's place in its server. Dropping it makes room for another stream.
pub(super) struct StreamSlot {
    core: Weak<Core>,
    number: u64,
    _connected: Connected,
    _counted: Arc<()>,
}

impl StreamSlot {
    pub(super) fn core(&self) -> Option<Arc<Core>> {
        self.core.upgrade()
    }

    /// The stream's number, used once in a server.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}
