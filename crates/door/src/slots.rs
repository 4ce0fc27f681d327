//! Where connections are while they wait for their client: one numbered slot each, the number being what the poller knows.
//!
//! Invariant: a connection is either in its slot or with the one thread that took it out. Who finds it out leaves word, and the thread
//! that brings it back hears that somebody called.

use std::sync::Mutex;

use peernet_threads::lock;

/// A table of slots that grows up to the most connections there are at once.
pub(crate) struct Slots<T> {
    slots: Box<[Mutex<Slot<T>>]>,
    free: Mutex<Free>,
}

/// One of them.
enum Slot<T> {
    /// It waits.
    In(T),
    /// Somebody has it, or it belongs to nobody; meanwhile somebody called for it, or not.
    Out { called: bool },
}

/// Which slots belong to nobody.
struct Free {
    given_back: Vec<usize>,
    /// Slots from here on never belonged to anybody.
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
    pub(crate) fn new(most: usize) -> Self {
        let slots = (0..most).map(|_| Mutex::new(Slot::Out { called: false })).collect();
        Self { slots, free: Mutex::new(Free { given_back: Vec::new(), untouched: 0 }) }
    }

    /// A slot for a connection to come back to, until it is given back; `None` where all belong to somebody.
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

    /// Puts `value` there, and does `then` with it before anybody can take it out, telling whether somebody called for it while it was
    /// out; where that fails, it is given back.
    pub(crate) fn put<E>(
        &self,
        slot: usize,
        mut value: T,
        then: impl FnOnce(&mut T, bool) -> Result<(), E>,
    ) -> Result<(), T> {
        let mut place = lock(&self.slots[slot]);
        let called = matches!(*place, Slot::Out { called: true });
        match then(&mut value, called) {
            Ok(()) => {
                *place = Slot::In(value);
                Ok(())
            }
            Err(_) => Err(value),
        }
    }

    /// Takes out what waits there; what is out already is called.
    pub(crate) fn take(&self, slot: usize) -> Option<T> {
        let mut place = lock(self.slots.get(slot)?);
        let taken = place.take();
        if taken.is_none() {
            *place = Slot::Out { called: true };
        }
        taken
    }

    /// Takes out everything that `is_due`, one after the other.
    pub(crate) fn take_due(&self, is_due: impl Fn(&T) -> bool, mut then: impl FnMut(T)) {
        let used = lock(&self.free).untouched;
        for slot in &self.slots[..used] {
            let mut place = lock(slot);
            let is_due = matches!(&*place, Slot::In(value) if is_due(value));
            let due = if is_due { place.take() } else { None };
            drop(place);
            due.into_iter().for_each(&mut then);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;

    #[test]
    fn a_slot_belongs_to_one_and_is_used_again() {
        let slots: Slots<u32> = Slots::new(2);
        assert_eq!((slots.reserve(), slots.reserve(), slots.reserve()), (Some(0), Some(1), None));
        assert_eq!(slots.put(1, 7, |_, _| Ok::<(), ()>(())), Ok(()));
        assert_eq!(slots.put(0, 8, |_, _| Err(())), Err(8));
        assert_eq!((slots.take(0), slots.take(1), slots.take(1), slots.take(2)), (None, Some(7), None, None));
        slots.give_back(0);
        assert_eq!((slots.reserve(), slots.reserve()), (Some(0), None));
    }

    #[test]
    fn who_calls_for_what_is_out_is_heard_once() {
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
    fn only_what_is_due_is_taken() {
        let slots = Slots::new(8);
        for value in 0..4 {
            let slot = slots.reserve().expect("there is room");
            slots.put(slot, value, |_, _| Ok::<(), ()>(())).expect("is put");
        }
        let mut taken = Vec::new();
        slots.take_due(|value| value % 2 == 1, |value| taken.push(value));
        assert_eq!(taken, [1, 3]);
        assert_eq!((slots.take(0), slots.take(1), slots.take(2)), (Some(0), None, Some(2)));
    }
}
