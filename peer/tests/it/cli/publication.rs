//! Signed manifests: the publisher of a file is shown and can be required.

use std::fs;

use super::Stage;

#[test]
fn the_publisher_is_shown_and_can_be_required() {
    let stage = Stage::with(&["alice", "bob", "carol"]);
    let alice = stage.peer_id("alice");
    let bob = stage.peer_id("bob");
    let hash = stage.file("a.bin", 3 << 20);
    let (_daemon, _) = stage.daemon("alice");
    let shared = stage.run("alice", &["share", "a.bin", "--json"]).ok().json();
    let key = shared["signed_with"].as_str().unwrap().to_owned();
    assert!(key.starts_with("ed25519:"), "{key}");
    let key_file = stage.path("alice/signing-key.pem");
    assert!(fs::read_to_string(&key_file).unwrap().contains("PRIVATE KEY"));
    stage.run("bob", &["download", &hash, "--output", "b.bin"]).ok().says(&format!("published by {alice}")).says(&key);
    for from in [alice.as_str(), key.as_str()] {
        let output = format!("from-{}.bin", &from[..8].replace(':', ""));
        let done = stage.run("bob", &["download", &hash, "--from", from, "--output", &output, "--json"]).ok().json();
        let published = &done["published_by"];
        assert_eq!((&published["peer_id"], &published["key"]), (&alice.as_str().into(), &key.as_str().into()));
    }
    let piped = stage.run("carol", &["download", &hash, "--from", &bob, "--stdout"]).code(4);
    assert!(piped.out.is_empty(), "{:?}", piped.out);
    let other_key = format!("ed25519:{}", "07".repeat(32));
    for from in [bob.as_str(), other_key.as_str()] {
        stage
            .run("carol", &["download", &hash, "--from", from, "--output", "no.bin"])
            .code(4)
            .complains("has signed it");
        assert!(!stage.path("no.bin").exists());
    }
    stage.run("carol", &["download", &hash, "--from", "alice"]).code(2).complains("expected a peer id");
    // Every later sharer signs it too, and the first publisher stays the one that is shown.
    let (_other, _) = stage.daemon("bob");
    stage.run("bob", &["share", "b.bin"]).ok();
    stage.run("carol", &["download", &hash, "--output", "c.bin"]).ok().says(&format!("published by {alice}"));
    stage.run("carol", &["download", &hash, "--from", &bob, "--output", "d.bin"]).ok().says(&bob);
    // Signatures of a suspended account do not count.
    let app = stage.tracker.as_ref().unwrap().app();
    peernet_tracker::admin::suspend(&*app.store, (app.clock)(), &alice, "a test").unwrap();
    stage.run("carol", &["download", &hash, "--output", "e.bin"]).ok().says(&format!("published by {bob}"));
}

#[test]
fn a_directory_has_one_publisher() {
    let stage = Stage::with(&["alice", "bob", "carol"]);
    let alice = stage.peer_id("alice");
    let bob = stage.peer_id("bob");
    fs::create_dir(stage.path("data")).unwrap();
    fs::write(stage.path("data/a.txt"), "one").unwrap();
    let (_daemon, _) = stage.daemon("alice");
    let shared = stage.run("alice", &["share", "data", "--json"]).ok().json();
    let link = shared["link"].as_str().unwrap();
    stage.run("bob", &["download", link, "--from", &alice, "--output", "bob/"]).ok().says(&alice);
    stage.run("carol", &["download", link, "--from", &bob, "--output", "carol/"]).code(4);
    assert!(!stage.path("carol/data").exists());
}
