//! The memory of one node: the bytes of files that it may hold at once, over its server and all its downloads.
//!
//! Code that holds bytes has a permit for them, which gives them back when it is dropped. `peernet_engine::memory`
//! decides how much each use may have. docs/OPERATING.md lists the memory that is not counted.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peernet_engine::memory::{Shares, Use};
use peernet_engine::rate_limit::RateSetting;

/// The interval at which a waiting thread checks if it should still wait.
const LOOK: Duration = Duration::from_millis(100);

/// A bound on memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryMax(usize);

impl MemoryMax {
    /// The smallest bound. Below it, the reserved part of a use would be less than its smallest unit, such as a chunk
    /// of version 1.
    pub const MIN: Self = Self(16 << 20);

    /// Takes a number of bytes; `None` below [`MemoryMax::MIN`].
    pub fn new(bytes: usize) -> Option<Self> {
        (bytes >= Self::MIN.0).then_some(Self(bytes))
    }

    /// The bound, in bytes.
    pub fn bytes(self) -> usize {
        self.0
    }
}

impl Default for MemoryMax {
    /// 64 MiB: a block of 64 KiB for each of 256 callers in a quarter of it.
    fn default() -> Self {
        Self(64 << 20)
    }
}

/// A text that is not a bound on memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryMaxError;

impl fmt::Display for MemoryMaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("give a number of bytes, 16M or more, like 64M")
    }
}

impl std::error::Error for MemoryMaxError {}

impl FromStr for MemoryMax {
    type Err = MemoryMaxError;

    /// Parses bytes in the form of a rate, like `64M`.
    fn from_str(text: &str) -> Result<Self, MemoryMaxError> {
        let RateSetting(rate) = text.parse().map_err(|_| MemoryMaxError)?;
        let bytes = rate.and_then(|rate| usize::try_from(rate.bytes_per_second()).ok());
        bytes.and_then(Self::new).ok_or(MemoryMaxError)
    }
}

/// The memory of one node. All clones share it.
#[derive(Clone)]
pub struct Memory(Arc<Pool>);

struct Pool {
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    shares: Shares,
    /// The most bytes ever taken at once.
    peak: usize,
}

/// Bytes that may be held. Dropping it gives them back.
pub(crate) struct Permit {
    memory: Memory,
    of: Use,
    bytes: usize,
}

impl Memory {
    /// A bound with nothing taken.
    pub fn new(max: MemoryMax) -> Self {
        let state = State { shares: Shares::new(max.0), peak: 0 };
        Self(Arc::new(Pool { state: Mutex::new(state), returned: Condvar::new() }))
    }

    /// Changes the bound. Bytes held beyond a lower bound stay held until their permits are dropped.
    pub fn set_max(&self, max: MemoryMax) {
        self.lock().shares.set_total(max.0);
        self.wake();
    }

    /// Bytes held now, and the most ever held at once.
    pub fn used(&self) -> (usize, usize) {
        let state = self.lock();
        (state.shares.used(), state.peak)
    }

    /// Bytes reserved for a use.
    pub(crate) fn kept(&self, of: Use) -> usize {
        self.lock().shares.kept(of)
    }

    /// Takes `bytes` if they are free.
    pub(crate) fn try_take(&self, of: Use, bytes: usize) -> Option<Permit> {
        self.taken(&mut self.lock(), of, bytes)
    }

