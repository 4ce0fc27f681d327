//! The suspended accounts: all of them, in memory, read again every few seconds.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use peernet_engine::ids::PeerId;

/// The set. While it is empty, asking takes no lock.
#[derive(Debug, Default)]
pub(super) struct Suspended {
    count: AtomicUsize,
    ids: RwLock<HashSet<PeerId>>,
}

impl Suspended {
    pub(super) fn contains(&self, peer: PeerId) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && self.ids.read().unwrap_or_else(PoisonError::into_inner).contains(&peer)
    }

    /// All suspended accounts, in ascending order.
    pub(super) fn all(&self) -> Vec<PeerId> {
        let mut all: Vec<PeerId> = self.ids.read().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        all.sort_unstable();
        all
    }

    pub(super) fn replace(&self, ids: impl IntoIterator<Item = PeerId>) {
        let ids: HashSet<PeerId> = ids.into_iter().collect();
        let mut held = self.ids.write().unwrap_or_else(PoisonError::into_inner);
        self.count.store(ids.len(), Ordering::Release);
        *held = ids;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_the_one_read_last() {
        let suspended = Suspended::default();
        let one = PeerId([1; 16]);
        let other = PeerId([2; 16]);
        assert!(!suspended.contains(one));
        suspended.replace([one]);
        assert!(suspended.contains(one) && !suspended.contains(other));
        suspended.replace([other]);
        assert!(!suspended.contains(one) && suspended.contains(other));
        suspended.replace([]);
        assert!(!suspended.contains(other));
    }
}
