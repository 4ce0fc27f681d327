//! What threads share: locks that a panic does not close, and a queue that can be closed.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::store::StoreError;

/// A panic while a lock was held is a defect that the panicking request reports; what it guards goes on, because no invariant of
/// it can be broken half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The end of a queue that jobs are put into, until it is closed.
pub(crate) struct Queue<T>(RwLock<Option<Sender<T>>>);

/// Why a job was not taken. The job is given back with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The queue is closed: the tracker stops.
    Closed,
    Full,
    /// Its thread has died.
    Gone,
}

impl NotTaken {
    /// The error of the refused job; `full` says what there is too much of.
    pub(crate) fn error(self, full: &'static str) -> StoreError {
        match self {
            Self::Closed => StoreError::Busy("the tracker is stopping"),
            Self::Full => StoreError::Busy(full),
            Self::Gone => StoreError::Unavailable("the thread of this queue has died".to_owned()),
        }
    }
}

impl<T> Queue<T> {
    /// For at most `jobs_max` jobs, and the end that they are taken from.
    pub(crate) fn new(jobs_max: usize) -> (Self, Receiver<T>) {
        let (sender, receiver) = bounded(jobs_max);
        (Self(RwLock::new(Some(sender))), receiver)
    }

    /// Puts a job in; waits for nothing.
    pub(crate) fn put(&self, job: T) -> Result<(), (T, NotTaken)> {
        match self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            None => Err((job, NotTaken::Closed)),
            Some(sender) => sender.try_send(job).map_err(|error| match error {
                TrySendError::Full(job) => (job, NotTaken::Full),
                TrySendError::Disconnected(job) => (job, NotTaken::Gone),
            }),
        }
    }

    /// How many jobs wait; `None` once it is closed.
    pub(crate) fn waiting(&self) -> Option<usize> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(Sender::len)
    }

    /// Takes no more; who takes jobs out ends after those that wait.
    pub(crate) fn close(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_gives_back_what_it_does_not_take() {
        let (queue, jobs) = Queue::new(1);
        assert!(queue.put(1).is_ok());
        assert!(queue.put(2) == Err((2, NotTaken::Full)));
        assert_eq!(queue.waiting(), Some(1));
        queue.close();
        assert!(queue.put(3) == Err((3, NotTaken::Closed)));
        assert_eq!((queue.waiting(), jobs.iter().collect::<Vec<_>>()), (None, vec![1]));
        let (queue, jobs) = Queue::new(1);
        drop(jobs);
        assert!(queue.put(4) == Err((4, NotTaken::Gone)));
    }
}
