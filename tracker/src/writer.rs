//! The one thread that commits: it takes what is queued, commits it as one transaction, then answers every waiting request.
//!
//! Under load one commit serves hundreds of requests, and no request is answered before its commit: a 2xx is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_threads::about_to_block;

use crate::base::sync::{NotTaken, Queue};
use crate::ops::log;
use crate::store::{Durability, StoreError, Write, Written};

/// How many requests wait for a commit at most: one per connection the door admits. Full is answered 503.
pub const JOBS_QUEUED_MAX: usize = 4_096;

/// How many writes one transaction takes; a single request may bring as many by itself.
pub const WRITES_PER_BATCH_MAX: usize = 1_000;

/// How long a request waits for its commit. The outcome is unknown then, and every write is idempotent.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// The handle on the writer thread.
pub struct Writer {
    queue: Queue<Job>,
    counters: Arc<WriterCounters>,
}

/// What the writer has done since it started.
#[derive(Debug, Default)]
pub struct WriterCounters {
    /// Transactions committed.
    pub batches: AtomicU64,
    /// Writes in them.
    pub writes: AtomicU64,
    /// Requests refused because the queue was full.
    pub refused: AtomicU64,
}

/// One transaction: all writes or none, one answer per write. [`crate::store::Store::write`] is one.
pub trait Commit: FnMut(&[Write], Durability) -> Result<Vec<Written>, StoreError> {}

impl<F: FnMut(&[Write], Durability) -> Result<Vec<Written>, StoreError>> Commit for F {}

/// The thread's end.
pub struct WriterLoop {
    queue: Receiver<Job>,
    counters: Arc<WriterCounters>,
}

struct Job {
    writes: Vec<Write>,
    durability: Durability,
    answer: Sender<Result<Vec<Written>, StoreError>>,
}

impl Writer {
    /// A handle and what its thread runs.
    pub fn new() -> (Self, WriterLoop) {
        let (queue, jobs) = Queue::new(JOBS_QUEUED_MAX);
        let counters = Arc::new(WriterCounters::default());
        let handle = Self { queue, counters: Arc::clone(&counters) };
        (handle, WriterLoop { queue: jobs, counters })
    }

    /// Blocks until the batch that holds these writes has committed; they share one transaction. One answer per write.
    /// [`StoreError::Busy`] when the queue is full or the tracker stops.
    pub fn write(&self, writes: Vec<Write>, durability: Durability) -> Result<Vec<Written>, StoreError> {
        let (answer, answered) = bounded(1);
        self.enqueue(Job { writes, durability, answer })?;
        about_to_block();
        answered
            .recv_timeout(WAIT_MAX)
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the commit did not end in time".to_owned())))
    }

    /// What the writer has done.
    pub fn counters(&self) -> &WriterCounters {
        &self.counters
    }

    /// How many requests wait.
    pub fn queued(&self) -> usize {
        self.queue.waiting().unwrap_or(0)
    }

    /// Takes no more writes; the thread commits what is queued and ends.
    pub fn close(&self) {
        self.queue.close();
    }

    fn enqueue(&self, job: Job) -> Result<(), StoreError> {
        self.queue.put(job).map_err(|(_, why)| {
            if why == NotTaken::Full {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
            }
            why.error("too many writes are waiting")
        })
    }
}

impl WriterLoop {
    /// Commits batches until [`Writer::close`], and then what is queued.
    pub fn run(self, mut transaction: impl Commit) {
        let mut left_over = None;
        while let Some(first) = left_over.take().or_else(|| self.queue.recv().ok()) {
            let mut jobs = vec![first];
            left_over = self.fill(&mut jobs);
            commit(&mut transaction, jobs, &self.counters);
        }
    }

    /// Adds what is queued while it fits; returns the job that did not.
    fn fill(&self, jobs: &mut Vec<Job>) -> Option<Job> {
        let mut writes = jobs[0].writes.len();
        while let Ok(job) = self.queue.try_recv() {
            writes += job.writes.len();
            if writes > WRITES_PER_BATCH_MAX {
                return Some(job);
            }
            jobs.push(job);
        }
        None
    }
}

fn commit(transaction: &mut impl Commit, mut jobs: Vec<Job>, counters: &WriterCounters) {
    let sizes: Vec<usize> = jobs.iter().map(|job| job.writes.len()).collect();
    let batch: Vec<Write> = jobs.iter_mut().flat_map(|job| std::mem::take(&mut job.writes)).collect();
    let durability = strongest(&jobs);
    // The transaction was rolled back; the thread goes on, because nobody else commits.
    let done = catch_unwind(AssertUnwindSafe(|| transaction(&batch, durability)));
    match done.unwrap_or_else(|_| Err(StoreError::Failed("the transaction panicked".into()))) {
        Ok(written) => {
            counters.batches.fetch_add(1, Ordering::Relaxed);
            counters.writes.fetch_add(batch.len() as u64, Ordering::Relaxed);
            answer_each(jobs, &sizes, written);
        }
        Err(StoreError::Failed(what)) if jobs.len() > 1 => {
            log::warn("writer", "a batch failed; its requests are tried one by one", &[("why", &what)]);
            commit_singly(transaction, jobs, &sizes, batch, counters);
        }
        Err(error) => refuse_all(jobs, &error),
    }
}

/// One bad write must not fail its neighbours.
fn commit_singly(
    transaction: &mut impl Commit,
    jobs: Vec<Job>,
    sizes: &[usize],
    mut batch: Vec<Write>,
    counters: &WriterCounters,
) {
    for (mut job, size) in jobs.into_iter().zip(sizes) {
        let rest = batch.split_off((*size).min(batch.len()));
        job.writes = std::mem::replace(&mut batch, rest);
        commit(transaction, vec![job], counters);
    }
}

fn strongest(jobs: &[Job]) -> Durability {
    let any_synced = jobs.iter().any(|job| job.durability == Durability::Synced);
    if any_synced { Durability::Synced } else { Durability::Relaxed }
}

fn answer_each(jobs: Vec<Job>, sizes: &[usize], mut written: Vec<Written>) {
    for (job, size) in jobs.into_iter().zip(sizes) {
        let rest = written.split_off((*size).min(written.len()));
        // A request that stopped waiting has gone away; its write is durable all the same.
        let _gone = job.answer.try_send(Ok(std::mem::replace(&mut written, rest)));
    }
}

fn refuse_all(jobs: Vec<Job>, error: &StoreError) {
    for job in jobs {
        let _gone = job.answer.try_send(Err(error.clone()));
    }
}

#[cfg(test)]
mod tests;
