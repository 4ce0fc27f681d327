//! Settlements and their memory over the SQLite store, with a ledger that can be made to fail.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize};

use peernet_engine::economy::{Changes, LedgerRow, Needs, TICKET_GRACE, TICKET_LIFE, Totals, Violation, WorkingSet};
use peernet_engine::ids::{ByteCount, ChunkIndex};

use super::settlement::JOBS_QUEUED_MAX;
use super::*;
use crate::commit::group::Transaction as _;
use crate::store::sqlite::SqliteStore;
use crate::store::{Account, Durability, Result, Store as _, StoreError, Write};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// The SQLite store, whose settlements can be made to fail.
struct FailingLedger {
    inner: Arc<SqliteStore>,
    broken: AtomicBool,
    panics: AtomicBool,
    settled: AtomicUsize,
}

/// Delegates calls to the inner store.
macro_rules! through {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)+) => {
        $(fn $name(&self, $($argument: $type),*) -> Result<$result> {
            self.inner.$name($($argument),*)
        })+
    };
}

impl Ledger for FailingLedger {
    through! {
        ledger_totals() -> Totals;
        ledger(peer: PeerId) -> Option<LedgerRow>;
        expired_tickets(before: UnixMillis, limit: usize) -> Vec<(PeerId, FileHash)>;
        escrow_mt(account: PeerId) -> i64;
        demotions(reporter: PeerId, now: UnixMillis) -> Vec<(PeerId, UnixMillis)>;
        pay_dividend(now: UnixMillis) -> i64;
        audit() -> Vec<Violation>;
    }

    fn settle(&self, needs: &Needs, apply: &mut dyn FnMut(&mut WorkingSet) -> Changes) -> Result<()> {
        self.settled.fetch_add(1, Ordering::SeqCst);
        if self.panics.load(Ordering::SeqCst) {
            std::panic::resume_unwind(Box::new("quietly"));
        }
        if !self.broken.load(Ordering::SeqCst) {
            return self.inner.settle(needs, apply);
        }
        // Like a commit that fails: the rules have run, and nothing of their result may be remembered.
        let doomed = self.inner.settle(needs, &mut |set| {
            apply(set);
            Changes::default()
        });
        doomed.and(Err(StoreError::Unavailable("broken by the test".to_owned())))
    }
}

/// A settlement thread over a store with accounts 1 to 4.
struct Scene {
    _folder: tempfile::TempDir,
    store: Arc<FailingLedger>,
    handle: Handle,
    commit_loop: Option<SettlementLoop>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Scene {
    fn new(clock: fn() -> UnixMillis) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner = SqliteStore::open(&folder.path().join("tracker.db")).unwrap();
        inner.migrate(NOW).unwrap();
        let account = |n: u8| {
            let password_hash = "$2b$10$x".to_owned();
            Write::create_account(Account { id: peer(n), address: None, password_hash, generation: 0, created_at: NOW })
        };
        inner.write(NOW, &[1, 2, 3, 4].map(account), Durability::Synced).unwrap();
        let (broken, panics, settled) = Default::default();
        let store = Arc::new(FailingLedger { inner, broken, panics, settled });
        let (handle, commit_loop) = channel(Arc::clone(&store) as Arc<dyn Ledger>, clock, Rules::default());
        Self { _folder: folder, store, handle, commit_loop: Some(commit_loop), thread: None }
    }

    fn running(clock: fn() -> UnixMillis) -> Self {
        let mut scene = Self::new(clock);
        scene.start();
        scene
    }

    fn start(&mut self) {
        let commit_loop = self.commit_loop.take().expect("started once");
        self.thread = Some(std::thread::spawn(move || run(commit_loop)));
    }

    fn stop(&mut self) {
        let thread = self.thread.take().expect("started before");
        self.handle.close();
        thread.join().unwrap();
        assert_eq!(self.store.audit().unwrap(), Vec::new());
    }

    fn balance(&self, n: u8) -> i64 {
        self.store.ledger(peer(n)).unwrap().unwrap().balance_mt
    }

    fn settled(&self) -> usize {
        self.store.settled.load(Ordering::SeqCst)
    }
}

fn noon() -> UnixMillis {
    NOW
}

fn peer(n: u8) -> PeerId {
    PeerId([n; 16])
}

fn request(account: u8, file: u8, sources: &[u8]) -> TicketRequest {
    TicketRequest {
        account: peer(account),
        file_hash: FileHash([file; 32]),
        geometry: Geometry::new(ByteCount(4 << 20), 1 << 20).unwrap(),
        sources: sources.iter().map(|n| peer(*n)).collect(),
    }
}

fn success(reporter: u8, target: u8, file: u8, chunk: u32) -> Event {
    let reporter = peer(reporter);
    let target = peer(target);
    let file_hash = FileHash([file; 32]);
    Event::Success { reporter, target, file_hash, chunks: vec![ChunkIndex(chunk)] }
}

