//! Downloads of directories with the real program: whole, in part, and killed.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use peernet_testkit::relay::{Faults, Relay};

use super::{PATIENCE, Stage, ended, last_word};

const MIB: u64 = 1 << 20;
/// Slow enough for a kill to come in the middle.
const RATE: u64 = 6 * MIB;

fn directory(stage: &Stage) {
    fs::create_dir_all(stage.path("data/sub/empty")).unwrap();
    for i in 0..200 {
        fs::write(stage.path(&format!("data/sub/{i}.txt")), format!("number {i}")).unwrap();
    }
    stage.file("data/big.bin", 9 * MIB + 3);
    stage.file("data/none.bin", 0);
}

fn assert_same_directory(stage: &Stage, copy: &str) {
    for i in 0..200 {
        stage.assert_same(&format!("data/sub/{i}.txt"), &format!("{copy}/sub/{i}.txt"));
    }
    stage.assert_same("data/big.bin", &format!("{copy}/big.bin"));
    stage.assert_same("data/none.bin", &format!("{copy}/none.bin"));
    assert!(stage.path(&format!("{copy}/sub/empty")).is_dir());
}

#[test]
fn a_directory_is_downloaded_whole_or_in_part_and_shared_on() {
    let stage = Stage::with(&["alice", "bob"]);
    directory(&stage);
    let (_alice, _) = stage.daemon("alice");
    let (_bob, _) = stage.daemon("bob");
    let shared = stage.run("alice", &["share", "data"]).ok();
    let hash = last_word(&shared.out[0]).to_owned();
    let link = last_word(&shared.out[2]).to_owned();
    let some = ["download", &link, "-o", "some", "--include", "sub", "--exclude", "**/1*.txt", "--json"];
    let done = stage.run("bob", &some).ok().json();
    assert_eq!((done["files"].as_u64(), done["file_hash"].as_str()), (Some(89), Some(hash.as_str())));
    assert!(!stage.path("some/data/big.bin").exists() && stage.path("some/data/sub/empty").is_dir());
    stage.run("bob", &[&some[..], &["--share"]].concat()).code(2);
    stage.run("bob", &["download", &link, "-o", "none", "--include", "nothing"]).code(2);
    stage.run("bob", &["download", &hash, "-o", "all", "--share"]).ok().says("data (202 files, 9.0 MiB in");
    assert_same_directory(&stage, "all/data");
    stage.run("bob", &["list"]).ok().says(&hash);
    stage.run("bob", &["download", &hash, "-o", "all"]).ok().says("was there already");
    fs::write(stage.path("data/new.txt"), "new").unwrap();
    let shared = stage.run("alice", &["share", "data"]).ok();
    let link = last_word(&shared.out[2]).to_owned();
    stage.run("bob", &["download", &link, "-o", "all"]).code(8);
    let done = stage.run("bob", &["download", &link, "-o", "all", "--force", "--json"]).ok().json();
    assert!(done["bytes_copied"].as_u64() >= Some(9 * MIB), "{done}");
    assert_same_directory(&stage, "all/data");
    assert_eq!(fs::read(stage.path("all/data/new.txt")).unwrap(), b"new");
}

#[test]
fn a_killed_download_of_a_directory_resumes() {
    let stage = Stage::with(&["alice", "bob"]);
    directory(&stage);
    let relay = Relay::start_unaimed(Faults { bytes_per_second: RATE, ..Faults::default() }).unwrap();
    let address = relay.address().to_string();
    let mut daemon = stage.start("alice", &["daemon", "--listen", "127.0.0.1:0", "--address", &address]);
    let line = daemon.line_with("peernet daemon listening on ", PATIENCE);
    relay.aim(last_word(&line).parse::<SocketAddr>().unwrap());
    let shared = stage.run("alice", &["share", "data"]).ok();
    let link = last_word(&shared.out[2]).to_owned();
    let arguments = ["download", &link, "--output", "copy"];
    for moment in [150, 400, 700, 1_000] {
        let download = stage.start("bob", &arguments);
        let _any_moment = crossbeam_channel::after(Duration::from_millis(moment)).recv();
        download.kill9();
    }
    ended(&mut stage.start("bob", &arguments)).ok();
    assert_same_directory(&stage, "copy/data");
    assert_eq!(fs::read_dir(stage.path("copy")).unwrap().count(), 1, "nothing else is left");
}
