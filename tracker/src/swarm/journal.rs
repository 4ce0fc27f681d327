//! Group commit of news, without a thread: whoever comes first commits for everyone who has come meanwhile.
//!
//! A lone request commits at once and hands nothing to anybody; under load one commit serves all that wait. Nothing is
//! acknowledged before its commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use peernet_engine::time::UnixMillis;

use super::news::News;
use crate::api::ApiError;
use crate::log;
use crate::store::swarm_log::SwarmLog;

/// How many bytes wait for a commit at most: twice what the door admits in bodies at once. More is answered 503.
const PENDING_BYTES_MAX: usize = 64 << 20;

/// The log's writers.
pub struct Journal {
    log: SwarmLog,
    pending: Mutex<Batch>,
    committing: Mutex<()>,
    counters: JournalCounters,
}

/// What was committed since the start.
#[derive(Debug, Default)]
pub struct JournalCounters {
    /// Commits.
    pub batches: AtomicU64,
    /// News in them.
    pub news: AtomicU64,
}

/// What will be committed next, and where those who wait learn how it went.
#[derive(Default)]
struct Batch {
    body: Vec<u8>,
    news: u64,
    expires_at: UnixMillis,
    outcome: Arc<OnceLock<Result<(), ApiError>>>,
}

impl Journal {
    /// Writes to this log.
    pub fn new(log: SwarmLog) -> Self {
        Self { log, pending: Mutex::default(), committing: Mutex::default(), counters: JournalCounters::default() }
    }

    /// Returns when all of `news` has committed, together or not at all. 503 `busy` where too much waits, 503
    /// `store_unavailable` where the disk takes nothing.
    pub fn write(&self, news: &[News]) -> Result<(), ApiError> {
        let outcome = self.join(news)?;
        let _turn = lock(&self.committing);
        if let Some(result) = outcome.get() {
            return result.clone();
        }
        let batch = std::mem::take(&mut *lock(&self.pending));
        let result = self.log.append(batch.expires_at, &batch.body).map_err(ApiError::from);
        self.counters.batches.fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
        self.counters.news.fetch_add(if result.is_ok() { batch.news } else { 0 }, Ordering::Relaxed);
        let _first = batch.outcome.set(result.clone());
        // Who panicked while committing took others' news along: they must not hear that theirs are safe.
        if Arc::ptr_eq(&batch.outcome, &outcome) { result } else { Err(lost()) }
    }

    /// What was committed.
    pub fn counters(&self) -> &JournalCounters {
        &self.counters
    }

    /// The log itself, for restoring, telling others and deleting.
    pub fn log(&self) -> &SwarmLog {
        &self.log
    }

    fn join(&self, news: &[News]) -> Result<Arc<OnceLock<Result<(), ApiError>>>, ApiError> {
        let mut pending = lock(&self.pending);
        if pending.body.len() > PENDING_BYTES_MAX {
            return Err(ApiError::busy("too many announces are waiting"));
        }
        for one in news {
            one.encode(&mut pending.body);
            pending.expires_at = pending.expires_at.max(one.expires_at());
        }
        pending.news += news.len() as u64;
        Ok(Arc::clone(&pending.outcome))
    }
}

fn lost() -> ApiError {
    log::error("swarm", "a commit of the log panicked", &[]);
    ApiError::internal()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let journal = Journal::new(SwarmLog::open(&path).expect("opens"));
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
    }

    #[test]
    fn what_the_disk_does_not_take_is_not_acknowledged_and_the_next_write_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let journal = Journal::new(SwarmLog::open(&path).expect("opens"));
        let other = rusqlite::Connection::open(&path).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("locks");
        assert_eq!(journal.write(&[left(1)]).expect_err("is locked").status, 503);
        other.execute_batch("ROLLBACK").expect("unlocks");
        journal.write(&[left(2)]).expect("commits");
        assert_eq!(kept(journal.log()), [left(2)]);
    }
}
