//! Shares over restarts, changes and disappearances of their files.

mod tree;

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkCount, ChunkIndex};

use super::*;
use crate::cancel::Cancel;
use crate::files::hashing::hash_file_identified;

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> Shares {
        Shares::open(&self.folder.path().join("shares"), Log::silent()).unwrap()
    }

    /// Opens the shares and collects their log messages.
    fn open_heard(&self) -> (Shares, Arc<Mutex<Vec<String>>>) {
        let said = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&said);
        let log = Log::new(move |_, text| hears.lock().unwrap().push(text.to_owned()));
        (Shares::open(&self.folder.path().join("shares"), log).unwrap(), said)
    }

    /// Returns a growing file of one chunk, and the identity that it has when complete.
    fn growing(&self, path: &Path) -> (Arc<SharedFile>, FileIdentity) {
        let (manifest, identity) = hash_file_identified(path, 1, &mut |_| {}, &Cancel::new()).unwrap();
        let part = Arc::new(File::open(path).unwrap());
        let have = Bitmap::empty(ChunkCount(1));
        (SharedFile::growing(Arc::new(manifest), path.to_owned(), part, have, "f".to_owned()), identity)
    }

    /// Returns the records in the folder.
    fn records(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.folder.path().join("shares")).unwrap().map(|file| file.unwrap().path());
        all.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with("restricted.")).collect()
    }

    fn write(&self, name: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn share(&self, shares: &Shares, path: &Path) -> FileHash {
        let (manifest, identity) = hash_file_identified(path, 1, &mut |_| {}, &Cancel::new()).unwrap();
        let file_hash = manifest.file_hash();
        shares.add(Arc::new(manifest), path, identity, "name", None).unwrap();
        file_hash
    }
}

fn states(shares: &Shares) -> Vec<ShareState> {
    shares.list().into_iter().map(|share| share.state).collect()
}

#[test]
fn a_restart_serves_the_same_also_with_names_not_in_utf8() {
    let world = World::new();
    let shares = world.open();
    let plain = world.share(&shares, &world.write("plain", "one"));
    let odd = world.share(&shares, &world.write(OsStr::from_bytes(b"odd-\xff"), "two"));
    let listed = shares.list();
    drop(shares);
    let again = world.open();
    assert_eq!(again.list(), listed);
    for file_hash in [plain, odd] {
        let shared_file = again.find(file_hash, None).expect("served after the restart");
        shared_file.open().expect("readable");
    }
    assert!(again.find(plain, Some(ManifestId([0; 32]))).is_none());
    for file in world.records() {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_changed_file_ends_its_share_for_good() {
    let world = World::new();
    let shares = world.open();
    let path = world.write("f", "before");
    let file_hash = world.share(&shares, &path);
    let shared_file = shares.find(file_hash, None).unwrap();
    world.write("f", "after, and longer");
    shares.withdraw_unreadable(&shared_file);
    assert!(shares.find(file_hash, None).is_none() && shared_file.is_withdrawn());
    assert_eq!(states(&shares), []);
    assert_eq!(states(&world.open()), []);
}

#[test]
fn a_missing_file_is_served_again_when_it_is_back() {
    let world = World::new();
    let shares = world.open();
    let path = world.write("f", "text");
    let file_hash = world.share(&shares, &path);
    let aside = world.folder.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    shares.recheck();
    assert_eq!(states(&shares), [ShareState::Missing]);
    assert!(shares.find(file_hash, None).is_none() && shares.offers().is_empty());
    let again = world.open();
    assert_eq!(states(&again), [ShareState::Missing]);
    fs::rename(&aside, &path).unwrap();
    again.recheck();
    assert_eq!(states(&again), [ShareState::Ready]);
    assert!(again.find(file_hash, None).is_some());
}

#[test]
fn a_removed_share_has_no_record_and_refuses_its_readers() {
    let world = World::new();
    let shares = world.open();
    let path = world.write("f", "text");
    let file_hash = world.share(&shares, &path);
    let shared_file = shares.find(file_hash, None).unwrap();
    assert_eq!(shares.shared_from(&path), [file_hash]);
    assert_eq!(shares.remove(file_hash).unwrap(), [path]);
    assert!(shared_file.is_withdrawn() && states(&world.open()).is_empty());
    assert!(matches!(shares.remove(file_hash), Err(ShareError::NotShared(_))));
}

#[test]
fn a_damaged_record_is_skipped_and_the_others_are_served() {
    let world = World::new();
    let shares = world.open();
    world.share(&shares, &world.write("f", "text"));
    let folder = world.folder.path().join("shares");
    let good = world.records().remove(0);
    fs::copy(&good, folder.join(format!("{}.json", "0".repeat(64)))).unwrap();
    fs::write(folder.join("junk.json"), "{").unwrap();
    assert_eq!(states(&world.open()), [ShareState::Ready]);
}

#[test]
fn a_download_is_served_until_it_ends_and_has_no_record() {
    let world = World::new();
    let shares = world.open();
    let path = world.write("f", "text");
    let (shared_file, identity) = world.growing(&path);
    let file_hash = shared_file.manifest().file_hash();
    shares.begin(Arc::clone(&shared_file));
    assert_eq!(states(&shares), [ShareState::Downloading { chunks: 0 }]);
    assert!(shares.is_growing() && states(&world.open()).is_empty());
    shared_file.add(ChunkIndex(0));
    assert!(!shares.is_growing());
    shared_file.finish(&path, identity);
    shares.end(&shared_file);
    assert!(shares.find(file_hash, None).is_none() && states(&shares).is_empty());
}

#[test]
fn every_change_wakes_the_listener_once() {
    let world = World::new();
    let shares = world.open();
    assert!(shares.changes().is_empty());
    let a = world.share(&shares, &world.write("a", "1"));
    world.share(&shares, &world.write("b", "2"));
    assert_eq!(shares.changes().try_iter().count(), 1);
    shares.remove(a).unwrap();
    assert_eq!(shares.changes().try_iter().count(), 1);
}

#[test]
fn after_concurrent_changes_records_and_shares_agree() {
    let world = World::new();
    let shares = world.open();
    let path = world.write("file", "content");
    let (manifest, identity) = hash_file_identified(&path, 1, &mut |_| {}, &Cancel::new()).unwrap();
    let manifest = Arc::new(manifest);
    for round in 0..100 {
        std::thread::scope(|scope| {
            scope.spawn(|| shares.add(Arc::clone(&manifest), &path, identity, "name", None).unwrap());
            scope.spawn(|| shares.remove(manifest.file_hash()));
        });
        assert_eq!(states(&shares), states(&world.open()), "{round}");
    }
}

#[test]
fn a_tampered_download_is_no_longer_served_and_continues() {
    let world = World::new();
    let shares = world.open();
    let path = world.write("f", "text");
    let (shared_file, _) = world.growing(&path);
    let file_hash = shared_file.manifest().file_hash();
    shared_file.add(ChunkIndex(0));
    shares.begin(Arc::clone(&shared_file));
    assert!(shared_file.is_as_hashed(ChunkIndex(0)).unwrap());
    world.write("f", "tent");
    assert!(!shared_file.is_as_hashed(ChunkIndex(0)).unwrap());
    shares.withdraw_altered(&shared_file, ChunkIndex(0));
    assert!(shared_file.is_withdrawn() && shares.find(file_hash, None).is_none() && states(&shares).is_empty());
}
