//! The shape of every command's JSON document.

use serde_json::Value;

use super::{PATIENCE, Stage, last_word};

/// Exactly these keys; a new one is a decision.
#[track_caller]
fn check(value: &Value, keys: &str) {
    let got: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected: Vec<&str> = keys.split_whitespace().collect();
    expected.sort_unstable();
    assert_eq!(got, expected, "{value}");
}

const LOGGED_IN: &str = "peer_id tracker address ca_fingerprint device_id";
const SHARED: &str = "path file_hash manifest_id name size chunks link kind files left_out signed_with";
const LISTED: &str = "path file_hash manifest_id name size chunks chunks_done state link kind files restricted";
const DAEMON: &str = "daemon daemon_pid daemon_listen daemon_plaintext_listen daemon_plaintext_uploads daemon_uptime_s \
     daemon_bytes_sent daemon_uploads \
     daemon_upload_rate daemon_downloads daemon_download_rate";
const STATUS: &str = "peer_id address tracker tracker_error reputation_score established token_balance token_balance_mt \
     escrow_mt files_shared created_at shares";

#[test]
fn every_command_prints_one_json_document() {
    let stage = Stage::new();
    let json = |who: &str, arguments: &[&str]| {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        stage.run(who, &arguments).ok().json()
    };
    for who in ["alice", "bob"] {
        check(&json(who, &["register"]), LOGGED_IN);
    }
    check(&json("bob", &["login"]), LOGGED_IN);
    // The new password is the old one, so that a login goes on working.
    std::fs::write(stage.path("same.txt"), "password of bob").unwrap();
    check(&json("bob", &["password", "--new-password-file", "same.txt"]), LOGGED_IN);

    let one = stage.file("one.bin", 100);
    let two = stage.file("two.bin", 0);
    let (_daemon, address) = stage.daemon("alice");
    let shared = json("alice", &["share", "one.bin"]);
    check(&shared, &format!("{SHARED} served_by listen shares"));
    check(&shared["shares"][0], SHARED);
    assert_eq!((shared["file_hash"].as_str(), shared["name"].as_str()), (Some(one.as_str()), Some("one.bin")));
    assert_eq!((shared["size"].as_u64(), shared["chunks"].as_u64()), (Some(100), Some(1)));
    let both = json("alice", &["share", "one.bin", "two.bin"]);
    check(&both, "served_by listen shares");
    assert_eq!(both["shares"][1]["file_hash"], two.as_str());

    let list = json("alice", &["list"]);
    check(&list, "shares daemon");
    check(&list["shares"][0], LISTED);
    let status = json("alice", &["status"]);
    check(&status, &format!("{STATUS} {DAEMON}"));
    assert_eq!((&status["daemon"], &status["daemon_listen"]), (&Value::from(true), &Value::from(address)));
    assert_eq!((&status["files_shared"], &status["reputation_score"]), (&Value::from(2), &Value::from(0.5)));
    assert_eq!(status["tracker"], stage.url.as_str());
    let tokens = status["token_balance_mt"].as_i64().unwrap();
    assert_eq!(status["token_balance"].as_f64(), Some(tokens as f64 / 1e3));
    check(&json("alice", &["status", "--daemon"]), DAEMON);
    check(&json("bob", &["status"]), &format!("{STATUS} {DAEMON}"));

    let hits = json("bob", &["search", "one"]);
    check(&hits, "files next");
    check(&hits["files"][0], "file_hash name size manifest_id sources created_at link");
    let got = json("bob", &["download", &one]);
    check(
        &got,
        "path file_hash manifest_id size files bytes_fetched bytes_resumed bytes_copied was_there seconds sources published_by",
    );
    assert_eq!((got["bytes_fetched"].as_u64(), got["bytes_resumed"].as_u64()), (Some(100), Some(0)));
    check(&got["sources"][0], "peer_id bytes");
    check(&json("bob", &["verify", "one.bin", &one]), "path file_hash manifest_id size matches");
    check(&json("bob", &["link", "one.bin"]), "link");
    check(&got["published_by"], "peer_id key signed_at");
    let access = json("alice", &["access", "one.bin", "--private"]);
    check(&access, "files");
    check(&access["files"][0], "file_hash access accounts groups");
    check(&json("alice", &["groups"]), "groups");
    check(&json("alice", &["groups", "set", "lab"]), "name members");
    check(&json("alice", &["groups", "delete", "lab"]), "name status");
    check(&json("alice", &["withdraw", &two]), "withdrawn");
    check(&json("alice", &["unshare", "one.bin"]), "unshared");
    check(&json("alice", &["completions", "fish"]), "shell script");
    let devices = json("bob", &["devices"]);
    check(&devices, "devices");
    check(&devices["devices"][0], "device_id label scopes created_at seen_at current");
    check(&json("bob", &["logout"]), "peer_id device_id ended_at_tracker");
}

#[test]
fn a_foreground_server_prints_its_document_when_it_listens() {
    let stage = Stage::with(&["alice"]);
    let hash = stage.file("one.bin", 1);
    let mut share = stage.start("alice", &["share", "one.bin", "--json", "--no-daemon", "--listen", "127.0.0.1:0"]);
    let line = share.line_with("served_by", PATIENCE);
    let shared: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&shared["file_hash"], &shared["served_by"]), (&Value::from(hash), &Value::from("here")));
    drop(share);
    let mut daemon = stage.start("alice", &["daemon", "--json", "--listen", "127.0.0.1:0"]);
    let document: Value = serde_json::from_str(&daemon.line_with("listen", PATIENCE)).unwrap();
    check(&document, "pid listen shares");
    assert_eq!(document["pid"], daemon.id());
}

#[test]
fn completions_name_every_command() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish", "nushell"] {
        let script = stage.run("alice", &["completions", shell]).ok().out.join("\n");
        for command in ["register", "share", "unshare", "download", "status", "completions"] {
            assert!(script.contains(command), "{shell} {command}");
        }
    }
    let version = stage.run("alice", &["--version"]).ok();
    assert!(last_word(&version.out[0]).starts_with(|c: char| c.is_ascii_digit()), "{:?}", version.out);
}
