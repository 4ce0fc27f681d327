//! Shares directories with the embedding API. Other peers get exactly the files, and forbidden names are refused.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use peernet::internals::hash_file;
use peernet::{Cancel, DownloadOptions, Link, Node, NodeError, ShareState, Shared, Target};
use peernet_engine::collection::{Collection, EntryKind};
use peernet_engine::ids::FileHash;
use peernet_engine::link::Kind;

use crate::swarm::{MIB, content};
use crate::world::World;

/// So many files that one request for each would be noticed.
const MANY: usize = 3_000;

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A directory with all kinds of entries, shareable or not.
fn directory(world: &World) -> PathBuf {
    let root = world.path("Datensätze 2026");
    write(&root, "big.bin", &content(3 * MIB + 11, 1));
    write(&root, ".hidden/config", b"x");
    write(&root, "run.sh", b"#!/bin/sh\n");
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    write(&root, "深い/ünïcödé – (1).txt", "größe".as_bytes());
    write(&root, "empty.bin", b"");
    fs::create_dir_all(root.join("empty/folder")).unwrap();
    symlink("/etc/passwd", root.join("link")).unwrap();
    for i in 0..MANY {
        write(&root, &format!("many/{:02}/{i}", i % 20), format!("file {i}").as_bytes());
    }
    root
}

fn share(node: &Node, path: &Path) -> Result<Shared, NodeError> {
    node.share(path, &mut |_| {}, &Cancel::new())
}

/// A file of the swarm by its hash, as it is.
fn fetched(world: &World, node: &Node, file_hash: FileHash) -> Vec<u8> {
    let target = Target::Link(Link { kind: Kind::File, ..Link::new(file_hash) });
    let output = world.path(&format!("{file_hash}.bin"));
    let options = DownloadOptions { output: Some(output), ..DownloadOptions::default() };
    fs::read(node.download(&target, &options, &mut |_| {}, &Cancel::new()).unwrap().path).unwrap()
}

/// Each file's bytes, cut out of the pack as the listing says.
fn unpacked(collection: &Collection, pack: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let layout = collection.layout();
    let of = |place: usize| {
        let pieces = layout.pieces_of(place);
        pieces.flat_map(|piece| &pack[piece.pack_offset as usize..][..piece.len as usize]).copied().collect()
    };
    let files = collection.entries().iter().enumerate().filter(|(_, entry)| entry.file().is_some());
    files.map(|(place, entry)| (entry.path.clone(), of(place))).collect()
}

#[test]
fn listing_and_pack_carry_every_file_of_a_directory() {
    let world = World::new();
    let alice = world.node("alice");
    let bob = world.node("bob");
    alice.serve().unwrap();
    let root = directory(&world);
    let shared = share(&alice, &root).unwrap();
    let directory = shared.directory.clone().unwrap();
    assert_eq!((directory.files, shared.left_out), (MANY + 5, 1));
    let Ok(Target::Link(link)) = Target::parse(&shared.link) else { panic!("{}", shared.link) };
    assert_eq!((link.kind, link.name.as_deref()), (Kind::Collection, Some("Datensätze 2026")));
    assert_eq!((link.file_hash, link.manifest), (shared.file_hash, Some(shared.manifest_id)));

    let listing = fetched(&world, &bob, shared.file_hash);
    assert_eq!(link.size.map(|size| size.0), Some(listing.len() as u64));
    let collection = Collection::decode(&listing).unwrap();
    let pack = fetched(&world, &bob, directory.pack_hash);
    assert_eq!((pack.len() as u64, collection.pack.file_hash), (shared.size, directory.pack_hash));
    let files = unpacked(&collection, &pack);
    assert_eq!(files.len(), directory.files);
    for (path, bytes) in &files {
        assert!(fs::read(root.join(path)).unwrap() == *bytes, "{path}");
    }
    let kinds: BTreeMap<&str, EntryKind> =
        collection.entries().iter().map(|entry| (entry.path.as_str(), entry.kind)).collect();
    assert_eq!(kinds.get("empty/folder"), Some(&EntryKind::Folder));
    let executables = collection.entries().iter().filter(|entry| entry.file().is_some_and(|file| file.executable));
    assert_eq!(executables.map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["run.sh"]);
    let EntryKind::File(big) = kinds["big.bin"] else { panic!("a file") };
    let alone = hash_file(&root.join("big.bin"), 1, &mut |_| {}, &Cancel::new()).unwrap();
    assert_eq!((big.file_hash, big.manifest_id), (alone.file_hash(), alone.id()));
}

