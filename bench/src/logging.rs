//! The cost of logs: the same lookups at trackers that log nothing, the default, and every reply.

use std::io;

use crate::report::Report;
use crate::tracker::{Target, made, must_have_wrk, plan_lookup};
use crate::{Options, parts};

const CONNECTIONS: usize = 64;
/// The options of each tracker. The default logs no requests.
const TRACKERS: [(&str, &[&str]); 3] = [
    ("no logs", &["--log-level", "error", "--access-log", "off"]),
    ("the default", &[]),
    ("every answer", &["--access-log", "all"]),
];

/// The scenario `logging`.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    must_have_wrk()?;
    let folder = tempfile::tempdir()?;
    let mut report = Report::start("logging", &options.note)?;
    let mut running = Vec::new();
    for (what, flags) in TRACKERS {
        let folder = made(folder.path(), &what.replace(' ', "-"))?;
        let tracker = parts::Tracker::start_with_flags(&folder, flags)?;
        let target: Target = plan_lookup(what, &tracker, &folder)?;
        running.push((tracker, target));
    }
    for round in 0..options.rounds {
        for (_, target) in &running {
            target.measure(options, CONNECTIONS, round, &mut report)?;
        }
    }
    report.summary(&["requests_per_s", "p50_ms", "p99_ms", "errors", "tracker_cpu_s"]);
    let rate = |what: &str| report.median(&format!("{what}, {CONNECTIONS}"), "requests_per_s");
    for (what, _) in &TRACKERS[1..] {
        if let (Some(with), Some(without)) = (rate(what), rate(TRACKERS[0].0)) {
            println!("{what} / {} = {:.3}", TRACKERS[0].0, with / without);
        }
    }
    Ok(())
}
