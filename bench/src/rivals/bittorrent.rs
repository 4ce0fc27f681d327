//! BitTorrent programs, each from a seeder of its own kind, over plain TCP without DHT, uTP and local discovery.
//!
//! A torrent tracker of ours (rivals/bt_tracker.py) tells all peers about each other at once, and tells the bench when
//! a seeder is ready. So no program's time depends on the discovery of its peers.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use peernet_testkit::process::Process;
use serde_json::Value;

use super::{both_sides, has, script};
use crate::host::Host;
use crate::measure::{self, Cost};

/// The port of every program, each on its own host.
const PORT: u16 = 6_881;
const TRACKER_PORT: u16 = 6_969;
/// The time limit for a seeder's check of its file.
const PATIENCE: Duration = Duration::from_secs(300);

/// The programs that the bench knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    LibtorrentV1,
    LibtorrentV2,
    Aria2,
    Transmission,
    Rqbit,
}

impl Program {
    pub(crate) const ALL: [Self; 5] =
        [Self::LibtorrentV1, Self::LibtorrentV2, Self::Aria2, Self::Transmission, Self::Rqbit];

    /// For the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LibtorrentV1 => "libtorrent v1, TCP",
            Self::LibtorrentV2 => "libtorrent v2, TCP",
            Self::Aria2 => "aria2, BitTorrent",
            Self::Transmission => "transmission",
            Self::Rqbit => "rqbit",
        }
    }

    /// Returns the installed programs of `wanted`, and prints the names of the others.
    pub(crate) fn installed(wanted: &[Self]) -> Vec<Self> {
        let importable = Command::new("python3").args(["-c", "import libtorrent"]).stderr(Stdio::null()).status();
        if !importable.is_ok_and(|status| status.success()) {
            println!("libtorrent (pip install libtorrent) is missing: every BitTorrent program is left out");
            return Vec::new();
        }
        let there = |program: &Self| match program {
            Self::LibtorrentV1 | Self::LibtorrentV2 => true,
            Self::Aria2 => has("aria2c"),
            Self::Transmission => has("transmission-cli"),
            Self::Rqbit => has("rqbit"),
        };
        let (there, missing): (Vec<Self>, Vec<Self>) = wanted.iter().partition(|program| there(program));
        missing.iter().for_each(|program| println!("{} is missing: left out", program.name()));
        there
    }

    fn seed(self, torrent: &Path, host: &Host, folder: &Path, scratch: &Path) -> io::Result<Command> {
        match self {
            Self::LibtorrentV1 | Self::LibtorrentV2 => Ok(libtorrent("libtorrent_seed.py", torrent, host, folder)),
            Self::Aria2 => {
                let mut command = aria2(torrent, host, folder);
                command.args(["--seed-ratio=0.0", "--bt-seed-unverified=true", "--check-integrity=false"]);
                Ok(command)
            }
            Self::Transmission => transmission(torrent, host, folder, scratch),
            Self::Rqbit => Ok(rqbit(torrent, host, folder)),
        }
    }

    /// Ends when the file is complete.
    fn fetch(self, torrent: &Path, host: &Host, peers: &[&Host], folder: &Path, scratch: &Path) -> io::Result<Command> {
        match self {
            Self::LibtorrentV1 | Self::LibtorrentV2 => {
                let mut command = libtorrent("libtorrent_fetch.py", torrent, host, folder);
                command.arg("leave").args(peers.iter().map(|peer| peer.address())).stdout(Stdio::null());
                Ok(command)
            }
            Self::Aria2 => {
                let mut command = aria2(torrent, host, folder);
                command.arg("--seed-time=0").stdout(Stdio::null());
                Ok(command)
            }
            Self::Transmission => {
                let mut command = transmission(torrent, host, folder, scratch)?;
                command.arg("--finish").arg(script("transmission_done.sh"));
                command.stdout(Stdio::null()).stderr(Stdio::null());
                Ok(command)
            }
            Self::Rqbit => {
                let mut command = rqbit(torrent, host, folder);
                let peers: Vec<String> = peers.iter().map(|peer| format!("{}:{PORT}", peer.address())).collect();
                command
                    .arg("--initial-peers")
                    .arg(peers.join(","))
                    .arg("--exit-on-finish")
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                Ok(command)
            }
        }
    }

    /// Goes on seeding when the file is complete, and says so in a line with the text that comes back; `None` for
    /// programs of which no such line is known.
    pub(crate) fn fetch_and_stay(self, job: &Swarm, number: usize, folder: &Path) -> Option<(Command, &'static str)> {
        let host = &job.fetchers[number];
        match self {
            Self::LibtorrentV1 | Self::LibtorrentV2 => {
                let mut command = libtorrent("libtorrent_fetch.py", &job.torrent, host, folder);
                let others = job.fetchers.iter().enumerate().filter(|(other, _)| *other != number);
                command.arg("stay").arg(job.seeder.address()).args(others.map(|(_, other)| other.address()));
                Some((command, "DONE"))
            }
            Self::Aria2 => {
                let mut command = aria2(&job.torrent, host, folder);
                command.arg("--seed-ratio=0.0");
                command.arg(format!("--on-bt-download-complete={}", script("aria2_done.sh").display()));
                Some((command, "DONE"))
            }
            Self::Transmission | Self::Rqbit => None,
        }
    }
}

/// One file's torrent, a running torrent tracker, and a running seeder of one program.
pub(crate) struct Swarm {
    program: Program,
    torrent: PathBuf,
    seeder: Host,
    fetchers: Vec<Host>,
    scratch: PathBuf,
    seeding: Process,
    _tracker: Process,
}

