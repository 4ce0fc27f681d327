//! Downloading directories with the embedding API, from real servers.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use peernet::{
    Cancel, DownloadOptions, Downloaded, Link, Node, NodeError, Phase, Rate, ShareState, Shared, SpeedLimits, Target,
};
use peernet_engine::collection::{Collection, Entry, EntryKind, FileEntry, Pack};
use peernet_engine::ids::{ByteCount, FileHash};
use peernet_engine::link::Kind;

use crate::swarm::{MIB, content};
use crate::world::World;

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Makes a directory with every kind of entry that a listing can have.
fn directory(world: &World, name: &str) -> PathBuf {
    let root = world.path(name);
    write(&root, "big.bin", &content(3 * MIB + 11, 1));
    write(&root, ".hidden/config", b"x");
    write(&root, "run.sh", b"#!/bin/sh\n");
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    write(&root, "深い/ünïcödé – (1).txt", "größe".as_bytes());
    write(&root, "empty.bin", b"");
    fs::create_dir_all(root.join("empty/folder")).unwrap();
    for i in 0..300 {
        write(&root, &format!("many/{:02}/{i}", i % 20), format!("file {i}").as_bytes());
    }
    root
}

/// Returns every path with its content: a file's bytes and whether it is executable, `None` for an empty folder.
fn found(root: &Path) -> BTreeMap<String, Option<(Vec<u8>, bool)>> {
    fn add(root: &Path, folder: &Path, all: &mut BTreeMap<String, Option<(Vec<u8>, bool)>>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if entry.file_type().unwrap().is_file() {
                let executable = entry.metadata().unwrap().permissions().mode() & 0o100 != 0;
                all.insert(name, Some((fs::read(path).unwrap(), executable)));
            } else if fs::read_dir(&path).unwrap().next().is_none() {
                all.insert(name, None);
            } else {
                add(root, &path, all);
            }
        }
    }
    let mut all = BTreeMap::new();
    add(root, root, &mut all);
    all
}

fn share(node: &Node, path: &Path) -> Shared {
    node.share(path, &mut |_| {}, &Cancel::new()).unwrap()
}

fn to(path: PathBuf) -> DownloadOptions {
    DownloadOptions { output: Some(path), ..DownloadOptions::default() }
}

