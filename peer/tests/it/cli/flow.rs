//! The steps of a user from registration to a finished download.

use super::{PATIENCE, SIGTERM, Stage, ended, last_word};

const SIZE: u64 = (3 << 20) + 17;

#[test]
fn a_file_is_downloaded_from_a_daemon_by_hash_and_by_link() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("model.bin", SIZE);
    let (mut daemon, address) = stage.daemon("alice");
    stage.run("alice", &["status"]).ok().says(&address).says("0.50 (newcomer)");

    let shared = stage.run("alice", &["share", "model.bin"]).ok();
    assert_eq!(shared.out[0], format!("File 'model.bin' chunked successfully. File Hash: {hash}"));
    assert_eq!(shared.out[1], "Announced all 4 chunks to tracker.");
    let link = last_word(&shared.out[2]).to_owned();
    assert!(link.starts_with(&format!("peernet:?xt=urn:sha256:{hash}&xm=")) && link.contains("dn=model.bin"), "{link}");
    stage.run("alice", &["list"]).ok().says(&hash);
    stage.run("alice", &["link", "model.bin"]).ok().says(&link);
    stage.run("alice", &["link", &hash]).ok().says(&link);

    stage.run("bob", &["search", "model"]).ok().says(&hash);
    stage.run("bob", &["search", "modelle"]).ok().says("nothing found");
    stage.run("bob", &["download", &hash]).ok().says("SHA-256 verified");
    stage.assert_same("model.bin", "downloads/model.bin");
    stage.run("bob", &["download", &link, "--output", "new/"]).ok();
    stage.assert_same("model.bin", "new/model.bin");
    stage.run("bob", &["download", &link, "--output=copy.bin"]).ok();
    stage.assert_same("model.bin", "copy.bin");
    stage.run("bob", &["verify", "copy.bin", &link]).ok().says("right");

    assert_eq!(stage.announced("alice"), 1);
    stage.run("alice", &["unshare", "model.bin"]).ok().says(&hash);
    stage.run("alice", &["list"]).ok().says("nothing is shared");
    assert_eq!(stage.announced("alice"), 0);
    daemon.signal(SIGTERM);
    ended(&mut daemon).ok().complains("stopped");
}

#[test]
fn a_foreground_share_serves_until_it_is_stopped() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("one.bin", 1);
    let mut sharer = stage.sharer("alice", "one.bin");
    stage.run("bob", &["download", &hash, "--output", "got.bin"]).ok();
    stage.assert_same("one.bin", "got.bin");
    sharer.signal(SIGTERM);
    ended(&mut sharer).ok();
    assert_eq!(stage.announced("alice"), 0);
    stage.run("alice", &["list"]).ok().says("nothing is shared");
}

#[test]
fn an_existing_file_is_replaced_only_with_force() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("new.bin", SIZE);
    stage.file("got.bin", 5);
    let before = std::fs::read(stage.path("got.bin")).unwrap();
    let _sharer = stage.sharer("alice", "new.bin");
    stage.run("bob", &["download", &hash, "--output", "got.bin"]).code(8).complains("--force");
    assert_eq!(std::fs::read(stage.path("got.bin")).unwrap(), before);
    stage.run("bob", &["download", &hash, "--output", "got.bin", "--force"]).ok();
    stage.assert_same("new.bin", "got.bin");
    // As a crash leaves it between giving the file its name and the end.
    std::fs::write(stage.path("got.bin.peernet-part.journal"), "x").unwrap();
    stage.run("bob", &["download", &hash, "--output", "got.bin"]).ok().says("was there already");
    let left: Vec<_> =
        std::fs::read_dir(stage.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("peernet-")), "{left:?}");
}

#[test]
fn quiet_prints_the_result_only() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("empty.bin", 0);
    let mut sharer = stage.start("alice", &["share", "empty.bin", "--no-daemon", "--listen", "127.0.0.1:0", "--quiet"]);
    sharer.line_with("Announced all 0 chunks", PATIENCE);
    let quiet = stage.run("bob", &["download", &hash, "--quiet"]).ok();
    assert!(quiet.err.is_empty() && quiet.out.len() == 1, "{:?}\n{:?}", quiet.out, quiet.err);
    assert_eq!(std::fs::metadata(stage.path("downloads/empty.bin")).unwrap().len(), 0);
    let typed = ["register", "--password", "secret-enough"];
    stage.run("carol", &typed).ok().complains("process list");
}
