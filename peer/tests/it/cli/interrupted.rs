//! Interrupted downloads, and the same command again.

use std::net::SocketAddr;

use peernet_testkit::process::Process;
use peernet_testkit::relay::{Faults, Relay};
use serde_json::Value;

use super::{PATIENCE, SIGINT, Stage, ended};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 24 * MIB + 5;
/// Slow enough to be cut short, and to pass the interval after which chunks are synced and noted in the journal.
const RATE: u64 = 4 * MIB;

/// A sharer behind a slow line.
pub(super) fn slow_sharer(stage: &Stage, file: &str) -> (Process, Relay) {
    let relay = Relay::start_unaimed(Faults { bytes_per_second: RATE, ..Faults::default() }).unwrap();
    let address = relay.address().to_string();
    let mut sharer =
        stage.start("alice", &["share", file, "--no-daemon", "--listen", "127.0.0.1:0", "--address", &address]);
    let line = sharer.line_with("listening on ", PATIENCE);
    let listen = line.split("listening on ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    relay.aim(listen.parse::<SocketAddr>().unwrap());
    sharer.line_with("Announced all", PATIENCE);
    (sharer, relay)
}

/// Waits until the download says that it has this many bytes.
pub(super) fn wait_for_bytes(download: &mut Process, bytes: u64) {
    loop {
        let line = download.line_with("\"bytes_done\"", PATIENCE);
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["bytes_done"].as_u64().unwrap() >= bytes {
            return;
        }
    }
}

#[test]
fn after_a_kill_or_ctrl_c_only_the_rest_is_fetched() {
    is_cut_twice_and_goes_on(&[]);
}

#[test]
fn without_syncing_a_kill_loses_no_more() {
    is_cut_twice_and_goes_on(&["--no-sync"]);
}

fn is_cut_twice_and_goes_on(flags: &[&str]) {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("big.bin", SIZE);
    let (_sharer, _relay) = slow_sharer(&stage, "big.bin");
    let arguments = [&["download", &hash, "--output", "got.bin", "--json"], flags].concat();

    let mut download = stage.start("bob", &arguments);
    wait_for_bytes(&mut download, 11 * MIB);
    download.kill9();
    assert!(stage.path("got.bin.peernet-part").exists() && !stage.path("got.bin").exists());

    let mut download = stage.start("bob", &arguments);
    wait_for_bytes(&mut download, 13 * MIB);
    download.signal(SIGINT);
    let interrupted = ended(&mut download).code(130);
    assert_eq!(interrupted.json()["code"], "interrupted");
    assert!(!stage.path("got.bin").exists());

    let done = stage.run("bob", &arguments).ok().json();
    let fetched = done["bytes_fetched"].as_u64().unwrap();
    let resumed = done["bytes_resumed"].as_u64().unwrap();
    assert_eq!(fetched + resumed, SIZE, "{done}");
    // Ctrl-C loses nothing that was said to be there but chunks on their way.
    assert!(resumed >= 12 * MIB, "{done}");
    stage.assert_same("big.bin", "got.bin");
    assert!(!stage.path("got.bin.peernet-part").exists());
}

#[test]
fn ctrl_c_ends_a_share_and_leaves_the_swarm() {
    let stage = Stage::with(&["alice"]);
    stage.file("a.bin", 9);
    let mut sharer = stage.sharer("alice", "a.bin");
    sharer.signal(SIGINT);
    ended(&mut sharer).ok().complains("once more stops at once");
}
