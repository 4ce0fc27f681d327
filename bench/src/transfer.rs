//! One file from one source to one downloader on loopback, page cache to disk, beside what others need for the same.

use std::fs;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peernet_testkit::fixture;
use peernet_testkit::relay::{Faults, Relay};

use crate::host::{Host, OneLoopback};
use crate::parts::{Peer, Sharer, Tracker};
use crate::report::{Report, Round, shown};
use crate::rivals::bittorrent::{Program, Swarm};
use crate::rivals::both_sides;
use crate::rivals::nginx::Nginx;
use crate::{Options, measure, unavoidable};

const FILE: &str = "bench.bin";
const OURS: &str = "peernet";
const CURL: &str = "curl from nginx";
const CURL_SECURED: &str = "curl from nginx, TLS";
const OURS_UNSYNCED: &str = "peernet --no-sync";
const COLUMNS: &[&str] = &["wall_s", "cpu_s", "fetch_cpu_s", "source_cpu_s", "fetch_rss_mib", "source_rss_mib"];

/// The scenario `transfer`.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let dest = options.dest.clone().unwrap_or_else(|| folder.path().join("dest"));
    let files = folder.path().join("files");
    fs::create_dir_all(&dest)?;
    fs::create_dir_all(&files)?;
    let file = files.join(FILE);
    let hash = fixture::write_file(&file, options.mib.unwrap_or(1_024) << 20, 1)?;
    // The file's own dirty pages must not be written back during a measurement.
    fs::File::open(&file)?.sync_all()?;
    let mut report = Report::start("transfer", &options.note)?;
    let ours = Ours::start(folder.path(), &file, &[], &mut report)?;
    let nginx = if options.wants(CURL) { Nginx::start(folder.path(), &files)? } else { None };
    let mut torrents = Torrents::start(folder.path(), options)?;
    for round in options.rounds_and_a_warm_up(1) {
        one_round(round, &mut report, &dest, &hash, (&ours, nginx.as_ref(), torrents.as_mut()))?;
    }
    report.summary(COLUMNS);
    compare(&report);
    Ok(())
}

fn one_round(
    round: Round,
    report: &mut Report,
    dest: &Path,
    hash: &str,
    (ours, nginx, torrents): (&Ours, Option<&Nginx>, Option<&mut Torrents>),
) -> io::Result<()> {
    let target = dest.join(FILE);
    report.add(OURS, round, ours.fetch(hash, &target, &[])?)?;
    take(&target, hash)?;
    report.add(OURS_UNSYNCED, round, ours.fetch(hash, &target, &["--no-sync"])?)?;
    take(&target, hash)?;
    if let Some(nginx) = nginx {
        report.add(CURL, round, nginx.fetch(&Host::here(), FILE, &target)?)?;
        take(&target, hash)?;
        report.add(CURL_SECURED, round, nginx.fetch_secured(&Host::here(), FILE, &target)?)?;
        take(&target, hash)?;
    }
    if let Some(torrents) = torrents {
        torrents.one_round(round, report, &ours.file, (dest, hash))?;
    }
    let copy = measure::run(std::process::Command::new("cp").arg(ours.file.as_path()).arg(&target))?;
    report.add("cp", round, both_sides(copy, Duration::ZERO, 0))?;
    take(&target, hash)?;
    unavoidable::measure_all(report, round, &ours.file, &target)
}

/// The ratios that are promised, from the medians.
fn compare(report: &Report) {
    for (who, synced) in [(OURS, true), (OURS_UNSYNCED, false)] {
        let Some(wall) = report.median(who, "wall_s") else { continue };
        println!("\n{who}:");
        if let Some(allowed) = unavoidable::allowed(report, synced) {
            let percent = 100.0 * allowed.as_secs_f64() / wall;
            println!("  {percent:.0} % of what the parts allow, {:.3} s", allowed.as_secs_f64());
        }
        let faster = [Program::LibtorrentV1, Program::LibtorrentV2]
            .into_iter()
            .min_by(|a, b| wall_or_for_ever(report, a.name()).total_cmp(&wall_or_for_ever(report, b.name())));
        let others = Program::ALL.map(Program::name);
        for other in others.into_iter().chain([CURL, CURL_SECURED]) {
            let ratio = |column| Some(report.median(who, column)? / report.median(other, column)?);
            let (wall, cpu) = (shown(ratio("wall_s")), shown(ratio("cpu_s")));
            let note = if Some(other) == faster.map(Program::name) { " (libtorrent's faster one)" } else { "" };
            println!("  {wall} x the wall and {cpu} x the CPU of {other}{note}");
        }
    }
}

fn wall_or_for_ever(report: &Report, who: &str) -> f64 {
    report.median(who, "wall_s").unwrap_or(f64::INFINITY)
}

/// The BitTorrent programs that are installed, and addresses for them.
struct Torrents {
    lan: OneLoopback,
    programs: Vec<Program>,
    scratch: PathBuf,
}

impl Torrents {
    fn start(folder: &Path, options: &Options) -> io::Result<Option<Self>> {
        let scratch = folder.join("torrents");
        fs::create_dir_all(&scratch)?;
        let mut programs = Program::installed(&Program::ALL);
        programs.retain(|program| options.wants(program.name()));
        Ok(OneLoopback::start(3).map(|lan| Self { lan, programs, scratch }))
    }

    fn one_round(
        &mut self,
        round: Round,
        report: &mut Report,
        file: &Path,
        (dest, hash): (&Path, &str),
    ) -> io::Result<()> {
        let target = dest.join(FILE);
        for program in mem::take(&mut self.programs) {
            let fetched = self.fetch(program, file, dest).and_then(|record| take(&target, hash).map(|()| record));
            if report.attempt(program.name(), round, fetched)? {
                self.programs.push(program);
            } else {
                let _nothing_there = fs::remove_file(&target);
            }
        }
        Ok(())
    }

    /// A fresh seeder, which is ready before the time begins, and one download.
    fn fetch(&self, program: Program, file: &Path, dest: &Path) -> io::Result<serde_json::Value> {
        let [seeder, fetcher, tracker] = self.lan.hosts() else { return Err(io::Error::other("three were asked for")) };
        let fetchers = std::slice::from_ref(fetcher);
        Swarm::start(program, &self.scratch, file, (tracker, seeder, fetchers))?.fetch(dest)
    }
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
    relay.aim(ours.sharer.listen);
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
    sharer: Sharer,
    bob: Peer,
    file: PathBuf,
    _tracker: Tracker,
}

impl Ours {
    fn start(folder: &Path, file: &Path, flags: &[&str], report: &mut Report) -> io::Result<Self> {
        let tracker = Tracker::start(folder)?;
        let alice = Peer::register(&Host::here(), folder, "alice", &tracker.url)?;
        let bob = Peer::register(&Host::here(), folder, "bob", &tracker.url)?;
        let began = std::time::Instant::now();
        let sharer = alice.share(&[file], flags)?;
        let cost = measure::Cost::of_running(sharer.process.id(), began.elapsed())?;
        report.add("peernet share (hashing)", 0, cost.json())?;
        Ok(Self { sharer, bob, file: file.to_owned(), _tracker: tracker })
    }

    fn fetch(&self, hash: &str, target: &Path, flags: &[&str]) -> io::Result<serde_json::Value> {
        let sharer = self.sharer.process.id();
        let before = measure::cpu_so_far(sharer)?;
        let cost = measure::run(self.bob.download(hash, target)?.args(flags))?;
        let source = measure::cpu_so_far(sharer)?.saturating_sub(before);
        Ok(both_sides(cost, source, measure::peak_rss_kib(sharer)?))
    }
}
