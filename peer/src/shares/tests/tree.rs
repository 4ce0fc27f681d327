//! Shared directories: two files on offer, one share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use peernet_engine::collection::Collection;
use peernet_engine::ids::ChunkHash;

use super::*;
use crate::files::hashing::{hash_tree, manifest_of_bytes, walk};
use peernet_engine::access::KnownVisibility;

const CHUNK: usize = 1 << 20;

/// A directory with a large file, small ones, an empty one and an empty folder.
struct Tree {
    world: World,
    root: PathBuf,
}

impl Tree {
    fn new() -> Self {
        let world = World::new();
        let root = world.folder.path().join("dir");
        let tree = Self { world, root };
        fs::create_dir_all(tree.root.join("sub/empty")).unwrap();
        for (path, len) in [("big", 2 * CHUNK + 9), ("none", 0), ("sub/ä", 5), ("x", 7)] {
            fs::write(tree.root.join(path), content(path, len)).unwrap();
        }
        tree
    }

    fn hashed(&self, root: &Path) -> HashedTree {
        let cancel = Cancel::new();
        hash_tree(root, &walk(root, &cancel).unwrap(), &mut |_| {}, &cancel).unwrap()
    }

    /// The keys of listing and pack.
    fn share(&self, shares: &Shares) -> (Key, Key) {
        self.share_from(shares, &self.root)
    }

    fn share_from(&self, shares: &Shares, root: &Path) -> (Key, Key) {
        let hashed = self.hashed(root);
        let key = |manifest: &Manifest| (manifest.file_hash(), manifest.id());
        let keys = (key(&hashed.listing_manifest), key(&hashed.pack_manifest));
        shares.add_tree(NewTree { hashed, name: "dir".to_owned(), pack: None }).unwrap();
        keys
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.root.join(path), text).unwrap();
    }
}

