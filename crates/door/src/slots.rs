//! The slots in which connections wait for their client. The slot's number is the key of its readiness events.
//!
//! Invariant: a connection is either in its slot or with the one thread that took it out. An event that arrives while the
//! connection is out leaves a mark, and the thread that puts the connection back sees the mark.

use std::sync::Mutex;

use peernet_threads::lock;

/// A table of slots that grows up to the largest number of connections open at once.
pub(crate) struct Slots<T> {
    slots: Box<[Mutex<Slot<T>>]>,
    free: Mutex<Free>,
}

/// One slot.
enum Slot<T> {
    /// The connection waits here.
    In(T),
    /// A thread has the connection, or the slot is free. `called` marks that an event arrived meanwhile.
    Out { called: bool },
}

/// The slots without a connection.
struct Free {
    given_back: Vec<usize>,
    /// Slots from here on were never reserved.
    untouched: usize,
}

impl<T> Slot<T> {
    fn take(&mut self) -> Option<T> {
        match std::mem::replace(self, Self::Out { called: false }) {
            Self::In(value) => Some(value),
            Self::Out { called } => {
                *self = Self::Out { called };
                None
            }
        }
    }
}

impl<T> Slots<T> {
    pub(crate) fn new(slots_max: usize) -> Self {
        let slots = (0..slots_max).map(|_| Mutex::new(Slot::Out { called: false })).collect();
        Self { slots, free: Mutex::new(Free { given_back: Vec::new(), untouched: 0 }) }
    }

    /// Reserves a slot until [`Slots::give_back`]; `None` if all are reserved.
    pub(crate) fn reserve(&self) -> Option<usize> {
        let mut free = lock(&self.free);
        if let Some(slot) = free.given_back.pop() {
            return Some(slot);
        }
        let slot = free.untouched;
        free.untouched += usize::from(slot < self.slots.len());
        (slot < self.slots.len()).then_some(slot)
    }

    pub(crate) fn give_back(&self, slot: usize) {
        lock(&self.free).given_back.push(slot);
    }

    /// Puts `value` into its slot. Before another thread can take it out, `then` runs with it and with whether an event arrived
    /// while it was out. If `then` fails, the value is returned.
    pub(crate) fn put<E>(
        &self,
        slot: usize,
        mut value: T,
        then: impl FnOnce(&mut T, bool) -> Result<(), E>,
    ) -> Result<(), T> {
        let mut entry = lock(&self.slots[slot]);
        let called = matches!(*entry, Slot::Out { called: true });
        match then(&mut value, called) {
            Ok(()) => {
                *entry = Slot::In(value);
                Ok(())
            }
            Err(_) => Err(value),
        }
    }

    /// Takes out the connection that waits in `slot`. If it is out already, leaves a mark for the thread that has it.
    pub(crate) fn take(&self, slot: usize) -> Option<T> {
        let mut entry = lock(self.slots.get(slot)?);
        let taken = entry.take();
        if taken.is_none() {
            *entry = Slot::Out { called: true };
        }
        taken
    }

