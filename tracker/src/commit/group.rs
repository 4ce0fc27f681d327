//! The group commit engine: one queue, one thread, one transaction for all jobs that wait.
//!
//! 1. A caller submits a job: some items, and a continuation that receives the result.
//! 2. Where the instance allows it, a lone job is committed on the caller's thread, which saves the hand-off to the commit thread.
//! 3. Otherwise the job is queued. A full queue is an answer, at once: [`StoreError::Busy`].
//! 4. The commit thread takes the first job and adds queued jobs up to the bound of a group. The job that no longer fits opens the next
//!    group.
//! 5. The group is one transaction. A panic inside it counts as a failed transaction; the thread goes on.
//! 6. The outcomes are split by job, and each job's continuation is called exactly once.
//!
//! Jobs are committed in the order in which they were queued, and no lone job overtakes a queued one. Continuations run on the thread
//! that committed, because waking one thread for each of hundreds of requests would cost more than the commit. So they must not wait.

mod queue;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use peernet_threads::Blocking;

use crate::base::sync::lock;
use crate::ops::log;
use crate::store::StoreError;
use queue::{NotQueued, Queue};

/// One kind of transaction.
pub(crate) trait Transaction: Send + Sync + 'static {
    /// One change. The items of a job commit together or not at all.
    type Item: Send + 'static;
    /// The result of one item.
    type Outcome: Send + 'static;
    /// A property that a job asks of its commit. The greatest of a group applies to the whole group.
    type Demand: Copy + Ord + Send + 'static;

    /// The share that an item takes of [`Bounds::group_weight_max`] and [`Bounds::queued_weight_max`].
    fn weight(item: &Self::Item) -> usize;

    /// Commits all items in order as one transaction, or none. Returns one outcome per item.
    fn commit(&self, items: &[Self::Item], demand: Self::Demand) -> Result<Vec<Self::Outcome>, StoreError>;
}

/// The bounds and choices of an instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// A plural noun for the queued requests, for the log.
    pub(crate) queue: &'static str,
    /// The text of [`StoreError::Busy`] when the queue is full.
    pub(crate) full: &'static str,
    /// The most jobs that wait.
    pub(crate) jobs_queued_max: usize,
    /// The most weight that waits; the job that crosses the bound is still taken.
    pub(crate) queued_weight_max: usize,
    /// The most weight of one group. A heavier job is a group of its own.
    pub(crate) group_weight_max: usize,
    /// Whether a lone job is committed on the caller's thread.
    pub(crate) inline: bool,
    /// Whether the jobs of a failed group are tried one by one, so that one bad job does not fail its neighbours.
    pub(crate) retry_singly: bool,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct GroupCounters {
    /// Committed transactions.
    pub groups: AtomicU64,
    /// Items in them.
    pub items: AtomicU64,
    /// Transactions that failed.
    pub failed: AtomicU64,
    /// Requests that were refused because the queue was full.
    pub refused: AtomicU64,
}

/// The result of a job: one outcome per item.
pub(crate) type JobResult<T> = Result<Vec<<T as Transaction>::Outcome>, StoreError>;

/// The continuation of a job. It runs on the thread that committed, so it must not wait.
pub(crate) type Then<T> = Box<dyn FnOnce(JobResult<T>) + Send>;

/// The callers' end.
pub(crate) struct GroupCommit<T: Transaction> {
    core: Arc<Core<T>>,
    queue: Queue<Job<T>>,
}

/// The commit thread's end.
pub(crate) struct CommitLoop<T: Transaction> {
    core: Arc<Core<T>>,
    jobs: Receiver<Job<T>>,
}

/// The state that both ends share.
struct Core<T: Transaction> {
    transaction: T,
    bounds: Bounds,
    counters: GroupCounters,
    /// Held by the thread that commits.
    turn: Mutex<()>,
    /// Jobs that were queued and are not committed yet, those of the current group included.
    jobs_pending: AtomicUsize,
    /// Their weight.
    weight_pending: AtomicUsize,
}

struct Job<T: Transaction> {
    items: Vec<T::Item>,
    demand: T::Demand,
    weight: usize,
    reply: Reply<T>,
}

/// A continuation that is called exactly once, also where its job is dropped.
struct Reply<T: Transaction>(Option<Then<T>>);

struct Finished<T: Transaction> {
    reply: Reply<T>,
    result: JobResult<T>,
}

impl<T: Transaction> GroupCommit<T> {
    /// Creates both ends.
    pub(crate) fn new(transaction: T, bounds: Bounds) -> (Self, CommitLoop<T>) {
        let (queue, jobs) = Queue::new(bounds.jobs_queued_max);
        let core = Arc::new(Core {
            transaction,
            bounds,
            counters: GroupCounters::default(),
            turn: Mutex::new(()),
            jobs_pending: AtomicUsize::new(0),
            weight_pending: AtomicUsize::new(0),
        });
        (Self { core: Arc::clone(&core), queue }, CommitLoop { core, jobs })
    }

