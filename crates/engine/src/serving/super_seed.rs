//! Super-seeding (BEP 16): a complete source gives each of its callers chunks that none of the others got.
//!
//! The callers pass these chunks on to one another, so each chunk leaves the source about once, however many callers
//! want the file. Each caller is told which chunks others got ([`SuperSeed::distributed_to_others`]), and then wants
//! different ones. Chunks that it requested before it was told are held back a little, so that it can change its mind.
//! Chunks that it requests again anyway are sent.
//!
//! Invariant: `distributed` counts, chunk by chunk, the callers that got it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::bitmap::Bitmap;
use crate::ids::{ChunkCount, ChunkIndex};

/// The wait of a caller that wants only chunks given to others. The wait starts at the last new chunk given to any
/// caller.
pub const HOLD: Duration = Duration::from_millis(1_500);
/// The upper bound of that wait. The update about the chunks of others may be queued behind blocks for long.
pub const HOLD_MAX: Duration = Duration::from_secs(8);

/// One caller of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerId(u64);

/// The next chunk for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Send this chunk. It counts as distributed to the caller from now on.
    Send(ChunkIndex),
    /// Send nothing before this time, unless the caller asks for other chunks.
    Hold(Instant),
    /// The caller wants nothing.
    Nothing,
}

#[derive(Debug)]
struct Caller {
    got: Bitmap,
    /// Chunks requested although the caller knows that others got them.
    requested_anyway: Bitmap,
    held_since: Option<Instant>,
    /// The caller was held back to the end and did not change its mind. It is not held back again until it gives
    /// something back.
    ignores_hints: bool,
}

/// The callers of one complete file. Each method has its own answer; none blocks or fails. Unknown callers, and chunks
/// past the end, are ignored.
#[derive(Debug)]
pub struct SuperSeed {
    count: ChunkCount,
    next: u64,
    callers: BTreeMap<CallerId, Caller>,
    distributed: Vec<u16>,
    /// When a caller was last given a chunk that no other had.
    new_at: Option<Instant>,
    version: u64,
}

impl SuperSeed {
    /// A file of `count` chunks without callers.
    pub fn new(count: ChunkCount) -> Self {
        Self { count, next: 0, callers: BTreeMap::new(), distributed: Vec::new(), new_at: None, version: 0 }
    }

    /// Adds a caller.
    pub fn join(&mut self) -> CallerId {
        let id = CallerId(self.next);
        self.next += 1;
        let none = || Bitmap::empty(self.count);
        let caller = Caller { got: none(), requested_anyway: none(), held_since: None, ignores_hints: false };
        self.distributed.resize(self.count.0 as usize, 0);
        self.callers.insert(id, caller);
        self.version += 1;
        id
    }

    /// Removes a caller. The chunks it got are lost to the others.
    pub fn leave(&mut self, caller: CallerId) {
        let Some(caller) = self.callers.remove(&caller) else { return };
        caller.got.iter().for_each(|chunk| self.distributed[chunk.0 as usize] -= 1);
        if self.callers.is_empty() {
            self.distributed = Vec::new();
        }
        self.version += 1;
    }

    /// The caller requests these chunks although it knows that others got them.
    pub fn request_anyway(&mut self, caller: CallerId, chunks: impl Iterator<Item = ChunkIndex>) {
        let Some(caller) = self.callers.get_mut(&caller) else { return };
        for chunk in chunks {
            caller.requested_anyway.insert(chunk);
        }
    }

    /// The caller no longer wants these chunks, or one that was begun will not arrive.
    pub fn give_back(&mut self, caller: CallerId, chunks: impl Iterator<Item = ChunkIndex>) {
        let Some(caller) = self.callers.get_mut(&caller) else { return };
        for chunk in chunks {
            caller.ignores_hints = false;
            caller.requested_anyway.remove(chunk);
            if caller.got.remove(chunk) {
                self.distributed[chunk.0 as usize] -= 1;
                self.version += 1;
            }
        }
    }

