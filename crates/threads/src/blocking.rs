//! The token that a function asks for before it waits.
//!
//! A thread that serves many callers installs a hook with [`before_blocking`]. Before the thread waits for a database, a commit
//! or a slow client, the hook lets another thread take over the callers it leaves behind. A function that may wait therefore takes
//! `&Blocking`, so the compiler rejects a caller that has not run the hook.
//!
//! ```
//! use peernet_threads::Blocking;
//!
//! fn commit(_: &Blocking, row: u32) -> u32 {
//!     row // here a real function waits for the disk
//! }
//!
//! assert_eq!(commit(&Blocking::declare(), 7), 7);
//! ```

use std::cell::RefCell;
use std::marker::PhantomData;

type Hook = Box<dyn Fn()>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Installs `hook` on this thread, in place of any earlier one. [`Blocking::declare`] runs it. The hook must not wait.
pub fn before_blocking(hook: impl Fn() + 'static) {
    HOOK.with(|current| *current.borrow_mut() = Some(Box::new(hook)));
}

/// Proof that this thread has announced that it may wait longer than a mutex takes.
///
/// The token has no size and stays on its thread: a worker cannot announce a wait on behalf of another.
/// Create it at the point of waiting and not earlier, because the hook may wake another thread.
#[derive(Debug)]
pub struct Blocking {
    not_send: PhantomData<*const ()>,
}

impl Blocking {
    /// Runs this thread's hook, if it has one, and returns the token. A second call in the same handler is cheap.
    pub fn declare() -> Self {
        HOOK.with(|current| {
            if let Some(hook) = &*current.borrow() {
                hook();
            }
        });
        Self { not_send: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// A call counter that the current thread's hook increments.
    fn counting_hook() -> Rc<Cell<u32>> {
        let calls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&calls);
        before_blocking(move || counted.set(counted.get() + 1));
        calls
    }

    #[test]
    fn declare_runs_the_hook_of_its_own_thread_only() {
        Blocking::declare();
        let calls = counting_hook();
        Blocking::declare();
        std::thread::scope(|scope| scope.spawn(|| _ = Blocking::declare()).join()).expect("the thread has no hook");
        Blocking::declare();
        assert_eq!(calls.get(), 2);
    }

    #[test]
    fn a_later_hook_replaces_the_earlier_one() {
        let earlier = counting_hook();
        let later = counting_hook();
        Blocking::declare();
        assert_eq!((earlier.get(), later.get()), (0, 1));
    }

    #[test]
    fn the_token_has_no_size() {
        assert_eq!(size_of::<Blocking>(), 0);
    }
}
