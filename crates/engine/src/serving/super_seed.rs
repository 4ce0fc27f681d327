//! What a complete source gives to whom while several fetch the same file from it: to each something that none of the
//! others got, for they will pass it on to one another. So a file leaves the source about once, however many want it.
//!
//! Each caller is told what was given to others ([`Giving::tell`]) and then wants something else. What it asked for
//! before it heard is held back a little, so that it can change its mind; what it insists on it is given.
//!
//! Invariant: `given` counts, chunk by chunk, the callers who got it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::bitmap::Bitmap;
use crate::ids::{ChunkCount, ChunkIndex};

/// How long a caller is kept waiting who only wants what was given to others, where nobody else is given anything new,
pub const HOLD: Duration = Duration::from_millis(1_500);
/// and at most, however long others are: what it is told may be long on its way behind what it is sent.
pub const HOLD_MAX: Duration = Duration::from_secs(8);

/// One caller, numbered by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerId(pub u64);

/// What to send a caller next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// This chunk; it counts as given.
    Give(ChunkIndex),
    /// Nothing before this time, unless it wants something else.
    Hold(Instant),
    /// It wants nothing.
    Nothing,
}

#[derive(Debug)]
struct Caller {
    got: Bitmap,
    /// Asked for though it knew that others have it.
    insists: Bitmap,
    held_since: Option<Instant>,
    /// It was held back to the end and has not changed its mind: it takes no hints, and is not held back again until it
    /// takes something back.
    is_deaf: bool,
}

/// All callers of one complete file. Its inputs are its methods, since each has its own answer; none blocks or fails, and
/// unknown callers and chunks past the end are ignored.
#[derive(Debug)]
pub struct Giving {
    count: ChunkCount,
    callers: BTreeMap<CallerId, Caller>,
    given: Vec<u16>,
    /// When somebody was last given what nobody had.
    new_at: Option<Instant>,
    version: u64,
}

impl Giving {
    /// Nobody calls, for a file of `count` chunks.
    pub fn new(count: ChunkCount) -> Self {
        Self { count, callers: BTreeMap::new(), given: Vec::new(), new_at: None, version: 0 }
    }

    /// One more caller.
    pub fn join(&mut self, caller: CallerId) {
        let none = || Bitmap::empty(self.count);
        let new = Caller { got: none(), insists: none(), held_since: None, is_deaf: false };
        self.given.resize(self.count.0 as usize, 0);
        self.callers.entry(caller).or_insert(new);
        self.version += 1;
    }

    /// It is gone, and what it got with it.
    pub fn leave(&mut self, caller: CallerId) {
        let Some(caller) = self.callers.remove(&caller) else { return };
        caller.got.iter().for_each(|chunk| self.given[chunk.0 as usize] -= 1);
        if self.callers.is_empty() {
            self.given = Vec::new();
        }
        self.version += 1;
    }

    /// It wants these although it knows that others were given them.
    pub fn insist(&mut self, caller: CallerId, chunks: impl Iterator<Item = ChunkIndex>) {
        let Some(caller) = self.callers.get_mut(&caller) else { return };
        for chunk in chunks {
            caller.insists.insert(chunk);
        }
    }

    /// It wants these no longer, or what was begun of one will not come.
    pub fn take_back(&mut self, caller: CallerId, chunks: impl Iterator<Item = ChunkIndex>) {
        let Some(caller) = self.callers.get_mut(&caller) else { return };
        for chunk in chunks {
            caller.is_deaf = false;
            caller.insists.remove(chunk);
            if caller.got.remove(chunk) {
                self.given[chunk.0 as usize] -= 1;
                self.version += 1;
            }
        }
    }

    /// What to send next of what it wants, in its order.
    pub fn choose(&mut self, now: Instant, id: CallerId, wanted: impl Iterator<Item = ChunkIndex> + Clone) -> Choice {
        let alone = self.callers.len() < 2;
        let Some(caller) = self.callers.get_mut(&id) else { return Choice::Nothing };
        let Some(first) = wanted.clone().next() else { return Choice::Nothing };
        let is_free = |chunk: &ChunkIndex| {
            let by_it = u16::from(caller.got.contains(*chunk));
            self.given.get(chunk.0 as usize).is_none_or(|given| *given <= by_it) || caller.insists.contains(*chunk)
        };
        let chosen = if alone || caller.is_deaf { Some(first) } else { wanted.clone().find(is_free) };
        let chunk = match chosen {
            Some(chunk) => chunk,
            None => {
                let since = *caller.held_since.get_or_insert(now);
                let until = self.new_at.map_or(since, |new_at| new_at.max(since)) + HOLD;
                if now < until.min(since + HOLD_MAX) {
                    return Choice::Hold(until.min(since + HOLD_MAX));
                }
                caller.is_deaf = true;
                first
            }
        };
        caller.held_since = None;
        caller.insists.remove(chunk);
        if caller.got.insert(chunk) {
            self.given[chunk.0 as usize] += 1;
            self.version += 1;
            if self.given[chunk.0 as usize] == 1 {
                self.new_at = Some(now);
            }
        }
        Choice::Give(chunk)
    }

    /// What was given to others, for telling the caller; `None` while there are no others.
    pub fn tell(&self, caller: CallerId) -> Option<Bitmap> {
        if self.callers.len() < 2 {
            return None;
        }
        let caller = self.callers.get(&caller)?;
        let mut others = Bitmap::empty(self.count);
        for (chunk, given) in (0..).map(ChunkIndex).zip(&self.given) {
            if *given > u16::from(caller.got.contains(chunk)) {
                others.insert(chunk);
            }
        }
        Some(others)
    }

