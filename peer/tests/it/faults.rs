//! Bad sources among good ones, each behind a simulated line: how much each delivers, and that the download does not
//! wait for the bad one.
//!
//! Time-outs drop a bad source after a while: ours, which is an hour here, or gRPC's. A download that waited for them
//! would have the source in its reports, or more of the file from it.

use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use peernet::Cancel;
use peernet::FetchProgress;
use peernet::internals::{FetchError, Fetched, fetch};
use peernet_engine::cause::Cause;
use peernet_engine::ids::PeerId;
use peernet_testkit::relay::{Faults, Relay};

use crate::swarm::{Catalogue, MIB, Peer, Stage, source};

const SIZE: usize = 64 * MIB + 3;
/// The rate of a good line.
const RATE: u64 = 24 << 20;
const NEVER: Duration = Duration::from_secs(3_600);

/// The bytes that one source delivered.
fn delivered(fetched: &Fetched, peer: PeerId) -> u64 {
    fetched.bytes_by_source.iter().filter(|(who, _)| *who == peer).map(|(_, bytes)| bytes).sum()
}

/// Downloads from three good sources and a bad one. Asserts that the bad one delivers at most `bad_bytes_max`.
fn check(faults: Faults, bad_bytes_max: u64) {
    let stage = Stage::with(SIZE);
    let peers: Vec<Peer> = (0..4).map(|_| stage.peer()).collect();
    let good = || Faults { bytes_per_second: RATE, ..Faults::default() };
    let relay = |(number, peer): (usize, &Peer)| {
        Relay::start(peer.server.local_addr(), if number == 0 { faults.clone() } else { good() }).unwrap()
    };
    let relays: Vec<Relay> = peers.iter().enumerate().map(relay).collect();
    let sources = peers.iter().zip(&relays).map(|(peer, relay)| source(peer.id, &relay.address().to_string()));
    let directory = Catalogue::of(&stage.manifest, sources.collect());
    let mut job = stage.job();
    job.limits.scheduler.stall_timeout = NEVER;
    job.limits.scheduler.chunk_timeout = NEVER;
    job.limits.connect_timeout = NEVER;
    let fetched = fetch(job, &directory, &mut |_| {}, &Cancel::new()).unwrap();
    stage.assert_complete(&fetched);
    let bad = delivered(&fetched, peers[0].id);
    assert!(bad <= bad_bytes_max, "{faults:?}: {bad}");
    for peer in &peers[1..] {
        let good = delivered(&fetched, peer.id);
        assert!(good > 3 * MIB as u64 && good > bad, "{faults:?}: {:?}", fetched.bytes_by_source);
    }
    let reports = directory.reported();
    let blamed = reports.iter().any(|report| report.result.is_err());
    assert!(!blamed || faults.vanish_after_bytes > 0, "{faults:?}: {reports:?}");
}

#[test]
fn a_source_that_never_replies_holds_up_no_other() {
    check(Faults { silent_after_bytes: 1, ..Faults::default() }, 0);
}

#[test]
fn a_source_that_stalls_midway_holds_up_no_other() {
    check(Faults { silent_after_bytes: 5 << 20, bytes_per_second: RATE, ..Faults::default() }, 5 << 20);
}

#[test]
fn a_hundred_times_slower_source_holds_up_no_other() {
    check(Faults { bytes_per_second: RATE / 100, ..Faults::default() }, 2 << 20);
}

#[test]
fn a_source_that_vanishes_midway_holds_up_no_other() {
    check(Faults { vanish_after_bytes: 5 << 20, bytes_per_second: RATE, ..Faults::default() }, 5 << 20);
}

#[test]
fn a_file_deleted_at_its_only_source_is_a_clear_error() {
    let stage = Stage::with(40 * MIB + 1);
    let peer = stage.peer();
    let kept = stage.path("kept");
    fs::copy(&stage.original, &kept).unwrap();
    let relay = Relay::start(peer.server.local_addr(), Faults { bytes_per_second: RATE, ..Faults::default() }).unwrap();
    let directory = Catalogue::of(&stage.manifest, vec![source(peer.id, &relay.address().to_string())]);
    let original = Mutex::new(Some(stage.original.clone()));
    let mut watch = |progress: &FetchProgress| {
        if progress.chunks_done >= 3
            && let Some(path) = original.lock().unwrap().take()
        {
            fs::remove_file(path).unwrap();
        }
    };
    let mut job = stage.job();
    job.limits.scheduler.no_progress = Duration::from_secs(2);
    let result = fetch(job, &directory, &mut watch, &Cancel::new());
    // Bytes of an open file stay readable: a download that finishes with them has the right file.
    match result {
        Ok(fetched) => return stage.assert_complete(&fetched),
        Err(FetchError::GaveUp(why)) => assert!(!why.to_string().is_empty()),
        Err(other) => panic!("{other:?}"),
    }
    assert!(directory.reported().iter().all(|report| report.result != Err(Cause::BadHash)), "it never lied");
    let again = Peer::sharing(&kept, &stage.manifest);
    let fetched = stage.fetch(&Catalogue::of(&stage.manifest, vec![again.source()])).unwrap();
    stage.assert_complete(&fetched);
    assert!(fetched.bytes_resumed >= 3 * MIB as u64, "{fetched:?}");
}
