//! Tests of the bound on memory that uploads and downloads share.

use std::sync::atomic::{AtomicUsize, Ordering};

use peernet_engine::download::Has;
use peernet_engine::ids::PeerId;
use peernet_engine::memory::Use;

use super::*;
use crate::cancel::Cancel;
use crate::connect::{Candidates, Dial};
use crate::discovery::{
    DiscoveryError, FetchReport, GrantProvider, ManifestProvider, Plan, PlannedManifest, Protocol, ReportSink, Source,
    SourceDiscovery, V1Listing,
};
use crate::download::{FetchError, FetchJob, Fetched, fetch};
use crate::files::part::Part;
use crate::memory::MemoryMax;
use peernet_engine::candidate::Transport;

/// A directory that knows one file, and how often it was asked for its plan.
pub(super) struct Listed(Plan, Manifest, AtomicUsize);

impl Listed {
    pub(super) fn of(scene: &Scene) -> Self {
        let manifest = scene.held.manifest();
        let address = scene.server.local_addr().to_string();
        let peer = PeerId::from_random([7; 16]);
        let source = Source {
            peer,
            candidates: Candidates::hosts([address]),
            transport: Transport::Plaintext,
            protocol: Protocol::FetchStream,
            has: Has::Complete,
        };
        let geometry = manifest.geometry();
        let size = geometry.size();
        let chunk_size = geometry.chunk_size();
        let planned = PlannedManifest { id: manifest.id(), size, chunk_size, sources: vec![source] };
        Self(Plan { manifests: vec![planned], ..Plan::default() }, manifest.as_ref().clone(), AtomicUsize::new(0))
    }

    pub(super) fn lookups(&self) -> usize {
        self.2.load(Ordering::Relaxed)
    }
}

impl SourceDiscovery for Listed {
    fn plan(&self, _: FileHash) -> Result<Plan, DiscoveryError> {
        self.2.fetch_add(1, Ordering::Relaxed);
        Ok(self.0.clone())
    }

    fn v1_listing(&self, _: FileHash) -> Result<Option<V1Listing>, DiscoveryError> {
        Ok(None)
    }
}

impl ManifestProvider for Listed {
    fn manifest(&self, _: ManifestId) -> Result<Manifest, DiscoveryError> {
        Ok(self.1.clone())
    }
}

impl GrantProvider for Listed {}

impl ReportSink for Listed {
    fn report(&self, _: Vec<FetchReport>) {}
}

/// Downloads within `throttle` and passes the file on. Returns the result and the bytes that the sink received.
fn download(from: &Scene, throttle: &Arc<Throttle>) -> (Result<Fetched, FetchError>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let hash = from.file_hash();
    let got = Arc::new(Mutex::new(Vec::new()));
    let mut job = FetchJob::new(hash, folder.path().join("part"), folder.path().join("copy"), 5);
    job.dial = Dial::plaintext();
    let hears = Arc::clone(&got);
    job.sink = Some(Box::new(move |piece| {
        hears.lock().unwrap().extend_from_slice(piece);
        Ok(())
    }));
    job.passing = true;
    job.throttle = Arc::clone(throttle);
    let fetched = fetch(job, &Listed::of(from), &mut |_| {}, &Cancel::new());
    let got = std::mem::take(&mut *got.lock().unwrap());
    (fetched, got)
}

/// Waits until so many bytes are held. A complete source lets callers that want the same chunks wait for seconds.
fn wait_until_held(memory: &crate::memory::Memory, bytes: usize) {
    let deadline = std::time::Instant::now() + 60 * SECOND;
    while memory.used().0 < bytes {
        assert!(std::time::Instant::now() < deadline, "{:?} of {bytes}", memory.used());
        let _a_moment = crossbeam_channel::after(SECOND / 20).recv();
    }
}

#[test]
fn slow_callers_and_a_download_stay_within_one_bound() {
    let bound = MemoryMax::MIN.bytes();
    let throttle = small_memory();
    let elsewhere = scene(12 * MIB, 1 << 20);
    let scene = scene(24 * MIB, 1 << 20).among(&throttle);
    let room = throttle.memory().kept(Use::SmallBlocks) / (64 << 10);
    // Chunks of a download that come from two sources at once, as many as they get.
    let folder = tempfile::tempdir().unwrap();
    let part = Part::open(&folder.path().join("part")).unwrap().unwrap().within(throttle.memory());
    let spills: Vec<_> = (0..64).map_while(|_| part.spill(MIB)).collect();
    assert!(spills.len() > 2);
    let method = raw(FETCH, MethodType::Duplex);
    let stuck: Vec<_> = (0..room + 8)
        .map(|_| {
            let client = scene.client();
            let option = CallOption::default().timeout(120 * SECOND);
            let (mut sender, receiver) = client.duplex_streaming(&method, option).unwrap();
            let message = (wanted(&scene, &[(0, 24)]), grpcio::WriteFlags::default());
            // One of those that are turned away may hear so before it has asked.
            let _ = block_on(futures_util::SinkExt::send(&mut sender, message));
            (client, sender, receiver)
        })
        .collect();
    // Each holds a small block at least, because no caller reads.
    wait_until_held(throttle.memory(), spills.len() * MIB + room * (64 << 10));
    let counters = scene.server.counters();
    assert_eq!((counters.streams_now, counters.refused), (room as u64, 8), "{counters:?}");
    let (held, peak) = throttle.memory().used();
    assert!(peak <= bound, "{held} and {peak} of {bound}");

    // Version 1's callers and a download have their own parts of it.
    let hash = scene.file_hash().to_string();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let client = scene.client();
                for index in 0..24 {
                    assert_eq!(scene.chunk(&client, &hash, index).unwrap().len(), MIB);
                }
            });
        }
        let (fetched, delivered) = download(&elsewhere, &throttle);
        assert!(fetched.is_ok() && delivered == elsewhere.bytes, "{fetched:?}");
    });
    let (_, peak) = throttle.memory().used();
    assert!(peak > held && peak <= bound, "{peak} of {bound}");
    drop((stuck, spills));
    scene.server.stop(SECOND);
    assert_eq!(throttle.memory().used().0, 0, "everything comes back");
}

#[test]
fn a_caller_gets_small_blocks_when_memory_is_taken() {
    let throttle = small_memory();
    let scene = scene(4 * MIB, 1 << 20).among(&throttle);
    let all: Vec<_> = (0..1_000).map_while(|_| throttle.memory().try_take(Use::Streams, 64 << 10)).collect();
    let held = throttle.memory().used().0;
    assert_eq!(held, all.len() * (64 << 10));
    let replies = scene.fetch(vec![wanted(&scene, &[(0, 4)])]).unwrap();
    assert!(replies.iter().all(|reply| reply.data.len() <= 64 << 10));
    assert_eq!(replies.iter().map(|reply| reply.data.len()).sum::<usize>(), 4 * MIB);
    assert_eq!(throttle.memory().used(), (held, held + (64 << 10)));
}
