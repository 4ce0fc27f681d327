//! Trees against files put together by hand, and against foreign entries in the folder.

use std::os::unix::fs::{PermissionsExt, symlink};

use peernet_engine::collection::{FileEntry, Pack};
use peernet_engine::ids::{FileHash, ManifestId};
use sha2::{Digest, Sha256};

use super::proof::Proof;
use super::*;
use crate::cancel::Cancel;

const CHUNK: usize = 1 << 20;

fn bytes(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251 + seed) as u8).collect()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a", bytes(1, 5)),
        ("d/big", bytes(2, 2 * CHUNK + 3)),
        ("d/none", vec![]),
        ("d/run.sh", bytes(3, 700)),
        ("ü/é/deep", bytes(4, CHUNK)),
        ("z", bytes(5, 9)),
    ]
}

fn collection(files: &[(&str, Vec<u8>)]) -> Arc<Collection> {
    let file = |(path, bytes): &(&str, Vec<u8>)| Entry {
        path: (*path).to_owned(),
        kind: EntryKind::File(FileEntry {
            size: ByteCount(bytes.len() as u64),
            executable: path.ends_with(".sh"),
            file_hash: FileHash(Sha256::digest(bytes).into()),
            manifest_id: ManifestId([0; 32]),
        }),
    };
    let mut entries: Vec<Entry> = files.iter().map(file).collect();
    entries.push(Entry { path: "e/empty".to_owned(), kind: EntryKind::Folder });
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let size = ByteCount(entries.iter().map(Entry::size).sum());
    let pack = Pack { file_hash: FileHash([0; 32]), manifest_id: ManifestId([0; 32]), size, chunk_size: CHUNK as u32 };
    Arc::new(Collection::new(pack, entries).unwrap())
}

/// The pack, by the layout.
fn pack(collection: &Collection, files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let bytes_of = |path: &str| &files.iter().find(|(name, _)| *name == path).unwrap().1;
    let segments = collection.layout();
    let segments = segments.segments(0, u64::MAX);
    let of = |s: peernet_engine::collection::Segment| {
        bytes_of(&collection.entries()[s.entry].path)[s.offset as usize..][..s.len as usize].to_vec()
    };
    segments.flat_map(of).collect()
}

/// Forty files that fill less than a chunk, and their pack.
pub(crate) fn many_files() -> (Arc<Collection>, Vec<u8>) {
    let files: Vec<(String, Vec<u8>)> = (0..40).map(|i| (format!("f/{i:02}"), bytes(i, 500 + i))).collect();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect();
    let collection = collection(&files);
    let pack = pack(&collection, &files);
    (collection, pack)
}

struct Scene {
    folder: tempfile::TempDir,
    files: Vec<(&'static str, Vec<u8>)>,
    collection: Arc<Collection>,
    pack: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let files = files();
        let collection = collection(&files);
        let pack = pack(&collection, &files);
        Self { folder: tempfile::tempdir().unwrap(), files, collection, pack }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("part").join(name)
    }

    fn open(&self, wants: impl Fn(&str) -> bool) -> Tree {
        let selected = Selected::of(Arc::clone(&self.collection), wants);
        Tree::open(&self.folder.path().join("part"), selected).unwrap().unwrap()
    }

    /// Writes the whole pack in pieces that fit nothing.
    fn fill(&self, tree: &Tree) {
        for (i, piece) in self.pack.chunks(99_991).enumerate() {
            tree.write_all_at(piece, i as u64 * 99_991).unwrap();
        }
        tree.make_empty_ones().unwrap();
    }
}

pub(super) fn proof(tree: &Tree) -> Proof {
    tree.prove(&Cancel::new()).unwrap()
}