fn download(node: &Node, link: &str, options: &DownloadOptions) -> Result<Downloaded, NodeError> {
    node.download(&Target::parse(link).unwrap(), options, &mut |_| {}, &Cancel::new())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|found| found.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Two nodes: Alice shares a directory, and Bob downloads it.
struct Two {
    world: World,
    alice: Node,
    bob: Node,
    root: PathBuf,
    shared: Shared,
}

impl Two {
    fn new() -> Self {
        Self::with(|world| directory(world, "Datensätze 2026"))
    }

    fn with(make: impl Fn(&World) -> PathBuf) -> Self {
        let world = World::new();
        let alice = world.node("alice");
        let bob = world.node("bob");
        alice.serve().unwrap();
        let root = make(&world);
        let shared = share(&alice, &root);
        Self { world, alice, bob, root, shared }
    }

    fn out(&self) -> PathBuf {
        self.world.path("out")
    }

    fn download(&self, options: &DownloadOptions) -> Result<Downloaded, NodeError> {
        download(&self.bob, &self.shared.link, options)
    }

    /// Limits Bob's rate, so that his download can be seen in progress.
    fn slow_down(&self, bytes_per_second: usize) {
        let max_download = Rate::new(bytes_per_second as u64);
        self.bob.set_limits(SpeedLimits { max_download, ..SpeedLimits::default() });
    }

    /// Begins a download and cancels it after two chunks.
    fn download_some(&self, options: &DownloadOptions) {
        self.slow_down(8 * MIB);
        let cancel = Cancel::new();
        // So that it is seen on the way, however fast the machine is.
        self.bob.set_limits(unhurried());
        let mut watch = |progress: &peernet::FetchProgress| {
            if progress.phase == Phase::Fetching && progress.chunks_done >= 2 {
                cancel.cancel();
            }
        };
        let result = self.bob.download(&Target::parse(&self.shared.link).unwrap(), options, &mut watch, &cancel);
        assert!(matches!(result, Err(NodeError::Cancelled)), "{result:?}");
        self.bob.set_limits(SpeedLimits::default());
    }
}

fn unhurried() -> SpeedLimits {
    SpeedLimits { max_download: Rate::new(8 << 20), ..SpeedLimits::default() }
}

#[test]
fn a_directory_arrives_by_link_and_by_hash() {
    let two = Two::new();
    let done = two.download(&to(two.out())).unwrap();
    assert_eq!(done.path, two.out().join("Datensätze 2026"));
    assert_eq!(found(&done.path), found(&two.root));
    assert_eq!((done.files, done.was_there), (305, false));
    assert_eq!(done.size, two.shared.size);
    assert!(done.bytes_fetched > done.size && done.bytes_copied == 0 && done.sources.len() == 1, "{done:?}");
    assert_eq!(names(&two.out()), ["Datensätze 2026"], "nothing else is left");
    // Empty again: files at the final path are neither fetched nor replaced.
    let again = download(&two.bob, &two.shared.file_hash.to_string(), &to(two.out())).unwrap();
    assert!(again.was_there && again.bytes_fetched == 0 && again.files == 305);
    fs::write(done.path.join("run.sh"), "mine").unwrap();
    let refused = two.download(&to(two.out()));
    assert!(matches!(&refused, Err(NodeError::Exists(path)) if *path == done.path), "{refused:?}");
    assert_eq!(fs::read(done.path.join("run.sh")).unwrap(), b"mine");
    assert!(!two.alice.shares().is_empty());
}

#[test]
fn directories_without_bytes_arrive_too() {
    let empty = Two::with(|world| {
        fs::create_dir(world.path("nothing")).unwrap();
        world.path("nothing")
    });
    let done = empty.download(&to(empty.out())).unwrap();
    assert_eq!((done.files, done.size, found(&done.path).len()), (0, 0, 0));
    let hollow = Two::with(|world| {
        let root = world.path("hollow");
        write(&root, "a/empty", b"");
        fs::create_dir_all(root.join("b/c")).unwrap();
        root
    });
    let options = DownloadOptions { share: true, ..to(hollow.out()) };
    let done = hollow.download(&options).unwrap();
    assert_eq!(found(&done.path), found(&hollow.root));
    assert_eq!(hollow.bob.shares()[0].file_hash, hollow.shared.file_hash);
}

#[test]
fn only_wanted_files_are_fetched_and_appear() {
    let two = Two::new();
    let options = |include: &[&str], exclude: &[&str]| DownloadOptions {
        include: include.iter().map(|text| (*text).to_owned()).collect(),
        exclude: exclude.iter().map(|text| (*text).to_owned()).collect(),
        ..to(two.out())
    };
    let done = two.download(&options(&["many/0?/**", "*.sh"], &["many/03"])).unwrap();
    let wanted = |path: &str| (path.starts_with("many/0") && !path.starts_with("many/03")) || path == "run.sh";
    let mut expected = found(&two.root);
    expected.retain(|path, _| wanted(path));
    assert_eq!(found(&done.path), expected);
    assert_eq!(done.files, expected.len());
    assert!(done.bytes_fetched < MIB as u64, "the large file is not among it: {}", done.bytes_fetched);
    assert_eq!(names(&two.out()), ["Datensätze 2026"]);
    let none = two.download(&DownloadOptions { force: true, ..options(&["nothing.here"], &[]) });
    assert!(matches!(none, Err(NodeError::Invalid(_))), "{none:?}");
    let shared = two.download(&DownloadOptions { share: true, ..options(&["run.sh"], &[]) });
    assert!(matches!(shared, Err(NodeError::Invalid(_))), "{shared:?}");
    let (file, hash) = two.world.file("f.bin", 10);
    share(&two.alice, &file);
    let of_a_file = download(&two.bob, &hash, &options(&["x"], &[]));
    assert!(matches!(of_a_file, Err(NodeError::Invalid(_))), "{of_a_file:?}");
}

#[test]
fn a_download_resumes_and_another_choice_begins_anew() {
    let two = Two::with(|world| {
        let root = directory(world, "data");
        write(&root, "huge.bin", &content(24 * MIB, 5));
        root
    });
    two.download_some(&to(two.out()));
    assert!(!two.out().join("data").exists());
    let left = ["data.peernet-listing", "data.peernet-part", "data.peernet-part.journal"];
    assert_eq!(names(&two.out()), left);
    let done = two.download(&to(two.out())).unwrap();
    assert_eq!(found(&done.path), found(&two.root));
    assert!(done.bytes_resumed >= 2 * MIB as u64, "{done:?}");
    assert_eq!(done.bytes_fetched + done.bytes_resumed, done.size, "and the listing was not fetched again");
    assert_eq!(names(&two.out()), ["data"]);
    // Data of an earlier choice is used where it is right. Files that are not wanted any more do not appear.
    let some =
        DownloadOptions { exclude: vec!["many".to_owned(), "huge.bin".to_owned()], ..to(two.world.path("some")) };
    two.download_some(&to(two.world.path("some")));
    let done = two.download(&some).unwrap();
    let mut expected = found(&two.root);
    expected.retain(|path, _| !path.starts_with("many") && path != "huge.bin");
    assert_eq!(found(&done.path), expected);
    assert_eq!(names(&two.world.path("some")), ["data"]);
}

#[test]
fn damaged_files_are_fetched_again() {
    let two = Two::with(|world| {
        let root = world.path("data");
        write(&root, "huge.bin", &content(16 * MIB + 5, 5));
        write(&root, "small", b"small");
        root
    });
    two.download_some(&to(two.out()));
    let part = two.out().join("data.peernet-part/huge.bin");
    let mut bytes = fs::read(&part).unwrap();
    bytes[..4 * MIB].fill(7);
    fs::write(&part, bytes).unwrap();
    let done = two.download(&to(two.out())).unwrap();
    assert_eq!(found(&done.path), found(&two.root));
}

#[test]
fn a_new_version_is_made_of_the_replaced_one() {
    let two = Two::new();
    let first = two.download(&to(two.out())).unwrap();
    fs::write(first.path.join("mine.txt"), "goes with the old one").unwrap();
    write(&two.root, "aaa.txt", b"a new file that comes first");
    fs::remove_file(two.root.join("many/07/7")).unwrap();
    let second = share(&two.alice, &two.root);
    let options = DownloadOptions { force: true, ..to(two.out()) };
    let done = download(&two.bob, &second.link, &options).unwrap();
    assert_eq!(found(&done.path), found(&two.root));
    assert_eq!(names(&two.out()), ["Datensätze 2026"]);
    // The large file's chunks are where they were; the tails are in one chunk that is another.
    assert!(done.bytes_copied >= 3 * MIB as u64 && done.bytes_fetched < MIB as u64, "{done:?}");
}

#[test]
fn shared_files_are_copied_and_not_fetched() {
    let two = Two::new();
    let options = DownloadOptions { share: true, ..to(two.out()) };
    two.bob.serve().unwrap();
    let first = two.download(&options).unwrap();
    // A directory of the same files under other names: its chunks are other ones, its files are not.
    let other = two.world.path("renamed");
    for (path, what) in found(&two.root) {
        if let Some((bytes, _)) = what.filter(|_| !path.starts_with("many/1")) {
            write(&other, &path.replace('m', "x"), &bytes);
        }
    }
    let second = share(&two.alice, &other);
    let done = download(&two.bob, &second.link, &to(two.out())).unwrap();
    assert_eq!(found(&done.path), found(&other));
    assert_eq!((done.bytes_copied, done.files), (done.size, found(&other).len()));
    assert!(first.bytes_copied == 0 && done.bytes_fetched > 0, "the listing comes over the network: {done:?}");
    // And a single file of it.
    let alone = two.world.path("alone.bin");
    fs::copy(two.root.join("big.bin"), &alone).unwrap();
    let alone = share(&two.alice, &alone);
    let done = download(&two.bob, &alone.link, &to(two.out())).unwrap();
    assert_eq!(done.bytes_copied + done.bytes_fetched, done.size);
    assert!(done.bytes_copied >= 3 * MIB as u64, "{done:?}");
}

#[test]
fn chunks_of_a_replaced_file_are_copied() {
    let two = Two::new();
    let (path, _) = two.world.file("f.bin", 4 * MIB as u64);
    let old = share(&two.alice, &path);
    download(&two.bob, &old.link, &to(two.out())).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[MIB + 5] ^= 1;
    bytes.extend_from_slice(b"longer");
    fs::write(&path, &bytes).unwrap();
    let new = share(&two.alice, &path);
    let done = download(&two.bob, &new.link, &DownloadOptions { force: true, ..to(two.out()) }).unwrap();
    assert!(fs::read(&done.path).unwrap() == bytes);
    assert_eq!((done.bytes_copied, done.bytes_fetched), (3 * MIB as u64, MIB as u64 + 6));
}

#[test]
fn a_downloaded_directory_is_shared_with_a_third_peer() {
    let two = Two::new();
    let carol = two.world.node("carol");
    two.bob.serve().unwrap();
    let done = two.download(&DownloadOptions { share: true, ..to(two.out()) }).unwrap();
    let shares = two.bob.shares();
    assert_eq!(shares.len(), 1, "{shares:?}");
    assert_eq!((shares[0].state, shares[0].file_hash), (ShareState::Ready, two.shared.file_hash));
    two.alice.stop();
    let options = to(two.world.path("carol's"));
    let third = download(&carol, &two.shared.link, &options).unwrap();
    assert_eq!(found(&third.path), found(&done.path));
}

#[test]
fn nothing_stays_on_offer_without_sharing() {
    let two = Two::new();
    two.bob.serve().unwrap();
    two.download(&to(two.out())).unwrap();
    assert!(two.bob.shares().is_empty(), "{:?}", two.bob.shares());
}

#[test]
fn a_growing_pack_is_served_while_it_is_fetched() {
    let two = Two::with(|world| {
        let root = world.path("data");
        write(&root, "huge.bin", &content(32 * MIB, 5));
        (0..50).for_each(|i| write(&root, &format!("small/{i}"), &content(4_096, i)));
        root
    });
    two.bob.serve().unwrap();
    two.bob.set_limits(unhurried());
    let carol = two.world.node("carol");
    let target = Target::parse(&two.shared.link).unwrap();
    two.slow_down(8 * MIB);
    let bobs_end = Cancel::new();
    let carols_end = Cancel::new();
    let mut carols_bytes = 0;
    // When Bob has some chunks, Alice stops: Carol gets all later chunks from Bob.
    let mut watch = |progress: &peernet::FetchProgress| {
        if progress.phase != Phase::Fetching || progress.chunks_done < 4 || bobs_end.is_cancelled() {
            return;
        }
        two.alice.stop();
        let mut see = |progress: &peernet::FetchProgress| {
            if progress.bytes_done >= 2 * MIB as u64 {
                carols_bytes = progress.bytes_done;
                carols_end.cancel();
            }
        };
        let result = carol.download(&target, &to(two.world.path("carol's")), &mut see, &carols_end);
        assert!(matches!(result, Err(NodeError::Cancelled)), "{result:?}");
        bobs_end.cancel();
    };
    let result = two.bob.download(&target, &to(two.out()), &mut watch, &bobs_end);
    assert!(matches!(result, Err(NodeError::Cancelled)), "{result:?}");
    assert!(carols_bytes >= 2 * MIB as u64);
    assert!(two.bob.shares().is_empty(), "{:?}", two.bob.shares());
}

/// Makes a false listing, which Alice shares as a file.
fn lie(two: &Two, change: impl Fn(&mut Vec<Entry>)) -> String {
    let honest = listing(two);
    let mut entries = honest.entries().to_vec();
    change(&mut entries);
    let false_one = Collection::new(honest.pack, entries).unwrap();
    let path = two.world.path("lie.peernet-collection");
    fs::write(&path, false_one.encode()).unwrap();
    let shared = share(&two.alice, &path);
    let link = Link { kind: Kind::Collection, name: Some("lie".to_owned()), ..Link::new(shared.file_hash) };
    Link { manifest: Some(shared.manifest_id), ..link }.to_string()
}

fn listing(two: &Two) -> Collection {
    let target = Target::Link(Link { kind: Kind::File, ..Link::new(two.shared.file_hash) });
    let options = to(two.world.path("listing.bin"));
    let path = two.bob.download(&target, &options, &mut |_| {}, &Cancel::new()).unwrap().path;
    Collection::decode(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_false_listing_is_detected_before_a_file_appears() {
    let two = Two::new();
    let link = lie(&two, |entries| {
        let entry = entries.iter_mut().find(|entry| entry.path == "run.sh").unwrap();
        if let EntryKind::File(file) = &mut entry.kind {
            file.file_hash = FileHash([9; 32]);
        }
    });
    let result = download(&two.bob, &link, &to(two.out()));
    let Err(NodeError::Verification(why)) = result else { panic!("{result:?}") };
    assert!(why.contains("listing is false") && why.contains("run.sh"), "{why}");
    assert!(!two.out().join("lie").exists());
    // Without that file it is as good as any.
    let options = DownloadOptions { exclude: vec!["run.sh".to_owned()], ..to(two.out()) };
    let done = download(&two.bob, &link, &options).unwrap();
    assert_eq!(done.files, 304);
}

#[test]
fn an_empty_file_with_a_false_hash_is_detected() {
    let two = Two::with(|world| {
        write(&world.path("data"), "empty", b"");
        world.path("data")
    });
    let link = lie(&two, |entries| {
        if let EntryKind::File(file) = &mut entries[0].kind {
            file.file_hash = FileHash([9; 32]);
        }
    });
    let result = download(&two.bob, &link, &to(two.out()));
    assert!(matches!(result, Err(NodeError::Verification(_))), "{result:?}");
    assert!(!two.out().join("lie").exists());
}

/// Returns a listing whose first path is this one, which the encoder would refuse.
fn hostile(path: &str) -> Vec<u8> {
    let honest = "x".repeat(path.len());
    let file_hash = FileHash([1; 32]);
    let manifest_id = peernet_engine::ids::ManifestId([2; 32]);
    let file = FileEntry { size: ByteCount(1), executable: false, file_hash, manifest_id };
    let pack = Pack { file_hash, manifest_id, size: ByteCount(1), chunk_size: MIB as u32 };
    let entries = vec![Entry { path: honest.clone(), kind: EntryKind::File(file) }];
    let mut bytes = Collection::new(pack, entries).unwrap().encode();
    let at = bytes.windows(honest.len()).position(|window| window == honest.as_bytes()).unwrap();
    bytes[at..at + path.len()].copy_from_slice(path.as_bytes());
    bytes
}

#[test]
fn no_path_of_a_listing_leaves_the_folder() {
    let two = Two::new();
    let outside = two.world.path("victim");
    for path in ["../victim", "../../victim", "/tmp/victim", "a/../../v", "./victim", "a//victim", "nul.txt", "a\u{0}b"]
    {
        let listing = two.world.path("hostile.peernet-collection");
        fs::write(&listing, hostile(path)).unwrap();
        let shared = share(&two.alice, &listing);
        let link = Link { kind: Kind::Collection, name: Some("../../x".to_owned()), ..Link::new(shared.file_hash) };
        let result = download(&two.bob, &link.to_string(), &to(two.out()));
        assert!(matches!(result, Err(NodeError::Verification(_))), "{path:?}: {result:?}");
        assert!(!outside.exists() && names(&two.out()).is_empty(), "{path:?}: {:?}", names(&two.out()));
    }
    // By its name alone it is a file like any other.
    let shared = share(&two.alice, &two.world.path("hostile.peernet-collection"));
    let done = download(&two.bob, &shared.file_hash.to_string(), &to(two.out())).unwrap();
    assert_eq!(done.path, two.out().join("hostile.peernet-collection"));
}

#[test]
fn a_link_planted_in_the_part_is_not_followed() {
    let two = Two::new();
    let outside = two.world.path("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("victim"), "precious").unwrap();
    let part = two.out().join("Datensätze 2026.peernet-part");
    fs::create_dir_all(&part).unwrap();
    symlink(outside.join("victim"), part.join("run.sh")).unwrap();
    let result = two.download(&to(two.out()));
    assert!(matches!(result, Err(NodeError::Local { .. })), "{result:?}");
    assert_eq!((fs::read(outside.join("victim")).unwrap(), names(&outside).len()), (b"precious".to_vec(), 1));
    fs::remove_file(part.join("run.sh")).unwrap();
    fs::create_dir_all(part.join("stray")).unwrap();
    symlink(&outside, part.join("stray/link")).unwrap();
    let done = two.download(&to(two.out())).unwrap();
    assert_eq!(found(&done.path), found(&two.root));
    assert_eq!(names(&outside), ["victim"]);
}

#[test]
fn ten_thousand_small_files_arrive() {
    const COUNT: usize = 10_000;
    let two = Two::with(|world| {
        let root = world.path("many");
        (0..100).for_each(|folder| fs::create_dir_all(root.join(format!("{folder:02}"))).unwrap());
        for i in 0..COUNT {
            fs::write(root.join(format!("{:02}/{i}", i % 100)), content(4_096, i as u64)).unwrap();
        }
        fs::write(world.path("one.bin"), content(COUNT * 4_096, 77)).unwrap();
        root
    });
    let one = share(&two.alice, &two.world.path("one.bin"));
    let began = Instant::now();
    download(&two.bob, &one.link, &DownloadOptions { no_sync: true, ..to(two.out()) }).unwrap();
    let single = began.elapsed();
    let began = Instant::now();
    let done = two.download(&DownloadOptions { no_sync: true, ..to(two.out()) }).unwrap();
    let many = began.elapsed();
    eprintln!("one file {single:?}, ten thousand {many:?}");
    assert_eq!((done.files, done.size), (COUNT, COUNT as u64 * 4_096));
    // No request for each: with one, ten thousand would take minutes. The bench measures the promise.
    assert!(many < single * 20 + Duration::from_secs(5), "{many:?} {single:?}");
    for i in [0, 4_999, COUNT - 1] {
        assert!(fs::read(done.path.join(format!("{:02}/{i}", i % 100))).unwrap() == content(4_096, i as u64));
    }
}

#[test]
fn a_downloaded_directory_may_stay_on_offer() {
    let two = Two::with(|world| {
        let root = directory(world, "data");
        write(&root, "huge.bin", &content(9 * MIB, 5));
        root
    });
    two.download(&DownloadOptions { offer: true, ..to(two.out()) }).unwrap();
    two.alice.stop();
    let carol = two.world.node("carol");
    let done = download(&carol, &two.shared.link, &to(two.world.path("carol's"))).unwrap();
    assert_eq!(found(&done.path), found(&two.root));
    two.bob.linger(Duration::from_secs(20), &Cancel::new(), &mut || {});
    assert!(two.bob.shares().is_empty(), "{:?}", two.bob.shares());
}
