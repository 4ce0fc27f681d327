//! Changes around a running download: the source's address, the file there, and the tracker.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use peernet_testkit::process::Process;
use peernet_testkit::relay::{Faults, Relay};

use super::interrupted::{slow_sharer, wait_for_bytes};
use super::{PATIENCE, Stage, ended, last_word};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 20 * MIB + 7;
const SLOW: u64 = 4 * MIB;

/// Alice's daemon behind a line of its own.
fn daemon(stage: &Stage, bytes_per_second: u64) -> (Process, Relay) {
    let relay = Relay::start_unaimed(Faults { bytes_per_second, ..Faults::default() }).unwrap();
    let address = relay.address().to_string();
    let mut daemon = stage.start("alice", &["daemon", "--listen", "127.0.0.1:0", "--address", &address]);
    let line = daemon.line_with("peernet daemon listening on ", PATIENCE);
    relay.aim(last_word(&line).parse::<SocketAddr>().unwrap());
    (daemon, relay)
}

#[test]
fn a_source_at_a_new_address_is_found_by_the_same_run() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("big.bin", SIZE);
    let (first, old) = daemon(&stage, SLOW);
    stage.run("alice", &["share", "big.bin"]).ok();
    let mut download = stage.start("bob", &["download", &hash, "--output", "got.bin", "--json"]);
    wait_for_bytes(&mut download, 3 * MIB);
    first.kill9();
    old.vanish();
    let (_second, new) = daemon(&stage, 0);
    let done = ended(&mut download).ok().json();
    assert_eq!(done["bytes_fetched"], SIZE, "{done}");
    assert!(new.passed() > 0 && new.passed() < SIZE, "{} of {SIZE} came from the new address", new.passed());
    stage.assert_same("big.bin", "got.bin");
}

#[test]
fn a_running_download_finishes_without_the_tracker() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("big.bin", SIZE);
    let (_sharer, _line) = slow_sharer(&stage, "big.bin");
    let mut download = stage.start("bob", &["download", &hash, "--output", "got.bin", "--json"]);
    wait_for_bytes(&mut download, 3 * MIB);
    assert!(stage.tracker.take().unwrap().stop());
    let done = ended(&mut download).ok().json();
    assert_eq!(done["bytes_fetched"], SIZE, "{done}");
    stage.assert_same("big.bin", "got.bin");
}

#[test]
fn a_file_deleted_at_its_source_comes_from_another_source() {
    goes_on_elsewhere(|path| fs::remove_file(path).unwrap());
}

#[test]
fn a_file_changed_at_its_source_comes_from_another_source() {
    goes_on_elsewhere(|path| {
        let mut changed = fs::read(path).unwrap();
        changed.iter_mut().for_each(|byte| *byte ^= 1);
        fs::write(path, changed).unwrap();
    });
}

/// Downloads from one sharer, changes the sharer's file midway with `happens`, and starts a second sharer.
fn goes_on_elsewhere(happens: impl Fn(&Path)) {
    let stage = Stage::with(&["alice", "bob", "carol"]);
    let hash = stage.file("big.bin", SIZE);
    fs::copy(stage.path("big.bin"), stage.path("twin.bin")).unwrap();
    let (_sharer, line) = slow_sharer(&stage, "big.bin");
    let mut download = stage.start("bob", &["download", &hash, "--output", "got.bin", "--json"]);
    wait_for_bytes(&mut download, 3 * MIB);
    happens(&stage.path("big.bin"));
    let _twin = stage.sharer("carol", "twin.bin");
    let done = ended(&mut download).ok().json();
    assert_eq!(done["bytes_fetched"], SIZE, "{done}");
    assert!(line.passed() < SIZE, "{} of {SIZE} came from the first", line.passed());
    stage.assert_same("twin.bin", "got.bin");
}
