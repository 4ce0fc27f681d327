//! From starting `share` of a fresh 1 KiB file to another peer having it: two process starts, with everything between them.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use peernet_testkit::fixture;
use serde_json::json;

use crate::Options;
use crate::host::Host;
use crate::measure;
use crate::parts::{Peer, Tracker};
use crate::report::Report;

const SIZE: u64 = 1 << 10;
const ROUNDS_MIN: usize = 20;

/// The scenario `share-to-had`. The tracker runs already; the download starts when the share has printed its link.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let tracker = Tracker::start(folder.path())?;
    let alice = Peer::register(&Host::here(), folder.path(), "alice", &tracker.url)?;
    let bob = Peer::register(&Host::here(), folder.path(), "bob", &tracker.url)?;
    let mut report = Report::start("share-to-had", &options.note)?;
    for (number, round) in options.rounds_and_a_warm_up(ROUNDS_MIN).enumerate() {
        let (file, got) = (folder.path().join(format!("{number}.bin")), folder.path().join(format!("{number}.got")));
        let hash = fixture::write_file(&file, SIZE, number as u64 + 1)?;
        let began = Instant::now();
        let sharer = alice.share(&[&file], &[])?;
        let shared = began.elapsed();
        let cost = measure::run(&mut bob.download(&sharer.link, &got)?)?;
        let wall = began.elapsed();
        if fixture::sha256_file(&got)? != hash {
            return Err(io::Error::other("the copy has other bytes than the source"));
        }
        fs::remove_file(&got)?;
        let source = measure::Cost::of_running(sharer.process.id(), Duration::ZERO)?;
        let record = json!({"wall_ms": millis(wall), "share_ms": millis(shared), "download_ms": millis(cost.wall),
            "cpu_ms": millis(cost.cpu + source.cpu)});
        report.add("peernet", round, record)?;
    }
    report.summary(&["wall_ms", "share_ms", "download_ms", "cpu_ms"]);
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
