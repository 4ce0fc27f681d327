//! Group commit of news: one thread commits what has come meanwhile in one transaction, and then has each told.
//!
//! Who comes alone commits his own at once, which saves him the way to that thread and back. Nobody waits with a thread of his
//! own who leaves word what is to be done then: under load one commit serves hundreds, and waking as many threads would cost
//! more than all the rest. Nothing is acknowledged before its commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, bounded};
use peernet_engine::time::UnixMillis;
use peernet_threads::about_to_block;

use super::news::News;
use crate::base::sync::{NotTaken, Queue, lock};
use crate::ops::log;
use crate::store::StoreError;
use crate::store::swarm_log::SwarmLog;

/// How many requests wait for a commit at most; more are answered 503.
const JOBS_QUEUED_MAX: usize = 8_192;
/// How many bytes of news wait at most: twice what the door admits in bodies at once.
const QUEUED_BYTES_MAX: usize = 64 << 20;
/// How many bytes go into one commit, and a last one more.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// What is done when news have committed, or could not be. Many wait for the thread it runs on, so it waits for nothing.
pub type Then = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The log's writers.
pub struct Journal {
    core: Arc<Core>,
    queue: Queue<Job>,
}

/// What both ends share.
struct Core {
    log: SwarmLog,
    counters: JournalCounters,
    /// Held by who commits.
    turn: Mutex<()>,
}

/// What was committed since the start.
#[derive(Debug, Default)]
pub struct JournalCounters {
    /// Commits.
    pub batches: AtomicU64,
    /// News in them.
    pub news: AtomicU64,
    /// Bytes that wait now.
    queued_bytes: AtomicUsize,
}

/// What the journal's thread runs.
pub struct JournalLoop {
    core: Arc<Core>,
    queue: Receiver<Job>,
}

/// News that commit together or not at all.
struct Job {
    body: Vec<u8>,
    news: u64,
    expires_at: UnixMillis,
    then: Then,
}

impl Journal {
    /// A handle on this log, and what its thread runs.
    pub fn new(log: SwarmLog) -> (Self, JournalLoop) {
        let (queue, jobs) = Queue::new(JOBS_QUEUED_MAX);
        let core = Arc::new(Core { log, counters: JournalCounters::default(), turn: Mutex::new(()) });
        let journal_loop = JournalLoop { core: Arc::clone(&core), queue: jobs };
        (Self { core, queue }, journal_loop)
    }

    /// Returns when all of `news` has committed, together or not at all. [`StoreError::Busy`] where too much waits,
    /// [`StoreError::Unavailable`] where the disk takes nothing.
    pub fn write(&self, news: &[News]) -> Result<(), StoreError> {
        let (answer, answered) = bounded(1);
        self.write_then(news, Box::new(move |result| drop(answer.send(result))));
        // Committed here, or refused: then nobody need stand in.
        if let Ok(result) = answered.try_recv() {
            return result;
        }
        about_to_block();
        answered.recv().unwrap_or_else(|_| Err(StoreError::Unavailable("the commit did not end".to_owned())))
    }

    /// The same for who does not wait: `then` is called with how it went, in any case and once, and here where too much waits.
    pub fn write_then(&self, news: &[News], then: Then) {
        let mut job = Job { body: Vec::new(), news: news.len() as u64, expires_at: UnixMillis(0), then };
        for one in news {
            one.encode(&mut job.body);
            job.expires_at = job.expires_at.max(one.expires_at());
        }
        // One such thread at a time commits itself, and the kernel takes what it writes without a sync: it need not say so.
        if self.queue.waiting() == Some(0)
            && let Ok(turn) = self.core.turn.try_lock()
        {
            let result = self.core.append(job.expires_at, &job.body, job.news);
            drop(turn);
            return tell(job.then, result);
        }
        let bytes = job.body.len();
        let queued_bytes = &self.core.counters.queued_bytes;
        let put = if queued_bytes.fetch_add(bytes, Ordering::Relaxed) > QUEUED_BYTES_MAX {
            Err((job, NotTaken::Full))
        } else {
            self.queue.put(job)
        };
        if let Err((job, why)) = put {
            queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            tell(job.then, Err(why.error("too many announces are waiting")));
        }
    }

    /// What was committed.
    pub fn counters(&self) -> &JournalCounters {
        &self.core.counters
    }

    /// The log itself, for restoring, telling others and deleting.
    pub fn log(&self) -> &SwarmLog {
        &self.core.log
    }

