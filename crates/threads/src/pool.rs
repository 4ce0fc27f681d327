//! A fixed number of workers behind a bounded queue. A full queue refuses the job at once, so a submitter never waits.

use std::io;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::{Group, Stragglers};

/// A refused job, because the queue was full or the pool had stopped.
#[derive(Debug)]
pub struct Full<J>(pub J);

/// Workers that all run the same function over jobs of one type.
pub struct Pool<J: Send + 'static> {
    jobs: Sender<J>,
    group: Group,
}

impl<J: Send + 'static> Pool<J> {
    /// Spawns `workers` threads called `name-0`, `name-1`, …; at most `queue_max` jobs wait. `start` is called once for each worker
    /// and returns its function, so a worker may keep state of its own, such as a connection or a buffer.
    pub fn new<W>(name: &str, workers: usize, queue_max: usize, start: impl Fn() -> W) -> io::Result<Self>
    where
        W: FnMut(J) + Send + 'static,
    {
        let (jobs, queue) = bounded(queue_max);
        let mut group = Group::default();
        for index in 0..workers.max(1) {
            let (queue, work) = (queue.clone(), start());
            group.spawn(format!("{name}-{index}"), move || run(&queue, work))?;
        }
        Ok(Self { jobs, group })
    }

    /// Queues a job without waiting.
    pub fn try_submit(&self, job: J) -> Result<(), Full<J>> {
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => Full(job),
        })
    }

    /// The number of jobs that wait.
    pub fn queued(&self) -> usize {
        self.jobs.len()
    }

    /// Lets the workers finish the queued jobs, then joins them, at most `timeout`.
    pub fn stop(self, timeout: Duration) -> Result<(), Stragglers> {
        drop(self.jobs);
        self.group.join(timeout)
    }
}

fn run<J>(queue: &Receiver<J>, mut work: impl FnMut(J)) {
    for job in queue {
        work(job);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_full_queue_refuses_jobs_and_stop_finishes_queued_ones() {
        let (gate, opened) = bounded::<()>(1);
        let (started_sender, started) = bounded::<()>(8);
        let sum = Arc::new(AtomicU32::new(0));
        let pool = Pool::new("test", 1, 1, || {
            let (sum, opened, started_sender) = (Arc::clone(&sum), opened.clone(), started_sender.clone());
            move |job: u32| {
                let _ = started_sender.send(());
                let _ = opened.recv();
                sum.fetch_add(job, Ordering::SeqCst);
            }
        })
        .expect("threads");
        pool.try_submit(1).expect("a worker is free");
        started.recv_timeout(Duration::from_secs(30)).expect("the worker has taken it");
        pool.try_submit(2).expect("the queue has a place");
        let Full(back) = pool.try_submit(4).expect_err("the queue is full");
        drop(gate);
        assert_eq!(pool.stop(Duration::from_secs(30)), Ok(()));
        assert_eq!((back, sum.load(Ordering::SeqCst)), (4, 3));
    }
}
