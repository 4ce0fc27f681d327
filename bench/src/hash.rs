//! The speed at which `share` hashes, beside the speed of SHA-256 on all cores. Every byte goes into two digests: its
//! chunk's and the file's.

use std::hint::black_box;
use std::io;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use peernet_testkit::fixture;
use serde_json::{Value, json};

use crate::host::Host;
use crate::parts::{Peer, Tracker};
use crate::report::{Report, shown};
use crate::{Options, measure};

const OURS: &str = "share --no-serve";
const SHA256: &str = "SHA-256, one core";
const SHA256_EACH: &str = "SHA-256, all cores at once";
/// Little, because a child's peak memory is never less than its parent's: see [`measure`].
const BLOCK: usize = 4 << 20;

/// The scenario `hash`.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let tracker = Tracker::start(folder.path())?;
    let mib = options.mib.unwrap_or(2_048);
    let file = folder.path().join("hash.bin");
    fixture::write_file(&file, mib << 20, 1)?;
    std::fs::File::open(&file)?.sync_all()?;
    let mut report = Report::start("hash", &options.note)?;
    for (number, round) in options.rounds_and_a_warm_up(1).enumerate() {
        // A new account each time: one that knows the file already need not hash it.
        let peer = Peer::register(&Host::here(), folder.path(), &format!("peer-{number}"), &tracker.url)?;
        let mut share = peer.peernet()?;
        let cost = measure::run(share.args(["share", "--no-serve", "--quiet"]).arg(&file).stdout(Stdio::null()))?;
        let mut record = cost.json();
        record["mib_per_s"] = (mib as f64 / cost.wall.as_secs_f64()).into();
        report.add(OURS, round, record)?;
        report.add(SHA256, round, sha256_on(1)?)?;
        report.add(SHA256_EACH, round, sha256_on(cores())?)?;
    }
    report.summary(&["mib_per_s", "wall_s", "cpu_s", "peak_rss_mib"]);
    let ours = report.median(OURS, "mib_per_s");
    for (who, allowed) in [
        (
            format!("{SHA256}, times the cores, for two digests"),
            report.median(SHA256, "mib_per_s").map(|mib| mib * cores() as f64 / 2.0),
        ),
        (format!("{SHA256_EACH}, for two digests"), report.median(SHA256_EACH, "mib_per_s").map(|mib| mib / 2.0)),
    ] {
        println!(
            "{} of {who}: {} MiB/s",
            shown(ours.zip(allowed).map(|(ours, allowed)| ours / allowed)),
            shown(allowed)
        );
    }
    Ok(())
}

/// Bytes in memory, on so many threads at once.
fn sha256_on(threads: usize) -> io::Result<Value> {
    const PASSES: usize = 128;
    let bytes = fixture::bytes(BLOCK, 1);
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..PASSES).for_each(|_| drop(black_box(fixture::sha256_hex(black_box(&bytes))))));
        }
    });
    let mib = (threads * PASSES * (BLOCK >> 20)) as f64;
    Ok(json!({"mib_per_s": mib / began.elapsed().as_secs_f64(), "threads": threads}))
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
