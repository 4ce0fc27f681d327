//! Computes a directory's listing and its pack's manifest, and reads each file once.
//!
//! The files are read in the order of the pack. As each byte is read once, the listing's hashes and the pack's manifest
//! cannot disagree. One thread hashes the bytes as the pack and its chunks, another as files and their chunks. More
//! threads would gain nothing, because the pack's own hash is one sequence over all bytes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use peernet_engine::collection::{Collection, CollectionError, Entry, EntryKind, FileEntry, Pack};
use peernet_engine::ids::{ByteCount, ChunkHash, ChunkIndex, FileHash, ManifestId};
use peernet_engine::manifest::{Geometry, Manifest, ManifestError};

use super::digest::Digest;
use super::pipeline::{self, AHEAD_MAX, Failure, Hashes, Piece, Source};
use super::walk::{Found, Walked};
use super::{HashError, HashProgress};
use crate::cancel::Cancel;
use crate::files::{OpenPack, PackFiles};

/// A directory, ready to be shared.
pub(crate) struct HashedTree {
    /// The listing's bytes.
    pub(crate) listing: Arc<[u8]>,
    /// The listing's manifest.
    pub(crate) listing_manifest: Arc<Manifest>,
    /// The pack's manifest.
    pub(crate) pack_manifest: Arc<Manifest>,
    /// The files that the pack consists of.
    pub(crate) files: Arc<PackFiles>,
}

/// The hashes of a file, or of the pack, that a listing records.
#[derive(Clone, Copy)]
struct Ids {
    file_hash: FileHash,
    manifest_id: ManifestId,
}

impl Ids {
    /// Stands for hashes that are not computed yet.
    const NONE: Self = Self { file_hash: FileHash([0; 32]), manifest_id: ManifestId([0; 32]) };

    fn of(manifest: &Manifest) -> Self {
        Self { file_hash: manifest.file_hash(), manifest_id: manifest.id() }
    }
}

/// Hashes the files that a walk found below `root`. `progress` is called on this thread, at most once per chunk of the
/// pack.
pub(crate) fn hash_tree(
    root: &Path,
    walked: &Walked,
    progress: &mut dyn FnMut(HashProgress),
    cancel: &Cancel,
) -> Result<HashedTree, HashError> {
    let size = |found: &Found| found.identity.map_or(0, |identity| identity.size);
    let total = walked.entries.iter().fold(0_u64, |total, found| total.saturating_add(size(found)));
    let geometry = Geometry::for_size(ByteCount(total)).map_err(HashError::TooLarge)?;
    // The limits of a listing do not depend on hashes, so they are checked before the hashing, which takes a while.
    let no_hashes = vec![Ids::NONE; walked.entries.len()];
    listing(walked, Ids::NONE, geometry, no_hashes).map_err(HashError::Collection)?;
    let entries = walked.entries.iter().map(|found| (found.path.as_str().into(), found.identity));
    let files = Arc::new(PackFiles::new(root.to_owned(), entries, geometry.chunk_size()));
    let (hashes, of_files) = hash_files(&files, geometry, progress, cancel).map_err(|failure| failure.at(root))?;
    let pack_manifest = Manifest::new(hashes.whole, geometry, hashes.chunks).map_err(HashError::TooLarge)?;
    let listing = listing(walked, Ids::of(&pack_manifest), geometry, of_files).map_err(HashError::Collection)?.encode();
    let listing_manifest = manifest_of_bytes(&listing).map_err(HashError::TooLarge)?;
    Ok(HashedTree {
        listing: listing.into(),
        listing_manifest: Arc::new(listing_manifest),
        pack_manifest: Arc::new(pack_manifest),
        files,
    })
}

/// Computes the manifest of bytes in memory.
pub(crate) fn manifest_of_bytes(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let geometry = Geometry::for_size(ByteCount(bytes.len() as u64))?;
    let mut hasher = FileHasher::new(geometry);
    hasher.update(bytes);
    hasher.finish()
}

