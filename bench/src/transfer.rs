//! One file from one source to one downloader on loopback, page cache to disk, beside what others need for the same.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use peernet_testkit::fixture;
use peernet_testkit::process::Process;
use peernet_testkit::relay::{Faults, Relay};

use crate::report::Report;
use crate::rivals::{Libtorrent, Nginx, both_sides};
use crate::{Options, measure, parts};

const START: Duration = Duration::from_secs(60);
const COLUMNS: &[&str] = &["wall_s", "cpu_s", "fetch_cpu_s", "source_cpu_s", "fetch_rss_mib", "source_rss_mib"];

/// The scenario `transfer`.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let dest = options.dest.clone().unwrap_or_else(|| folder.path().join("dest"));
    let files = folder.path().join("files");
    fs::create_dir_all(&dest)?;
    fs::create_dir_all(&files)?;
    let file = files.join("bench.bin");
    let hash = fixture::write_file(&file, options.mib << 20, 1)?;
    // The file's own dirty pages must not be written back while somebody is measured.
    fs::File::open(&file)?.sync_all()?;
    let mut report = Report::start("transfer", &options.note)?;
    let ours = Ours::start(folder.path(), &file, &[], &mut report)?;
    let nginx = Nginx::start(folder.path(), &files)?;
    let libtorrent = Libtorrent::start(folder.path(), &file)?;
    for round in 0..options.rounds {
        one_round(round, &mut report, &dest, &hash, (&ours, nginx.as_ref(), libtorrent.as_ref()))?;
    }
    report.summary(COLUMNS);
    Ok(())
}

fn one_round(
    round: usize,
    report: &mut Report,
    dest: &Path,
    hash: &str,
    (ours, nginx, libtorrent): (&Ours, Option<&Nginx>, Option<&Libtorrent>),
) -> io::Result<()> {
    let target = dest.join("bench.bin");
    report.add("peernet", round, ours.fetch(hash, &target, &[])?)?;
    take(&target, hash)?;
    report.add("peernet --no-sync", round, ours.fetch(hash, &target, &["--no-sync"])?)?;
    take(&target, hash)?;
    if let Some(nginx) = nginx {
        report.add("curl from nginx", round, nginx.fetch("bench.bin", &target)?)?;
        take(&target, hash)?;
    }
    if let Some(libtorrent) = libtorrent {
        report.add("libtorrent v1, TCP", round, libtorrent.fetch(dest)?)?;
        take(&target, hash)?;
    }
    let copy = measure::run(std::process::Command::new("cp").arg(ours.file.as_path()).arg(&target))?;
    report.add("cp", round, both_sides(copy, Duration::ZERO, 0))?;
    take(&target, hash)
}

/// Checks the bytes after the timing, and takes the file away, with its dirty pages.
fn take(path: &Path, hash: &str) -> io::Result<()> {
    if fixture::sha256_file(path)? != hash {
        return Err(io::Error::other(format!("{} has other bytes than the source", path.display())));
    }
    fs::remove_file(path)
}

/// The scenario `small`: a process that starts and fetches a 1-byte file.
pub(crate) fn run_small(options: &Options) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("one.bin");
    let hash = fixture::write_file(&file, 1, 1)?;
    let mut report = Report::start("small", &options.note)?;
    let ours = Ours::start(folder.path(), &file, &[], &mut report)?;
    for round in 0..options.rounds.max(10) {
        let target = folder.path().join("got.bin");
        report.add("peernet", round, ours.fetch(&hash, &target, &[])?)?;
        take(&target, &hash)?;
    }
    report.summary(&["wall_s", "fetch_cpu_s", "fetch_rss_mib"]);
    Ok(())
}

/// The scenario `uplink`: the sharer's line is the bottleneck.
pub(crate) fn run_uplink(options: &Options) -> io::Result<()> {
    const LINE_BYTES_PER_SECOND: u64 = 12_500_000;
    const SIZE: u64 = 256 << 20;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("uplink.bin");
    let hash = fixture::write_file(&file, SIZE, 1)?;
    let relay = Relay::start_unaimed(Faults { bytes_per_second: LINE_BYTES_PER_SECOND, ..Faults::default() })?;
    let address = relay.address().to_string();
    let mut report = Report::start("uplink", &options.note)?;
    let ours = Ours::start(folder.path(), &file, &["--address", &address], &mut report)?;
    relay.aim(ours.listen);
    for round in 0..options.rounds {
        let target = folder.path().join("got.bin");
        let mut record = ours.fetch(&hash, &target, &[])?;
        record["of_line_rate"] = serde_json::json!(
            SIZE as f64 / LINE_BYTES_PER_SECOND as f64 / record["wall_s"].as_f64().unwrap_or(f64::NAN)
        );
        report.add("peernet", round, record)?;
        take(&target, &hash)?;
    }
    report.summary(&["wall_s", "of_line_rate", "cpu_s", "fetch_rss_mib", "source_rss_mib"]);
    Ok(())
}

/// A tracker, a sharer and a downloader's account.
struct Ours {
    tracker: parts::Tracker,
    sharer: Process,
    listen: std::net::SocketAddr,
    bob: std::path::PathBuf,
    file: std::path::PathBuf,
}

impl Ours {
    fn start(folder: &Path, file: &Path, flags: &[&str], report: &mut Report) -> io::Result<Self> {
        let tracker = parts::Tracker::start(folder)?;
        let (alice, bob) = (folder.join("alice"), folder.join("bob"));
        parts::register(&alice, &tracker.url)?;
        parts::register(&bob, &tracker.url)?;
        let began = std::time::Instant::now();
        let mut command = parts::peernet(&alice, &tracker.url)?;
        command.args(["share", "--no-daemon", "--listen", "127.0.0.1:0"]).args(flags).arg(file);
        let mut sharer = Process::start(&mut command)?;
        let line = sharer.line_with("listening on ", START);
        let listen = line.split("listening on ").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok());
        let listen = listen.ok_or_else(|| io::Error::other(format!("no address in {line:?}")))?;
        sharer.line_with("Announced", START);
        let wall = began.elapsed();
        let cost = measure::Cost {
            wall,
            cpu: measure::cpu_so_far(sharer.id())?,
            peak_rss_kib: measure::peak_rss_kib(sharer.id())?,
        };
        report.add("peernet share (hashing)", 0, cost.json())?;
        Ok(Self { tracker, sharer, listen, bob, file: file.to_owned() })
    }

    fn fetch(&self, hash: &str, target: &Path, flags: &[&str]) -> io::Result<serde_json::Value> {
        let before = measure::cpu_so_far(self.sharer.id())?;
        let mut command = parts::peernet(&self.bob, &self.tracker.url)?;
        let cost = measure::run(command.args(["download", hash, "--quiet", "--output"]).arg(target).args(flags))?;
        let source = measure::cpu_so_far(self.sharer.id())?.saturating_sub(before);
        Ok(both_sides(cost, source, measure::peak_rss_kib(self.sharer.id())?))
    }
}
