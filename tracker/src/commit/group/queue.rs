//! A bounded queue that can be closed.

use std::sync::{PoisonError, RwLock};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// The sending end: takes jobs until it is closed.
pub(super) struct Queue<T>(RwLock<Option<Sender<T>>>);

/// The reason why a job was not queued. The job is returned with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotQueued {
    /// The queue is closed, because the tracker is stopping.
    Closed,
    /// The queue holds as many jobs as it may.
    Full,
    /// The receiving end is gone, because its thread has died.
    Disconnected,
}

impl<T> Queue<T> {
    /// Creates a queue for at most `jobs_max` jobs, and its receiving end.
    pub(super) fn new(jobs_max: usize) -> (Self, Receiver<T>) {
        let (sender, receiver) = bounded(jobs_max);
        (Self(RwLock::new(Some(sender))), receiver)
    }

    /// Queues a job without waiting, or returns it.
    pub(super) fn put(&self, job: T) -> Result<(), (T, NotQueued)> {
        match self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            None => Err((job, NotQueued::Closed)),
            Some(sender) => sender.try_send(job).map_err(|error| match error {
                TrySendError::Full(job) => (job, NotQueued::Full),
                TrySendError::Disconnected(job) => (job, NotQueued::Disconnected),
            }),
        }
    }

    /// Returns whether [`Queue::close`] has been called.
    pub(super) fn is_closed(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Takes no more jobs. The receiver still gets the queued ones, and then the end.
    pub(super) fn close(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_returns_the_jobs_it_does_not_take() {
        let (queue, jobs) = Queue::new(1);
        assert_eq!(queue.put(1), Ok(()));
        assert_eq!(queue.put(2), Err((2, NotQueued::Full)));
        queue.close();
        assert!(queue.is_closed());
        assert_eq!(queue.put(3), Err((3, NotQueued::Closed)));
        assert_eq!(jobs.iter().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_queue_without_a_receiver_is_disconnected() {
        let (queue, jobs) = Queue::new(1);
        drop(jobs);
        assert_eq!(queue.put(4), Err((4, NotQueued::Disconnected)));
    }
}
