//! Downloads from real servers: complete, resumed, from lying, unreachable and version 1 sources.

use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use peernet::Cancel;
use peernet::FetchProgress;
use peernet::internals::{FetchError, fetch};
use peernet::internals::{Plan, Protocol};
use peernet_engine::bitmap::Bitmap;
use peernet_engine::cause::Cause;
use peernet_engine::download::{Has, Why};
use peernet_engine::ids::{ChunkHash, PeerId};
use peernet_engine::manifest::Manifest;
use sha2::{Digest, Sha256};

use crate::swarm::{Catalogue, MIB, Peer, Stage, content, source};

const SIZES: [usize; 7] = [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 5 * MIB + 7];

#[test]
fn files_of_every_size_arrive_whole() {
    for len in SIZES {
        let stage = Stage::with(len);
        let peer = stage.peer();
        let directory = Catalogue::of(&stage.manifest, vec![peer.source()]);
        let fetched = stage.fetch(&directory).unwrap();
        stage.assert_complete(&fetched);
        let reports = directory.reported();
        assert_eq!(reports.len() as u32, stage.manifest.geometry().chunk_count().0, "{len}");
        assert!(reports.iter().all(|report| report.result.is_ok() && report.peer == peer.id));
    }
}

#[test]
fn version_1_files_arrive_without_a_known_size() {
    for len in SIZES.into_iter().filter(|len| *len > 0) {
        let stage = Stage::with(len);
        let peers = [stage.peer(), stage.peer()];
        let directory = Catalogue::of_v1(&stage.manifest, peers.iter().map(Peer::v1_source).collect());
        let fetched = stage.fetch(&directory).unwrap();
        stage.assert_complete(&fetched);
        let calls: u64 = peers.iter().map(|peer| peer.server.counters().chunk_calls).sum();
        assert!(calls >= u64::from(stage.manifest.geometry().chunk_count().0), "{len}");
    }
}

#[test]
fn a_version_1_download_goes_on_where_it_stopped() {
    let stage = Stage::with(20 * MIB + 9);
    let peer = stage.peer();
    let directory = Catalogue::of_v1(&stage.manifest, vec![peer.v1_source()]);
    stage.fetch_some(&directory, |progress| progress.chunks_done >= 5);
    let fetched = stage.fetch(&directory).unwrap();
    assert!(fetched.bytes_resumed >= 5 * MIB as u64, "{fetched:?}");
    stage.assert_complete(&fetched);
}

#[test]
fn three_sources_share_the_work() {
    let stage = Stage::with(48 * MIB);
    let peers = [stage.peer(), stage.peer(), stage.peer()];
    let directory = Catalogue::of(&stage.manifest, peers.iter().map(Peer::source).collect());
    let fetched = stage.fetch(&directory).unwrap();
    stage.assert_complete(&fetched);
    assert!(fetched.bytes_by_source.iter().all(|(_, bytes)| *bytes > 0), "{:?}", fetched.bytes_by_source);
}

#[test]
fn wrong_chunks_are_reported_and_come_from_another_source() {
    let stage = Stage::with(12 * MIB + 3);
    for protocol in [Protocol::FetchStream, Protocol::Version1] {
        // A new liar each time: after a complaint it finds that its file is wrong, and stops sharing it.
        let liar = stage.liar();
        let honest = stage.peer();
        let mut sources = vec![liar.source(), honest.source()];
        sources.iter_mut().for_each(|source| source.protocol = protocol);
        let directory = Catalogue::of(&stage.manifest, sources);
        let fetched = stage.fetch(&directory).unwrap();
        stage.assert_complete(&fetched);
        let of_liar: Vec<_> = directory.reported().into_iter().filter(|report| report.peer == liar.id).collect();
        assert!(
            !of_liar.is_empty() && of_liar.iter().all(|report| report.result == Err(Cause::BadHash)),
            "{of_liar:?}"
        );
        fs::remove_file(&fetched.path).unwrap();
    }
}

#[test]
fn only_liars_end_in_an_error_and_leave_no_file() {
    let stage = Stage::with(3 * MIB);
    let liar = stage.liar();
    let directory = Catalogue::of(&stage.manifest, vec![liar.source()]);
    let mut job = stage.job();
    job.limits.scheduler.no_progress = Duration::from_millis(300);
    let result = fetch(job, &directory, &mut |_| {}, &Cancel::new());
    assert!(matches!(result, Err(FetchError::GaveUp(_))), "{result:?}");
    assert!(!stage.final_path().exists());
}