    /// Takes out every waiting connection that `is_due`, one after the other.
    pub(crate) fn take_due(&self, is_due: impl Fn(&T) -> bool, mut then: impl FnMut(T)) {
        let used = lock(&self.free).untouched;
        for slot in &self.slots[..used] {
            let mut entry = lock(slot);
            let is_due = matches!(&*entry, Slot::In(value) if is_due(value));
            let due = if is_due { entry.take() } else { None };
            drop(entry);
            due.into_iter().for_each(&mut then);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;

    #[test]
    fn a_slot_has_one_owner_and_is_used_again() {
        let slots: Slots<u32> = Slots::new(2);
        assert_eq!((slots.reserve(), slots.reserve(), slots.reserve()), (Some(0), Some(1), None));
        assert_eq!(slots.put(1, 7, |_, _| Ok::<(), ()>(())), Ok(()));
        assert_eq!(slots.put(0, 8, |_, _| Err(())), Err(8));
        assert_eq!((slots.take(0), slots.take(1), slots.take(1), slots.take(2)), (None, Some(7), None, None));
        slots.give_back(0);
        assert_eq!((slots.reserve(), slots.reserve()), (Some(0), None));
    }

    #[test]
    fn an_event_for_a_connection_that_is_out_is_seen_once() {
        let slots: Slots<u32> = Slots::new(1);
        let put = |expected| {
            let told = |_: &mut u32, called| if called == expected { Ok(()) } else { Err(()) };
            assert_eq!(slots.put(0, 7, told), Ok(()), "{expected}");
        };
        put(false);
        assert_eq!((slots.take(0), slots.take(0), slots.take(0)), (Some(7), None, None));
        put(true);
        assert_eq!(slots.take(0), Some(7));
        put(false);
    }

    #[test]
    fn only_due_connections_are_taken() {
        let slots = Slots::new(8);
        for value in 0..4 {
            let slot = slots.reserve().expect("a slot is free");
            slots.put(slot, value, |_, _| Ok::<(), ()>(())).expect("the closure succeeds");
        }
        let mut taken = Vec::new();
        slots.take_due(|value| value % 2 == 1, |value| taken.push(value));
        assert_eq!(taken, [1, 3]);
        assert_eq!((slots.take(0), slots.take(1), slots.take(2)), (Some(0), None, Some(2)));
    }

    /// A small generator (xorshift), so that a failure's seed repeats it.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }
    }

    /// The model of one slot.
    #[derive(Debug, Clone, Copy, Default, PartialEq)]
    struct Model {
        is_reserved: bool,
        inside: Option<u64>,
        was_called: bool,
    }

    #[test]
    fn slots_behave_like_a_plain_table() {
        const SIZE: usize = 4;
        for seed in 1..200_u64 {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let slots: Slots<u64> = Slots::new(SIZE);
            let mut model = [Model::default(); SIZE];
            for step in 0..200 {
                let slot = random.below(SIZE as u64) as usize;
                match random.below(4) {
                    0 => {
                        let reserved = slots.reserve();
                        let is_full = model.iter().all(|slot| slot.is_reserved);
                        assert_eq!(reserved.is_none(), is_full, "seed {seed}, step {step}");
                        if let Some(slot) = reserved {
                            assert!(!model[slot].is_reserved, "seed {seed}: a slot has one owner");
                            model[slot].is_reserved = true;
                        }
                    }
                    1 if model[slot].is_reserved && model[slot].inside.is_none() => {
                        let was_called = model[slot].was_called;
                        let mut told = None;
                        let put = slots.put(slot, step, |_, called| {
                            told = Some(called);
                            Ok::<(), ()>(())
                        });
                        assert_eq!((put, told), (Ok(()), Some(was_called)), "seed {seed}, step {step}");
                        model[slot].inside = Some(step);
                        model[slot].was_called = false;
                    }
                    2 => {
                        let taken = slots.take(slot);
                        assert_eq!(taken, model[slot].inside.take(), "seed {seed}, step {step}");
                        model[slot].was_called |= taken.is_none();
                    }
                    3 if model[slot].is_reserved && model[slot].inside.is_none() => {
                        slots.give_back(slot);
                        model[slot].is_reserved = false;
                    }
                    _ => {}
                }
            }
            let mut left = Vec::new();
            slots.take_due(|_| true, |value| left.push(value));
            let expected: Vec<u64> = model.iter().filter_map(|slot| slot.inside).collect();
            assert_eq!(left, expected, "seed {seed}");
        }
    }

    #[test]
    fn a_failed_put_leaves_the_mark_of_an_event() {
        let slots: Slots<u32> = Slots::new(1);
        assert_eq!(slots.take(0), None, "an event for a connection that is out");
        assert_eq!(slots.put(0, 7, |_, called| if called { Err(()) } else { Ok(()) }), Err(7));
        let mut told = None;
        let put = slots.put(0, 7, |value, called| {
            told = Some(called);
            *value += 1;
            Ok::<(), ()>(())
        });
        assert_eq!((put, told, slots.take(0)), (Ok(()), Some(true), Some(8)));
    }
}
