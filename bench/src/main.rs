//! PeerNet's benchmarks: `cargo run --release -p peernet-bench -- transfer|tracker [options]`.
//!
//! Every number is from one run on one machine, rivals interleaved; raw records go to bench/runs/. Build the programs
//! first: `cargo build --release -p peernet -p peernet-tracker -p peernet-bench`.

mod abuse;
mod collection;
mod crowd;
mod fanout;
mod hash;
mod host;
mod logging;
mod measure;
mod parts;
mod race;
mod report;
mod rivals;
mod share_to_had;
mod slow_source;
mod swarm;
mod tracker;
mod transfer;
mod unavoidable;

use std::process::ExitCode;

use report::Round;

const USAGE: &str = "usage: peernet-bench SCENARIO [--rounds N] [--mib N] [--hosts N] [--seconds N] [--connections N,N…] [--dest FOLDER] [--note TEXT] [--only PART-OF-NAME]
scenarios:
  transfer   one file, one source, loopback: PeerNet beside curl from nginx and libtorrent, wall, CPU of both sides, peak RSS
  tracker    lookups and announces a second and their p99 at several numbers of connections, both stores, beside nginx, aquatic_http and torrust-tracker
             (needs wrk)
  swarm      bytes that a lease takes in the tracker's index, and lookups beside 10, 1,000 and 100,000 holders (needs wrk)
  crowd      64 connections alone, and beside 5,000 that are idle and 500 that send a byte a second (needs wrk)
  logging    lookups at trackers that log nothing, what they do by default, and every answer (needs wrk)
  uplink     256 MiB from behind a line of 12.5 MB/s (100 Mbit/s), a relay of the bench's own
  small      from nothing to a 1-byte file: both processes' start included
  fanout     128 MiB from one seeder to --hosts downloaders at once, every host behind 100 Mbit/s (needs root)
  share-to-had  a fresh 1 KiB file: from the start of `share` to the end of another peer's `download`
  slow-source   3 good sources of 256 MiB, and beside them one 100 times slower, and one that never answers
  collection    10,000 files of 4 KiB beside one file of 40 MiB
  abuse         256 MiB again and again beside mixed abuse of tracker and peer for --seconds (720 is 24 CPU-minutes here), and what that leaves behind
  hash          `share --no-serve` of 2 GiB beside what SHA-256 on all cores allows
needs: nginx and curl, python3 with the package libtorrent, aria2, transmission-cli, rqbit, ip and tc (for network namespaces), wrk
       (bench/rivals/install.sh installs them); what is missing is left out and said";

/// The options as they were typed.
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) mib: Option<u64>,
    pub(crate) hosts: usize,
    pub(crate) seconds: u64,
    pub(crate) connections: Vec<usize>,
    pub(crate) dest: Option<std::path::PathBuf>,
    pub(crate) note: String,
    pub(crate) only: Option<String>,
}

impl Options {
    /// One pass that does not count, then those that do, at least so many.
    pub(crate) fn rounds_and_a_warm_up(&self, at_least: usize) -> impl Iterator<Item = Round> {
        std::iter::once(Round::WarmUp).chain((0..self.rounds.max(at_least)).map(Round::Number))
    }

    /// Returns whether this participant takes part.
    pub(crate) fn wants(&self, who: &str) -> bool {
        self.only.as_ref().is_none_or(|part| who.contains(part.as_str()))
    }
}

fn main() -> ExitCode {
    // Schedulers that group by session would give strangers' jobs as much as everything measured together; where there
    // is no such grouping, or no right to change it, nothing is lost.
    let _not_here = std::fs::write("/proc/self/autogroup", "-15");
    let mut arguments = std::env::args().skip(1);
    let scenario = arguments.next().unwrap_or_default();
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(what) => {
            eprintln!("peernet-bench: {what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let done = match scenario.as_str() {
        "transfer" => transfer::run(&options),
        "uplink" => transfer::run_uplink(&options),
        "small" => transfer::run_small(&options),
        "tracker" => tracker::run(&options),
        "swarm" => swarm::run(&options),
        "crowd" => crowd::run(&options),
        "logging" => logging::run(&options),
        "fanout" => fanout::run(&options),
        "share-to-had" => share_to_had::run(&options),
        "slow-source" => slow_source::run(&options),
        "collection" => collection::run(&options),
        "hash" => hash::run(&options),
        "abuse" => abuse::run(&options),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peernet-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        rounds: 3,
        mib: None,
        hosts: 8,
        seconds: 5,
        connections: vec![1, 64, 1_000],
        dest: None,
        note: String::new(),
        only: None,
    };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name} wants a number"));
        match name.as_str() {
            "--rounds" => options.rounds = number()?.clamp(1, 100) as usize,
            "--mib" => options.mib = Some(number()?.max(1)),
            "--hosts" => options.hosts = number()?.clamp(1, 200) as usize,
            "--seconds" => options.seconds = number()?.clamp(1, 3_600),
            "--connections" => {
                options.connections = value
                    .split(',')
                    .map(str::parse)
                    .collect::<Result<_, _>>()
                    .map_err(|_| "--connections wants numbers")?;
            }
            "--dest" => options.dest = Some(value.into()),
            "--note" => options.note = value,
            "--only" => options.only = Some(value),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(options)
}
