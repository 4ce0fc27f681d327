//! The thread "replication": publishes this tracker's lease updates to the other trackers of one database, and applies theirs.
//!
//! Updates are published out of the log file. So they are published later when the database was away, and a restart forgets none. Updates
//! of other trackers enter the index as if they had been announced here. They need no log here: their own tracker has logged them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use peernet_engine::time::UnixMillis;
use peernet_threads::Blocking;

use super::apply::Applier;
use super::lease_log::LeaseLog;
use super::lease_update::LeaseUpdate;
use crate::commit::Writer;
use crate::domain::keys::Keys;
use crate::domain::swarm::Swarm;
use crate::ops::log;
use crate::store::replication::{Batch, Replication, TrackerId, TrackerRow};
use crate::store::{Durability, Store, StoreError, V1Listing, Write};

/// The interval of rounds. An announce reaches the other trackers after at most two rounds and two commits.
const ROUND_EVERY: Duration = Duration::from_millis(200);
/// The interval of rounds while the database is away.
const ROUND_EVERY_AWAY: Duration = Duration::from_secs(1);
/// The interval at which a tracker reports that it runs, and reads which other trackers do.
const REPORT_EVERY: Duration = Duration::from_secs(2);
/// A tracker that was not seen for this long has published nothing new.
const SILENT_AFTER: Duration = Duration::from_secs(30);
/// The time for which an ended tracker is remembered: its tokens and incomplete version 1 announces may live that long.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// The interval at which expired batches are deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// The most bytes of one published batch.
const PUSH_BYTES_MAX: usize = 1 << 20;
/// The most batches that are published before the next read.
const PUSHES_PER_ROUND: usize = 16;
/// The most batches of one read.
const PULL_MAX: usize = 64;

/// The state that the thread replicates.
#[derive(Clone, Copy)]
pub(crate) struct Replicas<'a> {
    pub(crate) swarm: &'a Swarm,
    pub(crate) store: &'a dyn Store,
    pub(crate) lease_log: &'a LeaseLog,
    pub(crate) writer: &'a Writer,
    pub(crate) keys: &'a Keys,
    pub(crate) clock: fn() -> UnixMillis,
}

/// Runs a first round, sends its result to `started`, and runs until `stop` is disconnected.
pub(crate) fn run(
    replicas: Replicas<'_>,
    tables: &dyn Replication,
    started: &Sender<Result<(), StoreError>>,
    stop: &Receiver<()>,
) {
    let first = Replicator::new(replicas, tables).and_then(|mut replicator| replicator.round().map(|()| replicator));
    match first {
        Ok(replicator) => {
            let _received = started.send(Ok(()));
            replicator.run(stop);
        }
        Err(error) => {
            let _received = started.send(Err(error));
        }
    }
}

/// The thread's state.
struct Replicator<'a> {
    replicas: Replicas<'a>,
    tables: &'a dyn Replication,
    applier: Applier<'a>,
    this: TrackerId,
    others: Vec<TrackerRow>,
    /// The last applied batch of each other tracker.
    applied: HashMap<TrackerId, i64>,
    reported_at: Option<Instant>,
    pruned_at: Instant,
}

impl<'a> Replicator<'a> {
    fn new(replicas: Replicas<'a>, tables: &'a dyn Replication) -> Result<Self, StoreError> {
        let mut fresh = [0; 16];
        getrandom::fill(&mut fresh).map_err(|_| StoreError::Failed("the system gives no randomness".into()))?;
        Ok(Self {
            replicas,
            tables,
            applier: Applier::new(replicas.swarm, replicas.store),
            this: replicas.lease_log.file().identity(TrackerId(fresh))?,
            others: Vec::new(),
            applied: HashMap::new(),
            reported_at: None,
            pruned_at: Instant::now(),
        })
    }