fn content(seed: &str, len: usize) -> Vec<u8> {
    let seed = seed.bytes().map(u64::from).sum::<u64>();
    (0..len as u64).map(|i| ((i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect()
}

fn read(shares: &Shares, key: Key) -> Option<Vec<u8>> {
    let shared_file = shares.find(key.0, Some(key.1))?;
    let mut bytes = vec![0; shared_file.manifest().geometry().size().0 as usize];
    shared_file.open().unwrap().read(0, &mut bytes).unwrap();
    Some(bytes)
}

fn is_right(shares: &Shares, key: Key) -> bool {
    read(shares, key).is_some_and(|bytes| manifest_of_bytes(&bytes).unwrap().id() == key.1)
}

#[test]
fn listing_and_pack_are_served_the_same_after_a_restart() {
    let tree = Tree::new();
    let shares = tree.world.open();
    let (listing, pack) = tree.share(&shares);
    let listed = shares.list();
    assert_eq!(listed.len(), 1, "a directory is one share");
    let directory = listed[0].directory.as_ref().unwrap();
    assert_eq!((listed[0].path.as_path(), listed[0].file_hash), (tree.root.as_path(), listing.0));
    assert_eq!((directory.files, directory.pack_hash, directory.name.as_str()), (4, pack.0, "dir"));
    assert_eq!((listed[0].size, listed[0].chunks), ((2 * CHUNK + 21) as u64, 4));
    let again = tree.world.open();
    assert_eq!(again.list(), listed);
    for shares in [&shares, &again] {
        assert!(is_right(shares, listing) && is_right(shares, pack));
        let names: BTreeSet<String> = shares.offers().into_iter().map(|offer| offer.file_name).collect();
        assert_eq!(names, ["dir.peernet-collection", "dir.peernet-pack"].map(str::to_owned).into());
    }
    let paths = Collection::decode(&read(&again, listing).unwrap()).unwrap();
    let paths: Vec<_> = paths.entries().iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["big", "none", "sub/empty", "sub/ä", "x"]);
    assert_eq!(tree.world.records().len(), 1);
}

#[test]
fn a_changed_file_ends_the_whole_share_for_good_and_is_named() {
    let tree = Tree::new();
    let (shares, said) = tree.world.open_heard();
    let (listing, pack) = tree.share(&shares);
    let shared_file = [listing, pack].map(|key| shares.find(key.0, Some(key.1)).unwrap());
    tree.write("sub/ä", "other");
    let mut buffer = vec![0; 21];
    shared_file[1].open().unwrap().read(2 * CHUNK as u64, &mut buffer).unwrap_err();
    shares.withdraw_unreadable(&shared_file[1]);
    assert!(shared_file.iter().all(|shared_file| shared_file.is_withdrawn()));
    assert_eq!((states(&shares), states(&tree.world.open())), (vec![], vec![]));
    let said = said.lock().unwrap();
    assert!(said.len() == 1 && said[0].contains("sub/ä has changed, so"), "{said:?}");
}

#[test]
fn a_missing_file_suspends_the_directory_until_it_is_back() {
    let tree = Tree::new();
    let shares = tree.world.open();
    let (listing, pack) = tree.share(&shares);
    let aside = tree.world.folder.path().join("aside");
    for gone in [tree.root.join("x"), tree.root.clone()] {
        fs::rename(&gone, &aside).unwrap();
        shares.recheck();
        assert_eq!((states(&shares), shares.offers().len()), (vec![ShareState::Missing], 0));
        assert!(shares.find(pack.0, None).is_none());
        let again = tree.world.open();
        assert_eq!(states(&again), [ShareState::Missing]);
        fs::rename(&aside, &gone).unwrap();
        for shares in [&shares, &again] {
            shares.recheck();
            assert_eq!(states(shares), [ShareState::Ready]);
            assert!(is_right(shares, listing) && is_right(shares, pack));
        }
    }
}

#[test]
fn a_file_added_later_counts_when_the_directory_is_reshared() {
    let tree = Tree::new();
    let shares = tree.world.open();
    let before = tree.share(&shares);
    tree.write("new", "file");
    shares.recheck();
    assert_eq!(states(&shares), [ShareState::Ready]);
    let after = tree.share(&shares);
    assert_ne!(before.0, after.0);
    assert_eq!(shares.shared_from(&tree.root), [after.0.0], "the earlier share ended");
    assert!(shares.find(before.1.0, None).is_none() && is_right(&shares, after.1));
    assert_eq!(tree.world.open().list(), shares.list());
}

#[test]
fn a_directory_is_removed_by_its_listing_or_its_pack() {
    let tree = Tree::new();
    let shares = tree.world.open();
    for by_pack in [false, true] {
        let (listing, pack) = tree.share(&shares);
        let shared_file = shares.find(pack.0, None).unwrap();
        let named = if by_pack { pack.0 } else { listing.0 };
        assert_eq!(shares.remove(named).unwrap(), std::slice::from_ref(&tree.root));
        assert!(
            shared_file.is_withdrawn() && shares.find(listing.0, None).is_none() && shares.find(pack.0, None).is_none()
        );
        assert!(states(&tree.world.open()).is_empty());
    }
}

#[test]
fn a_pack_is_served_while_any_share_of_it_remains() {
    let tree = Tree::new();
    let shares = tree.world.open();
    let one = tree.world.folder.path().join("one");
    let other = tree.world.folder.path().join("other");
    for (root, name) in [(&one, "a"), (&other, "b")] {
        fs::create_dir(root).unwrap();
        fs::write(root.join(name), "the same bytes").unwrap();
    }
    let first = tree.share_from(&shares, &one);
    let second = tree.share_from(&shares, &other);
    assert!(first.0 != second.0 && first.1 == second.1);
    let file = tree.world.share(&shares, &one.join("a"));
    assert_eq!((file, shares.offers().len()), (first.1.0, 3), "one file alone is its own pack");
    for (named, left) in [(file, 2), (first.0.0, 1)] {
        shares.remove(named).unwrap();
        assert!(is_right(&shares, first.1), "{left} left");
        assert_eq!(shares.list().len(), left);
    }
    shares.remove(first.1.0).unwrap();
    assert!(shares.find(file, None).is_none() && tree.world.open().list().is_empty());
}

#[test]
fn a_damaged_record_of_a_directory_is_ignored() {
    let tree = Tree::new();
    tree.share(&tree.world.open());
    let record = tree.world.records().remove(0);
    let good = fs::read(&record).unwrap();
    let listing = good.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for (what, bytes) in [
        ("cut off", good[..good.len() - 1].to_vec()),
        ("no listing", good[..listing].to_vec()),
        ("no line", good[..listing - 1].to_vec()),
        ("another name in the listing", [&good[..good.len() - 80], b"y", &good[good.len() - 79..]].concat()),
        ("a time less", String::from_utf8_lossy(&good[..listing]).replace("\"times\":\"", "\"times\":\"AAAA").into()),
        ("nothing", Vec::new()),
    ] {
        fs::write(&record, bytes).unwrap();
        assert_eq!(states(&tree.world.open()), [], "{what}");
    }
    fs::write(&record, good).unwrap();
    assert_eq!(states(&tree.world.open()), [ShareState::Ready]);
}

#[test]
fn a_downloaded_pack_is_served_on_as_part_of_its_directory() {
    let tree = Tree::new();
    let shares = tree.world.open();
    let hashed = tree.hashed(&tree.root);
    let manifest = Arc::clone(&hashed.pack_manifest);
    let part = Arc::new(File::open(tree.root.join("big")).unwrap());
    let have = Bitmap::empty(manifest.geometry().chunk_count());
    let shared_file =
        SharedFile::growing(Arc::clone(&manifest), tree.root.clone(), part, have, "dir.peernet-pack".to_owned());
    shares.begin(Arc::clone(&shared_file));
    assert!(shares.is_growing());
    shares.add_tree(NewTree { hashed, name: "dir".to_owned(), pack: Some(Arc::clone(&shared_file)) }).unwrap();
    assert!(!shares.is_growing() && shared_file.is_complete());
    assert_eq!((shares.list().len(), states(&shares)), (1, vec![ShareState::Ready]));
    let served = shares.find(manifest.file_hash(), None).unwrap();
    assert!(Arc::ptr_eq(&served, &shared_file), "connected callers stay connected");
    assert!(is_right(&shares, (manifest.file_hash(), manifest.id())));
}

#[test]
fn shared_chunks_and_files_are_found_and_readable() {
    let tree = Tree::new();
    let shares = tree.world.open();
    let alone = tree.world.write("alone", "a file alone");
    let alone = (tree.world.share(&shares, &alone), "a file alone".len());
    tree.share(&shares);
    let hash = |bytes: &[u8]| manifest_of_bytes(bytes).unwrap();
    let big = content("big", 2 * CHUNK + 9);
    let x = content("x", 7);
    let chunks: BTreeMap<ChunkHash, u32> = [
        (hash(&big).chunk_hashes()[1], CHUNK as u32),
        (ChunkHash(alone.0.0), alone.1 as u32),
        // Right by hash, and yet no such chunk; and one that is nowhere.
        (hash(&big).chunk_hashes()[0], 5),
        (ChunkHash([7; 32]), 1),
    ]
    .into();
    let nothing = hash(b"").file_hash();
    let files: BTreeSet<FileHash> =
        [hash(&big).file_hash(), hash(&x).file_hash(), nothing, alone.0, FileHash([7; 32])].into();
    let found = shares.find_local(&chunks, &files);
    let lens: Vec<_> = found.chunks.keys().map(|hash| chunks[hash] as usize).collect();
    assert!(lens.len() == 2 && lens.contains(&CHUNK) && lens.contains(&alone.1), "{lens:?}");
    for (wanted, at) in &found.chunks {
        let mut bytes = vec![0; chunks[wanted] as usize];
        at.shared_file.open().unwrap().read(at.offset, &mut bytes).unwrap();
        assert_eq!(hash(&bytes).chunk_hashes(), [*wanted]);
    }
    assert_eq!(found.files.keys().copied().collect::<BTreeSet<_>>(), &files - &[FileHash([7; 32])].into());
    for (wanted, at) in &found.files {
        let mut bytes = vec![0; at.pieces.iter().map(|piece| piece.len as usize).sum()];
        for piece in &at.pieces {
            let place = &mut bytes[piece.file_offset as usize..][..piece.len as usize];
            at.shared_file.open().unwrap().read(piece.pack_offset, place).unwrap();
        }
        assert_eq!(hash(&bytes).file_hash(), *wanted);
    }
    shares.remove(alone.0).unwrap();
    assert_eq!(shares.find_local(&chunks, &files).chunks.len(), 1, "a file that is no longer shared is not searched");
}

#[test]
fn a_file_whose_bytes_alone_changed_ends_its_share_and_is_named() {
    let check = |chunk: u32, named: &str| {
        let tree = Tree::new();
        let (shares, said) = tree.world.open_heard();
        let (listing, pack) = tree.share(&shares);
        let shared_file = shares.find(pack.0, None).unwrap();
        shares.withdraw_altered(&shared_file, ChunkIndex(chunk));
        assert!(shares.list().is_empty() && tree.world.open().list().is_empty());
        assert!(shares.find(listing.0, None).is_none() && shared_file.is_withdrawn());
        let root = tree.root.display();
        let said = said.lock().unwrap();
        let told = format!("{named} has changed (its size and time are as they were), so {root} is no longer shared");
        let told = told.replace("DIR", &root.to_string());
        assert!(said.len() == 1 && said[0].starts_with(&told), "{said:?}");
    };
    check(1, "DIR/big");
    // The ends of all files together.
    check(2, "a file in DIR");
}

#[test]
fn a_change_at_one_path_leaves_the_same_bytes_elsewhere() {
    let tree = Tree::new();
    let shares = tree.world.open();
    let (_, pack) = tree.share(&shares);
    let shared_file = shares.find(pack.0, None).unwrap();
    let stranger = SharedFile::complete(
        Arc::clone(shared_file.manifest()),
        tree.root.join("x"),
        held_identity(&tree),
        "x".to_owned(),
    );
    shares.withdraw_altered(&stranger, ChunkIndex(0));
    assert_eq!((shares.list().len(), shared_file.is_withdrawn()), (1, false));
}

fn held_identity(tree: &Tree) -> FileIdentity {
    FileIdentity::of_path(&tree.root.join("x")).unwrap()
}

#[test]
fn withdrawing_a_file_ends_every_share_made_of_it() {
    let tree = Tree::new();
    let shares = tree.world.open();
    let root = tree.world.folder.path().join("one");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a"), "the same bytes").unwrap();
    let (listing, pack) = tree.share_from(&shares, &root);
    let file = tree.world.share(&shares, &root.join("a"));
    let other = tree.share(&shares);
    assert_eq!(file, pack.0, "one file alone is its own pack");
    shares.apply_tracker_reply(Instant::now(), &[file, listing.0], &|_| false).unwrap();
    assert_eq!(shares.visibility(file), KnownVisibility::Public);
    shares.end_withdrawn(file);
    assert!(shares.find(file, None).is_none() && shares.find(listing.0, None).is_none());
    assert_eq!(shares.visibility(file), KnownVisibility::Restricted);
    assert!(is_right(&shares, other.0) && is_right(&tree.world.open(), other.1));
    assert_eq!(tree.world.open().list().len(), 1);
}

#[test]
fn the_visibility_of_listing_and_pack_survives_a_restart() {
    let tree = Tree::new();
    let shares = tree.world.open();
    let (listing, pack) = tree.share(&shares);
    let visibilities = |shares: &Shares| [listing, pack].map(|key| shares.visibility(key.0));
    assert_eq!(visibilities(&shares), [KnownVisibility::Unknown; 2]);
    assert_eq!(visibilities(&tree.world.open()), [KnownVisibility::Unknown; 2]);
    shares.apply_tracker_reply(Instant::now(), &[listing.0, pack.0], &|file| file == pack.0).unwrap();
    let expected = [KnownVisibility::Public, KnownVisibility::Restricted];
    assert_eq!((visibilities(&shares), visibilities(&tree.world.open())), (expected, expected));
    // A directory that is shared again before its leases end keeps its visibility. After that it is unknown.
    shares.remove(listing.0).unwrap();
    tree.share(&shares);
    assert_eq!(visibilities(&shares), expected);
    shares.remove(listing.0).unwrap();
    shares.leases_ended(&[listing.0, pack.0]);
    tree.share(&shares);
    assert_eq!(visibilities(&shares), [KnownVisibility::Unknown, KnownVisibility::Restricted]);
}

/// The record of a shared directory in the folder, with its path.
fn stored(world: &World) -> (PathBuf, Vec<u8>) {
    let mut records = world.records();
    records.retain(|path| path.extension().is_some_and(|extension| extension == "collection"));
    let path = records.pop().expect("one directory is shared");
    let bytes = fs::read(&path).unwrap();
    (path, bytes)
}

/// Reads the record of a directory.
fn load(path: &Path) -> Result<Arc<TreeRecord>, String> {
    let record = Record::load(path).expect("the extension is that of a record")?;
    Ok(Arc::clone(record.tree().expect("the record of a directory")))
}

#[test]
fn a_damaged_directory_record_never_gives_other_content() {
    let tree = Tree::new();
    let shares = tree.world.open();
    tree.share(&shares);
    let (path, whole) = stored(&tree.world);
    let good = load(&path).unwrap_or_else(|error| panic!("{error}"));
    let listing_at = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in (0..whole.len()).step_by(3) {
        fs::write(&path, &whole[..cut]).unwrap();
        let error = load(&path).err().expect("a part of a record is none");
        assert!(error.starts_with("the record of a share is damaged: "), "{cut}: {error}");
    }
    for place in (0..whole.len()).step_by(2) {
        let mut bent = whole.clone();
        bent[place] ^= 1;
        fs::write(&path, &bent).unwrap();
        match load(&path) {
            Ok(found) => {
                assert!(place < listing_at, "{place}: every byte of the listing is covered by its name");
                assert_eq!((&found.listing, &found.pack_manifest), (&good.listing, &good.pack_manifest), "{place}");
            }
            Err(error) => assert!(error.starts_with("the record of a share "), "{place}: {error}"),
        }
    }
    fs::write(&path, &whole).unwrap();
    let again = load(&path).unwrap_or_else(|error| panic!("{error}"));
    assert!(again.files.identities().eq(good.files.identities()) && again.name == good.name);
}

#[test]
fn a_directory_record_of_another_version_or_share_is_refused() {
    let tree = Tree::new();
    let shares = tree.world.open();
    tree.share(&shares);
    let (path, whole) = stored(&tree.world);
    let load = |path: &Path| load(path).err();
    let damaged = |what: &str| Some(format!("the record of a share is damaged: {what}"));
    let line_end = whole.iter().position(|byte| *byte == b'\n').unwrap();
    let mut line: serde_json::Value = serde_json::from_slice(&whole[..line_end]).unwrap();
    let mut write = |key: &str, value: serde_json::Value| {
        let before = std::mem::replace(&mut line[key], value);
        fs::write(&path, [line.to_string().as_bytes(), &whole[line_end..]].concat()).unwrap();
        line[key] = before;
    };
    write("version", 7.into());
    let version = "the record of a share has version 7, which this program does not know";
    assert_eq!(load(&path).as_deref(), Some(version));
    write("times", "".into());
    assert_eq!(load(&path), damaged("times are missing"));
    write("times", "AAAA".into());
    assert_eq!(load(&path), damaged("times are missing"));
    write("times", "!".into());
    assert!(load(&path).is_some_and(|error| error.starts_with("the record of a share is damaged: ")));
    write("name", "another name".into());
    assert_eq!(load(&path), None, "the name is not part of the content");
    let renamed = path.with_file_name(format!("{}.collection", "0".repeat(64)));
    fs::write(&renamed, &whole).unwrap();
    assert_eq!(load(&renamed), damaged("it has another listing"));
    fs::write(&path, &whole[..line_end]).unwrap();
    assert_eq!(load(&path), damaged("it has no listing"));
}
