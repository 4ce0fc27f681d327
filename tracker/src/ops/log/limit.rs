//! So many a second and no more: for lines that clients can cause at will.

use std::sync::atomic::{AtomicU64, Ordering};

/// A bound on events a second, shared by all threads without a lock.
#[derive(Debug)]
pub struct PerSecond {
    limit: u32,
    /// The second in the upper half, what was asked for in it in the lower.
    asked: AtomicU64,
    /// Refused since the last admission.
    refused: AtomicU64,
}

impl PerSecond {
    /// At most `limit` a second.
    pub const fn new(limit: u32) -> Self {
        Self { limit, asked: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    /// Admits one more event if it is within the bound of this `second`, which is counted from any start. Returns how many
    /// were refused since the last one that was admitted.
    pub fn admit(&self, second: u32) -> Option<u64> {
        let next = |packed: u64| match packed >> 32 == u64::from(second) {
            // Saturates far above any limit, so that it never runs over into the second.
            true => packed + u64::from(packed & 0xffff_ffff != 0xffff_ffff),
            false => u64::from(second) << 32 | 1,
        };
        let before = self.asked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| Some(next(packed)));
        let now = next(before.unwrap_or_else(|packed| packed));
        if now & 0xffff_ffff <= u64::from(self.limit) {
            return Some(self.refused.swap(0, Ordering::Relaxed));
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_share_and_refusals_are_counted() {
        let limit = PerSecond::new(2);
        assert_eq!([0; 5].map(|second| limit.admit(second)), [Some(0), Some(0), None, None, None]);
        assert_eq!([1; 3].map(|second| limit.admit(second)), [Some(3), Some(0), None]);
        assert_eq!(limit.admit(7), Some(1));
    }

    #[test]
    fn threads_together_get_no_more() {
        let limit = PerSecond::new(100);
        let admitted = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mine = (0..1_000).filter(|_| limit.admit(3).is_some()).count();
                    admitted.fetch_add(mine as u64, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(admitted.into_inner(), 100);
    }
}