    /// Returns the transaction, for what can be read from it.
    pub(crate) fn transaction(&self) -> &T {
        &self.core.transaction
    }

    /// Returns the counts since the start.
    pub(crate) fn counters(&self) -> &GroupCounters {
        &self.core.counters
    }

    /// Returns the number of jobs that wait or are being committed.
    pub(crate) fn pending(&self) -> usize {
        self.core.jobs_pending.load(Ordering::Relaxed)
    }

    /// Commits the items and returns their outcomes. Waits at most `wait_max`; past it the outcome is unknown.
    pub(crate) fn commit(
        &self,
        _: &Blocking,
        items: Vec<T::Item>,
        demand: T::Demand,
        wait_max: Duration,
    ) -> JobResult<T> {
        let answered = self.queue(items, demand);
        let late = || StoreError::Unavailable("the commit did not end in time".to_owned());
        answered.recv_timeout(wait_max).unwrap_or_else(|_| Err(late()))
    }

    /// Submits the items. The returned channel receives the result.
    pub(crate) fn queue(&self, items: Vec<T::Item>, demand: T::Demand) -> Receiver<JobResult<T>> {
        let (answer, answered) = bounded(1);
        // A caller that no longer waits has dropped its end; the change is durable all the same.
        self.submit(items, demand, Box::new(move |result| drop(answer.try_send(result))));
        answered
    }

    /// Submits the items. `then` is called exactly once: here where the job is committed inline or refused, else on the commit thread.
    pub(crate) fn submit(&self, items: Vec<T::Item>, demand: T::Demand, then: Then<T>) {
        let weight = items.iter().map(T::weight).sum();
        let job = Job { items, demand, weight, reply: Reply(Some(then)) };
        match self.lone_turn() {
            Some(turn) => self.core.commit_lone(turn, job),
            None => self.enqueue(job),
        }
    }

    /// Takes no more jobs. The commit thread commits the queued ones and ends.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    /// Returns the turn if this job may be committed here: nothing waits before it, and nothing is being committed.
    fn lone_turn(&self) -> Option<MutexGuard<'_, ()>> {
        let may = self.core.bounds.inline && self.pending() == 0 && !self.queue.is_closed();
        if !may {
            return None;
        }
        match self.core.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn enqueue(&self, job: Job<T>) {
        let weight = job.weight;
        let waiting = self.core.weight_pending.fetch_add(weight, Ordering::Relaxed);
        self.core.jobs_pending.fetch_add(1, Ordering::Relaxed);
        let put = if waiting > self.core.bounds.queued_weight_max {
            Err((job, NotQueued::Full))
        } else {
            self.queue.put(job)
        };
        if let Err((job, why)) = put {
            self.core.release(1, weight);
            job.reply.send(Err(self.core.refusal(why)));
        }
    }
}

impl<T: Transaction> Core<T> {
    fn refusal(&self, why: NotQueued) -> StoreError {
        match why {
            NotQueued::Full => {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                StoreError::Busy(self.bounds.full)
            }
            NotQueued::Closed => StoreError::Busy("the tracker is stopping"),
            NotQueued::Disconnected => thread_ended(),
        }
    }

    fn release(&self, jobs: usize, weight: usize) {
        self.weight_pending.fetch_sub(weight, Ordering::Relaxed);
        self.jobs_pending.fetch_sub(jobs, Ordering::Relaxed);
    }

    /// Commits a job that no other job waits beside, and calls its continuation after the turn has been passed on.
    fn commit_lone(&self, turn: MutexGuard<'_, ()>, job: Job<T>) {
        let result = self.transact(&job.items, job.demand);
        drop(turn);
        job.reply.send(result);
    }

    /// Commits a group. Returns the result of each job, to be sent to its continuation.
    fn finish(&self, mut jobs: Vec<Job<T>>) -> Vec<Finished<T>> {
        let sizes: Vec<usize> = jobs.iter().map(|job| job.items.len()).collect();
        let items: Vec<T::Item> = jobs.iter_mut().flat_map(|job| std::mem::take(&mut job.items)).collect();
        let Some(demand) = jobs.iter().map(|job| job.demand).max() else { return Vec::new() };
        let results: Vec<JobResult<T>> = match self.transact(&items, demand) {
            Ok(outcomes) => split(outcomes, &sizes).into_iter().map(Ok).collect(),
            Err(StoreError::Failed(why)) if self.bounds.retry_singly && jobs.len() > 1 => {
                let message = "a group failed; its requests are tried one by one";
                log::warn("commit", message, &[("queue", &self.bounds.queue), ("why", &why)]);
                self.one_by_one(&jobs, split(items, &sizes))
            }
            Err(error) => jobs.iter().map(|_| Err(error.clone())).collect(),
        };
        jobs.into_iter().zip(results).map(|(job, result)| Finished { reply: job.reply, result }).collect()
    }

