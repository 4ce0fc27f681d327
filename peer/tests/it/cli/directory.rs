//! Directories with the real program: shared, listed, linked, served by the next daemon, unshared.

use std::fs;
use std::os::unix::fs::symlink;

use peernet_engine::collection::Collection;
use peernet_engine::link::{Kind, Target};

use super::{PATIENCE, SIGTERM, Stage, ended, last_word};

fn directory(stage: &Stage) {
    fs::create_dir_all(stage.path("data/sub/empty")).unwrap();
    for i in 0..200 {
        fs::write(stage.path(&format!("data/sub/{i}.txt")), format!("number {i}")).unwrap();
    }
    stage.file("data/big.bin", (2 << 20) + 3);
    symlink("big.bin", stage.path("data/link")).unwrap();
}

#[test]
fn a_directory_is_shared_and_unshared_through_the_daemon() {
    let stage = Stage::with(&["alice", "bob"]);
    directory(&stage);
    let (mut daemon, _) = stage.daemon("alice");
    let shared = stage.run("alice", &["share", "data/"]).ok().complains("1 symbolic links and special files");
    let hash = last_word(&shared.out[0]).to_owned();
    assert_eq!(shared.out[0], format!("File 'data/' chunked successfully. File Hash: {hash}"));
    assert_eq!(shared.out[1], "Announced all 4 chunks to tracker.");
    let link = last_word(&shared.out[2]).to_owned();
    let Ok(Target::Link(parsed)) = Target::parse(&link) else { panic!("{link}") };
    assert_eq!((parsed.kind, parsed.name.as_deref()), (Kind::Collection, Some("data")));
    stage.run("alice", &["list"]).ok().says(&hash).says("/data  (201 files)");
    stage.run("alice", &["link", "data"]).ok().says(&link);
    stage.run("bob", &["link", "data"]).ok().says(&link);
    let listed = stage.run("alice", &["list", "--json"]).ok().json();
    let listed = &listed["shares"][0];
    assert_eq!((listed["kind"].as_str(), listed["files"].as_u64()), (Some("collection"), Some(201)));
    assert_eq!(listed["name"].as_str(), Some("data.peernet-collection"));
    let hits = stage.run("bob", &["search", "data", "--json"]).ok().json();
    let hits: Vec<_> = hits["files"].as_array().unwrap().iter().map(|hit| hit["link"].as_str().unwrap()).collect();
    assert!(hits.iter().filter(|hit| hit.contains("kind=collection")).eq([&link.as_str()]), "{hits:?}");
    assert_eq!(stage.announced("alice"), 2);

    daemon.signal(SIGTERM);
    ended(&mut daemon).ok();
    let (_daemon, _) = stage.daemon("alice");
    stage.run("alice", &["list"]).ok().says("(201 files)");
    stage.run("alice", &["unshare", "data"]).ok().says(&hash);
    stage.run("alice", &["list"]).ok().says("nothing is shared");
    assert_eq!(stage.announced("alice"), 0);
}

#[test]
fn a_directory_can_be_shared_without_a_daemon() {
    let stage = Stage::with(&["alice", "bob"]);
    directory(&stage);
    let arguments = ["share", "data", "--no-daemon", "--listen", "127.0.0.1:0", "--json"];
    let mut sharer = stage.start("alice", &arguments);
    let line = sharer.line_with("\"link\"", PATIENCE);
    let shared: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((shared["kind"].as_str(), shared["files"].as_u64()), (Some("collection"), Some(201)));
    assert_eq!((shared["left_out"].as_u64(), shared["chunks"].as_u64()), (Some(1), Some(4)));
    // As the plain file it is too.
    let link = shared["link"].as_str().unwrap().replace("kind=collection", "kind=file");
    stage.run("bob", &["download", &link, "--output", "listing.bin"]).ok();
    let listing = Collection::decode(&fs::read(stage.path("listing.bin")).unwrap()).unwrap();
    let pack = listing.pack.file_hash.to_string();
    stage.run("bob", &["download", &pack, "--output", "pack.bin"]).ok();
    let pack = fs::read(stage.path("pack.bin")).unwrap();
    let layout = listing.layout();
    for (place, entry) in listing.entries().iter().enumerate() {
        let mut bytes: Vec<u8> = Vec::new();
        layout.pieces_of(place).for_each(|p| bytes.extend(&pack[p.pack_offset as usize..][..p.len as usize]));
        if entry.file().is_some() {
            assert!(bytes == fs::read(stage.path("data").join(&entry.path)).unwrap(), "{}", entry.path);
        }
    }
    sharer.signal(SIGTERM);
    ended(&mut sharer).ok();
    assert_eq!(stage.announced("alice"), 0);
    stage.run("alice", &["list"]).ok().says("nothing is shared");
}