fn listing(
    walked: &Walked,
    of_pack: Ids,
    geometry: Geometry,
    of_files: Vec<Ids>,
) -> Result<Collection, CollectionError> {
    let Ids { file_hash, manifest_id } = of_pack;
    let pack = Pack { file_hash, manifest_id, size: geometry.size(), chunk_size: geometry.chunk_size() };
    let entry = |(found, Ids { file_hash, manifest_id }): (&Found, Ids)| {
        let file = |size| FileEntry { size: ByteCount(size), executable: found.executable, file_hash, manifest_id };
        let kind = found.identity.map_or(EntryKind::Folder, |identity| EntryKind::File(file(identity.size)));
        Entry { path: found.path.clone(), kind }
    };
    Collection::new(pack, walked.entries.iter().zip(of_files).map(entry).collect())
}

/// Hashes the pack, and every file by its entry. An empty folder gets the hashes of an empty file, which are not used.
fn hash_files(
    files: &Arc<PackFiles>,
    geometry: Geometry,
    progress: &mut dyn FnMut(HashProgress),
    cancel: &Cancel,
) -> Result<(Hashes, Vec<Ids>), Failure> {
    let pack = OpenPack::new(Arc::clone(files));
    let mut read = |offset, bytes: &mut [u8]| pack.read(offset, bytes).map_err(Failure::OneOf);
    let mut source = Source { read: &mut read, geometry, progress, cancel };
    let (of_pack, pack_pieces) = bounded(AHEAD_MAX);
    let (of_files, file_pieces) = bounded(AHEAD_MAX);
    thread::scope(|scope| {
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let pack_thread = named("hash-pack").spawn_scoped(scope, move || pipeline::hash_both(&pack_pieces));
        let pack_thread = pack_thread.map_err(Failure::Thread)?;
        let files_thread = named("hash-files").spawn_scoped(scope, move || hash_each(files, &file_pieces));
        let files_thread = files_thread.map_err(Failure::Thread)?;
        source.read_all(&mut |piece| {
            of_pack.send(piece.clone()).map_err(|_| pipeline::ended())?;
            of_files.send(piece).map_err(|_| pipeline::ended())
        })?;
        // The hashers end when their senders are gone.
        drop((of_pack, of_files));
        let hashes = pack_thread.join().map_err(|_| pipeline::panicked())?;
        Ok((hashes, files_thread.join().map_err(|_| pipeline::panicked())?))
    })
}

fn hash_each(files: &PackFiles, pieces: &Receiver<Piece>) -> Vec<Ids> {
    let sizes: Vec<u64> = files.identities().map(|identity| identity.map_or(0, |identity| identity.size)).collect();
    let hasher = |entry: usize| FileHasher::new(geometry_of(sizes[entry]));
    let mut results: Vec<Option<Ids>> = vec![None; sizes.len()];
    // Files that were read in part. Only files that are larger than a chunk wait for their tails here.
    let mut begun: BTreeMap<usize, FileHasher> = BTreeMap::new();
    for piece in pieces {
        let mut bytes = &piece.bytes[..];
        for segment in files.layout().segments(piece.offset, bytes.len() as u64) {
            let (of_file, rest) = bytes.split_at(segment.len as usize);
            bytes = rest;
            let mut file = begun.remove(&segment.entry).unwrap_or_else(|| hasher(segment.entry));
            file.update(of_file);
            match file.seen == sizes[segment.entry] {
                true => results[segment.entry] = Some(file.result()),
                false => drop(begun.insert(segment.entry, file)),
            }
        }
    }
    let empty = FileHasher::new(geometry_of(0)).result();
    results.into_iter().map(|result| result.unwrap_or(empty)).collect()
}

fn geometry_of(size: u64) -> Geometry {
    Geometry::for_size(ByteCount(size)).expect("no file is larger than the pack, which fits")
}

/// Hashes one file, whose bytes come in order, in pieces of any size.
struct FileHasher {
    geometry: Geometry,
    whole: Digest,
    chunk: Digest,
    chunks: Vec<ChunkHash>,
    seen: u64,
}

