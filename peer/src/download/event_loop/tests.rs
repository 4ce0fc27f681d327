//! The event loop without a network: events are fed by hand, and sources cannot be dialled.

use std::io;
use std::sync::Mutex;
use std::thread;

use crossbeam_channel::{bounded, unbounded};
use peernet_engine::download::Has;
use peernet_engine::ids::{ChunkCount, ChunkHash, ManifestId, PeerId};
use peernet_engine::manifest::{Geometry, Manifest};

use super::*;
use crate::discovery::FetchReport;
use crate::discovery::testing::{FILE, source};
use crate::discovery::{
    GrantProvider, ManifestProvider, Plan, PlannedManifest, ReportSink, SourceDiscovery, V1Listing,
};
use crate::download::pipeline::hash::{Frontier, WholeHash};
use crate::download::pipeline::write;
use crate::download::{FetchJob, FetchProgress};
use crate::files::part::Part;

const MIB: u32 = 1 << 20;
const CHUNKS: u32 = 8;
const LONG: Duration = Duration::from_secs(30);

/// A provider with one answer, which remembers reports.
struct Provider {
    plan: Result<Plan, DiscoveryError>,
    reports: Mutex<Vec<FetchReport>>,
}

impl SourceDiscovery for Provider {
    fn plan(&self, _: FileHash) -> Result<Plan, DiscoveryError> {
        self.plan.clone()
    }

    fn v1_listing(&self, _: FileHash) -> Result<Option<V1Listing>, DiscoveryError> {
        Ok(None)
    }
}

impl ManifestProvider for Provider {
    fn manifest(&self, _: ManifestId) -> Result<Manifest, DiscoveryError> {
        Err(DiscoveryError::NotFound)
    }
}

impl GrantProvider for Provider {}

impl ReportSink for Provider {
    fn report(&self, reports: Vec<FetchReport>) {
        self.reports.lock().unwrap().extend(reports);
    }
}

fn unreachable() -> Result<Plan, DiscoveryError> {
    Err(DiscoveryError::Unreachable("away".to_owned()))
}

fn manifest() -> Manifest {
    let size = ByteCount(u64::from(CHUNKS) * u64::from(MIB));
    Manifest::new(FILE, Geometry::new(size, MIB).unwrap(), vec![ChunkHash([1; 32]); CHUNKS as usize]).unwrap()
}

/// The channels of a loop under test.
struct Ends {
    written: Receiver<Written>,
    receiver: Receiver<Event>,
    frontier: Arc<Frontier>,
}

/// The starting conditions of a loop under test.
struct Options {
    plan: Result<Plan, DiscoveryError>,
    delivers: bool,
    held: Vec<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { plan: unreachable(), delivers: false, held: Vec::new() }
    }
}

/// Runs `test` with an event loop over a file of [`CHUNKS`] chunks, and returns the reports of the pass.
fn with_loop(
    options: Options,
    test: impl for<'s, 'e, 'a> FnOnce(&mut EventLoop<'s, 'e, 'a, 'e>, &Ends),
) -> Vec<FetchReport> {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider { plan: options.plan, reports: Mutex::default() };
    let mut job = FetchJob::new(FILE, folder.path().join("part"), folder.path().join("file"), 1);
    job.own_peer = Some(source(9).peer);
    let part = Arc::new(Part::open(&job.part_path).unwrap().unwrap());
    let cancel = Cancel::new();
    let mut watch = |_: &FetchProgress| {};
    let mut context = Context::new(job, &provider, &mut watch, &cancel);
    let expected = Arc::new(Expected::of_manifest(manifest()));
    let frontier = Frontier::new(&WholeHash::Compute);
    let (writes, _queued) = write::writes(&crate::memory::Memory::default());
    let (events, receiver) = unbounded();
    let (sender, written) = bounded(CHUNKS as usize + 1);
    let stop = Cancel::new();
    let mut held = Bitmap::empty(ChunkCount(CHUNKS));
    for chunk in &options.held {
        held.insert(ChunkIndex(*chunk));
    }
    thread::scope(|scope| {
        let shape = expected.shape;
        let shared = Shared { expected, part, frontier: Arc::clone(&frontier), writes };
        let delivers = options.delivers;
        let parts = Parts { scope, shared, shape, held, written: sender, events, stop: stop.clone(), delivers };
        let mut event_loop = EventLoop::new(&mut context, parts);
        event_loop.advance_front();
        test(&mut event_loop, &Ends { written, receiver, frontier });
        event_loop.end();
        stop.cancel();
    });
    provider.reports.into_inner().unwrap()
}

fn id(number: u64) -> ConnectionId {
    ConnectionId { source: SourceId(0), number }
}