    /// Chooses the next chunk out of the wanted ones, in the caller's order.
    pub fn choose(&mut self, now: Instant, id: CallerId, wanted: impl Iterator<Item = ChunkIndex> + Clone) -> Choice {
        let is_alone = self.callers.len() < 2;
        let Some(caller) = self.callers.get_mut(&id) else { return Choice::Nothing };
        let Some(first) = wanted.clone().next() else { return Choice::Nothing };
        let is_free = |chunk: &ChunkIndex| {
            let own = u16::from(caller.got.contains(*chunk));
            let times = self.distributed.get(chunk.0 as usize);
            times.is_none_or(|times| *times <= own) || caller.requested_anyway.contains(*chunk)
        };
        let chosen = if is_alone || caller.ignores_hints { Some(first) } else { wanted.clone().find(is_free) };
        let chunk = match chosen {
            Some(chunk) => chunk,
            None => {
                let since = *caller.held_since.get_or_insert(now);
                let until = self.new_at.map_or(since, |new_at| new_at.max(since)) + HOLD;
                if now < until.min(since + HOLD_MAX) {
                    return Choice::Hold(until.min(since + HOLD_MAX));
                }
                caller.ignores_hints = true;
                first
            }
        };
        caller.held_since = None;
        caller.requested_anyway.remove(chunk);
        if caller.got.insert(chunk) {
            self.distributed[chunk.0 as usize] += 1;
            self.version += 1;
            if self.distributed[chunk.0 as usize] == 1 {
                self.new_at = Some(now);
            }
        }
        Choice::Send(chunk)
    }

    /// Returns the chunks that other callers got; `None` while there are no others.
    pub fn distributed_to_others(&self, caller: CallerId) -> Option<Bitmap> {
        if self.callers.len() < 2 {
            return None;
        }
        let caller = self.callers.get(&caller)?;
        let mut others = Bitmap::empty(self.count);
        for (chunk, times) in (0..).map(ChunkIndex).zip(&self.distributed) {
            if *times > u16::from(caller.got.contains(chunk)) {
                others.insert(chunk);
            }
        }
        Some(others)
    }

    /// Number of callers.
    pub fn callers(&self) -> usize {
        self.callers.len()
    }

    /// A number that changes whenever [`SuperSeed::distributed_to_others`] may have changed.
    pub fn version(&self) -> u64 {
        self.version
    }
}

/// The access of a stream to the [`SuperSeed`] that all callers of its file share. A server has a lock around it, a
/// simulation a cell.
pub trait SharedSuperSeed {
    /// Runs `act` on it. No other access happens meanwhile.
    fn with<T>(&self, act: impl FnOnce(&mut SuperSeed) -> T) -> T;
}

/// One stream's place among the callers of its file. Dropping it removes the caller.
#[derive(Debug)]
pub(super) struct Membership<S: SharedSuperSeed> {
    shared: S,
    id: CallerId,
}

impl<S: SharedSuperSeed> Membership<S> {
    pub(super) fn join(shared: S) -> Self {
        let id = shared.with(SuperSeed::join);
        Self { shared, id }
    }

    /// Runs `act` on the shared state, with this caller's id.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut SuperSeed, CallerId) -> T) -> T {
        self.shared.with(|state| act(state, self.id))
    }
}

impl<S: SharedSuperSeed> Drop for Membership<S> {
    fn drop(&mut self) {
        self.with(SuperSeed::leave);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COUNT: ChunkCount = ChunkCount(8);

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        Instant::now()
    }

    /// A file with two callers.
    fn pair() -> (SuperSeed, CallerId, CallerId) {
        let mut seed = SuperSeed::new(COUNT);
        let first = seed.join();
        let second = seed.join();
        (seed, first, second)
    }

    fn chunks(list: &[u32]) -> impl Iterator<Item = ChunkIndex> + Clone + use<> {
        list.iter().copied().map(ChunkIndex).collect::<Vec<_>>().into_iter()
    }

    fn send(chunk: u32) -> Choice {
        Choice::Send(ChunkIndex(chunk))
    }

    fn others(seed: &SuperSeed, caller: CallerId) -> Option<Vec<u32>> {
        seed.distributed_to_others(caller).map(|bitmap| bitmap.iter().map(|chunk| chunk.0).collect())
    }

    #[test]
    fn a_lone_caller_gets_what_it_wants_in_its_order() {
        let mut seed = SuperSeed::new(COUNT);
        let now = start();
        let caller = seed.join();
        assert_eq!(seed.choose(now, caller, chunks(&[3, 1])), send(3));
        assert_eq!(seed.choose(now, caller, chunks(&[])), Choice::Nothing);
        assert_eq!(others(&seed, caller), None);
    }

    #[test]
    fn two_callers_get_different_chunks_and_learn_of_them() {
        let now = start();
        let (mut seed, a, b) = pair();
        assert_eq!(seed.choose(now, a, chunks(&[0, 1, 2])), send(0));
        assert_eq!(seed.choose(now, b, chunks(&[0, 1, 2])), send(1));
        assert_eq!(seed.choose(now, a, chunks(&[1, 2])), send(2));
        assert_eq!((others(&seed, a), others(&seed, b)), (Some(vec![1]), Some(vec![0, 2])));
    }

