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
            let queue = queue.clone();
            let work = start();
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
            let sum = Arc::clone(&sum);
            let opened = opened.clone();
            let started_sender = started_sender.clone();
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

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn every_worker_has_a_state_of_its_own() {
        let (sender, results) = bounded(100);
        let pool = Pool::new("count", 3, 100, || {
            let sender = sender.clone();
            let mut jobs_done = 0_u32;
            move |job: u32| {
                jobs_done += 1;
                sender.send((job, jobs_done)).expect("the test listens");
            }
        })
        .expect("threads");
        drop(sender);
        (0..60).for_each(|job| pool.try_submit(job).expect("the queue has a place"));
        assert_eq!(pool.stop(PATIENCE), Ok(()));
        let results: Vec<(u32, u32)> = results.iter().collect();
        let mut jobs: Vec<u32> = results.iter().map(|(job, _)| *job).collect();
        jobs.sort_unstable();
        assert_eq!(jobs, (0..60).collect::<Vec<_>>(), "every job is done once");
        let last: u32 = results.iter().map(|(_, done)| *done).max().expect("jobs were done");
        assert!((20..=60).contains(&last), "the busiest of three workers did {last}");
    }

    #[test]
    fn workers_are_named_by_number() {
        let (sender, names) = bounded(10);
        let pool = Pool::new("worker", 2, 10, || {
            let sender = sender.clone();
            move |_: ()| {
                let name = std::thread::current().name().map(str::to_owned);
                sender.send(name).expect("the test listens");
            }
        })
        .expect("threads");
        pool.try_submit(()).expect("the queue has a place");
        let name = names.recv_timeout(PATIENCE).expect("a worker answers").expect("it has a name");
        assert!(["worker-0", "worker-1"].contains(&name.as_str()), "{name}");
        assert_eq!(pool.stop(PATIENCE), Ok(()));
    }

    #[test]
    fn a_pool_has_at_least_one_worker() {
        let done = Arc::new(AtomicU32::new(0));
        let pool = Pool::new("one", 0, 1, || {
            let done = Arc::clone(&done);
            move |job: u32| _ = done.fetch_add(job, Ordering::SeqCst)
        })
        .expect("threads");
        pool.try_submit(5).expect("the queue has a place");
        assert_eq!(pool.stop(PATIENCE), Ok(()));
        assert_eq!(done.load(Ordering::SeqCst), 5);
    }

    #[test]
    fn jobs_that_wait_are_counted() {
        let (gate, opened) = bounded::<()>(1);
        let (started_sender, started) = bounded::<()>(8);
        let pool = Pool::new("gated", 1, 4, || {
            let opened = opened.clone();
            let started_sender = started_sender.clone();
            move |_: u32| {
                started_sender.send(()).expect("the test listens");
                let _closed = opened.recv();
            }
        })
        .expect("threads");
        assert_eq!(pool.queued(), 0);
        pool.try_submit(0).expect("a worker is free");
        started.recv_timeout(PATIENCE).expect("the worker has taken it");
        for waiting in 1..=4 {
            pool.try_submit(waiting).expect("the queue has a place");
            assert_eq!(pool.queued(), waiting as usize);
        }
        let Full(refused) = pool.try_submit(5).expect_err("the queue is full");
        assert_eq!((refused, pool.queued()), (5, 4));
        drop(gate);
        assert_eq!(pool.stop(PATIENCE), Ok(()));
    }
}