#[test]
fn a_false_manifest_is_dropped_for_the_true_one() {
    let stage = Stage::with(4 * MIB + 1);
    let lie = content(stage.bytes.len(), 5);
    let path = stage.path("false");
    fs::write(&path, &lie).unwrap();
    let hashes = lie.chunks(MIB).map(|chunk| ChunkHash(Sha256::digest(chunk).into())).collect();
    let invented = Manifest::new(stage.manifest.file_hash(), stage.manifest.geometry(), hashes).unwrap();
    let invented = Arc::new(invented);
    let liar = Peer::sharing(&path, &invented);
    let honest = stage.peer();
    let directory = Catalogue::of(&invented, vec![liar.source()]);
    directory.list(&stage.manifest, vec![honest.source()]);
    let fetched = stage.fetch(&directory).unwrap();
    assert!(fs::read(&fetched.path).unwrap() == stage.bytes);
    assert_eq!(*fetched.manifest, *stage.manifest);
    // Alone it leads to an error, not to a wrong file.
    fs::remove_file(&fetched.path).unwrap();
    let alone = Catalogue::of(&invented, vec![liar.source()]);
    let result = stage.fetch(&alone);
    assert!(matches!(result, Err(FetchError::WrongFile)), "{result:?}");
    // Bytes that a reader got cannot be taken back: the error says so, and no other manifest is tried.
    let (got, pieces) = crossbeam_channel::unbounded();
    let mut job = stage.job();
    job.sink = Some(Box::new(move |piece: &[u8]| got.send(piece.to_vec()).map_err(std::io::Error::other)));
    let result = fetch(job, &directory, &mut |_| {}, &Cancel::new());
    assert!(matches!(result, Err(FetchError::DeliveredWrong)), "{result:?}");
    assert!(pieces.iter().flatten().eq(lie));
    assert!(!stage.final_path().exists());
}

#[test]
fn silent_and_absent_sources_hold_up_no_other() {
    let stage = Stage::with(6 * MIB);
    // Accepts by the kernel's hand and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let absent = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let honest = stage.peer();
    let never = |byte| PeerId::from_random([byte; 16]);
    let sources = vec![
        source(never(1), &silent.local_addr().unwrap().to_string()),
        source(never(2), &absent.to_string()),
        source(never(3), "unix:///run/some.socket"),
        source(never(4), "dns:///localhost:1"),
        honest.source(),
    ];
    let begun = Instant::now();
    let fetched = stage.fetch(&Catalogue::of(&stage.manifest, sources)).unwrap();
    stage.assert_complete(&fetched);
    // The silent source would hold a chunk for the stall time-out of 20 s.
    assert!(begun.elapsed() < Duration::from_secs(18), "{:?}", begun.elapsed());
}

#[test]
fn a_source_that_vanishes_midway_is_replaced() {
    let stage = Stage::with(40 * MIB);
    let vanishing = stage.peer();
    let staying = stage.peer();
    let mut late = staying.source();
    let directory = Catalogue::of(&stage.manifest, vec![vanishing.source()]);
    // The other one is met by a later lookup.
    late.protocol = Protocol::FetchStream;
    let vanishing = Mutex::new(Some(vanishing));
    let mut watch = |progress: &FetchProgress| {
        if progress.chunks_done >= 3
            && let Some(peer) = vanishing.lock().unwrap().take()
        {
            directory.plan.lock().unwrap().manifests[0].sources = vec![late.clone()];
            peer.server.stop(Duration::ZERO);
        }
    };
    let fetched = fetch(stage.job(), &directory, &mut watch, &Cancel::new()).unwrap();
    stage.assert_complete(&fetched);
}

#[test]
fn a_resumed_download_fetches_only_what_is_missing() {
    let stage = Stage::with(30 * MIB + 5);
    let peer = stage.peer();
    let directory = Catalogue::of(&stage.manifest, vec![peer.source()]);
    stage.fetch_some(&directory, |progress| progress.chunks_done >= 6);
    assert!(stage.part_path().exists() && stage.journal_path().exists() && !stage.final_path().exists());
    let again = stage.peer();
    let directory = Catalogue::of(&stage.manifest, vec![again.source()]);
    let fetched = stage.fetch(&directory).unwrap();
    stage.assert_complete(&fetched);
    assert!(fetched.bytes_resumed >= 6 * MIB as u64);
    assert_eq!(again.server.counters().bytes_sent, stage.bytes.len() as u64 - fetched.bytes_resumed);
}