fn verified(chunk: u32) -> Event {
    Event::Verified { id: id(0), chunk: ChunkIndex(chunk), bytes: MIB, took: Duration::from_millis(1) }
}

/// Returns the number of chunks verified without a gap from the start of the file.
fn front(ends: &Ends) -> u64 {
    ends.frontier.wait_past(0).map_or(0, |ready| ready / u64::from(MIB))
}

#[test]
fn a_verified_chunk_is_counted_and_synced_once() {
    with_loop(Options::default(), |event_loop, ends| {
        assert!(event_loop.introduce(vec![source(1)]).is_none());
        assert!(event_loop.take(verified(0)).is_none());
        assert!(event_loop.take(verified(0)).is_none());
        let written: Vec<u32> = ends.written.try_iter().map(|written| written.chunk.0).collect();
        assert_eq!(written, [0]);
        assert_eq!(event_loop.context.bytes.fetched, u64::from(MIB));
        assert_eq!(event_loop.context.sources.bytes_by_source(), [(source(1).peer, u64::from(MIB))]);
    });
}

#[test]
fn the_front_moves_past_chunks_without_a_gap() {
    for (held, arrive, expected) in [
        (vec![], vec![0], 1),
        (vec![0, 2], vec![], 1),
        (vec![0, 2], vec![1], 3),
        (vec![1], vec![2, 0], 3),
        (vec![], (0..CHUNKS).collect(), u64::from(CHUNKS)),
    ] {
        with_loop(Options { held: held.clone(), ..Options::default() }, |event_loop, ends| {
            for chunk in &arrive {
                assert!(event_loop.take(verified(*chunk)).is_none());
            }
            assert_eq!(front(ends), expected, "{held:?} {arrive:?}");
        });
    }
}

#[test]
fn the_hash_of_the_whole_file_ends_a_pass() {
    with_loop(Options::default(), |event_loop, _| {
        assert!(matches!(event_loop.take(Event::Whole(FILE)), Some(Ok(FILE))));
    });
}

#[test]
fn a_pass_with_a_sink_ends_with_hash_and_delivery_in_any_order() {
    for hash_first in [true, false] {
        with_loop(Options { delivers: true, ..Options::default() }, |event_loop, _| {
            let (first, second) = match hash_first {
                true => (Event::Whole(FILE), Event::Delivered),
                false => (Event::Delivered, Event::Whole(FILE)),
            };
            assert!(event_loop.take(first).is_none());
            assert!(matches!(event_loop.take(second), Some(Ok(FILE))));
        });
    }
}

#[test]
fn failures_of_disk_and_sink_end_a_pass() {
    with_loop(Options::default(), |event_loop, _| {
        let disk = event_loop.take(Event::Disk("writing".to_owned(), io::ErrorKind::StorageFull.into()));
        assert!(matches!(disk, Some(Err(FetchError::LocalDisk { doing, .. })) if doing == "writing"));
        let sink = event_loop.take(Event::Sink(io::ErrorKind::BrokenPipe.into()));
        assert!(matches!(sink, Some(Err(FetchError::Sink(_)))));
    });
}

#[test]
fn a_cancelled_pass_ends() {
    with_loop(Options::default(), |event_loop, ends| {
        event_loop.context.cancel.cancel();
        let result = event_loop.run(Vec::new(), &ends.receiver);
        assert!(matches!(result, Err(FetchError::Cancelled)), "{result:?}");
    });
}

#[test]
fn a_complete_file_needs_only_its_hash() {
    with_loop(Options { held: (0..CHUNKS).collect(), ..Options::default() }, |event_loop, ends| {
        send(&event_loop.connections.events.clone(), Event::Whole(FILE)).unwrap();
        assert!(matches!(event_loop.run(vec![source(1)], &ends.receiver), Ok(FILE)));
    });
}

#[test]
fn events_of_an_earlier_connection_are_ignored() {
    with_loop(Options::default(), |event_loop, _| {
        event_loop.introduce(vec![source(1)]);
        let _commands = event_loop.connections.reconnected(SourceId(0), 7);
        assert!(event_loop.connections.is_current(id(7)));
        assert!(!event_loop.connections.is_current(id(0)) && event_loop.connections.is_superseded(id(0)));
        event_loop.take(Event::Has(id(0), Has::Complete));
        let views = event_loop.scheduler.sources(Instant::now());
        assert_eq!(views[0].in_flight, 0, "the availability of another connection is not used");
        event_loop.take(Event::Has(id(7), Has::Complete));
        assert!(event_loop.scheduler.sources(Instant::now())[0].in_flight > 0);
        event_loop.take(Event::Ended(id(0), Cause::Transport, "late".to_owned()));
        assert!(event_loop.connections.is_current(id(7)));
        event_loop.take(Event::Ended(id(7), Cause::Transport, "broken".to_owned()));
        assert!(!event_loop.connections.is_current(id(7)));
        assert_eq!(event_loop.display.last_error.as_deref(), Some("h1:1: broken"));
    });
}

