//! One seeder and many downloaders that start at once, every host behind a link of 100 Mbit/s both ways: when the last
//! has it.
//!
//! The least that is possible is the file's size over the seeder's rate: every byte has to leave it once.

use std::fs;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peernet_testkit::fixture;
use serde_json::Value;

use crate::host::{Host, Lan};
use crate::parts::{Peer, Sharer, Tracker};
use crate::race::{Runner, race};
use crate::report::Report;
use crate::rivals::bittorrent::{Program, Swarm};
use crate::rivals::nginx::Nginx;
use crate::{Options, measure};

const RATE: &str = "100mbit";
const RATE_BYTES_PER_SECOND: f64 = 12_500_000.0;
const FILE: &str = "fanout.bin";
const OURS: &str = "peernet";
const CURL: &str = "curl alone";
const RIVALS: [Program; 2] = [Program::LibtorrentV1, Program::Aria2];

/// The scenario `fanout`.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let mib = options.mib.unwrap_or(128);
    let file = folder.path().join("files").join(FILE);
    fs::create_dir_all(folder.path().join("files"))?;
    let hash = fixture::write_file(&file, mib << 20, 1)?;
    fs::File::open(&file)?.sync_all()?;
    let mut report = Report::start("fanout", &options.note)?;
    // The first host is the tracker's, the second the seeder's.
    let rates: Vec<_> = (0..options.hosts + 2).map(|number| (number > 0).then_some(RATE)).collect();
    let lan = Lan::start(&rates)?;
    let stage = Stage { folder: folder.path(), file: &file, hash: &hash, lan: &lan };
    let ours = options.wants(OURS).then(|| Ours::start(&stage)).transpose()?;
    let mut rivals = Program::installed(&RIVALS);
    rivals.retain(|rival| options.wants(rival.name()));
    for round in options.rounds_and_a_warm_up(1) {
        if let Some(ours) = &ours {
            report.add(&format!("{OURS}, {} hosts", options.hosts), round, ours.round(&stage)?)?;
        }
        for rival in mem::take(&mut rivals) {
            let who = format!("{}, {} hosts", rival.name(), options.hosts);
            if report.attempt(&who, round, stage.rival(rival))? {
                rivals.push(rival);
            }
        }
        if options.wants(CURL)
            && let Some(record) = stage.curl()?
        {
            report.add(CURL, round, record)?;
        }
    }
    report.summary(&["last_s", "first_s", "of_ideal", "cpu_s", "source_cpu_s", "fetch_rss_mib", "source_rss_mib"]);
    Ok(())
}

/// The setting of every round.
struct Stage<'a> {
    folder: &'a Path,
    file: &'a Path,
    hash: &'a str,
    lan: &'a Lan,
}

impl Stage<'_> {
    fn tracker(&self) -> &Host {
        &self.lan.hosts()[0]
    }

    fn seeder(&self) -> &Host {
        &self.lan.hosts()[1]
    }

    fn fetchers(&self) -> &[Host] {
        &self.lan.hosts()[2..]
    }

    fn ideal_s(&self) -> io::Result<f64> {
        Ok(fs::metadata(self.file)?.len() as f64 / RATE_BYTES_PER_SECOND)
    }

    /// An empty folder for each fetcher.
    fn empty_folders(&self) -> io::Result<Vec<PathBuf>> {
        self.fetchers().iter().map(|host| empty(&self.folder.join("got").join(host.name()))).collect()
    }

    /// Checks every copy after the timing and takes it away.
    fn take(&self, folders: &[PathBuf]) -> io::Result<()> {
        for copy in folders.iter().map(|folder| folder.join(FILE)) {
            if fixture::sha256_file(&copy)? != self.hash {
                return Err(io::Error::other(format!("{} has other bytes than the source", copy.display())));
            }
            fs::remove_file(copy)?;
        }
        Ok(())
    }

    fn rival(&self, program: Program) -> io::Result<Value> {
        let folders = self.empty_folders()?;
        let scratch = self.folder.join("torrents");
        fs::create_dir_all(&scratch)?;
        let swarm = Swarm::start(program, &scratch, self.file, (self.tracker(), self.seeder(), self.fetchers()))?;
        let runners = folders.iter().enumerate().map(|(number, folder)| {
            let staying = program.fetch_and_stay(&swarm, number, folder);
            staying.map(|(command, line)| Runner::UntilLine(command, line))
        });
        let runners = runners.collect::<Option<_>>().ok_or_else(|| io::Error::other("it cannot stay as a seeder"))?;
        let before = swarm.seeder_cost()?;
        let outcome = race(runners)?;
        let source = swarm.seeder_cost()?;
        self.take(&folders)?;
        Ok(outcome.json(source.cpu.saturating_sub(before.cpu), source.peak_rss_kib, self.ideal_s()?))
    }

    /// One curl with the whole link for itself: what the link allows.
    fn curl(&self) -> io::Result<Option<Value>> {
        let files = self.file.parent().unwrap_or(self.folder);
        let Some(nginx) = Nginx::start_on(self.seeder(), self.folder, files)? else { return Ok(None) };
        let folders = self.empty_folders()?;
        let mut record = nginx.fetch(&self.fetchers()[0], FILE, &folders[0].join(FILE))?;
        self.take(&folders[..1])?;
        let wall = record["wall_s"].as_f64().unwrap_or(f64::NAN);
        record["last_s"] = wall.into();
        record["of_ideal"] = (wall / self.ideal_s()?).into();
        Ok(Some(record))
    }
}

fn empty(folder: &Path) -> io::Result<PathBuf> {
    let _left_over = fs::remove_dir_all(folder);
    fs::create_dir_all(folder)?;
    Ok(folder.to_owned())
}

/// PeerNet's tracker, its seeder, and an account on every other host.
struct Ours {
    sharer: Sharer,
    fetchers: Vec<Peer>,
    _tracker: Tracker,
}

impl Ours {
    fn start(stage: &Stage<'_>) -> io::Result<Self> {
        let tracker = Tracker::start_on(stage.tracker(), stage.folder)?;
        let account = |host: &Host| Peer::register(host, stage.folder, host.name(), &tracker.url);
        let sharer = account(stage.seeder())?.share(&[stage.file], &[])?;
        let fetchers = stage.fetchers().iter().map(account).collect::<io::Result<_>>()?;
        Ok(Self { sharer, fetchers, _tracker: tracker })
    }

    fn round(&self, stage: &Stage<'_>) -> io::Result<Value> {
        let folders = stage.empty_folders()?;
        let commands = self.fetchers.iter().zip(&folders);
        let runners =
            commands.map(|(peer, folder)| Ok(Runner::UntilExit(peer.download(stage.hash, &folder.join(FILE))?)));
        let before = measure::Cost::of_running(self.sharer.process.id(), Duration::ZERO)?;
        let outcome = race(runners.collect::<io::Result<_>>()?)?;
        let source = measure::Cost::of_running(self.sharer.process.id(), Duration::ZERO)?;
        stage.take(&folders)?;
        Ok(outcome.json(source.cpu.saturating_sub(before.cpu), source.peak_rss_kib, stage.ideal_s()?))
    }
}