#[test]
fn bytes_of_the_pack_lie_in_their_files_and_read_as_one() {
    let scene = Scene::new();
    let tree = scene.open(|_| true);
    assert!(tree.is_empty().unwrap());
    scene.fill(&tree);
    for (path, bytes) in &scene.files {
        assert!(fs::read(scene.path(path)).unwrap() == *bytes, "{path}");
        let mode = fs::metadata(scene.path(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o100 != 0, path.ends_with(".sh"), "{path}");
    }
    assert!(scene.path("e/empty").is_dir() && !tree.is_empty().unwrap());
    for (at, len) in [(0, scene.pack.len()), (1, 7), (2 * CHUNK - 1, CHUNK + 9), (scene.pack.len() - 3, 3)] {
        let mut read = vec![0; len];
        tree.read_exact_at(&mut read, at as u64).unwrap();
        assert!(read == scene.pack[at..at + len], "{at} {len}");
    }
    let past = tree.read_exact_at(&mut [0; 4], scene.pack.len() as u64 - 2).unwrap_err();
    assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);
    tree.sync().unwrap();
    assert_eq!(proof(&tree), Proof::Right);
}

#[test]
fn a_second_opener_is_kept_out() {
    let scene = Scene::new();
    let _tree = scene.open(|_| true);
    let selected = Selected::of(Arc::clone(&scene.collection), |_| true);
    assert!(Tree::open(&scene.folder.path().join("part"), selected).unwrap().is_none());
}

#[test]
fn only_selected_files_appear_and_every_chunk_is_readable() {
    let scene = Scene::new();
    let tree = scene.open(|path| path == "a" || path == "d/run.sh");
    scene.fill(&tree);
    let mut read = vec![0; scene.pack.len()];
    tree.read_exact_at(&mut read, 0).unwrap();
    assert!(read == scene.pack);
    assert!(!scene.path("z").exists() && !scene.path("e").exists());
    assert_eq!(tree.selected().chunks().iter().map(|chunk| chunk.0).collect::<Vec<_>>(), [3]);
    assert_eq!((tree.selected().file_count(), tree.selected().size()), (2, 705));
    let spare = scene.folder.path().join("part.spare");
    assert!(spare.exists());
    tree.remove_spare();
    assert!(!spare.exists());
    assert_eq!(proof(&tree), Proof::Right);
}

#[test]
fn a_wrong_short_or_missing_file_is_named() {
    let scene = Scene::new();
    let check = |spoil: &dyn Fn(&Path)| {
        let tree = scene.open(|_| true);
        scene.fill(&tree);
        assert!(tree.is_long_enough([(0, scene.pack.len() as u64)].into_iter()).unwrap());
        spoil(&scene.path("z"));
        // The tree is opened anew, because the file may be another one.
        let selected = Selected::of(Arc::clone(&scene.collection), |_| true);
        let reader = Tree::at(&scene.folder.path().join("part"), selected).unwrap();
        assert_eq!(proof(&reader), Proof::Wrong("z".to_owned()));
        let whole = fs::metadata(scene.path("z")).is_ok_and(|metadata| metadata.len() == 9);
        assert_eq!(reader.is_long_enough([(0, scene.pack.len() as u64)].into_iter()).unwrap(), whole);
    };
    check(&|path| fs::write(path, "wrongwron").unwrap());
    check(&|path| fs::write(path, "short").unwrap());
    check(&|path| fs::remove_file(path).unwrap());
}

#[test]
fn planted_links_are_not_followed_nor_second_names_written() {
    let victim = |scene: &Scene| {
        let outside = scene.folder.path().join("outside");
        fs::create_dir_all(outside.join("é")).unwrap();
        fs::write(outside.join("victim"), "precious").unwrap();
        outside
    };
    let check = |plant: &dyn Fn(&Scene, &Path), at: usize| {
        let scene = Scene::new();
        let tree = scene.open(|_| true);
        let outside = victim(&scene);
        plant(&scene, &outside);
        assert!(tree.write_all_at(&scene.pack[at..at + 1], at as u64).is_err());
        assert_eq!(fs::read(outside.join("victim")).unwrap(), b"precious");
        assert_eq!(fs::read_dir(outside.join("é")).unwrap().count(), 0);
    };
    let last = Scene::new().pack.len() - 1;
    check(&|scene, outside| symlink(outside.join("victim"), scene.path("z")).unwrap(), last);
    check(&|scene, outside| symlink(outside.join("new"), scene.path("z")).unwrap(), last);
    check(&|scene, outside| fs::hard_link(outside.join("victim"), scene.path("z")).unwrap(), last);
    // The third chunk is of "ü/é/deep".
    check(&|scene, outside| symlink(outside, scene.path("ü")).unwrap(), 2 * CHUNK);
    check(&|scene, _| fs::write(scene.path("ü"), "a file").unwrap(), 2 * CHUNK);
    let scene = Scene::new();
    let part = scene.folder.path().join("part");
    symlink(victim(&scene), &part).unwrap();
    assert!(Tree::open(&part, Selected::of(Arc::clone(&scene.collection), |_| true)).is_err());
}

