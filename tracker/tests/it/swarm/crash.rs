//! `kill -9` of the tracker's process loses no acknowledged change.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use peernet_testkit::postgres::fresh_database;
use peernet_testkit::process::Process;
use serde_json::{Value, json};

use super::client::{Api, File};

const PATIENCE: Duration = Duration::from_secs(60);

fn command(folder: &Path, database: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peernet-tracker"));
    command.env_remove("DATABASE_URL").arg("--data-dir").arg(folder);
    if let Some(url) = database {
        command.env("DATABASE_URL", url);
    }
    command
}

pub(super) fn start(folder: &Path, database: Option<&str>) -> (Process, String) {
    let mut command = command(folder, database);
    command.args(["--listen", "127.0.0.1:0", "--ops-listen", "off", "--dialback", "false", "--bcrypt-cost", "4"]);
    let mut process = Process::start(&mut command).unwrap();
    let line = process.line_with("listening on http://", PATIENCE);
    let url = line.rsplit(' ').next().unwrap().to_owned();
    (process, url)
}

pub(super) fn audit(folder: &Path, database: Option<&str>) -> Value {
    let output = command(folder, database).args(["admin", "ledger", "verify", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn check(database: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let (process, url) = start(folder.path(), database);
    let api = Api::new(&url);
    let source = api.peer(1);
    let downloader = api.peer(2);
    let whole = File::new(1, 40);
    let half = File::new(2, 3);
    let shared = File::new(3, 9);
    source.announce_v1(&whole);
    source.announce_chunk(&half, 0);
    source.announce_v2(&shared, json!({"bitmap": "/4A="}));
    source.announce_chunk(&half, 2);
    downloader.lookup(&whole);
    (0..5).for_each(|index| downloader.report(&source, &whole, index, "SUCCESS_UPLOAD"));
    let balances = (source.balance_mt(), downloader.balance_mt());
    process.kill9();

    assert_eq!(audit(folder.path(), database)["ok"], true);
    let (process, url) = start(folder.path(), database);
    let source = source.at(&url);
    let downloader = downloader.at(&url);
    assert_eq!((source.balance_mt(), downloader.balance_mt()), balances);
    assert_eq!(downloader.lookup(&whole).len(), 40);
    assert_eq!(downloader.plan(&shared)["manifests"][0]["sources"][0]["have"], "complete");
    downloader.report(&source, &whole, 4, "SUCCESS_UPLOAD");
    assert_eq!(source.balance_mt(), balances.0, "a report from before the kill does not count again");
    source.announce_chunk(&half, 1);
    assert_eq!(downloader.lookup(&half).len(), 3, "the chunks staged before the kill were kept");
    process.kill9();
    assert_eq!(audit(folder.path(), database)["ok"], true);
}

#[test]
fn sqlite_loses_no_acknowledged_write() {
    check(None);
}

#[test]
fn postgresql_loses_no_acknowledged_write() {
    check(Some(&fresh_database()));
}