impl FileHasher {
    fn new(geometry: Geometry) -> Self {
        Self { geometry, whole: Digest::new(), chunk: Digest::new(), chunks: Vec::new(), seen: 0 }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let chunk = ChunkIndex(self.chunks.len() as u32);
            let end = self.geometry.offset(chunk) + u64::from(self.geometry.chunk_len(chunk));
            let (piece, rest) = bytes.split_at(bytes.len().min((end - self.seen) as usize));
            self.whole.update_both(&mut self.chunk, piece);
            self.seen += piece.len() as u64;
            bytes = rest;
            if self.seen == end {
                self.chunks.push(ChunkHash(self.chunk.take()));
            }
        }
    }

    fn finish(self) -> Result<Manifest, ManifestError> {
        Manifest::new(FileHash(self.whole.finish()), self.geometry, self.chunks)
    }

    fn result(self) -> Ids {
        Ids::of(&self.finish().expect("every chunk of the file was hashed"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::files::hashing::{hash_file, walk};

    const CHUNK: usize = 1 << 20;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect()
    }

    fn tree(folder: &Path) {
        fs::create_dir_all(folder.join("sub/empty")).unwrap();
        for (path, len) in [("a", 0), ("b", 3 * CHUNK + 5), ("c", 7), ("sub/d", 2 * CHUNK), ("sub/e", CHUNK - 1)] {
            fs::write(folder.join(path), bytes(len)).unwrap();
        }
    }

    fn hashed(folder: &Path) -> HashedTree {
        let cancel = Cancel::new();
        hash_tree(folder, &walk(folder, &cancel).unwrap(), &mut |_| {}, &cancel).unwrap()
    }

    #[test]
    fn files_and_pack_have_the_manifests_of_single_files() {
        let folder = tempfile::tempdir().unwrap();
        tree(folder.path());
        let hashed = hashed(folder.path());
        let collection = Collection::decode(&hashed.listing).unwrap();
        for entry in collection.entries().iter() {
            let Some(file) = entry.file() else { continue };
            let alone = hash_file(&folder.path().join(&entry.path), 1, &mut |_| {}, &Cancel::new()).unwrap();
            assert_eq!((file.file_hash, file.manifest_id), (alone.file_hash(), alone.id()), "{}", entry.path);
        }
        let mut pack = vec![0; collection.pack.size.0 as usize];
        OpenPack::new(Arc::clone(&hashed.files)).read(0, &mut pack).unwrap();
        let one = folder.path().join("one");
        fs::write(&one, pack).unwrap();
        assert_eq!(hash_file(&one, 1, &mut |_| {}, &Cancel::new()).unwrap(), *hashed.pack_manifest);
        fs::write(&one, &hashed.listing).unwrap();
        assert_eq!(hash_file(&one, 1, &mut |_| {}, &Cancel::new()).unwrap(), *hashed.listing_manifest);
        assert_eq!(collection.pack.manifest_id, hashed.pack_manifest.id());
    }

    #[test]
    fn progress_covers_all_bytes_and_hashing_can_be_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        tree(folder.path());
        let cancel = Cancel::new();
        let mut seen = Vec::new();
        let walked = walk(folder.path(), &cancel).unwrap();
        hash_tree(folder.path(), &walked, &mut |progress| seen.push(progress.done), &cancel).unwrap();
        assert!(seen.is_sorted() && seen.last() == Some(&(6 * CHUNK as u64 + 11)), "{seen:?}");
        let cancelled = hash_tree(folder.path(), &walked, &mut |_| cancel.cancel(), &cancel);
        assert!(matches!(cancelled, Err(HashError::Cancelled)));
    }

    #[test]
    fn a_listing_over_its_limit_fails_before_any_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let found = |i: usize| Found { path: format!("{i:06}{}", "/n".repeat(60)), identity: None, executable: false };
        let long = |i| Found { path: format!("{}/{}", found(i).path, "n".repeat(255)), ..found(i) };
        let walked = Walked { entries: (0..200_000).map(long).collect(), left_out: 0 };
        let result = hash_tree(folder.path(), &walked, &mut |_| panic!("nothing is hashed"), &Cancel::new());
        assert!(matches!(result, Err(HashError::Collection(CollectionError::TooLong(_)))));
    }

    #[test]
    fn a_file_that_changes_after_the_walk_is_named() {
        let folder = tempfile::tempdir().unwrap();
        tree(folder.path());
        let cancel = Cancel::new();
        let walked = walk(folder.path(), &cancel).unwrap();
        let path = folder.path().join("c");
        fs::write(&path, "another").unwrap();
        let changed = hash_tree(folder.path(), &walked, &mut |_| {}, &cancel);
        assert!(matches!(changed, Err(HashError::Changed(named)) if named == path));
        fs::remove_file(&path).unwrap();
        let gone = hash_tree(folder.path(), &walked, &mut |_| {}, &cancel);
        assert!(matches!(gone, Err(HashError::Io { path: named, .. }) if named == path));
    }
}