    fn one_by_one(&self, jobs: &[Job<T>], items: Vec<Vec<T::Item>>) -> Vec<JobResult<T>> {
        jobs.iter().zip(items).map(|(job, items)| self.transact(&items, job.demand)).collect()
    }

    /// One transaction. A panic has rolled it back, and the thread that commits goes on.
    fn transact(&self, items: &[T::Item], demand: T::Demand) -> Result<Vec<T::Outcome>, StoreError> {
        let done = catch_unwind(AssertUnwindSafe(|| self.transaction.commit(items, demand)));
        let done = done.unwrap_or_else(|_| Err(StoreError::Failed("the transaction panicked".into())));
        match &done {
            Ok(_) => {
                self.counters.groups.fetch_add(1, Ordering::Relaxed);
                self.counters.items.fetch_add(items.len() as u64, Ordering::Relaxed);
            }
            Err(_) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        done
    }
}

impl<T: Transaction> CommitLoop<T> {
    /// Commits groups until [`GroupCommit::close`], and then the queued jobs.
    pub(crate) fn run(self) {
        let mut left_over = None;
        while let Some(first) = left_over.take().or_else(|| self.jobs.recv().ok()) {
            left_over = self.commit_with(first);
        }
    }

    /// Like [`CommitLoop::run`], and calls `chore` between groups each time that `every` has passed.
    pub(crate) fn run_with_chore(self, every: Duration, mut chore: impl FnMut(&Self)) {
        let mut left_over = None;
        let mut due = Instant::now() + every;
        loop {
            let next = left_over.take().map_or_else(|| self.jobs.recv_deadline(due), Ok);
            match next {
                Ok(first) => left_over = self.commit_with(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= due {
                chore(&self);
                due = Instant::now() + every;
            }
        }
    }

    /// Commits items of the commit thread itself as a group of their own. For chores.
    pub(crate) fn commit_here(&self, items: &[T::Item], demand: T::Demand) -> JobResult<T> {
        let _turn = lock(&self.core.turn);
        self.core.transact(items, demand)
    }

    /// Returns the transaction.
    pub(crate) fn transaction(&self) -> &T {
        &self.core.transaction
    }

    /// Commits `first` and the queued jobs that fit beside it. Returns the job that did not fit.
    fn commit_with(&self, first: Job<T>) -> Option<Job<T>> {
        // Jobs that are queued while a lone job commits elsewhere join this group too.
        let turn = lock(&self.core.turn);
        let mut weight = first.weight;
        let mut jobs = vec![first];
        let mut left_over = None;
        while let Ok(job) = self.jobs.try_recv() {
            if weight + job.weight > self.core.bounds.group_weight_max {
                left_over = Some(job);
                break;
            }
            weight += job.weight;
            jobs.push(job);
        }
        let count = jobs.len();
        let finished = self.core.finish(jobs);
        self.core.release(count, weight);
        drop(turn);
        finished.into_iter().for_each(|job| job.reply.send(job.result));
        left_over
    }
}

impl<T: Transaction> Drop for CommitLoop<T> {
    /// Answers the jobs that a dying thread leaves in the queue. After a regular end the queue is empty.
    fn drop(&mut self) {
        // Dropping a job calls its continuation.
        self.jobs.try_iter().for_each(drop);
    }
}

impl<T: Transaction> Reply<T> {
    fn send(mut self, result: JobResult<T>) {
        self.call(result);
    }

    fn call(&mut self, result: JobResult<T>) {
        let Some(then) = self.0.take() else { return };
        // The thread that commits must survive a defect in a continuation: other requests wait for it.
        if catch_unwind(AssertUnwindSafe(|| then(result))).is_err() {
            log::error("commit", "a continuation after a commit panicked", &[]);
        }
    }
}

impl<T: Transaction> Drop for Reply<T> {
    fn drop(&mut self) {
        self.call(Err(thread_ended()));
    }
}

/// The error of a job whose commit thread has ended.
fn thread_ended() -> StoreError {
    StoreError::Unavailable("the commit thread has ended".to_owned())
}

/// Splits one list into lists of these lengths.
fn split<V>(all: Vec<V>, sizes: &[usize]) -> Vec<Vec<V>> {
    let mut rest = all.into_iter();
    sizes.iter().map(|size| rest.by_ref().take(*size).collect()).collect()
}

#[cfg(test)]
mod tests;