    /// How many call.
    pub fn callers(&self) -> usize {
        self.callers.len()
    }

    /// Another number whenever [`Giving::tell`] may have something else to say.
    pub fn version(&self) -> u64 {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COUNT: ChunkCount = ChunkCount(8);
    const A: CallerId = CallerId(1);
    const B: CallerId = CallerId(2);

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        Instant::now()
    }

    fn chunks(list: &[u32]) -> impl Iterator<Item = ChunkIndex> + Clone + use<> {
        list.iter().copied().map(ChunkIndex).collect::<Vec<_>>().into_iter()
    }

    fn give(chunk: u32) -> Choice {
        Choice::Give(ChunkIndex(chunk))
    }

    fn told(giving: &Giving, caller: CallerId) -> Option<Vec<u32>> {
        giving.tell(caller).map(|bitmap| bitmap.iter().map(|chunk| chunk.0).collect())
    }

    #[test]
    fn who_is_alone_gets_what_it_wants_in_its_order() {
        let (now, mut giving) = (start(), Giving::new(COUNT));
        giving.join(A);
        assert_eq!(giving.choose(now, A, chunks(&[3, 1])), give(3));
        assert_eq!(giving.choose(now, A, chunks(&[])), Choice::Nothing);
        assert_eq!(told(&giving, A), None);
    }

    #[test]
    fn two_get_different_chunks_and_hear_of_each_others() {
        let (now, mut giving) = (start(), Giving::new(COUNT));
        giving.join(A);
        giving.join(B);
        assert_eq!(giving.choose(now, A, chunks(&[0, 1, 2])), give(0));
        assert_eq!(giving.choose(now, B, chunks(&[0, 1, 2])), give(1));
        assert_eq!(giving.choose(now, A, chunks(&[1, 2])), give(2));
        assert_eq!((told(&giving, A), told(&giving, B)), (Some(vec![1]), Some(vec![0, 2])));
    }

    #[test]
    fn what_others_got_comes_after_a_while_or_when_it_is_insisted_on() {
        let (now, mut giving) = (start(), Giving::new(COUNT));
        giving.join(A);
        giving.join(B);
        assert_eq!(giving.choose(now, A, chunks(&[0])), give(0));
        assert_eq!(giving.choose(now, B, chunks(&[0])), Choice::Hold(now + HOLD));
        // As long as others get something new the line is put to better use.
        let later = now + HOLD;
        assert_eq!(giving.choose(later, A, chunks(&[2])), give(2));
        assert_eq!(giving.choose(later, B, chunks(&[0])), Choice::Hold(later + HOLD));
        assert_eq!(giving.choose(now + HOLD_MAX, B, chunks(&[0])), give(0));
        assert_eq!(giving.choose(now, A, chunks(&[1])), give(1));
        giving.take_back(B, chunks(&[7]));
        assert!(matches!(giving.choose(now, B, chunks(&[1])), Choice::Hold(_)));
        giving.insist(B, chunks(&[1]));
        assert_eq!(giving.choose(now, B, chunks(&[1])), give(1));
    }

    #[test]
    fn who_takes_no_hints_is_held_back_once_and_not_for_every_chunk() {
        let (now, mut giving) = (start(), Giving::new(COUNT));
        giving.join(A);
        giving.join(B);
        for chunk in 0..4 {
            assert_eq!(giving.choose(now, A, chunks(&[chunk])), give(chunk));
        }
        assert_eq!(giving.choose(now, B, chunks(&[0, 1, 2, 3])), Choice::Hold(now + HOLD));
        let later = now + HOLD;
        for chunk in 0..3 {
            assert_eq!(giving.choose(later, B, chunks(&[chunk, 3])), give(chunk));
        }
        giving.take_back(B, chunks(&[2]));
        assert_eq!(giving.choose(later, B, chunks(&[3])), Choice::Hold(later + HOLD));
    }

    #[test]
    fn what_is_taken_back_or_was_given_to_someone_gone_is_free_again() {
        let (now, mut giving) = (start(), Giving::new(COUNT));
        giving.join(A);
        giving.join(B);
        assert_eq!(giving.choose(now, A, chunks(&[0])), give(0));
        giving.take_back(A, chunks(&[0, 5]));
        assert_eq!(giving.choose(now, B, chunks(&[0])), give(0));
        giving.leave(B);
        giving.join(B);
        assert_eq!(giving.choose(now, A, chunks(&[0])), give(0));
    }

    proptest! {
        /// Whatever is asked, dropped and chosen: the counts are right, and nobody waits for ever.
        #[test]
        fn anything_may_happen(acts in prop::collection::vec((0u8..6, 0u64..4, 0u32..10), 0..200)) {
            let (mut now, mut giving) = (start(), Giving::new(COUNT));
            for (act, caller, chunk) in acts {
                let (caller, one) = (CallerId(caller), chunks(&[chunk]));
                match act {
                    0 => giving.join(caller),
                    1 => giving.leave(caller),
                    2 => giving.insist(caller, one),
                    3 => giving.take_back(caller, one),
                    4 => drop(giving.tell(caller)),
                    _ => {
                        now += Duration::from_millis(100);
                        if let Choice::Hold(until) = giving.choose(now, caller, one.clone()) {
                            prop_assert!(until > now && until <= now + HOLD);
                            prop_assert_eq!(giving.choose(until, caller, one), give(chunk));
                        }
                    }
                }
                for chunk in (0..COUNT.0).map(ChunkIndex) {
                    let counted = giving.callers.values().filter(|caller| caller.got.contains(chunk)).count();
                    prop_assert_eq!(giving.given.get(chunk.0 as usize).map_or(0, |given| usize::from(*given)), counted);
                }
            }
        }
    }
}
