//! Tests of downloads under limits.

use std::fs;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use peernet::Cancel;
use peernet::SpeedLimits;
use peernet::internals::Throttle;
use peernet::internals::fetch;
use peernet_engine::rate_limit::Rate;

use crate::swarm::{Catalogue, MIB, Peer, Stage};

/// The time for which a limit of one byte a second delays a download before the test lifts it.
const HELD_UP: Duration = Duration::from_secs(12);

fn limited(rate: u64) -> SpeedLimits {
    SpeedLimits { max_download: Rate::new(rate), ..SpeedLimits::default() }
}

#[test]
fn a_download_keeps_its_limit_with_any_number_of_sources() {
    let stage = Stage::with(10 * MIB);
    let peers = [stage.peer(), stage.peer(), stage.peer()];
    for v1 in [false, true] {
        let sources = peers.iter().map(if v1 { Peer::v1_source } else { Peer::source }).collect();
        let directory = Catalogue::of(&stage.manifest, sources);
        let mut job = stage.job();
        job.throttle = Throttle::new(&limited(5 << 20));
        let begun = Instant::now();
        let fetched = fetch(job, &directory, &mut |_| {}, &Cancel::new()).unwrap();
        // The burst, and one message of each source, comes at once.
        assert!(begun.elapsed() >= Duration::from_millis(1_250), "v1 {v1}: {:?}", begun.elapsed());
        stage.assert_complete(&fetched);
        fs::remove_file(&fetched.path).unwrap();
    }
}

#[test]
fn our_own_limit_is_not_blamed_on_the_sources() {
    let stage = Stage::with(6 * MIB);
    let peer = stage.peer();
    let directory = Catalogue::of(&stage.manifest, vec![peer.source()]);
    let mut job = stage.job();
    let throttle = Throttle::new(&limited(1));
    job.throttle = throttle.clone();
    // Each passes more than twice while the limit holds everything up.
    let scheduler = &mut job.limits.scheduler;
    scheduler.stall_timeout = Duration::from_secs(4);
    scheduler.no_progress = Duration::from_secs(5);
    let mut watch = |progress: &peernet::FetchProgress| {
        if progress.elapsed > HELD_UP {
            throttle.set(&SpeedLimits::default());
        }
    };
    let fetched = fetch(job, &directory, &mut watch, &Cancel::new()).unwrap();
    stage.assert_complete(&fetched);
    assert!(fetched.took > HELD_UP, "{:?}", fetched.took);
    assert_eq!(peer.server.counters().streams_begun, 1);
    assert!(directory.reported().iter().all(|report| report.result.is_ok()), "{:?}", directory.reported());
}

#[test]
fn a_cancelled_download_does_not_wait_for_its_limit() {
    let stage = Stage::with(6 * MIB);
    let peer = stage.peer();
    let directory = Catalogue::of(&stage.manifest, vec![peer.source()]);
    let mut job = stage.job();
    job.throttle = Throttle::new(&limited(1));
    let cancel = Cancel::new();
    let begun = Instant::now();
    let mut watch = |progress: &peernet::FetchProgress| {
        if progress.rate > 0.0 {
            cancel.cancel();
        }
    };
    fetch(job, &directory, &mut watch, &cancel).unwrap_err();
    // At one byte a second the file would take months; the no-progress limit is 60 s.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn a_download_works_with_one_connection() {
    let stage = Stage::with(8 * MIB);
    let first = stage.peer();
    let liar = stage.liar();
    let last = stage.peer();
    let directory = Catalogue::of(&stage.manifest, vec![liar.source(), first.source(), last.source()]);
    let mut job = stage.job();
    let limits = SpeedLimits { max_connections: NonZeroU32::new(1), ..SpeedLimits::default() };
    let throttle = Throttle::new(&limits);
    job.throttle = throttle.clone();
    let most = AtomicU32::new(0);
    let mut noted = false;
    let mut watch = |progress: &peernet::FetchProgress| {
        most.fetch_max(throttle.connections().count(), Ordering::Relaxed);
        noted |= progress.note.as_ref().is_some_and(|note| note.contains("limit on connections"));
    };
    let fetched = fetch(job, &directory, &mut watch, &Cancel::new()).unwrap();
    stage.assert_complete(&fetched);
    assert!(most.into_inner() == 1 && noted);
    assert_eq!(throttle.connections().count(), 0);
}
