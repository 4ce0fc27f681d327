//! The token generations of accounts that called lately: bounded, and the newest generation wins.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;

/// The time for which a generation counts without being read again: another tracker on the same database may have raised it.
const TRUSTED_FOR: Duration = Duration::from_secs(5);

/// The most accounts in memory, about 6 MB. Past it all are forgotten at once, and each costs one read.
const ACCOUNTS_MAX: usize = 100_000;

/// Returns whether a value read at `read_at` is still fresh. A time in the future means that the clock was set back, and then
/// it is not.
pub(super) fn is_fresh(now: UnixMillis, read_at: UnixMillis) -> bool {
    read_at <= now && now.since(read_at) < TRUSTED_FOR
}

/// The generation of each account, and when it was read.
#[derive(Debug, Default)]
pub(super) struct Generations {
    known: RwLock<HashMap<PeerId, (u32, UnixMillis)>>,
}

impl Generations {
    pub(super) fn find(&self, peer: PeerId) -> Option<(u32, UnixMillis)> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&peer).copied()
    }

    /// Remembers a generation. It only grows, so a read that was slow cannot undo a newer one.
    pub(super) fn remember(&self, now: UnixMillis, peer: PeerId, generation: u32) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ACCOUNTS_MAX && !known.contains_key(&peer) {
            known.clear();
        }
        let entry = known.entry(peer).or_insert((generation, now));
        *entry = (generation.max(entry.0), now);
    }

    pub(super) fn len(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_fresh_for_five_seconds() {
        for (now, fresh) in [(10_000, true), (14_999, true), (15_000, false), (9_999, false), (0, false)] {
            assert_eq!(is_fresh(UnixMillis(now), UnixMillis(10_000)), fresh, "{now}");
        }
    }

    #[test]
    fn an_old_read_cannot_undo_a_new_generation() {
        let generations = Generations::default();
        let peer = PeerId([1; 16]);
        generations.remember(UnixMillis(1), peer, 5);
        generations.remember(UnixMillis(2), peer, 4);
        assert_eq!(generations.find(peer), Some((5, UnixMillis(2))));
        assert_eq!(generations.find(PeerId([2; 16])), None);
    }
}
