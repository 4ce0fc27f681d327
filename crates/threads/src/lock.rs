//! Locking a mutex that a panic may have poisoned.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after a thread panicked while it held the lock.
///
/// For state that is valid after each statement, so that a panic half-way leaves nothing broken. The thread that panicked
/// reports the defect; the others go on.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poisoned_mutex_is_locked_with_its_last_value() {
        let mutex = Mutex::new(1);
        let panicked = std::thread::scope(|scope| {
            let work = || {
                *lock(&mutex) = 2;
                let _held = lock(&mutex);
                std::panic::resume_unwind(Box::new("quietly"));
            };
            scope.spawn(work).join()
        });
        assert!(panicked.is_err() && mutex.is_poisoned());
        assert_eq!(*lock(&mutex), 2);
    }
}