    /// Waits until `bytes` are free; `None` once `is_over` says so. Takes at most the part reserved for the use, so
    /// that every wait ends.
    pub(crate) fn take(&self, of: Use, bytes: usize, is_over: impl Fn() -> bool) -> Option<Permit> {
        let mut state = self.lock();
        while !is_over() {
            let most = bytes.min(state.shares.kept(of));
            if let Some(permit) = self.taken(&mut state, of, most) {
                return Some(permit);
            }
            state = self.0.returned.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    /// Makes waiting threads look at once whether they should still wait.
    pub(crate) fn wake(&self) {
        self.0.returned.notify_all();
    }

    fn taken(&self, state: &mut State, of: Use, bytes: usize) -> Option<Permit> {
        if !state.shares.take(of, bytes) {
            return None;
        }
        state.peak = state.peak.max(state.shares.used());
        Some(Permit { memory: self.clone(), of, bytes })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(MemoryMax::default())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("used", &self.used().0).finish_non_exhaustive()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.memory.lock().shares.give_back(self.of, self.bytes);
        self.memory.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_dropped_permit_gives_its_bytes_back_and_the_peak_stays() {
        let memory = Memory::new(MemoryMax::MIN);
        let kept = memory.kept(Use::Calls);
        let permit = memory.try_take(Use::Calls, kept).unwrap();
        assert_eq!(memory.used(), (kept, kept));
        assert!(memory.try_take(Use::Calls, MemoryMax::MIN.bytes()).is_none());
        drop(permit);
        assert_eq!(memory.used(), (0, kept));
    }

    #[test]
    fn a_wait_ends_with_freed_bytes_or_when_it_is_over() {
        let memory = Memory::new(MemoryMax::MIN);
        let all: Vec<_> = (0..1_000).map_while(|_| memory.try_take(Use::Spills, 64 << 10)).collect();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // More than the use can ever have: it gets its reserved part.
            let waits = scope.spawn(|| memory.take(Use::Spills, usize::MAX, || false).map(|permit| permit.bytes));
            let hopeless = scope.spawn(|| memory.take(Use::Spills, 1 << 20, || over.load(Ordering::Acquire)).is_none());
            assert_eq!(memory.take(Use::Calls, 1 << 20, || false).unwrap().bytes, 1 << 20, "others do not wait");
            over.store(true, Ordering::Release);
            memory.wake();
            assert!(hopeless.join().unwrap());
            drop(all);
            assert_eq!(waits.join().unwrap(), Some(memory.kept(Use::Spills)));
        });
        assert_eq!(memory.used().0, 0);
    }

    #[test]
    fn a_bound_is_written_like_a_rate_and_has_a_minimum() {
        for (text, bytes) in [("64M", 64 << 20), ("16M", 16 << 20), ("1.5G", 3 << 29), ("33554432", 32 << 20)] {
            assert_eq!(text.parse::<MemoryMax>().map(MemoryMax::bytes), Ok(bytes), "{text}");
        }
        for text in ["", "15M", "0", "none", "much", "-64M"] {
            assert_eq!(text.parse::<MemoryMax>(), Err(MemoryMaxError), "{text}");
        }
    }

    use peernet_engine::random::Rng;

    const USES: [Use; 7] =
        [Use::SmallBlocks, Use::Streams, Use::Calls, Use::Spills, Use::Delivery, Use::Writes, Use::Gathered];

    #[test]
    fn held_bytes_are_those_of_the_permits_and_within_the_bound() {
        for seed in 0..20 {
            let mut rng = Rng::new(seed);
            let memory = Memory::new(MemoryMax::MIN);
            let mut permits: Vec<Permit> = Vec::new();
            let mut peak = 0;
            for step in 0..500 {
                let of = USES[rng.below(USES.len() as u64) as usize];
                let bytes = rng.below(1 << 21) as usize;
                if rng.below(3) == 0 && !permits.is_empty() {
                    permits.swap_remove(rng.below(permits.len() as u64) as usize);
                } else {
                    permits.extend(memory.try_take(of, bytes));
                }
                let held: usize = permits.iter().map(|permit| permit.bytes).sum();
                peak = peak.max(held);
                assert_eq!(memory.used(), (held, peak), "seed {seed} step {step}");
                assert!(held <= MemoryMax::MIN.bytes(), "seed {seed} step {step}");
            }
            drop(permits);
            assert_eq!(memory.used(), (0, peak), "seed {seed}");
        }
    }

    #[test]
    fn every_wait_of_many_threads_ends_and_the_bound_holds() {
        let memory = Memory::new(MemoryMax::MIN);
        std::thread::scope(|scope| {
            for (number, of) in USES.into_iter().cycle().take(14).enumerate() {
                let memory = &memory;
                scope.spawn(move || {
                    let mut rng = Rng::new(number as u64);
                    for _ in 0..50 {
                        let wanted = rng.below(4 << 20) as usize;
                        let permit = memory.take(of, wanted, || false).expect("nothing ends the wait");
                        assert_eq!(permit.bytes, wanted.min(memory.kept(of)), "{of:?}");
                    }
                });
            }
        });
        let (used, peak) = memory.used();
        assert!(used == 0 && peak <= MemoryMax::MIN.bytes(), "{used} {peak}");
    }

    #[test]
    fn a_lower_bound_counts_from_the_next_permit_on() {
        let memory = Memory::new(MemoryMax::default());
        let permit = memory.try_take(Use::Streams, 16 << 20).unwrap();
        memory.set_max(MemoryMax::MIN);
        assert!(memory.try_take(Use::Streams, 1).is_none() && memory.try_take(Use::Calls, 1).is_none());
        assert!(memory.take(Use::Streams, 1, || true).is_none(), "a wait that is over takes nothing");
        drop(permit);
        let again = memory.try_take(Use::Calls, 1).map(|permit| permit.bytes);
        assert_eq!((again, memory.used()), (Some(1), (0, 16 << 20)));
        assert_eq!(format!("{memory:?}"), "Memory { used: 0, .. }");
    }

    #[test]
    fn the_smallest_bound_is_sixteen_mebibytes() {
        let min = MemoryMax::MIN.bytes();
        assert_eq!([min - 1, min, min + 1].map(|bytes| MemoryMax::new(bytes).is_some()), [false, true, true]);
        let parsed = [min - 1, min, min + 1].map(|bytes| bytes.to_string().parse::<MemoryMax>().map(MemoryMax::bytes));
        assert_eq!(parsed, [Err(MemoryMaxError), Ok(min), Ok(min + 1)]);
        assert_eq!(MemoryMaxError.to_string(), "give a number of bytes, 16M or more, like 64M");
    }
}
