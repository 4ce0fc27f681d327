//! Chunks that are handed over: whole files of them, waits for them, and failures.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use peernet_engine::collection::{Collection, Entry, EntryKind, FileEntry, Pack};
use peernet_engine::ids::{ByteCount, FileHash, ManifestId};
use sha2::{Digest, Sha256};

use super::*;
use crate::cancel::Cancel;
use crate::files::part::tree::tests::proof;
use crate::files::part::tree::{Proof, Selected};
use crate::memory::MemoryMax;

const CHUNK: u64 = 1 << 20;
const FILES: usize = 600;
const FILE_BYTES: usize = 3_001;

struct Scene {
    folder: tempfile::TempDir,
    collection: Arc<Collection>,
    pack: Vec<u8>,
    memory: Memory,
}

impl Scene {
    fn new() -> Self {
        let bytes = |number: usize| (0..FILE_BYTES).map(move |i| (i * 31 + i / 251 + number) as u8);
        let pack: Vec<u8> = (0..FILES).flat_map(bytes).collect();
        let file = |(number, bytes): (usize, &[u8])| Entry {
            path: format!("{}/{number:03}", number / 100),
            kind: EntryKind::File(FileEntry {
                size: ByteCount(FILE_BYTES as u64),
                executable: number % 7 == 0,
                file_hash: FileHash(Sha256::digest(bytes).into()),
                manifest_id: ManifestId([0; 32]),
            }),
        };
        let entries = pack.chunks(FILE_BYTES).enumerate().map(file).collect();
        let head = Pack {
            file_hash: FileHash([0; 32]),
            manifest_id: ManifestId([0; 32]),
            size: ByteCount(pack.len() as u64),
            chunk_size: CHUNK as u32,
        };
        let collection = Arc::new(Collection::new(head, entries).unwrap());
        Self { folder: tempfile::tempdir().unwrap(), collection, pack, memory: Memory::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("part").join(name)
    }

    fn open(&self, wants: impl Fn(&str) -> bool) -> Tree {
        let selected = Selected::of(Arc::clone(&self.collection), wants);
        Tree::open(&self.folder.path().join("part"), selected).unwrap().unwrap()
    }

    /// A chunk, gathered.
    fn gathered(&self, tree: &Tree, at: u64) -> Gathered {
        let mut gathered = tree.gather(at, &self.memory).unwrap().expect("there is memory, and these are many files");
        let end = self.pack.len().min((at + CHUNK) as usize);
        for (number, piece) in self.pack[at as usize..end].chunks(999).enumerate() {
            assert!(gathered.push(at + number as u64 * 999, piece));
        }
        gathered
    }

    /// Both chunks, by writers.
    fn write(&self, tree: &Tree) {
        thread::scope(|scope| {
            let _writers = tree.spawn_writers(scope);
            // Both chunks are gathered before a writer can fail.
            let chunks = [0, CHUNK].map(|at| self.gathered(tree, at));
            chunks.into_iter().for_each(|chunk| tree.hand_over(chunk));
        });
    }
}

/// Makes the tree believe that there are writers, of which none ever runs.
pub(crate) fn open_without_writers(tree: &Tree) -> Writers<'_> {
    lock(&tree.behind.state).open = true;
    Writers(tree)
}

#[test]
fn queued_chunks_are_written_when_the_writers_have_ended() {
    let scene = Scene::new();
    let tree = scene.open(|_| true);
    scene.write(&tree);
    for (number, bytes) in scene.pack.chunks(FILE_BYTES).enumerate() {
        let path = scene.path(&format!("{}/{number:03}", number / 100));
        assert!(fs::read(&path).unwrap() == bytes, "{number}");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o100 != 0, number % 7 == 0, "{number}");
    }
    tree.sync().unwrap();
    assert_eq!(proof(&tree), Proof::Right);
    assert!(tree.gather(0, &scene.memory).unwrap().is_none(), "the writers have ended");
    assert_eq!(scene.memory.used().0, 0);
}

#[test]
fn a_wrong_file_is_named_without_reading_it_again() {
    let mut scene = Scene::new();
    scene.pack[5 * FILE_BYTES + 7] ^= 1;
    let tree = scene.open(|_| true);
    scene.write(&tree);
    assert_eq!(proof(&tree), Proof::Wrong("0/005".to_owned()));
}

#[test]
fn a_file_that_is_written_to_later_is_read_again() {
    let scene = Scene::new();
    let tree = scene.open(|_| true);
    scene.write(&tree);
    tree.write_all_at(b"?", 5 * FILE_BYTES as u64).unwrap();
    assert_eq!(proof(&tree), Proof::Wrong("0/005".to_owned()));
}

