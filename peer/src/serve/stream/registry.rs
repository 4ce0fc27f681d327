//! The `Fetch` calls of one server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use peernet_engine::serving::MESSAGES_MAX;

use super::{Outgoing, Remote, State, Stream};
use crate::serve::{Core, Pump};
use crate::throttle::{Connected, Connections};

/// The most messages between a disk thread and gRPC: those of the window, one availability update, and the end.
pub(crate) const OUTGOING_MAX: usize = MESSAGES_MAX + 2;

/// All `Fetch` calls of one server.
pub(crate) struct Streams {
    all: Mutex<Vec<Weak<Stream>>>,
    /// Has one clone for each stream.
    count: Arc<()>,
    next: AtomicU64,
    /// Shared with the downloads of the same node.
    connections: Connections,
}

impl Streams {
    pub(crate) fn new(connections: Connections) -> Self {
        Self { all: Mutex::new(Vec::new()), count: Arc::default(), next: AtomicU64::new(0), connections }
    }

    /// Adds a stream; `None` when there are as many as the server may have.
    pub(crate) fn begin(
        &self,
        pump: Pump,
        core: &Arc<Core>,
        remote: Remote,
        outgoing: Box<dyn Outgoing>,
    ) -> Option<Arc<Stream>> {
        let mut all = self.lock();
        all.retain(|stream| stream.strong_count() > 0);
        if all.len() >= core.streams_max() {
            return None;
        }
        let connected = self.connections.begin()?;
        let slot = StreamSlot {
            core: Arc::downgrade(core),
            number: self.next.fetch_add(1, Ordering::Relaxed),
            _connected: connected,
            _counted: Arc::clone(&self.count),
        };
        let state = Mutex::new(State::new(Instant::now(), core, outgoing, self.count()));
        let stream = Arc::new_cyclic(|me| Stream { me: me.clone(), pump, slot, remote, state });
        all.push(Arc::downgrade(&stream));
        Some(stream)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Stream>> {
        self.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Number of streams. Takes no lock.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(Arc::strong_count(&self.count) - 1).unwrap_or(u32::MAX)
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