#[test]
fn directories_without_bytes_can_be_shared() {
    let world = World::new();
    let alice = world.node("alice");
    let bob = world.node("bob");
    alice.serve().unwrap();
    let of_empty = world.path("of empty");
    let empty = world.path("empty");
    fs::create_dir(&empty).unwrap();
    write(&of_empty, "a/b", b"");
    for (root, files) in [(&empty, 0), (&of_empty, 1)] {
        let shared = share(&alice, root).unwrap();
        let collection = Collection::decode(&fetched(&world, &bob, shared.file_hash)).unwrap();
        assert_eq!((collection.file_count(), collection.pack.size.0), (files, 0));
        assert!(fetched(&world, &bob, collection.pack.file_hash).is_empty());
    }
}

#[test]
fn a_directory_is_hashed_again_only_after_a_change() {
    let world = World::new();
    let alice = world.node("alice");
    let root = world.path("dir");
    write(&root, "a", b"one");
    let hashes = |node: &Node| {
        let mut hashed = false;
        let shared = node.share(&root, &mut |_| hashed = true, &Cancel::new()).unwrap();
        (shared.file_hash, hashed)
    };
    let (first, hashed) = hashes(&alice);
    assert!(hashed);
    assert_eq!(hashes(&alice), (first, false));
    fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    let (second, hashed) = hashes(&alice);
    assert!(hashed && first != second, "an executable is another listing");
    fs::create_dir(root.join("b")).unwrap();
    let (third, hashed) = hashes(&alice);
    assert!(hashed && second != third, "so is an empty folder");
    assert_eq!(alice.shares().len(), 1, "the new content replaces the old share");
}

#[test]
fn a_changed_file_ends_the_leases_of_listing_and_pack() {
    let world = World::new();
    let alice = world.node("alice");
    let bob = world.node("bob");
    alice.serve().unwrap();
    let root = world.path("dir");
    (0..50).for_each(|i| write(&root, &format!("{i}"), &content(100_000, i)));
    let shared = share(&alice, &root).unwrap();
    assert_eq!(alice.me().unwrap().files_shared, 2);
    write(&root, "27", b"something else");
    // A caller of the pack meets the change.
    let target = Target::Hash(shared.directory.unwrap().pack_hash);
    let cancel = Cancel::new();
    std::thread::scope(|scope| {
        let download = scope.spawn(|| {
            let options = DownloadOptions { output: Some(world.path("pack.bin")), ..DownloadOptions::default() };
            bob.download(&target, &options, &mut |_| {}, &cancel)
        });
        // Each look is a request, which is pause enough.
        let deadline = Instant::now() + Duration::from_secs(30);
        while alice.me().unwrap().files_shared > 0 {
            assert!(Instant::now() < deadline, "still announced");
        }
        cancel.cancel();
        assert!(download.join().unwrap().is_err());
    });
    assert!(alice.shares().is_empty(), "{:?}", alice.shares());
}

#[test]
fn the_next_node_of_the_folder_serves_until_unshared() {
    let world = World::new();
    let alice = world.node("alice");
    let bob = world.node("bob");
    let root = world.path("dir");
    (0..20).for_each(|i| write(&root, &format!("sub/{i}"), &content(1_000 * i, i as u64)));
    let shared = share(&alice, &root).unwrap();
    drop(alice);
    let again = Node::builder().home(world.path("alice")).listen("127.0.0.1:0").build().unwrap();
    assert_eq!(again.shares()[0].state, ShareState::Ready);
    assert_eq!(again.link(&again.shares()[0]), shared.link);
    again.serve().unwrap();
    // Announced in the background; sharing it again waits for that and hashes nothing.
    let mut hashed = false;
    again.share(&root, &mut |_| hashed = true, &Cancel::new()).unwrap();
    assert!(!hashed);
    let pack = fetched(&world, &bob, shared.directory.unwrap().pack_hash);
    assert_eq!(pack.len(), (0..20).map(|i| 1_000 * i).sum::<usize>());
    again.unshare(shared.file_hash).unwrap();
    assert_eq!((again.shares().len(), again.me().unwrap().files_shared), (0, 0));
}

#[test]
fn forbidden_names_and_missing_paths_are_refused() {
    let world = World::new();
    let alice = world.node("alice");
    let refused = |path: &Path| match share(&alice, path) {
        Err(NodeError::Invalid(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(&world.path("")).contains("own folder"));
    assert!(refused(&world.path("alice")).contains("own folder"));
    let root = world.path("dir");
    for name in [&b"not-utf8-\xff"[..], b"ends with a dot.", b"a\\b"] {
        write(&root, "good", b"");
        let bad = root.join(OsStr::from_bytes(name));
        fs::write(&bad, b"").unwrap();
        assert!(refused(&root).contains(&format!("{bad:?}")), "it says which");
        fs::remove_file(&bad).unwrap();
    }
    let _fine = share(&alice, &root).unwrap();
    assert!(matches!(share(&alice, &world.path("nowhere")), Err(NodeError::Local { .. })));
}
