//! Group commit of lease updates into the log file.
//!
//! A lone announce is committed on its request's thread. Under load one commit serves hundreds of announces. Handlers pass a continuation
//! instead of blocking a thread, because waking hundreds of threads would cost more than the commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use peernet_engine::time::UnixMillis;
use peernet_threads::Blocking;

use super::lease_update::LeaseUpdate;
use super::log_file::LogFile;
use crate::commit::group::{Bounds, CommitLoop, GroupCommit, GroupCounters, Transaction};
use crate::store::StoreError;

const BOUNDS: Bounds = Bounds {
    queue: "announces",
    full: "too many announces are waiting",
    jobs_queued_max: 8_192,
    // Twice the bytes that the HTTP server admits in request bodies at once.
    queued_weight_max: 64 << 20,
    group_weight_max: 4 << 20,
    // One thread at a time commits inline, and the kernel takes the bytes without a sync. So it hardly ever waits.
    inline: true,
    retry_singly: false,
};
/// The longest that a request waits for its commit. Past it the outcome is unknown, and every update is idempotent.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// Runs when updates have committed, or could not be committed. It runs on the thread that committed, so it must not wait.
pub type Then = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The write-ahead log of leases.
pub struct LeaseLog(GroupCommit<Appends>);

/// The part of the log that its thread runs.
pub(crate) type LeaseLogLoop = CommitLoop<Appends>;

/// Counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseLogCounters {
    /// Committed transactions.
    pub commits: u64,
    /// Updates in them.
    pub updates: u64,
}

/// The transaction: one append.
pub(crate) struct Appends {
    file: LogFile,
    updates: AtomicU64,
}

/// The encoded updates of one request.
pub(crate) struct Encoded {
    body: Vec<u8>,
    updates: u64,
}

impl Encoded {
    fn of(updates: &[LeaseUpdate]) -> Self {
        let mut body = Vec::new();
        updates.iter().for_each(|update| update.encode(&mut body));
        Self { body, updates: updates.len() as u64 }
    }
}

impl Transaction for Appends {
    type Item = Encoded;
    type Outcome = ();
    /// The time at which the last update of a request expires. A group is kept until that of its last request.
    type Demand = UnixMillis;

    fn weight(encoded: &Encoded) -> usize {
        encoded.body.len()
    }

    fn commit(&self, requests: &[Encoded], expires_at: UnixMillis) -> Result<Vec<()>, StoreError> {
        match requests {
            [lone] => self.file.append(expires_at, &lone.body)?,
            many => {
                let mut body = Vec::with_capacity(many.iter().map(|encoded| encoded.body.len()).sum());
                many.iter().for_each(|encoded| LeaseUpdate::join(&mut body, &encoded.body));
                self.file.append(expires_at, &body)?;
            }
        }
        self.updates.fetch_add(requests.iter().map(|encoded| encoded.updates).sum(), Ordering::Relaxed);
        Ok(vec![(); requests.len()])
    }
}

impl LeaseLog {
    /// Creates the log over a file, and the loop that its thread runs.
    pub(crate) fn new(file: LogFile) -> (Self, LeaseLogLoop) {
        let (group, commit_loop) = GroupCommit::new(Appends { file, updates: AtomicU64::new(0) }, BOUNDS);
        (Self(group), commit_loop)
    }

    /// Commits the updates, together or not at all, and returns after the commit.
    pub fn write(&self, blocking: &Blocking, updates: &[LeaseUpdate]) -> Result<(), StoreError> {
        self.0.commit(blocking, vec![Encoded::of(updates)], last_expiry(updates), WAIT_MAX).map(drop)
    }

    /// Commits the updates without waiting. `then` is called exactly once with the result.
    pub fn write_then(&self, updates: &[LeaseUpdate], then: Then) {
        let then = Box::new(move |result: Result<Vec<()>, StoreError>| then(result.map(drop)));
        self.0.submit(vec![Encoded::of(updates)], last_expiry(updates), then);
    }

    /// Returns the file, for restoring, replicating and deleting.
    pub fn file(&self) -> &LogFile {
        &self.0.transaction().file
    }

