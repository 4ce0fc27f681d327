//! Limits on the command line.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{PATIENCE, Stage, ended};

const MIB: u64 = 1 << 20;

#[test]
fn the_limits_of_a_running_daemon_can_be_changed() {
    let stage = Stage::with(&["alice"]);
    stage.run("alice", &["limit"]).code(4).complains("no daemon answers");
    std::fs::write(stage.path("alice/config.toml"), "max_download = \"3M\"\nmax_connections = 9\n").unwrap();
    let mut daemon = stage.start("alice", &["daemon", "--listen", "127.0.0.1:0", "--max-upload", "1.5M"]);
    daemon.line_with("listening on", PATIENCE);
    let limits = |arguments: &[&str]| {
        let json = stage.run("alice", &[&["limit", "--json"], arguments].concat()).ok().json();
        let number = |key: &str| json[key].as_u64();
        assert_eq!(json.as_object().unwrap().len(), 4, "{json}");
        (number("max_upload"), number("max_download"), number("max_connections"))
    };
    assert_eq!(limits(&[]), (Some(3 * MIB / 2), Some(3 * MIB), Some(9)));
    assert_eq!(limits(&["--max-upload=none", "--max-connections", "2"]), (None, Some(3 * MIB), Some(2)));
    assert_eq!(limits(&[]), (None, Some(3 * MIB), Some(2)));
    stage.run("alice", &["limit", "--max-download", "0"]).ok().says("download     no limit");
    stage.run("alice", &["limit", "--max-upload", "500K"]).ok().says("500.0 KiB/s (500K)");
    stage.run("alice", &["limit"]).ok().says("memory       64.0 MiB");
    let lower = stage.run("alice", &["limit", "--json", "--max-memory", "16M"]).ok().json();
    assert_eq!(lower["max_memory"], 16 * MIB);
    for bad in
        [["--max-memory", "15M"], ["--max-upload", "fast"], ["--max-download", "-1"], ["--max-connections", "1K"]]
    {
        stage.run("alice", &[&["limit"], &bad[..]].concat()).code(2).complains(&bad[0][2..]);
    }
    assert_eq!(limits(&[]), (Some(500 << 10), None, Some(2)));
    stage.file("a.bin", 5);
    stage.run("alice", &["share", "a.bin", "--max-upload", "1M"]).code(2).complains("peernet limit");
}

#[test]
fn a_download_obeys_its_limit_and_that_of_its_source() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("a.bin", 3 * MIB);
    let serving = ["share", "a.bin", "--no-daemon", "--listen", "127.0.0.1:0", "--max-upload", "2M"];
    let mut sharer = stage.start("alice", &serving);
    sharer.line_with("Announced all", PATIENCE);
    // The burst of a tenth of a second, and bytes on their way, pass at once.
    let least = Duration::from_millis(900);
    for (name, options) in [("up.bin", &[][..]), ("down.bin", &["--max-download", "1M", "--max-connections", "1"])] {
        let begun = Instant::now();
        stage.run("bob", &[&["download", &hash, "--output", name], options].concat()).ok();
        assert!(begun.elapsed() > least, "{name}: {:?}", begun.elapsed());
        stage.assert_same("a.bin", name);
    }
    let slow = ["download", &hash, "--output", "json.bin", "--max-download", "700K", "--json"];
    let told = stage.run("bob", &slow).ok().err;
    let events: Vec<Value> = told.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let event = events.iter().find(|event| event["bottleneck"] == "own_limit").unwrap_or_else(|| panic!("{told:?}"));
    assert!(event["phase"] == "fetching" && event["sources"][0]["in_flight"].as_u64().unwrap() > 0, "{event}");
    assert!(event["rate"].as_u64().unwrap() > 0 && event["eta_s"].is_u64(), "{event}");
    stage.run("bob", &["download", &hash, "--max-download", "x"]).code(2).complains("max-download");
    sharer.signal(super::SIGTERM);
    ended(&mut sharer).ok();
}
