//! The cost of one bad source in a download with three good ones: one a hundred times slower, and one that accepts and
//! never replies.
//!
//! Every source is a sharer of its own behind a relay of the bench's, which is its line. Each case has a file of its
//! own, which the three good sources share and only that case's bad one beside them; so no source comes or goes between
//! measurements.

use std::io;
use std::path::PathBuf;

use peernet_testkit::fixture;
use peernet_testkit::relay::{Faults, Relay};
use serde_json::Value;

use crate::host::Host;
use crate::parts::{Peer, Sharer, Tracker};
use crate::report::{Report, shown};
use crate::{Options, measure};

const GOOD: usize = 3;
/// The rate of a good source's link, low enough that the machine is not the bottleneck.
const BYTES_PER_SECOND: u64 = 20_000_000;
/// The slow one has 1 % of that.
const SLOWER: u64 = 100;

const WITHOUT: &str = "3 good sources";
const SLOW: &str = "and one 100 x slower";
const SILENT: &str = "and one that never answers";

/// The scenario `slow-source`.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let tracker = Tracker::start(folder.path())?;
    let mut cases = Vec::new();
    for (number, who) in [WITHOUT, SLOW, SILENT].into_iter().enumerate() {
        let file = folder.path().join(format!("{number}.bin"));
        let hash = fixture::write_file(&file, options.mib.unwrap_or(256) << 20, number as u64 + 1)?;
        cases.push(Case { who, file, hash });
    }
    let sharing = |name: &str, cases: &[&Case], faults| -> io::Result<Source> {
        let peer = Peer::register(&Host::here(), folder.path(), name, &tracker.url)?;
        Source::start(&peer, cases, faults)
    };
    let line = |bytes_per_second| Faults { bytes_per_second, ..Faults::default() };
    let all: Vec<&Case> = cases.iter().collect();
    let mut sources = (0..GOOD)
        .map(|number| sharing(&format!("good-{number}"), &all, line(BYTES_PER_SECOND)))
        .collect::<io::Result<Vec<_>>>()?;
    sources.push(sharing("slow", &all[1..2], line(BYTES_PER_SECOND / SLOWER))?);
    sources.push(sharing("silent", &all[2..], Faults { silent_after_bytes: 1, ..Faults::default() })?);
    let bob = Peer::register(&Host::here(), folder.path(), "bob", &tracker.url)?;
    let mut report = Report::start("slow-source", &options.note)?;
    for round in options.rounds_and_a_warm_up(1) {
        for case in &cases {
            report.add(case.who, round, case.fetch(&bob, &sources)?)?;
        }
    }
    report.summary(&["wall_s", "cpu_s", "bad_source_mib"]);
    for bad in [SLOW, SILENT] {
        let ratio =
            report.median(bad, "wall_s").zip(report.median(WITHOUT, "wall_s")).map(|(with, without)| with / without);
        println!("{bad}: {} x the time without it", shown(ratio));
    }
    Ok(())
}

struct Case {
    who: &'static str,
    file: PathBuf,
    hash: String,
}

impl Case {
    fn fetch(&self, bob: &Peer, sources: &[Source]) -> io::Result<Value> {
        let got = self.file.with_extension("got");
        let passed = || sources[GOOD..].iter().map(|source| source.line.passed()).sum::<u64>();
        let before = passed();
        let cost = measure::run(&mut bob.download(&self.hash, &got)?)?;
        if fixture::sha256_file(&got)? != self.hash {
            return Err(io::Error::other("the copy has other bytes than the source"));
        }
        std::fs::remove_file(&got)?;
        let mut record = cost.json();
        record["bad_source_mib"] = ((passed() - before) as f64 / f64::from(1 << 20)).into();
        Ok(record)
    }
}

/// A sharer that others reach through its line only.
struct Source {
    line: Relay,
    _sharer: Sharer,
}

impl Source {
    fn start(peer: &Peer, cases: &[&Case], faults: Faults) -> io::Result<Self> {
        let line = Relay::start_unaimed(faults)?;
        let files: Vec<_> = cases.iter().map(|case| case.file.as_path()).collect();
        let sharer = peer.share(&files, &["--address", &line.address().to_string()])?;
        line.aim(sharer.listen);
        Ok(Self { line, _sharer: sharer })
    }
}