#[test]
fn a_sweep_leaves_selected_files_and_follows_no_link() {
    let scene = Scene::new();
    let tree = scene.open(|path| path != "z");
    scene.fill(&tree);
    let outside = scene.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    fs::write(scene.path("z"), "of an earlier choice").unwrap();
    fs::create_dir_all(scene.path("d/stray/deep")).unwrap();
    symlink(&outside, scene.path("link")).unwrap();
    symlink(&outside, scene.path("d/stray/link")).unwrap();
    tree.sweep().unwrap();
    let mut left: Vec<_> = fs::read_dir(scene.path("")).unwrap().map(|found| found.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["a", "d", "e", "ü"]);
    assert!(!scene.path("d/stray").exists() && outside.join("kept").exists());
    assert_eq!(proof(&tree), Proof::Right);
}

#[test]
fn a_sweep_names_a_missing_or_replaced_file() {
    let check = |spoil: &dyn Fn(&Scene), right: bool| {
        let scene = Scene::new();
        let tree = scene.open(|_| true);
        scene.fill(&tree);
        spoil(&scene);
        assert_eq!(tree.sweep().is_ok(), right);
    };
    check(&|_| (), true);
    check(&|scene| fs::remove_file(scene.path("z")).unwrap(), false);
    check(&|scene| fs::remove_file(scene.path("ü/é/deep")).unwrap(), false);
    check(&|scene| fs::remove_dir_all(scene.path("ü")).unwrap(), false);
    check(&|scene| fs::remove_dir(scene.path("e/empty")).unwrap(), false);
    let swapped = |scene: &Scene| {
        fs::rename(scene.path("z"), scene.folder.path().join("z")).unwrap();
        symlink(scene.folder.path().join("z"), scene.path("z")).unwrap();
    };
    check(&swapped, false);
}

#[test]
fn a_sweep_distinguishes_names_with_a_common_prefix() {
    let one = |path: &str| (path.to_owned(), bytes(7, 3));
    let names: Vec<(String, Vec<u8>)> = ["a!b", "a-/x", "a/x", "a0", "a/a/a"].map(one).to_vec();
    let names: Vec<(&str, Vec<u8>)> = names.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect();
    let collection = collection(&names);
    let pack = pack(&collection, &names);
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part");
    let tree = Tree::open(&part, Selected::of(collection, |_| true)).unwrap().unwrap();
    tree.write_all_at(&pack, 0).unwrap();
    tree.make_empty_ones().unwrap();
    fs::write(part.join("a/a!"), "stray").unwrap();
    tree.sweep().unwrap();
    assert!(!part.join("a/a!").exists());
    assert!(names.iter().all(|(path, _)| part.join(path).exists()));
}

#[test]
fn executable_bits_are_set_and_long_files_truncated() {
    let scene = Scene::new();
    let part = scene.folder.path().join("part");
    fs::create_dir_all(part.join("d")).unwrap();
    fs::write(part.join("d/run.sh"), "a script").unwrap();
    fs::write(part.join("z"), "much longer than it should be").unwrap();
    fs::set_permissions(part.join("z"), fs::Permissions::from_mode(0o755)).unwrap();
    let tree = scene.open(|_| true);
    scene.fill(&tree);
    assert_eq!(proof(&tree), Proof::Right);
    let mode = |path: &str| fs::metadata(scene.path(path)).unwrap().permissions().mode() & 0o100 != 0;
    assert_eq!([mode("d/run.sh"), mode("z")], [true, false]);
}
