//! Manifests of local files.

use std::fs;
use std::path::Path;

use peernet::Cancel;
use peernet::HashProgress;
use peernet::internals::{HashError, hash_file};
use peernet_engine::ids::{ByteCount, ChunkHash, FileHash};
use peernet_engine::manifest::{Geometry, Manifest};
use sha2::{Digest, Sha256};

use crate::swarm::{MIB, content};

fn slowly(bytes: &[u8]) -> Manifest {
    let geometry = Geometry::for_size(ByteCount(bytes.len() as u64)).unwrap();
    let hashes = bytes.chunks(geometry.chunk_size() as usize).map(|chunk| ChunkHash(Sha256::digest(chunk).into()));
    Manifest::new(FileHash(Sha256::digest(bytes).into()), geometry, hashes.collect()).unwrap()
}

#[test]
fn the_manifest_does_not_depend_on_the_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for len in [0, 1, MIB - 1, MIB, MIB + 1, 7 * MIB + 5] {
        let bytes = content(len, 3);
        fs::write(&path, &bytes).unwrap();
        for workers in [0, 1, 2, 5] {
            let mut last = HashProgress { done: 0, total: len as u64 };
            let manifest = hash_file(&path, workers, &mut |progress| last = progress, &Cancel::new()).unwrap();
            assert_eq!(manifest, slowly(&bytes), "{len} bytes, {workers} workers");
            assert_eq!(last, HashProgress { done: len as u64, total: len as u64 });
        }
    }
}

#[test]
fn other_kinds_of_files_and_changing_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let hash = |path: &Path, progress: &mut dyn FnMut(HashProgress)| hash_file(path, 2, progress, &Cancel::new());
    assert!(matches!(hash(folder.path(), &mut |_| {}), Err(HashError::NotAFile(_))));
    assert!(matches!(hash(Path::new("/dev/null"), &mut |_| {}), Err(HashError::NotAFile(_))));
    assert!(matches!(hash(&path, &mut |_| {}), Err(HashError::Io { .. })));
    fs::write(&path, content(3 * MIB, 1)).unwrap();
    let grow = |_| {
        let mut bytes = fs::read(&path).unwrap();
        bytes.push(0);
        fs::write(&path, bytes).unwrap();
    };
    assert!(matches!(hash(&path, &mut { grow }), Err(HashError::Changed(_))));
    fs::write(&path, content(3 * MIB, 1)).unwrap();
    let shrink = |_| fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(MIB as u64).unwrap();
    assert!(matches!(hash(&path, &mut { shrink }), Err(HashError::Changed(_))));
}

#[test]
fn hashing_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, content(9 * MIB, 1)).unwrap();
    let cancel = Cancel::new();
    let result = hash_file(&path, 2, &mut |_| cancel.cancel(), &cancel);
    assert!(matches!(result, Err(HashError::Cancelled)), "{result:?}");
}
