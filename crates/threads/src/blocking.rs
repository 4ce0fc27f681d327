//! Telling whoever runs this thread that it is about to wait, so that another can go on with what it leaves.
//!
//! The code that waits (for a database, a commit, a slow client) knows nothing of who runs it: it only says so. On a thread that
//! nobody has to stand in for, saying so does nothing.

use std::cell::RefCell;

type Hook = Box<dyn Fn()>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Has `hook` called on this thread before each wait, from now on and in place of any hook before. It must not wait itself.
pub fn before_blocking(hook: impl Fn() + 'static) {
    HOOK.with(|current| *current.borrow_mut() = Some(Box::new(hook)));
}

/// To be called before waiting for anything that may take longer than a lock.
pub fn about_to_block() {
    HOOK.with(|current| {
        if let Some(hook) = &*current.borrow() {
            hook();
        }
    });
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_threads_own_hook_is_called_and_no_other() {
        let calls = Rc::new(Cell::new(0));
        about_to_block();
        let counted = Rc::clone(&calls);
        before_blocking(move || counted.set(counted.get() + 1));
        about_to_block();
        std::thread::scope(|scope| scope.spawn(about_to_block).join()).expect("there is nothing to call");
        about_to_block();
        assert_eq!(calls.get(), 2);
    }
}