    /// Takes no more; the thread commits what is queued and ends.
    pub fn close(&self) {
        self.queue.close();
    }
}

impl Core {
    /// One commit. Who calls has the turn.
    fn append(&self, expires_at: UnixMillis, body: &[u8], news: u64) -> Result<(), StoreError> {
        let result = catch_unwind(AssertUnwindSafe(|| self.log.append(expires_at, body)));
        let result = result.unwrap_or_else(|_| Err(StoreError::Failed("the commit panicked".into())));
        if result.is_ok() {
            self.counters.batches.fetch_add(1, Ordering::Relaxed);
            self.counters.news.fetch_add(news, Ordering::Relaxed);
        }
        result
    }
}

impl JournalLoop {
    /// Commits until [`Journal::close`], and then what is queued.
    pub fn run(self) {
        while let Ok(first) = self.queue.recv() {
            self.commit(first);
        }
    }

    /// Commits a job and those that have come meanwhile.
    fn commit(&self, first: Job) {
        // What comes while another commits is in this commit too.
        let turn = lock(&self.core.turn);
        let Job { mut body, mut news, mut expires_at, then } = first;
        let mut bytes = body.len();
        let mut thens = vec![then];
        while body.len() < BATCH_BYTES_MAX
            && let Ok(job) = self.queue.try_recv()
        {
            News::join(&mut body, &job.body);
            bytes += job.body.len();
            news += job.news;
            expires_at = expires_at.max(job.expires_at);
            thens.push(job.then);
        }
        let result = self.core.append(expires_at, &body, news);
        drop(turn);
        self.core.counters.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        for then in thens {
            tell(then, result.clone());
        }
    }
}

/// Whatever happens in there, who commits goes on: others wait for him.
fn tell(then: Then, result: Result<(), StoreError>) {
    if catch_unwind(AssertUnwindSafe(|| then(result))).is_err() {
        log::error("journal", "what follows a commit panicked", &[]);
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::PeerId;

    use super::*;

    fn left(n: u8) -> News {
        News::Left { peer: PeerId([n; 16]), files: None, at: UnixMillis(1_000) }
    }

    fn kept(log: &SwarmLog) -> Vec<News> {
        let mut news = Vec::new();
        log.replay(UnixMillis(0), &mut |body| news.extend(News::decode(&body).expect("ours"))).expect("reads");
        news
    }

    #[test]
    fn what_many_write_at_once_is_all_there_in_fewer_commits_and_each_waits_for_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let (journal, journal_loop) = Journal::new(SwarmLog::open(&path).expect("opens"));
        let thread = std::thread::spawn(|| journal_loop.run());
        let reader = SwarmLog::open(&path).expect("opens");
        std::thread::scope(|scope| {
            for n in 0..16 {
                let (journal, reader) = (&journal, &reader);
                scope.spawn(move || {
                    for round in 0..20 {
                        journal.write(&[left(n), left(100 + round)]).expect("commits");
                    }
                    assert!(kept(reader).contains(&left(n)), "acknowledged, so it is there");
                });
            }
        });
        assert_eq!(kept(&reader).len(), 16 * 20 * 2);
        let batches = journal.counters().batches.load(Ordering::Relaxed);
        assert_eq!(journal.counters().news.load(Ordering::Relaxed), 16 * 20 * 2);
        assert_eq!(reader.len().expect("counts"), batches);
        assert!(batches <= 16 * 20);
        assert_eq!(journal.counters().queued_bytes.load(Ordering::Relaxed), 0);
        journal.close();
        thread.join().expect("ends");
        assert_eq!(journal.write(&[left(1)]).expect_err("is closed"), StoreError::Busy("the tracker is stopping"));
    }

    #[test]
    fn what_the_disk_does_not_take_is_not_acknowledged_and_the_next_write_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let (journal, journal_loop) = Journal::new(SwarmLog::open(&path).expect("opens"));
        let thread = std::thread::spawn(|| journal_loop.run());
        let other = rusqlite::Connection::open(&path).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("locks");
        assert!(matches!(journal.write(&[left(1)]), Err(StoreError::Unavailable(_))));
        other.execute_batch("ROLLBACK").expect("unlocks");
        journal.write(&[left(2)]).expect("commits");
        assert_eq!(kept(journal.log()), [left(2)]);
        journal.write_then(&[left(3)], Box::new(|_| panic!("asked to")));
        journal.write(&[left(4)]).expect("the thread goes on");
        journal.close();
        thread.join().expect("ends");
    }
}