#[test]
fn a_damaged_part_costs_a_refetch_and_never_a_wrong_file() {
    type Damage = fn(&Stage);
    let damages: [(&str, Damage); 6] = [
        ("torn journal", |stage| {
            let file = OpenOptions::new().write(true).open(stage.journal_path()).unwrap();
            let len = file.metadata().unwrap().len();
            file.set_len(len - 3).unwrap();
        }),
        ("journal with a garbled tail", |stage| {
            let file = OpenOptions::new().write(true).open(stage.journal_path()).unwrap();
            let len = file.metadata().unwrap().len();
            file.write_all_at(b"garbage", len - 4).unwrap();
        }),
        ("journal of nothing", |stage| fs::write(stage.journal_path(), b"not a journal").unwrap()),
        ("journal gone", |stage| fs::remove_file(stage.journal_path()).unwrap()),
        ("part changed", |stage| {
            let file = OpenOptions::new().write(true).open(stage.part_path()).unwrap();
            file.write_all_at(b"not what it was", 5).unwrap();
        }),
        ("part cut short", |stage| {
            OpenOptions::new().write(true).open(stage.part_path()).unwrap().set_len(MIB as u64 + 1).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let stage = Stage::with(16 * MIB + 5);
        let peer = stage.peer();
        let directory = Catalogue::of(&stage.manifest, vec![peer.source()]);
        stage.fetch_some(&directory, |progress| progress.chunks_done >= 5);
        damage(&stage);
        let fetched = stage.fetch(&directory).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(fs::read(&fetched.path).unwrap() == stage.bytes, "{name}");
        assert!(directory.reported().iter().all(|report| report.result.is_ok()), "{name}: no other source is reported");
    }
}

#[test]
fn right_chunks_survive_a_lost_journal() {
    let stage = Stage::with(16 * MIB);
    let peer = stage.peer();
    let directory = Catalogue::of(&stage.manifest, vec![peer.source()]);
    stage.fetch_some(&directory, |progress| progress.chunks_done >= 5);
    fs::remove_file(stage.journal_path()).unwrap();
    let fetched = stage.fetch(&directory).unwrap();
    stage.assert_complete(&fetched);
    assert!(fetched.bytes_resumed >= 5 * MIB as u64, "{fetched:?}");
}

#[test]
fn a_file_at_the_destination_is_never_overwritten() {
    let stage = Stage::with(2 * MIB);
    let peer = stage.peer();
    let directory = Catalogue::of(&stage.manifest, vec![peer.source()]);
    fs::write(stage.final_path(), "mine").unwrap();
    assert!(matches!(stage.fetch(&directory), Err(FetchError::Exists(path)) if path == stage.final_path()));
    fs::remove_file(stage.final_path()).unwrap();
    // Also when it appears meanwhile; then the whole part waits for another name.
    let path = stage.final_path();
    let mut watch = |progress: &FetchProgress| {
        if progress.chunks_done == 1 {
            fs::write(&path, "mine").unwrap();
        }
    };
    let result = fetch(stage.job(), &directory, &mut watch, &Cancel::new());
    assert!(matches!(result, Err(FetchError::Exists(_))), "{result:?}");
    assert_eq!(fs::read(stage.final_path()).unwrap(), b"mine");
    fs::remove_file(stage.final_path()).unwrap();
    let before = peer.server.counters().bytes_sent;
    let fetched = stage.fetch(&directory).unwrap();
    stage.assert_complete(&fetched);
    assert!(peer.server.counters().bytes_sent - before < stage.bytes.len() as u64);
}

#[test]
fn a_local_failure_is_a_local_error_and_costs_no_source() {
    let stage = Stage::with(2 * MIB);
    let peer = stage.peer();
    let directory = Catalogue::of(&stage.manifest, vec![peer.source()]);
    let mut job = stage.job();
    job.part_path = stage.original.join("below-a-file");
    let result = fetch(job, &directory, &mut |_| {}, &Cancel::new());
    assert!(matches!(result, Err(FetchError::LocalDisk { .. })), "{result:?}");
    assert_eq!(directory.reported(), []);
}

#[test]
fn two_downloads_do_not_share_a_part() {
    let stage = Stage::with(2 * MIB);
    let peer = stage.peer();
    let directory = Catalogue::of(&stage.manifest, vec![peer.source()]);
    let mut inner = None;
    let mut watch = |_: &FetchProgress| {
        if stage.part_path().exists() && inner.is_none() {
            inner = Some(stage.fetch(&directory).is_err_and(|error| matches!(error, FetchError::InUse(_))));
        }
    };
    let fetched = fetch(stage.job(), &directory, &mut watch, &Cancel::new()).unwrap();
    stage.assert_complete(&fetched);
    assert_eq!(inner, Some(true));
}

#[test]
fn cancelling_does_not_wait_for_a_silent_source() {
    let stage = Stage::with(2 * MIB);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let directory = Catalogue::of(&stage.manifest, vec![source(PeerId::from_random([1; 16]), &address)]);
    let cancel = Cancel::new();
    let (asked, was_asked) = crossbeam_channel::bounded(1);
    let canceller = {
        let cancel = cancel.clone();
        std::thread::spawn(move || {
            was_asked.recv_timeout(Duration::from_secs(20)).unwrap();
            cancel.cancel();
            Instant::now()
        })
    };
    let mut watch = |progress: &FetchProgress| {
        if !progress.sources.is_empty() {
            let _ = asked.try_send(());
        }
    };
    let result = fetch(stage.job(), &directory, &mut watch, &cancel);
    let took = canceller.join().unwrap().elapsed();
    assert!(matches!(result, Err(FetchError::Cancelled)), "{result:?}");
    // Every time-out that could end the wait instead is 20 s or longer.
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn no_progress_is_a_clear_error() {
    let stage = Stage::with(2 * MIB);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    for sources in [vec![], vec![source(PeerId::from_random([1; 16]), &address)]] {
        let directory = Catalogue::of(&stage.manifest, sources);
        let mut job = stage.job();
        job.limits.scheduler.no_progress = Duration::from_millis(400);
        let result = fetch(job, &directory, &mut |_| {}, &Cancel::new());
        assert!(matches!(result, Err(FetchError::GaveUp(_))), "{result:?}");
    }
    *Catalogue::default().plan.lock().unwrap() = Plan::default();
    let result = stage.fetch(&Catalogue::default());
    assert!(matches!(result, Err(FetchError::NoManifest)), "{result:?}");
}

#[test]
fn the_manifest_comes_from_a_source_if_no_provider_has_it() {
    let stage = Stage::with(3 * MIB + 1);
    let peer = stage.peer();
    let directory = Catalogue::of(&stage.manifest, vec![peer.source()]);
    directory.manifests.lock().unwrap().clear();
    let mut job = stage.job();
    job.manifest_id = Some(stage.manifest.id());
    let fetched = fetch(job, &directory, &mut |_| {}, &Cancel::new()).unwrap();
    stage.assert_complete(&fetched);
}

#[test]
fn chunks_travel_on_from_a_download_in_progress() {
    let stage = Stage::with(32 * MIB + 1);
    let seed = stage.peer();
    let middle = Peer::start();
    let of_middle = Catalogue::of(&stage.manifest, vec![seed.source()]);
    let mut only_middle = middle.source();
    only_middle.has = Has::Chunks(Bitmap::empty(stage.manifest.geometry().chunk_count()));
    let of_last = Catalogue::of(&stage.manifest, vec![only_middle]);
    let last = Stage::with(32 * MIB + 1);
    let (offered, is_offered) = crossbeam_channel::bounded(1);
    let mut job = stage.job();
    let library = Arc::clone(&middle.library);
    job.on_growing = Some(Box::new(move |held| {
        library.add(held);
        offered.send(()).unwrap();
    }));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| fetch(job, &of_middle, &mut |_| {}, &Cancel::new()).unwrap());
        is_offered.recv_timeout(Duration::from_secs(20)).unwrap();
        let fetched = last.fetch(&of_last).unwrap();
        last.assert_complete(&fetched);
        stage.assert_complete(&first.join().unwrap());
    });
    assert!(middle.server.counters().bytes_sent >= stage.bytes.len() as u64);
}

#[test]
fn a_changed_file_of_the_only_source_is_withdrawn() {
    let stage = Stage::with(4 * MIB);
    let peer = stage.peer();
    fs::write(&stage.original, content(stage.bytes.len(), 3)).unwrap();
    for protocol in [Protocol::FetchStream, Protocol::Version1] {
        let mut source = peer.source();
        source.protocol = protocol;
        let directory = Catalogue::of(&stage.manifest, vec![source]);
        let mut job = stage.job();
        // Long enough for a busy machine to reach the source and have it read the file.
        job.limits.scheduler.no_progress = Duration::from_secs(5);
        let error = fetch(job, &directory, &mut |_| {}, &Cancel::new()).unwrap_err();
        assert!(matches!(error, FetchError::GaveUp(Why::NoSources { .. } | Why::Incomplete { .. })), "{error:?}");
        assert!(!stage.final_path().exists() && peer.library.spoiled.load(Ordering::Relaxed) > 0);
        assert!(directory.reported().iter().all(|report| report.result == Err(Cause::Refused)), "it never lied");
    }
}