#[test]
fn a_repeated_lookup_needs_no_transaction() {
    let mut scene = Scene::running(noon);
    let ticket = scene.handle.open_ticket(request(1, 1, &[2])).unwrap();
    assert_eq!((ticket.escrow_mt, scene.settled()), (4_000, 1));
    assert_eq!(scene.handle.open_ticket(request(1, 1, &[2, 1])), Some(ticket.clone()));
    assert_eq!(scene.settled(), 1);
    assert_eq!(scene.handle.open_ticket(request(1, 1, &[2, 3])).map(|again| again.id), Some(ticket.id));
    assert_eq!(scene.settled(), 2);
    scene.handle.feedback(&Blocking::declare(), vec![success(1, 2, 1, 0)]).unwrap();
    assert_eq!(scene.handle.open_ticket(request(1, 1, &[2])).map(|ticket| ticket.escrow_mt), Some(3_000));
    assert_eq!(scene.settled(), 3);
    scene.stop();
}

#[test]
fn while_the_store_fails_nothing_is_applied_or_remembered() {
    let mut scene = Scene::running(noon);
    scene.store.broken.store(true, Ordering::SeqCst);
    assert_eq!(scene.handle.open_ticket(request(1, 1, &[2])), None);
    scene.store.broken.store(false, Ordering::SeqCst);
    assert_eq!(scene.balance(1), 20_000);
    scene.handle.open_ticket(request(1, 1, &[2])).expect("the failed one was not remembered");
    scene.store.broken.store(true, Ordering::SeqCst);
    let refusal =
        scene.handle.feedback(&Blocking::declare(), vec![success(1, 2, 1, 0)]).expect_err("the store is down");
    assert!(matches!(refusal, StoreError::Unavailable(_)), "{refusal}");
    assert_eq!(scene.handle.standings(&[peer(2)])[0].score, 0.5);
    scene.store.broken.store(false, Ordering::SeqCst);
    assert_eq!(scene.balance(2), 20_000);
    scene.handle.feedback(&Blocking::declare(), vec![success(1, 2, 1, 0)]).unwrap();
    assert_eq!(scene.balance(2), 20_950);
    assert!(scene.handle.standings(&[peer(2)])[0].score > 0.6);
    scene.stop();
}

#[test]
fn queued_jobs_share_a_transaction_up_to_its_bound() {
    let mut scene = Scene::new(noon);
    let opened = scene.handle.group.queue(vec![open(1, 1, 2)], ());
    let jobs: Vec<_> = (0..29).map(|_| scene.handle.group.queue(vec![success(1, 2, 1, 0); 50], ())).collect();
    scene.start();
    scene.stop();
    assert!(opened.recv().unwrap().is_ok());
    assert!(jobs.iter().all(|answer| answer.recv().unwrap().map(|outcomes| outcomes.len()) == Ok(50)));
    assert_eq!((scene.settled(), scene.balance(2)), (2, 20_950));
}

fn open(account: u8, file: u8, source: u8) -> Event {
    let TicketRequest { account, file_hash, geometry, sources } = request(account, file, &[source]);
    Event::OpenTicket { account, file_hash, geometry, sources, new_id: TicketId([7; 16]) }
}

#[test]
fn a_full_queue_and_a_stopped_thread_are_answers() {
    let mut scene = Scene::new(noon);
    let waiting: Vec<_> =
        (0..JOBS_QUEUED_MAX).map(|_| scene.handle.group.queue(vec![success(1, 2, 1, 0)], ())).collect();
    let refusal = scene.handle.feedback(&Blocking::declare(), vec![success(1, 2, 1, 0)]).expect_err("full");
    assert_eq!(refusal, StoreError::Busy("too many reports are waiting"));
    assert_eq!(scene.handle.open_ticket(request(1, 1, &[2])), None);
    scene.start();
    scene.stop();
    assert!(waiting.into_iter().all(|answer| answer.recv().unwrap().is_ok()), "all were answered before the end");
    let refusal = scene.handle.feedback(&Blocking::declare(), vec![success(1, 2, 1, 0)]).expect_err("stopped");
    assert_eq!(refusal, StoreError::Busy("the tracker is stopping"));
}

#[test]
fn expired_tickets_give_their_escrow_back() {
    static CLOCK: AtomicI64 = AtomicI64::new(NOW.0);
    let mut scene = Scene::new(|| UnixMillis(CLOCK.load(Ordering::SeqCst)));
    let opened = scene.handle.group.queue(vec![open(1, 1, 2)], ());
    scene.start();
    assert!(opened.recv().unwrap().is_ok());
    scene.stop();
    let settlements = scene.handle.settlements();
    assert!(settlements.expired().is_empty());
    assert_eq!(scene.balance(1), 16_000);
    CLOCK.store(NOW.plus(TICKET_LIFE).plus(TICKET_GRACE).0, Ordering::SeqCst);
    settlements.commit(&settlements.expired(), ()).unwrap();
    assert_eq!(scene.balance(1), 20_000);
    assert_eq!(scene.store.audit().unwrap(), Vec::new());
}

#[test]
fn a_panic_of_the_rules_or_the_store_does_not_end_the_thread() {
    let mut scene = Scene::running(noon);
    scene.store.panics.store(true, Ordering::SeqCst);
    let event = || Event::OpenTicket {
        account: peer(1),
        file_hash: FileHash([1; 32]),
        geometry: request(1, 1, &[2]).geometry,
        sources: vec![peer(2)],
        new_id: TicketId([1; 16]),
    };
    assert!(
        matches!(scene.handle.feedback(&Blocking::declare(), vec![event()]), Err(StoreError::Failed(_))),
        "panicked"
    );
    scene.store.panics.store(false, Ordering::SeqCst);
    assert!(scene.handle.feedback(&Blocking::declare(), vec![event()]).is_ok());
    scene.stop();
}
