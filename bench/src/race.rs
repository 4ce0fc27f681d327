//! Several downloads of one file, started at once: when each was done, and what all of them cost.

use std::io;
use std::process::Command;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use peernet_testkit::process::Process;
use serde_json::{Value, json};

use crate::measure::{self, Cost};

/// Longer than anything that makes progress takes.
const PATIENCE: Duration = Duration::from_secs(900);

/// A participant of a race.
pub(crate) enum Runner {
    /// Done when it exits.
    UntilExit(Command),
    /// Done when it prints this; it goes on helping the others until all are done.
    UntilLine(Command, &'static str),
}

/// The results of a race.
pub(crate) struct Outcome {
    each: Vec<Cost>,
}

enum Finished {
    Gone(Cost),
    Staying(Process, Duration),
}

/// Starts all, waits for all, ends those that stay.
pub(crate) fn race(runners: Vec<Runner>) -> io::Result<Outcome> {
    let began = Instant::now();
    let finished = thread::scope(|scope| {
        let threads: Vec<_> = runners.into_iter().map(|runner| scope.spawn(move || run(runner, began))).collect();
        threads.into_iter().map(join).collect::<io::Result<Vec<_>>>()
    })?;
    let cost = |finished: &Finished| match finished {
        Finished::Gone(cost) => Ok(*cost),
        Finished::Staying(process, wall) => Cost::of_running(process.id(), *wall),
    };
    Ok(Outcome { each: finished.iter().map(cost).collect::<io::Result<_>>()? })
}

fn join(thread: ScopedJoinHandle<'_, io::Result<Finished>>) -> io::Result<Finished> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a download got stuck")))
}

fn run(runner: Runner, began: Instant) -> io::Result<Finished> {
    match runner {
        Runner::UntilExit(mut command) => {
            let cost = measure::run(&mut command)?;
            Ok(Finished::Gone(Cost { wall: began.elapsed(), ..cost }))
        }
        Runner::UntilLine(mut command, line) => {
            let mut process = Process::start(&mut command)?;
            process.line_with(line, PATIENCE);
            Ok(Finished::Staying(process, began.elapsed()))
        }
    }
}

impl Outcome {
    /// The record: when each, the first and the last was done, that beside the time `ideal_s`, and CPU of all of them
    /// and of a source that needed this much.
    pub(crate) fn json(&self, source_cpu: Duration, source_rss_kib: u64, ideal_s: f64) -> Value {
        let mut walls: Vec<f64> = self.each.iter().map(|cost| cost.wall.as_secs_f64()).collect();
        walls.sort_by(f64::total_cmp);
        let (first, last) = (walls.first().copied().unwrap_or_default(), walls.last().copied().unwrap_or_default());
        let cpu = self.each.iter().map(|cost| cost.cpu).sum::<Duration>();
        let rss = self.each.iter().map(|cost| cost.peak_rss_kib).max().unwrap_or_default();
        json!({"last_s": last, "first_s": first, "of_ideal": last / ideal_s, "each_s": walls,
            "cpu_s": (cpu + source_cpu).as_secs_f64(), "source_cpu_s": source_cpu.as_secs_f64(),
            "fetch_rss_mib": rss as f64 / 1024.0, "source_rss_mib": source_rss_kib as f64 / 1024.0})
    }
}