#[test]
fn a_file_in_the_way_is_repaired_read_again_or_refused() {
    let check = |plant: &dyn Fn(&Path), right: bool| {
        let scene = Scene::new();
        let tree = scene.open(|_| true);
        fs::create_dir(scene.path("0")).unwrap();
        fs::write(scene.folder.path().join("victim"), "precious").unwrap();
        plant(&scene.path("0/005"));
        scene.write(&tree);
        assert_eq!(tree.finish_writing().is_ok(), right);
        assert_eq!(tree.sync().is_ok(), right, "nothing is said to be there that is not");
        assert_eq!(matches!(tree.prove(&Cancel::new()), Ok(Proof::Right)), right);
        assert_eq!(fs::read(scene.folder.path().join("victim")).unwrap(), b"precious");
    };
    check(&|path| fs::write(path, "an older one").unwrap(), true);
    check(&|path| fs::write(path, vec![1; 2 * FILE_BYTES]).unwrap(), true);
    check(&|path| symlink("../../victim", path).unwrap(), false);
    check(&|path| fs::hard_link(path.with_file_name("../../victim"), path).unwrap(), false);
    check(&|path| fs::create_dir(path).unwrap(), false);
    let scene = Scene::new();
    let tree = scene.open(|_| true);
    let outside = scene.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, scene.path("0")).unwrap();
    scene.write(&tree);
    assert!(tree.finish_writing().is_err());
    assert!(tree.gather(0, &scene.memory).is_err(), "later chunks fail too");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn only_selected_files_of_a_chunk_are_created() {
    let scene = Scene::new();
    let tree = scene.open(|path| path.ends_with('1'));
    scene.write(&tree);
    assert!(scene.path("0/001").exists() && !scene.path("0/002").exists());
    let mut read = vec![0; scene.pack.len()];
    tree.read_exact_at(&mut read, 0).unwrap();
    assert!(read == scene.pack);
    assert_eq!(proof(&tree), Proof::Right);
}

#[test]
fn readers_and_syncs_wait_for_queued_chunks_or_write_them() {
    let check = |wait: &dyn Fn(&Tree, &Scene)| {
        let scene = Scene::new();
        let tree = scene.open(|_| true);
        let _writers = open_without_writers(&tree);
        tree.hand_over(scene.gathered(&tree, 0));
        assert!(!scene.path("0").exists());
        wait(&tree, &scene);
        assert!(scene.path("0/000").exists());
    };
    check(&|tree, _| tree.sync().unwrap());
    check(&|tree, _| tree.finish_writing().unwrap());
    check(&|tree, scene| {
        let mut read = [0; 9];
        tree.read_exact_at(&mut read, CHUNK - 9).unwrap();
        assert_eq!(read, scene.pack[CHUNK as usize - 9..][..9]);
    });
    let scene = Scene::new();
    let tree = scene.open(|_| true);
    let _writers = open_without_writers(&tree);
    tree.hand_over(scene.gathered(&tree, 0));
    assert!(tree.read_exact_at(&mut [0; 9], CHUNK).is_err());
    assert!(!scene.path("0").exists(), "a chunk elsewhere is not waited for");
}

#[test]
fn a_thread_without_memory_writes_a_queued_chunk() {
    let scene = Scene::new();
    let tree = scene.open(|_| true);
    let _writers = open_without_writers(&tree);
    tree.hand_over(scene.gathered(&tree, CHUNK));
    let mut chunks = Vec::new();
    while !scene.path("5").exists() {
        assert!(scene.memory.used().0 <= MemoryMax::default().bytes());
        chunks.push(scene.gathered(&tree, 0));
    }
    while tree.gather(0, &scene.memory).unwrap().map(|chunk| chunks.push(chunk)).is_some() {
        assert!(scene.memory.used().0 <= MemoryMax::default().bytes());
    }
    drop(chunks);
    assert!(tree.gather(0, &scene.memory).unwrap().is_some());
}

#[test]
fn chunks_of_few_files_and_pieces_out_of_order_are_not_gathered() {
    let scene = Scene::new();
    let tree = scene.open(|_| true);
    let _writers = open_without_writers(&tree);
    assert!(tree.gather(5, &scene.memory).unwrap().is_none());
    let mut gathered = tree.gather(CHUNK, &scene.memory).unwrap().unwrap();
    assert!(!gathered.push(CHUNK + 1, b"?") && !gathered.push(CHUNK, &vec![0; CHUNK as usize]));
    assert!(gathered.push(CHUNK, b"ab") && gathered.push(CHUNK + 2, b"c"));
    assert_eq!(gathered.so_far(), (CHUNK, &b"abc"[..]));
    let few = Selected::of(Arc::clone(&scene.collection), |path| path == "0/000");
    let other = Tree::open(&scene.folder.path().join("few"), few).unwrap().unwrap();
    thread::scope(|scope| {
        let _writers = other.spawn_writers(scope);
        assert!(other.gather(0, &scene.memory).unwrap().is_none(), "one file needs no writers");
    });
}

#[test]
fn a_panicking_writer_leaves_an_error_and_no_waiting_thread() {
    let scene = Scene::new();
    let tree = scene.open(|_| true);
    let (done, ended) = crossbeam_channel::bounded(1);
    thread::scope(|scope| {
        lock(&tree.behind.state).unwritten.insert(0, CHUNK);
        let waits = scope.spawn(|| {
            let result = tree.finish_writing();
            done.send(()).unwrap();
            result
        });
        let panics = scope.spawn(|| {
            let _finish = Finish { behind: &tree.behind, at: 0, result: Err(io::Error::other("panicked")) };
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panics.join().is_err());
        ended.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(waits.join().unwrap().is_err());
    });
}