    /// Returns the counts since the start.
    pub fn counters(&self) -> LeaseLogCounters {
        let group: &GroupCounters = self.0.counters();
        LeaseLogCounters {
            commits: group.groups.load(Ordering::Relaxed),
            updates: self.0.transaction().updates.load(Ordering::Relaxed),
        }
    }

    /// Takes no more updates. The thread commits the queued ones and ends.
    pub fn close(&self) {
        self.0.close();
    }
}

fn last_expiry(updates: &[LeaseUpdate]) -> UnixMillis {
    updates.iter().map(LeaseUpdate::expires_at).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::PeerId;

    use super::*;

    fn left(n: u8) -> LeaseUpdate {
        LeaseUpdate::Left { peer: PeerId([n; 16]), files: None, at: UnixMillis(1_000) }
    }

    fn kept(file: &LogFile) -> Vec<LeaseUpdate> {
        let mut updates = Vec::new();
        file.replay(UnixMillis(0), &mut |body| updates.extend(LeaseUpdate::decode(&body).expect("ours")))
            .expect("reads");
        updates
    }

    #[test]
    fn concurrent_writes_share_commits_that_precede_their_replies() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let (log, commit_loop) = LeaseLog::new(LogFile::open(&path).expect("opens"));
        let thread = std::thread::spawn(|| commit_loop.run());
        let reader = LogFile::open(&path).expect("opens");
        std::thread::scope(|scope| {
            for n in 0..16 {
                let log = &log;
                let reader = &reader;
                scope.spawn(move || {
                    for round in 0..20 {
                        log.write(&Blocking::declare(), &[left(n), left(100 + round)]).expect("commits");
                    }
                    assert!(kept(reader).contains(&left(n)), "acknowledged, so it is there");
                });
            }
        });
        assert_eq!(kept(&reader).len(), 16 * 20 * 2);
        let counters = log.counters();
        assert_eq!(counters.updates, 16 * 20 * 2);
        assert_eq!(reader.len().expect("counts"), counters.commits);
        assert!(counters.commits <= 16 * 20);
        log.close();
        thread.join().expect("ends");
        assert_eq!(log.write(&Blocking::declare(), &[left(1)]), Err(StoreError::Busy("the tracker is stopping")));
    }

    #[test]
    fn a_refused_append_is_not_acknowledged_and_the_next_one_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let (log, commit_loop) = LeaseLog::new(LogFile::open(&path).expect("opens"));
        let thread = std::thread::spawn(|| commit_loop.run());
        let other = rusqlite::Connection::open(&path).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("locks");
        assert!(matches!(log.write(&Blocking::declare(), &[left(1)]), Err(StoreError::Unavailable(_))));
        other.execute_batch("ROLLBACK").expect("unlocks");
        log.write(&Blocking::declare(), &[left(2)]).expect("commits");
        assert_eq!(kept(log.file()), [left(2)]);
        log.write_then(&[left(3)], Box::new(|_| panic!("asked to")));
        log.write(&Blocking::declare(), &[left(4)]).expect("the log goes on after a panic in a continuation");
        log.close();
        thread.join().expect("ends");
    }

    #[test]
    fn a_group_is_kept_until_its_last_update_expires() {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, _commit_loop) = LeaseLog::new(LogFile::open(&folder.path().join("log")).expect("opens"));
        let later = LeaseUpdate::Left { peer: PeerId([2; 16]), files: None, at: UnixMillis(9_000) };
        log.write(&Blocking::declare(), &[left(1), later.clone()]).expect("commits");
        log.file().prune(left(1).expires_at()).expect("prunes");
        assert_eq!(kept(log.file()), [left(1), later.clone()]);
        log.file().prune(later.expires_at()).expect("prunes");
        assert_eq!(kept(log.file()), []);
    }

    #[test]
    fn no_updates_commit_as_an_empty_batch() {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, _commit_loop) = LeaseLog::new(LogFile::open(&folder.path().join("log")).expect("opens"));
        assert_eq!(log.write(&Blocking::declare(), &[]), Ok(()));
        assert_eq!(kept(log.file()), []);
    }
}