#[test]
fn a_source_that_cannot_be_dialled_ends_its_connection() {
    with_loop(Options::default(), |event_loop, ends| {
        // The job allows no transport, so nothing is dialled; a numeric address needs no resolver.
        let candidates = peernet_engine::candidate::Candidates::hosts(["127.0.0.1:1"]);
        event_loop.introduce(vec![Source { candidates, ..source(1) }]);
        let event = ends.receiver.recv_timeout(LONG).unwrap();
        let Event::Ended(ended, Cause::Transport, why) = event else { panic!("{event:?}") };
        assert_eq!(ended, id(0));
        assert!(why.contains("plaintext only"), "{why}");
    });
}

#[test]
fn only_results_that_are_the_sources_fault_are_reported() {
    let reports = with_loop(Options::default(), |event_loop, _| {
        event_loop.introduce(vec![source(1)]);
        event_loop.take(Event::Has(id(0), Has::Complete));
        let chunk = ChunkIndex(0);
        event_loop.report(SourceId(0), chunk, Ok(()));
        event_loop.report(SourceId(0), chunk, Err(Cause::BadHash));
        event_loop.report(SourceId(0), chunk, Err(Cause::LocalDisk));
        event_loop.report(SourceId(0), chunk, Err(Cause::NotAllowed));
        event_loop.report(SourceId(7), chunk, Err(Cause::BadHash));
    });
    let of_first: Vec<_> = reports.iter().filter(|report| report.peer == source(1).peer).map(|r| r.result).collect();
    assert!(of_first.starts_with(&[Ok(()), Err(Cause::BadHash)]), "{reports:?}");
    assert!(reports.iter().all(|report| report.peer == source(1).peer && report.file_hash == FILE), "{reports:?}");
    assert!(!of_first.iter().any(|result| matches!(result, Err(Cause::LocalDisk | Cause::NotAllowed))));
}

#[test]
fn reports_are_handed_over_when_they_are_many() {
    let provider = Provider { plan: unreachable(), reports: Mutex::default() };
    let mut reporting = Reporting::new(&provider, FILE);
    let handed_over = || provider.reports.lock().unwrap().len();
    let peer = PeerId::from_random([1; 16]);
    let add = |reporting: &mut Reporting<'_>, count: usize| {
        (0..count).for_each(|_| reporting.add(peer, ChunkIndex(0), Ok(())));
    };
    add(&mut reporting, 63);
    reporting.hand_over_many();
    assert_eq!(handed_over(), 0);
    add(&mut reporting, 1);
    reporting.hand_over_many();
    assert_eq!(handed_over(), 64);
    add(&mut reporting, 256);
    assert_eq!(handed_over(), 64 + 256);
    add(&mut reporting, 1);
    reporting.hand_over();
    reporting.hand_over();
    assert_eq!(handed_over(), 64 + 256 + 1);
}

#[test]
fn a_lookup_brings_the_sources_of_this_manifest_only() {
    let planned = |id, n| PlannedManifest { id, size: ByteCount(1), chunk_size: MIB, sources: vec![source(n)] };
    let manifests = vec![planned(ManifestId([5; 32]), 2), planned(manifest().id(), 1)];
    let plan = Ok(Plan { manifests, ..Plan::default() });
    with_loop(Options { plan, ..Options::default() }, |event_loop, ends| {
        event_loop.look_up();
        // A second one is not started while the first is under way.
        event_loop.look_up();
        let event = ends.receiver.recv_timeout(LONG).unwrap();
        let Event::Sources(Ok(sources)) = event else { panic!("{event:?}") };
        assert_eq!(sources, [source(1)]);
        assert!(event_loop.looking_up);
        // The job allows no plaintext, so the source is passed over and the user is told.
        assert!(event_loop.take(Event::Sources(Ok(sources))).is_none());
        assert!(!event_loop.looking_up);
        assert!(event_loop.display.note.as_deref().is_some_and(|note| note.starts_with("1 sources were skipped")));
    });
}

#[test]
fn a_failed_lookup_is_noted_and_ends_nothing() {
    with_loop(Options::default(), |event_loop, ends| {
        event_loop.look_up();
        let event = ends.receiver.recv_timeout(LONG).unwrap();
        assert!(event_loop.take(event).is_none());
        assert_eq!(event_loop.display.note.as_deref(), Some("no new sources: away"));
    });
}
