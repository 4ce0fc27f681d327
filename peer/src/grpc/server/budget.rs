//! A bound on bytes: what is read from the disk and not yet handed to the network.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Bytes that may be taken and come back.
pub(super) struct Budget {
    state: Mutex<State>,
    returned: Condvar,
    total: usize,
}

struct State {
    free: usize,
    closed: bool,
}

/// Bytes taken; dropping it gives them back.
pub(super) struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(total: usize) -> Self {
        Self { state: Mutex::new(State { free: total, closed: false }), returned: Condvar::new(), total }
    }

    /// Waits until `bytes` are free. More than the total is taken as the total, so that a budget smaller than one block
    /// is slow, not dead. `None` once closed.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        let bytes = bytes.min(self.total);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.free < bytes && !state.closed {
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return None;
        }
        state.free -= bytes;
        Some(Permit { budget: Arc::clone(self), bytes })
    }

    /// The same without waiting: `None` also while there is not enough.
    pub(super) fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        let bytes = bytes.min(self.total);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed || state.free < bytes {
            return None;
        }
        state.free -= bytes;
        Some(Permit { budget: Arc::clone(self), bytes })
    }

    /// Nobody gets anything any more, and nobody waits.
    pub(super) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.returned.notify_all();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.state.lock().unwrap_or_else(PoisonError::into_inner).free += self.bytes;
        self.budget.returned.notify_all();
    }
}
