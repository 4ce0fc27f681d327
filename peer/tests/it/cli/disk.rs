//! A full disk and an unwritable folder: reported as local problems, and resumable once they are solved.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::interrupted::{slow_sharer, wait_for_bytes};
use super::{Ran, Stage, ended, ran};

const MIB: u64 = 1 << 20;

/// No file may grow past a limit, which the program sees as it sees a full disk: an error on writing. Only the signal
/// that comes with this kind of limit has to be put off, and an ignored signal stays ignored over an exec.
const LIMITED: &str = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";

fn limited(stage: &Stage, who: &str, blocks_of_512: &str, arguments: &[&str]) -> Command {
    let mut all = vec!["-c", LIMITED, "sh", blocks_of_512, super::PROGRAM];
    all.extend(arguments);
    stage.command_of("sh", who, &all)
}

/// Expects a failure for a local reason that is reported as one and does not count against the source.
#[track_caller]
fn assert_local(stage: &Stage, ran: Ran, sharer: &str) {
    let ran = ran.code(7);
    let said = ran.json();
    assert_eq!(said["code"], "local_disk", "{said}");
    assert!(!stage.path("out/got.bin").exists());
    let sharer = stage.run(sharer, &["status", "--json"]).ok().json();
    assert!(sharer["reputation_score"].as_f64().unwrap() >= 0.5, "{sharer}");
}

#[test]
fn a_full_disk_is_noticed_before_anything_is_fetched() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("big.bin", 5 * MIB);
    let _sharer = stage.sharer("alice", "big.bin");
    fs::create_dir(stage.path("out")).unwrap();
    let arguments = ["download", &hash, "--output", "out/got.bin", "--json"];
    let two_mib = "4096";
    assert_local(&stage, ran(&mut limited(&stage, "bob", two_mib, &arguments)), "alice");
    let done = stage.run("bob", &arguments).ok().json();
    assert_eq!(done["bytes_fetched"], 5 * MIB);
    stage.assert_same("big.bin", "out/got.bin");
}

#[test]
fn a_disk_that_fills_up_ends_the_download_and_it_resumes() {
    let stage = Stage::with(&["alice", "bob"]);
    let size = 16 * MIB + 3;
    let hash = stage.file("big.bin", size);
    let (_sharer, _relay) = slow_sharer(&stage, "big.bin");
    fs::create_dir(stage.path("out")).unwrap();
    let arguments = ["download", &hash, "--output", "out/got.bin", "--json"];
    let mut download = peernet_testkit::process::Process::start(&mut limited(&stage, "bob", "unlimited", &arguments));
    let download = download.as_mut().unwrap();
    wait_for_bytes(download, 3 * MIB);
    // The limit takes the reserved space back: writes past it fail from now on.
    let limit = format!("--fsize={}", 2 * MIB);
    let pid = download.id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    assert_local(&stage, ended(download), "alice");
    let done = stage.run("bob", &arguments).ok().json();
    let fetched = done["bytes_fetched"].as_u64().unwrap();
    let resumed = done["bytes_resumed"].as_u64().unwrap();
    assert!(fetched + resumed == size && resumed >= 3 * MIB, "{done}");
    stage.assert_same("big.bin", "out/got.bin");
}

#[test]
fn an_unwritable_folder_is_reported_and_costs_no_source() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("big.bin", 2 * MIB);
    let _sharer = stage.sharer("alice", "big.bin");
    fs::create_dir(stage.path("out")).unwrap();
    fs::set_permissions(stage.path("out"), Permissions::from_mode(0o555)).unwrap();
    let arguments = ["download", &hash, "--output", "out/got.bin", "--json"];
    // Root may write anywhere, unless it gives that right up.
    let is_root = fs::write(stage.path("out/probe"), "").is_ok();
    let mut command = match is_root {
        false => stage.command("bob", &arguments),
        true => {
            fs::remove_file(stage.path("out/probe")).unwrap();
            let mut all = vec!["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", super::PROGRAM];
            all.extend(arguments);
            stage.command_of("setpriv", "bob", &all)
        }
    };
    assert_local(&stage, ran(&mut command).complains("out/got.bin"), "alice");
    fs::set_permissions(stage.path("out"), Permissions::from_mode(0o755)).unwrap();
    stage.run("bob", &arguments).ok();
    stage.assert_same("big.bin", "out/got.bin");
}
