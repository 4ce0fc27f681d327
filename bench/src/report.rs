//! Raw records and medians: one JSON line a measurement, one table at the end.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// Collects the records of one run.
pub(crate) struct Report {
    file: File,
    rows: Vec<(String, BTreeMap<String, f64>)>,
}

/// The pass over all participants to which a measurement belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// Fills caches and wakes clocks; it does not count.
    WarmUp,
    /// A number of things, without a unit.
    Number(usize),
}

impl From<usize> for Round {
    fn from(number: usize) -> Self {
        Self::Number(number)
    }
}

impl Report {
    /// Starts `bench/runs/<scenario>-<unix seconds>.jsonl` with a line about this machine.
    pub(crate) fn start(scenario: &str, note: &str) -> io::Result<Self> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?.as_secs();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/runs");
        fs::create_dir_all(folder)?;
        let path = format!("{folder}/{scenario}-{seconds}.jsonl");
        let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        println!("raw records: bench/runs/{scenario}-{seconds}.jsonl");
        let mut report = Self { file, rows: Vec::new() };
        report.line(
            &json!({"scenario": scenario, "unix_seconds": seconds, "note": note, "cores": cores(), "cpu": cpu_model()}),
        )?;
        Ok(report)
    }

    /// Records one measurement: the participant, the round, the numbers. A warm-up is kept in the raw record and out of
    /// the medians.
    pub(crate) fn add(&mut self, who: &str, round: impl Into<Round>, record: Value) -> io::Result<()> {
        let round = round.into();
        let numbers =
            record.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_f64()?))).collect();
        if round != Round::WarmUp {
            self.rows.push((who.to_owned(), numbers));
        }
        let mut line = record;
        line["who"] = json!(who);
        line["round"] = match round {
            Round::WarmUp => json!("warm-up"),
            Round::Number(number) => json!(number),
        };
        println!("{line}");
        self.line(&line)
    }

    /// Records a measurement that may have failed, so that the other participants continue. Prints and records the
    /// failure, and returns false.
    pub(crate) fn attempt(&mut self, who: &str, round: Round, record: io::Result<Value>) -> io::Result<bool> {
        match record {
            Ok(record) => self.add(who, round, record).map(|()| true),
            Err(error) => {
                println!("{who} failed and is left out from here on: {error}");
                self.line(&json!({"who": who, "failed": error.to_string()}))?;
                Ok(false)
            }
        }
    }

    /// Prints the medians of every number, a row for each participant.
    pub(crate) fn summary(&self, columns: &[&str]) {
        print!("\n{:<30}", "median");
        columns.iter().for_each(|column| print!("{column:>16}"));
        println!();
        let mut seen: Vec<&str> = Vec::new();
        for (who, _) in &self.rows {
            if !seen.contains(&who.as_str()) {
                seen.push(who);
                print!("{who:<30}");
                columns.iter().for_each(|column| print!("{:>16}", shown(self.median(who, column))));
                println!();
            }
        }
    }

    /// Returns the median of one number of one participant.
    pub(crate) fn median(&self, who: &str, column: &str) -> Option<f64> {
        let mut values: Vec<f64> =
            self.rows.iter().filter(|(w, _)| w == who).filter_map(|(_, n)| n.get(column).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    fn line(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.file, "{value}")
    }
}

/// For the table.
pub(crate) fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default()
        .trim_matches([' ', '\t', ':'])
        .to_owned()
}
