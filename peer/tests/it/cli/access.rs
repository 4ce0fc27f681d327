//! Access control on the command line: private and shared files, directories, groups, and withdrawn files.

use std::fs;

use super::{PATIENCE, Stage, ended};

#[test]
fn a_private_file_is_served_only_to_named_accounts() {
    let stage = Stage::with(&["alice", "bob", "carol"]);
    let bob = stage.peer_id("bob");
    let hash = stage.file("secret.bin", 3 << 20);
    let (_daemon, _) = stage.daemon("alice");
    let shared = stage.run("alice", &["share", "secret.bin", "--private", "--json"]).ok().json();
    let link = shared["link"].as_str().unwrap();
    stage.run("alice", &["list"]).ok().says("secret.bin").says("[not public]");
    stage.run("alice", &["access", "secret.bin"]).ok().says("private: no other account");
    // To others it is as a file that was never shared, also with its link.
    let unknown = stage.run("bob", &["download", &"0".repeat(64)]).code(4);
    for target in [hash.as_str(), link] {
        let refused = stage.run("bob", &["download", target]).code(4);
        assert_eq!(refused.err.last(), unknown.err.last());
    }
    stage.run("bob", &["search", "secret"]).ok().says("nothing found");
    stage.run("bob", &["access", &hash]).code(4);
    stage.run("bob", &["access", &hash, "--public"]).code(3).complains("another account");

    stage.run("alice", &["access", "secret.bin", "--with", &bob]).ok().says(&bob);
    stage.run("bob", &["download", link, "--output", "bob.bin"]).ok();
    stage.assert_same("secret.bin", "bob.bin");
    stage.run("carol", &["download", &hash]).code(4);
    stage.run("alice", &["access", &hash, "--public", "--json"]).ok().says(r#""access":"public""#);
    stage.run("carol", &["download", &hash, "--output", "carol.bin"]).ok();
    stage.assert_same("secret.bin", "carol.bin");
}

#[test]
fn a_group_gets_a_file_until_it_is_withdrawn() {
    let stage = Stage::with(&["alice", "bob", "carol"]);
    let bob = stage.peer_id("bob");
    let hash = stage.file("plans.bin", 70_000);
    stage.run("alice", &["groups"]).ok().says("no groups");
    stage.run("alice", &["groups", "set", "lab", &bob]).ok().says(&bob);
    stage.run("alice", &["groups", "--json"]).ok().says(r#"{"groups":[{"members":1,"name":"lab"}]}"#);
    let (_daemon, _) = stage.daemon("alice");
    stage.run("alice", &["share", "plans.bin", "--with", "@nobody"]).code(4).complains("group");
    stage.run("alice", &["list"]).ok().says("nothing is shared");
    stage.run("alice", &["share", "plans.bin", "--with", "@lab"]).ok();
    stage.run("alice", &["access", "plans.bin"]).ok().says("shared with @lab");
    stage.run("carol", &["download", &hash]).code(4);
    stage.run("bob", &["download", &hash, "--output", "bob.bin"]).ok();
    stage.assert_same("plans.bin", "bob.bin");
    stage.run("alice", &["groups", "set", "lab"]).ok().says("no members");
    stage.run("bob", &["download", &hash, "--output", "again.bin"]).code(4);
    stage.run("alice", &["groups", "show", "lab", "--json"]).ok().says(r#"{"members":[],"name":"lab"}"#);
    stage.run("alice", &["groups", "delete", "lab"]).ok();
    stage.run("alice", &["groups", "show", "lab"]).code(4);
    stage.run("alice", &["access", "plans.bin", "--public"]).ok();
    stage.run("bob", &["download", &hash, "--output", "again.bin"]).ok();

    stage.run("alice", &["withdraw", "plans.bin"]).ok().says(&hash);
    stage.run("alice", &["list"]).ok().says("nothing is shared");
    stage.run("bob", &["download", &hash, "--output", "third.bin"]).code(4);
    stage.run("alice", &["access", &hash]).ok().says("withdrawn");
    // No other peer brings it back.
    let mut sharer = stage.start("bob", &["share", "bob.bin", "--no-daemon", "--listen", "127.0.0.1:0"]);
    sharer.line_with("is no longer shared: its owner has withdrawn it", PATIENCE);
    stage.run("carol", &["download", &hash]).code(4);
    stage.run("alice", &["share", "plans.bin", "--public"]).ok();
    stage.run("carol", &["download", &hash, "--output", "carol.bin"]).ok();
}

#[test]
fn both_files_of_a_directory_are_restricted() {
    let stage = Stage::with(&["alice", "bob", "carol"]);
    let bob = stage.peer_id("bob");
    fs::create_dir_all(stage.path("data/deep")).unwrap();
    fs::write(stage.path("data/a.txt"), "one").unwrap();
    fs::write(stage.path("data/deep/b.txt"), "two").unwrap();
    let (_daemon, _) = stage.daemon("alice");
    let shared = stage.run("alice", &["share", "data", "--with", &bob, "--json"]).ok().json();
    let link = shared["link"].as_str().unwrap();
    stage.run("carol", &["download", link, "--output", "carol/"]).code(4);
    stage.run("bob", &["download", link, "--output", "bob/"]).ok();
    assert_eq!(fs::read(stage.path("bob/data/deep/b.txt")).unwrap(), b"two");
    // Elsewhere its second file is not known.
    let alice = stage.peer_id("alice");
    stage.run("phone", &["login", "--peer-id", &alice, "--password", "password of alice"]).ok();
    stage.run("phone", &["access", link, "--public"]).code(2).complains("directory");
    stage.run("alice", &["access", "data", "--public"]).ok();
    stage.run("carol", &["download", link, "--output", "carol/"]).ok();
    assert_eq!(fs::read(stage.path("carol/data/a.txt")).unwrap(), b"one");
}

#[test]
fn a_download_with_a_grant_works_while_the_tracker_is_down() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let bob = stage.peer_id("bob");
    let hash = stage.file("large.bin", 24 << 20);
    let (daemon, address) = stage.daemon("alice");
    stage.run("alice", &["share", "large.bin", "--with", &bob]).ok();
    let arguments = ["download", &hash, "--output", "got.bin", "--max-download", "3M", "--json", "--no-serve"];
    let mut download = stage.start("bob", &arguments);
    download.line_with(r#""phase":"fetching""#, PATIENCE);
    stage.tracker.take().unwrap().stop();
    // Also the daemon that serves it is a new one, which has never spoken to this tracker.
    daemon.kill9();
    let mut again = stage.start("alice", &["daemon", "--listen", &address]);
    again.line_with("peernet daemon listening on ", PATIENCE);
    ended(&mut download).ok();
    stage.assert_same("large.bin", "got.bin");
}

#[test]
fn a_bad_visibility_is_refused_before_anything_is_shared() {
    let stage = Stage::with(&["alice"]);
    stage.file("a.bin", 9);
    stage.run("alice", &["share", "a.bin", "--private", "--public", "--no-serve"]).code(2).complains("--private");
    stage.run("alice", &["share", "a.bin", "--with", "bob", "--no-serve"]).code(2).complains("@ and a group's name");
    stage.run("alice", &["withdraw"]).code(2);
    stage.run("alice", &["list"]).ok().says("nothing is shared");
}
