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

    /// One measurement: who, which round, what.
    pub(crate) fn add(&mut self, who: &str, round: usize, record: Value) -> io::Result<()> {
        let numbers =
            record.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_f64()?))).collect();
        self.rows.push((who.to_owned(), numbers));
        let mut line = record;
        line["who"] = json!(who);
        line["round"] = json!(round);
        println!("{line}");
        self.line(&line)
    }

    /// Prints the medians of every number, a row for each who.
    pub(crate) fn summary(&self, columns: &[&str]) {
        print!("\n{:<26}", "median");
        columns.iter().for_each(|column| print!("{column:>16}"));
        println!();
        let mut seen: Vec<&str> = Vec::new();
        for (who, _) in &self.rows {
            if !seen.contains(&who.as_str()) {
                seen.push(who);
                print!("{who:<26}");
                columns.iter().for_each(|column| print!("{:>16}", self.median(who, column)));
                println!();
            }
        }
    }

    fn median(&self, who: &str, column: &str) -> String {
        let mut values: Vec<f64> =
            self.rows.iter().filter(|(w, _)| w == who).filter_map(|(_, n)| n.get(column).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
    }

    fn line(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.file, "{value}")
    }
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