    #[test]
    fn a_chunk_of_others_waits_for_the_hold_or_a_repeated_request() {
        let now = start();
        let (mut seed, a, b) = pair();
        assert_eq!(seed.choose(now, a, chunks(&[0])), send(0));
        assert_eq!(seed.choose(now, b, chunks(&[0])), Choice::Hold(now + HOLD));
        // As long as other callers get new chunks, the line is put to better use.
        let later = now + HOLD;
        assert_eq!(seed.choose(later, a, chunks(&[2])), send(2));
        assert_eq!(seed.choose(later, b, chunks(&[0])), Choice::Hold(later + HOLD));
        assert_eq!(seed.choose(now + HOLD_MAX, b, chunks(&[0])), send(0));
        assert_eq!(seed.choose(now, a, chunks(&[1])), send(1));
        seed.give_back(b, chunks(&[7]));
        assert!(matches!(seed.choose(now, b, chunks(&[1])), Choice::Hold(_)));
        seed.request_anyway(b, chunks(&[1]));
        assert_eq!(seed.choose(now, b, chunks(&[1])), send(1));
    }

    #[test]
    fn a_caller_that_ignores_hints_is_held_back_once() {
        let now = start();
        let (mut seed, a, b) = pair();
        for chunk in 0..4 {
            assert_eq!(seed.choose(now, a, chunks(&[chunk])), send(chunk));
        }
        assert_eq!(seed.choose(now, b, chunks(&[0, 1, 2, 3])), Choice::Hold(now + HOLD));
        let later = now + HOLD;
        for chunk in 0..3 {
            assert_eq!(seed.choose(later, b, chunks(&[chunk, 3])), send(chunk));
        }
        seed.give_back(b, chunks(&[2]));
        assert_eq!(seed.choose(later, b, chunks(&[3])), Choice::Hold(later + HOLD));
    }

    #[test]
    fn chunks_given_back_or_lost_with_a_caller_are_free_again() {
        let now = start();
        let (mut seed, a, b) = pair();
        assert_eq!(seed.choose(now, a, chunks(&[0])), send(0));
        seed.give_back(a, chunks(&[0, 5]));
        assert_eq!(seed.choose(now, b, chunks(&[0])), send(0));
        seed.leave(b);
        let _another = seed.join();
        assert_eq!(seed.choose(now, a, chunks(&[0])), send(0));
    }

    #[test]
    fn unknown_callers_and_chunks_past_the_end_are_ignored() {
        let now = start();
        let (mut seed, a, b) = pair();
        seed.leave(b);
        seed.leave(b);
        seed.request_anyway(b, chunks(&[0]));
        seed.give_back(b, chunks(&[0]));
        assert_eq!(seed.choose(now, b, chunks(&[0])), Choice::Nothing);
        seed.request_anyway(a, chunks(&[99]));
        seed.give_back(a, chunks(&[99]));
        assert_eq!(seed.callers(), 1);
    }

    proptest! {
        /// After any acts the counts are right, and no hold lasts longer than announced.
        #[test]
        fn any_order_of_acts_keeps_the_counts(acts in prop::collection::vec((0u8..6, 0usize..4, 0u32..10), 0..200)) {
            let mut now = start();
            let mut seed = SuperSeed::new(COUNT);
            let mut ids: Vec<CallerId> = (0..4).map(|_| seed.join()).collect();
            for (act, caller, chunk) in acts {
                let one = chunks(&[chunk]);
                match act {
                    0 => {
                        seed.leave(ids[caller]);
                        ids[caller] = seed.join();
                    }
                    1 => seed.leave(ids[caller]),
                    2 => seed.request_anyway(ids[caller], one),
                    3 => seed.give_back(ids[caller], one),
                    4 => drop(seed.distributed_to_others(ids[caller])),
                    _ => {
                        now += Duration::from_millis(100);
                        if let Choice::Hold(until) = seed.choose(now, ids[caller], one.clone()) {
                            prop_assert!(until > now && until <= now + HOLD);
                            prop_assert_eq!(seed.choose(until, ids[caller], one), send(chunk));
                        }
                    }
                }
                for chunk in (0..COUNT.0).map(ChunkIndex) {
                    let counted = seed.callers.values().filter(|caller| caller.got.contains(chunk)).count();
                    let times = seed.distributed.get(chunk.0 as usize);
                    prop_assert_eq!(times.map_or(0, |times| usize::from(*times)), counted);
                }
            }
        }
    }
}
