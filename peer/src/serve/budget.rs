//! One use's part of the node's memory, as one server sees it: bytes that were read from the disk and not yet handed to
//! the network. A budget ends with its server; the memory goes on.

use std::sync::atomic::{AtomicBool, Ordering};

use peernet_engine::memory::Use;

use crate::memory::Memory;
pub(crate) use crate::memory::Permit;

/// Bytes that may be taken and are given back.
pub(super) struct Budget {
    memory: Memory,
    of: Use,
    is_closed: AtomicBool,
}

impl Budget {
    pub(super) fn new(memory: Memory, of: Use) -> Self {
        Self { memory, of, is_closed: AtomicBool::new(false) }
    }

    /// Waits until `bytes` are free; `None` once closed. Takes at most the reserved part, so that a bound smaller than
    /// one chunk makes calls slow and not dead.
    pub(super) fn take(&self, bytes: usize) -> Option<Permit> {
        self.memory.take(self.of, bytes, || self.is_closed.load(Ordering::Acquire))
    }

    /// Takes `bytes` without waiting; `None` while there are not enough, and once closed.
    pub(super) fn try_take(&self, bytes: usize) -> Option<Permit> {
        if self.is_closed.load(Ordering::Acquire) { None } else { self.memory.try_take(self.of, bytes) }
    }

    /// The reserved part, in bytes.
    pub(super) fn kept(&self) -> usize {
        self.memory.kept(self.of)
    }

    /// Ends every wait. Nothing is given out any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.memory.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::memory::MemoryMax;

    #[test]
    fn a_closed_budget_gives_nothing_and_ends_its_waits() {
        let memory = Memory::new(MemoryMax::MIN);
        let budget = Budget::new(memory.clone(), Use::Calls);
        let other = Budget::new(memory.clone(), Use::Calls);
        let all: Vec<_> = std::iter::from_fn(|| budget.try_take(64 << 10)).collect();
        assert!(all.len() * (64 << 10) >= budget.kept() && budget.kept() == memory.kept(Use::Calls));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| budget.take(1).is_none());
            budget.close();
            assert!(waits.join().unwrap(), "the server stops, and the wait ends");
        });
        assert!(budget.take(1).is_none() && budget.try_take(1).is_none());
        drop(all);
        assert!(budget.try_take(1).is_none(), "free memory opens it no more");
        assert!(other.take(1).is_some(), "the memory goes on for the node's next server");
    }

    #[test]
    fn a_call_larger_than_the_reserved_part_is_served_within_it() {
        let memory = Memory::new(MemoryMax::MIN);
        let budget = Budget::new(memory.clone(), Use::Calls);
        let permit = budget.take(usize::MAX).unwrap();
        assert_eq!(memory.used().0, budget.kept());
        assert!(budget.try_take(usize::MAX).is_none(), "without waiting it is all or nothing");
        drop(permit);
        assert_eq!(memory.used().0, 0);
    }
}
