//! Command lines of version 1, which scripts still use.

use std::fs;
use std::net::TcpListener;

use super::{PATIENCE, SIGTERM, Stage, ended, last_word, ran};

/// A port that was free a moment ago: version 1's users choose theirs.
fn port() -> String {
    TcpListener::bind(("0.0.0.0", 0)).unwrap().local_addr().unwrap().port().to_string()
}

#[test]
fn version_1_command_lines_still_work() {
    let stage = Stage::new();
    let hash = stage.file("data.bin", 3 << 20);
    let port = port();
    let address = format!("127.0.0.1:{port}");
    for who in ["alice", "bob"] {
        let address = if who == "alice" { address.as_str() } else { "127.0.0.1:9" };
        let arguments = ["register", "--tracker", &stage.url, "--address", address, "--password", "p"];
        ran(stage.command(who, &arguments).env_remove("PEERNET_TRACKER").env_remove("PEERNET_PASSWORD")).ok();
    }
    let mut sharer = stage.start("alice", &["share", "data.bin", "--port", &port]);
    let line = sharer.line_with("File Hash: ", PATIENCE);
    assert_eq!(line, format!("File 'data.bin' chunked successfully. File Hash: {hash}"));
    assert_eq!(last_word(&line), hash);
    assert_eq!(sharer.line_with("Announced all", PATIENCE), "Announced all 3 chunks to tracker.");
    let status = stage.run("alice", &["status", "--json"]).ok().json();
    assert_eq!((&status["files_shared"], &status["address"]), (&1.into(), &address.as_str().into()));

    stage.run("bob", &["download", &hash, "--output", "dir", "--v1-names"]).ok();
    stage.assert_same("data.bin", &format!("dir/{hash}.download"));
    stage.run("bob", &["download", &hash, "--output", "dir"]).ok();
    stage.assert_same("data.bin", "dir/data.bin");
    stage.run("bob", &["download", &hash]).ok();
    stage.assert_same("data.bin", "downloads/data.bin");
    sharer.signal(SIGTERM);
    ended(&mut sharer).ok();
}

#[test]
fn the_account_of_version_1_is_taken_over() {
    let stage = Stage::with(&["alice"]);
    let text = fs::read_to_string(stage.path("alice/credentials.json")).unwrap();
    let credentials: serde_json::Value = serde_json::from_str(&text).unwrap();
    let token = credentials["token"].as_str().unwrap();
    let peer = credentials["peer_id"].as_str().unwrap();
    fs::create_dir_all(stage.path("nobody/.peernet")).unwrap();
    let old = format!("auth_token: {token}\ntracker_url: {}/\n", stage.url);
    fs::write(stage.path("nobody/.peernet/config.yaml"), old).unwrap();
    let status = ran(stage.command("fresh", &["status"]).env_remove("PEERNET_TRACKER")).ok();
    status.says(peer).complains("took over");
}
