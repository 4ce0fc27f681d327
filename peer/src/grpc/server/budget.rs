//! One use's part of the node's memory, as one server sees it: what is read from the disk and not yet handed to the
//! network. It ends with the server, which the memory need not.

use std::sync::atomic::{AtomicBool, Ordering};

use peernet_engine::memory::Use;

use crate::memory::Memory;
pub(super) use crate::memory::Permit;

/// Bytes that may be taken and come back.
pub(super) struct Budget {
    memory: Memory,
    of: Use,
    closed: AtomicBool,
}

impl Budget {
    pub(super) fn new(memory: Memory, of: Use) -> Self {
        Self { memory, of, closed: AtomicBool::new(false) }
    }

    /// Waits until `bytes` are free. More than it can always have is taken as that, so that a bound smaller than one chunk
    /// is slow, not dead. `None` once closed.
    pub(super) fn take(&self, bytes: usize) -> Option<Permit> {
        self.memory.take(self.of, bytes, || self.closed.load(Ordering::Acquire))
    }

    /// The same without waiting: `None` also while there is not enough.
    pub(super) fn try_take(&self, bytes: usize) -> Option<Permit> {
        if self.closed.load(Ordering::Acquire) { None } else { self.memory.try_take(self.of, bytes) }
    }

    /// What it can always have.
    pub(super) fn kept(&self) -> usize {
        self.memory.kept(self.of)
    }

    /// Nobody gets anything any more, and nobody waits.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.memory.wake();
    }
}