impl Swarm {
    /// Comes back when the seeder seeds. `scratch` is a folder for torrents and settings.
    pub(crate) fn start(
        program: Program,
        scratch: &Path,
        file: &Path,
        (tracker, seeder, fetchers): (&Host, &Host, &[Host]),
    ) -> io::Result<Self> {
        let version = if program == Program::LibtorrentV2 { "v2" } else { "v1" };
        let torrent = scratch.join(format!("{version}.torrent"));
        if !torrent.exists() {
            let announce = format!("http://{}:{TRACKER_PORT}/announce", tracker.address());
            let mut make = Command::new("python3");
            make.args(["-B", "-W", "ignore"])
                .arg(script("libtorrent_make.py"))
                .args([file, &torrent])
                .args([&announce, version]);
            measure::run(&mut make)?;
        }
        let mut serve = tracker.command("python3");
        serve.arg(script("bt_tracker.py")).arg(tracker.address()).arg(TRACKER_PORT.to_string()).arg(PORT.to_string());
        serve.arg(seeder.address()).args(fetchers.iter().map(Host::address));
        let tracker = until_line(Process::start(&mut serve)?, "READY")?;
        let folder = file.parent().unwrap_or(scratch);
        let seeding = Process::start(&mut program.seed(&torrent, seeder, folder, scratch)?)?;
        // No other program runs yet.
        let tracker = until_line(tracker, " left=0")?;
        let (seeder, fetchers, scratch) = (seeder.clone(), fetchers.to_vec(), scratch.to_owned());
        Ok(Self { program, torrent, seeder, fetchers, scratch, seeding, _tracker: tracker })
    }

    /// The seeder's cost so far.
    pub(crate) fn seeder_cost(&self) -> io::Result<Cost> {
        Cost::of_running(self.seeding.id(), Duration::ZERO)
    }

    /// One download by the first fetcher into `folder`.
    pub(crate) fn fetch(&self, folder: &Path) -> io::Result<Value> {
        let before = self.seeder_cost()?.cpu;
        let host = &self.fetchers[0];
        let mut command = self.program.fetch(&self.torrent, host, &[&self.seeder], folder, &self.scratch)?;
        let (status, cost) = measure::run_to_any_end(command.stdin(Stdio::null()))?;
        // transmission has no way to end when it is done but to be ended, by its script.
        if status != 0 && self.program != Program::Transmission {
            return Err(io::Error::other(format!("{command:?} ended with wait status {status}")));
        }
        let source = self.seeder_cost()?;
        Ok(both_sides(cost, source.cpu.saturating_sub(before), source.peak_rss_kib))
    }
}

/// Waits for the line; a rival from which it does not come is an error, not the end of the run.
fn until_line(mut process: Process, part: &'static str) -> io::Result<Process> {
    let waiting = thread::spawn(move || {
        process.line_with(part, PATIENCE);
        process
    });
    waiting.join().map_err(|_| io::Error::other(format!("no line with {part:?} within {PATIENCE:?}")))
}

fn libtorrent(name: &str, torrent: &Path, host: &Host, folder: &Path) -> Command {
    let mut command = host.command("python3");
    // -B: no byte code is left beside the scripts.
    command.arg("-B").arg(script(name)).args([torrent, folder]).args([host.address(), &PORT.to_string()]);
    command
}

fn aria2(torrent: &Path, host: &Host, folder: &Path) -> Command {
    let mut command = host.command("aria2c");
    command.args([
        "--no-conf",
        "--disable-ipv6=true",
        "--enable-dht=false",
        "--enable-dht6=false",
        "--bt-enable-lpd=false",
    ]);
    command.args(["--bt-min-crypto-level=plain", "--bt-require-crypto=false", "--file-allocation=none"]);
    command.args(["--allow-overwrite=true", "--summary-interval=0", "--show-console-readout=false"]);
    command.arg(format!("--interface={}", host.address())).arg(format!("--listen-port={PORT}"));
    command.arg("--dir").arg(folder).arg(torrent);
    command
}

fn transmission(torrent: &Path, host: &Host, folder: &Path, scratch: &Path) -> io::Result<Command> {
    let own = scratch.join(format!("transmission-{}-{}", host.name(), host.address()));
    let _left_over = std::fs::remove_dir_all(&own);
    std::fs::create_dir_all(&own)?;
    let settings = serde_json::json!({"bind-address-ipv4": host.address(), "bind-address-ipv6": "::1", "peer-port": PORT,
        "dht-enabled": false, "lpd-enabled": false, "utp-enabled": false, "encryption": 0, "port-forwarding-enabled": false,
        "speed-limit-down-enabled": false, "speed-limit-up-enabled": false});
    std::fs::write(own.join("settings.json"), settings.to_string())?;
    let mut command = host.command("transmission-cli");
    command.arg("--config-dir").arg(&own).args(["--no-portmap", "--encryption-tolerated", "--no-downlimit"]);
    command.arg("--no-uplimit").arg("--download-dir").arg(folder).arg(torrent);
    Ok(command)
}

fn rqbit(torrent: &Path, host: &Host, folder: &Path) -> Command {
    let mut command = host.command("rqbit");
    command.args(["--disable-dht", "--disable-dht-persistence", "--disable-lsd", "--ipv4-only"]);
    command.args(["--listen-ip", host.address(), "--listen-port", &PORT.to_string()]);
    // --overwrite: what is there is looked at; a seeder finds its file.
    command.args(["download", "--disable-http-api", "--overwrite", "--output-folder"]).arg(folder).arg(torrent);
    command
}
