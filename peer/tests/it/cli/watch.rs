//! `status --watch` over a daemon that serves slowly.

use serde_json::Value;

use super::{PATIENCE, SIGINT, Stage, ended};

#[test]
fn watch_shows_transfers_and_ends_with_ctrl_c_or_the_daemon() {
    let stage = Stage::with(&["alice", "bob"]);
    stage.run("alice", &["status", "--watch"]).code(4).complains("no daemon answers");
    for interval in ["0", "x"] {
        stage.run("alice", &["status", "--watch", "--interval", interval]).code(2).complains("--interval");
    }
    stage.run("alice", &["status", "--interval", "1"]).code(2).complains("--watch");
    let hash = stage.file("big.bin", 64 << 20);
    let mut daemon = stage.start("alice", &["daemon", "--listen", "127.0.0.1:0", "--max-upload", "1M"]);
    daemon.line_with("listening on", PATIENCE);
    stage.run("alice", &["share", "big.bin"]).ok();
    let _fetching = stage.start("bob", &["download", &hash]);

    let mut watch = stage.start("alice", &["status", "--watch", "--interval", "0.2", "--json"]);
    let event = loop {
        let event: Value = serde_json::from_str(&watch.line_with("transfers", PATIENCE)).unwrap();
        if event["uploads"][0]["bytes"].as_u64().is_some_and(|bytes| bytes > 0) {
            break event;
        }
    };
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let of_event = "bytes_sent connections download_rate downloads event upload_rate uploads v1_calls";
    assert_eq!(keys(&event), of_event);
    let upload = &event["uploads"][0];
    assert_eq!(keys(upload), "address bytes file_hash name peer_id rate seconds transport");
    assert_eq!((&upload["name"], &upload["file_hash"]), (&Value::from("big.bin"), &Value::from(hash.as_str())));
    let bob = stage.run("bob", &["status", "--json"]).ok().json();
    assert_eq!((&upload["transport"], &upload["peer_id"]), (&Value::from("tls"), &bob["peer_id"]));
    assert!(upload["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{upload}");
    assert!(event["upload_rate"].as_u64() >= upload["rate"].as_u64() && event["connections"] == 1, "{event}");
    watch.signal(SIGINT);
    ended(&mut watch).ok();
    stage.run("alice", &["status"]).ok().says("1 uploads at ");

    let mut watch = stage.start("alice", &["status", "--watch"]);
    watch.line_with("big.bin  to 127.0.0.1:", PATIENCE);
    daemon.signal(SIGINT);
    ended(&mut daemon).ok();
    let code = ended(&mut watch).code;
    assert!(code == 4 || code == 1, "{code}");
}