    /// Runs until `stop` is disconnected, and publishes the rest.
    fn run(mut self, stop: &Receiver<()>) {
        let mut away = false;
        loop {
            let wait = if away { ROUND_EVERY_AWAY } else { ROUND_EVERY };
            let goes_on = stop.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
            let done = self.round();
            if let Err(error) = &done
                && !away
            {
                log::warn("replication", "the other trackers get no updates for now", &[("why", error)]);
            }
            if away && done.is_ok() {
                log::info("replication", "the other trackers get updates again", &[]);
            }
            away = done.is_err();
            if !goes_on {
                return;
            }
        }
    }

    /// One round: report, publish, apply, delete.
    fn round(&mut self) -> Result<(), StoreError> {
        if self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            self.report()?;
        }
        self.publish()?;
        self.apply()?;
        if self.pruned_at.elapsed() >= PRUNE_EVERY {
            self.pruned_at = Instant::now();
            self.tables.prune_batches((self.replicas.clock)())?;
        }
        Ok(())
    }

    /// Reports that this tracker runs, reads which other trackers do, and trusts their keys.
    fn report(&mut self) -> Result<(), StoreError> {
        let now = (self.replicas.clock)();
        let keys = self.replicas.keys;
        let seen_after = now.minus(REMEMBERED.max(keys.lifetime()));
        let row = TrackerRow { id: self.this, public_key: keys.public(), seen_at: now };
        let trackers = self.tables.report_running(&row, seen_after)?;
        self.others = trackers.into_iter().filter(|tracker| tracker.id != self.this).collect();
        keys.trust(self.others.iter().map(|tracker| tracker.public_key));
        self.reported_at = Some(Instant::now());
        Ok(())
    }

    /// Publishes the batches that are not published yet.
    fn publish(&self) -> Result<(), StoreError> {
        let file = self.replicas.lease_log.file();
        for _ in 0..PUSHES_PER_ROUND {
            let batches = file.unpushed((self.replicas.clock)(), PUSH_BYTES_MAX)?;
            let Some(batch) = joined(batches) else { return Ok(()) };
            self.tables.push(self.this, &batch)?;
            file.note_pushed(batch.seq)?;
        }
        Ok(())
    }

    /// Applies the new batches of the other trackers.
    fn apply(&mut self) -> Result<(), StoreError> {
        let now = (self.replicas.clock)();
        let silent_since = now.minus(SILENT_AFTER);
        for tracker in &self.others {
            let id = tracker.id;
            if tracker.seen_at < silent_since && self.applied.contains_key(&id) {
                continue;
            }
            loop {
                let after = self.applied.get(&id).copied().unwrap_or(-1);
                let batches = self.tables.pull(id, after, now, PULL_MAX)?;
                self.applied.insert(id, batches.last().map_or(after, |batch| batch.seq));
                for batch in &batches {
                    let complete = self.applier.apply_all(now, &batch.body)?;
                    complete.into_iter().for_each(|listing| self.seal(listing));
                }
                if batches.len() < PULL_MAX {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Stores and logs a version 1 file whose chunks were announced to several trackers: only this tracker knows that all are there.
    fn seal(&self, listing: V1Listing) {
        let blocking = Blocking::declare();
        let write = Write::SealV1(listing.clone());
        let stored = self.replicas.writer.write(&blocking, vec![write], Durability::Synced);
        let logged = stored.and_then(|_| self.replicas.lease_log.write(&blocking, &[LeaseUpdate::Sealed(listing)]));
        if let Err(error) = logged {
            log::warn("replication", "a complete file is listed at this tracker only", &[("why", &error)]);
        }
    }
}

/// Joins several batches into one, which gets the number of the last.
fn joined(batches: Vec<Batch>) -> Option<Batch> {
    let mut batches = batches.into_iter();
    let mut all = batches.next()?;
    for batch in batches {
        LeaseUpdate::join(&mut all.body, &batch.body);
        all.seq = batch.seq;
        all.expires_at = all.expires_at.max(batch.expires_at);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use crossbeam_channel::bounded;
    use peernet_engine::bitmap::Bitmap;
    use peernet_engine::ids::{ChunkCount, FileHash, ManifestId, PeerId};

    use super::*;
    use crate::base::sync::lock;
    use crate::domain::keys::Lifetimes;
    use crate::domain::swarm::{LeaseRow, Limits, Location};
    use crate::replication::LogFile;
    use crate::store::sqlite::SqliteStore;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const HOUR: Duration = Duration::from_secs(3_600);
    const FILE: FileHash = FileHash([7; 32]);
    const WAIT_MAX: Duration = Duration::from_secs(30);

    fn now() -> UnixMillis {
        NOW
    }

    /// The tables of a shared database, in memory.
    #[derive(Default)]
    struct Tables {
        trackers: Mutex<Vec<TrackerRow>>,
        batches: Mutex<Vec<(TrackerId, Batch)>>,
        away: AtomicBool,
    }

    impl Tables {
        fn check(&self) -> Result<(), StoreError> {
            let away = self.away.load(Ordering::SeqCst);
            if away { Err(StoreError::Unavailable("away".into())) } else { Ok(()) }
        }
    }

    impl Replication for Tables {
        fn report_running(&self, this: &TrackerRow, seen_after: UnixMillis) -> Result<Vec<TrackerRow>, StoreError> {
            self.check()?;
            let mut trackers = lock(&self.trackers);
            trackers.retain(|tracker| tracker.id != this.id);
            trackers.push(this.clone());
            drop(trackers);
            self.trackers(seen_after)
        }

        fn trackers(&self, _: UnixMillis) -> Result<Vec<TrackerRow>, StoreError> {
            self.check()?;
            Ok(lock(&self.trackers).clone())
        }

        fn push(&self, from: TrackerId, batch: &Batch) -> Result<(), StoreError> {
            self.check()?;
            lock(&self.batches).push((from, batch.clone()));
            Ok(())
        }

        fn pull(&self, from: TrackerId, seq: i64, _: UnixMillis, limit: usize) -> Result<Vec<Batch>, StoreError> {
            self.check()?;
            let batches = lock(&self.batches);
            let new = batches.iter().filter(|(tracker, batch)| *tracker == from && batch.seq > seq);
            Ok(new.map(|(_, batch)| batch.clone()).take(limit).collect())
        }

        fn prune_batches(&self, _: UnixMillis) -> Result<u64, StoreError> {
            self.check()?;
            Ok(0)
        }
    }

    /// One tracker of the swarm: everything that its replication thread uses.
    struct Tracker {
        swarm: Swarm,
        store: Arc<SqliteStore>,
        lease_log: LeaseLog,
        writer: Writer,
        keys: Keys,
        _folder: tempfile::TempDir,
    }

    impl Tracker {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let store = SqliteStore::open(&folder.path().join("store")).expect("opens");
            store.migrate(NOW).expect("makes its tables");
            // No thread runs the loops: a lone update commits inline, and no listing is sealed.
            let (lease_log, _lease_log_loop) = LeaseLog::new(LogFile::open(&folder.path().join("log")).expect("opens"));
            let (writer, _write_loop) = Writer::new(Box::new(|_, _| Ok(Vec::new())));
            let lifetimes = Lifetimes { account: HOUR, device: HOUR, grant: HOUR };
            let keys = Keys::open(folder.path(), lifetimes).expect("a key");
            Self { swarm: Swarm::new(Limits::default()), store, lease_log, writer, keys, _folder: folder }
        }

        fn replicas(&self) -> Replicas<'_> {
            Replicas {
                swarm: &self.swarm,
                store: self.store.as_ref(),
                lease_log: &self.lease_log,
                writer: &self.writer,
                keys: &self.keys,
                clock: now,
            }
        }

        fn replicator<'a>(&'a self, tables: &'a Tables) -> Replicator<'a> {
            Replicator::new(self.replicas(), tables).expect("starts")
        }

        fn log(&self, update: LeaseUpdate) {
            self.lease_log.write(&Blocking::declare(), &[update]).expect("commits");
        }

        fn shows(&self, peer: u8) -> bool {
            self.swarm.file_hashes_of(PeerId([peer; 16])) == [FILE]
        }
    }

    fn lease(peer: u8) -> LeaseUpdate {
        LeaseUpdate::Lease(LeaseRow {
            peer: PeerId([peer; 16]),
            file_hash: FILE,
            manifest_id: ManifestId([1; 32]),
            location: Arc::new(Location::plain("a:1")),
            site: None,
            have: Bitmap::full(ChunkCount(1)),
            expires_at: NOW.plus(HOUR),
        })
    }

    #[test]
    fn updates_reach_the_other_tracker_in_two_rounds() {
        let tables = Tables::default();
        let one = Tracker::new();
        let other = Tracker::new();
        let mut rounds = [one.replicator(&tables), other.replicator(&tables)];
        one.log(lease(1));
        rounds.iter_mut().for_each(|replicator| replicator.round().expect("runs"));
        assert!(other.shows(1));
        assert!(!one.shows(1), "its own updates come from its own handlers");
        one.log(LeaseUpdate::Left { peer: PeerId([1; 16]), files: None, at: NOW.plus(HOUR) });
        rounds.iter_mut().for_each(|replicator| replicator.round().expect("runs"));
        assert!(!other.shows(1));
    }

    #[test]
    fn updates_of_an_outage_are_published_after_it() {
        let tables = Tables::default();
        let one = Tracker::new();
        let other = Tracker::new();
        let mut publisher = one.replicator(&tables);
        publisher.round().expect("runs");
        tables.away.store(true, Ordering::SeqCst);
        one.log(lease(1));
        one.log(lease(2));
        assert!(matches!(publisher.round(), Err(StoreError::Unavailable(_))));
        tables.away.store(false, Ordering::SeqCst);
        publisher.round().expect("runs");
        publisher.round().expect("runs");
        other.replicator(&tables).round().expect("runs");
        assert!(other.shows(1) && other.shows(2));
        let published = lock(&tables.batches).iter().map(|(_, batch)| batch.seq).collect::<Vec<_>>();
        assert_eq!(published.len(), 1, "joined, and published once");
    }

    #[test]
    fn the_thread_reports_its_start_and_publishes_before_its_end() {
        let tables = Tables::default();
        let tracker = Tracker::new();
        let (started_sender, started) = bounded(1);
        let (stop, stopped) = bounded(0);
        std::thread::scope(|scope| {
            scope.spawn(|| run(tracker.replicas(), &tables, &started_sender, &stopped));
            assert_eq!(started.recv_timeout(WAIT_MAX), Ok(Ok(())));
            tracker.log(lease(1));
            drop(stop);
        });
        assert_eq!(lock(&tables.batches).len(), 1);
    }

    #[test]
    fn a_failed_first_round_ends_the_thread() {
        let tables = Tables::default();
        tables.away.store(true, Ordering::SeqCst);
        let (started_sender, started) = bounded(1);
        let (_stop, stopped) = bounded(0);
        run(Tracker::new().replicas(), &tables, &started_sender, &stopped);
        assert!(matches!(started.try_recv(), Ok(Err(StoreError::Unavailable(_)))));
    }

    fn batch(seq: i64, expires_at: i64) -> Batch {
        let mut body = Vec::new();
        let peer = PeerId([u8::try_from(seq).expect("small"); 16]);
        LeaseUpdate::Left { peer, files: None, at: UnixMillis(1_000) }.encode(&mut body);
        Batch { seq, expires_at: UnixMillis(expires_at), body }
    }

    #[test]
    fn joined_batches_keep_the_last_number_and_the_latest_expiry() {
        assert_eq!(joined(Vec::new()), None);
        assert_eq!(joined(vec![batch(4, 9)]), Some(batch(4, 9)));
        let all = joined(vec![batch(4, 9), batch(5, 30), batch(7, 20)]).expect("some");
        assert_eq!((all.seq, all.expires_at), (7, UnixMillis(30)));
        assert_eq!(LeaseUpdate::decode(&all.body).map(|updates| updates.len()), Ok(3));
    }
}
