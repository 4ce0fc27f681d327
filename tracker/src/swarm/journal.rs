//! Group commit of news, without a thread: whoever comes first commits for everyone who has come meanwhile.
//!
//! A lone request commits at once and hands nothing to anybody; under load one commit serves all that wait. Nothing is
//! acknowledged before its commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use peernet_engine::time::UnixMillis;

use super::lock;
use super::news::News;
use crate::api::ApiError;
use crate::store::StoreError;
use crate::store::swarm_log::SwarmLog;

/// How many bytes wait for a commit at most: twice what the door admits in bodies at once. More is answered 503.
const PENDING_BYTES_MAX: usize = 64 << 20;

/// The log's writers.
pub struct Journal {
    log: SwarmLog,
    state: Mutex<State>,
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

#[derive(Default)]
struct State {
    /// What will be committed next.
    pending: Batch,
    /// Whether somebody commits at the moment. Invariant: while nobody does, nothing is pending.
    committing: bool,
}

/// News that are committed together.
#[derive(Default)]
struct Batch {
    body: Vec<u8>,
    news: u64,
    expires_at: UnixMillis,
    waiting: Arc<Waiting>,
}

/// Where those who wait for a batch learn how it went, or that it is theirs to commit.
#[derive(Default)]
struct Waiting {
    told: Mutex<Option<Told>>,
    changed: Condvar,
}

enum Told {
    /// Whoever reads this first commits the batch.
    Commit,
    Done(Result<(), ApiError>),
}

impl Journal {
    /// Writes to this log.
    pub fn new(log: SwarmLog) -> Self {
        Self { log, state: Mutex::default(), counters: JournalCounters::default() }
    }

    /// Returns when all of `news` has committed, together or not at all. 503 `busy` where too much waits, 503
    /// `store_unavailable` where the disk takes nothing.
    pub fn write(&self, news: &[News]) -> Result<(), ApiError> {
        let (waiting, is_first) = self.join(news)?;
        if !is_first && let Some(result) = waiting.wait() {
            return result;
        }
        let batch = std::mem::take(&mut lock(&self.state).pending);
        // Whatever happens in there, the next batch must find somebody.
        let result = catch_unwind(AssertUnwindSafe(|| self.log.append(batch.expires_at, &batch.body)));
        let result = result.unwrap_or_else(|_| Err(StoreError::Failed("the commit panicked".into())));
        let result = result.map_err(ApiError::from);
        self.count(&batch, result.is_ok());
        batch.waiting.tell(Told::Done(result.clone()));
        self.pass_on();
        result
    }

    /// What was committed.
    pub fn counters(&self) -> &JournalCounters {
        &self.counters
    }

    /// The log itself, for restoring, telling others and deleting.
    pub fn log(&self) -> &SwarmLog {
        &self.log
    }

    /// Puts news into the batch that is committed next; true for who must commit it because nobody else does anything.
    fn join(&self, news: &[News]) -> Result<(Arc<Waiting>, bool), ApiError> {
        let mut state = lock(&self.state);
        let pending = &mut state.pending;
        if pending.body.len() > PENDING_BYTES_MAX {
            return Err(ApiError::busy("too many announces are waiting"));
        }
        for one in news {
            one.encode(&mut pending.body);
            pending.expires_at = pending.expires_at.max(one.expires_at());
        }
        pending.news += news.len() as u64;
        let waiting = Arc::clone(&pending.waiting);
        Ok((waiting, !std::mem::replace(&mut state.committing, true)))
    }

    /// After a commit: whoever waits for the next batch commits it, if anybody does.
    fn pass_on(&self) {
        let mut state = lock(&self.state);
        state.committing = state.pending.news > 0;
        let next = state.committing.then(|| Arc::clone(&state.pending.waiting));
        drop(state);
        next.into_iter().for_each(|waiting| waiting.tell(Told::Commit));
    }

    fn count(&self, batch: &Batch, done: bool) {
        if done {
            self.counters.batches.fetch_add(1, Ordering::Relaxed);
            self.counters.news.fetch_add(batch.news, Ordering::Relaxed);
        }
    }
}

impl Waiting {
    fn tell(&self, told: Told) {
        let for_all = matches!(told, Told::Done(_));
        *lock(&self.told) = Some(told);
        if for_all { self.changed.notify_all() } else { self.changed.notify_one() }
    }

    /// How the batch went; `None` for who must commit it.
    fn wait(&self) -> Option<Result<(), ApiError>> {
        let mut told = lock(&self.told);
        loop {
            match &*told {
                Some(Told::Done(result)) => return Some(result.clone()),
                Some(Told::Commit) => {
                    *told = None;
                    return None;
                }
                None => told = self.changed.wait(told).unwrap_or_else(PoisonError::into_inner),
            }
        }
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
