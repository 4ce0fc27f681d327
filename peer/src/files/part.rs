//! The part: a download in progress on the disk, as one file or a tree of files, with its complete chunks and its
//! journal.
//!
//! Two sources may send the same chunk at once if one is slow. A wrong byte of one must never overwrite a right byte of
//! the other. So one writer at a time has the chunk's claim. Another writer gathers its bytes in memory, within the
//! node's limit, and writes them at once if it finishes first.

mod journal;
mod storage;
mod sys;
mod tree;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peernet_engine::ids::ChunkIndex;
use peernet_engine::memory::Use;

use crate::memory::{Memory, Permit};

use self::tree::Gathered;
pub(crate) use journal::Journal;
pub(crate) use storage::Storage;
pub(crate) use sys::{exchange, rename_new, try_lock};
pub(crate) use tree::{Proof, Selected, Tree};
#[cfg(test)]
pub(crate) use tree::{many_files, open_without_writers};

/// The number of locks over claims: so many that two sources rarely wait for the same one.
const STRIPES: usize = 32;

/// The connection that writes a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriterId(pub(crate) u64);

enum Claim {
    Writing(WriterId, Destination),
    Done,
}

impl Claim {
    fn is_of(&self, writer: WriterId) -> bool {
        matches!(self, Self::Writing(owner, _) if *owner == writer)
    }
}

/// The destination of a chunk's bytes until all of them are verified.
enum Destination {
    Undecided,
    Storage,
    Memory(Gathered),
}

/// The result of an attempt to claim a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// The writer has the claim.
    Yes,
    /// Another writer has the claim.
    Taken,
    /// The chunk is complete already.
    Done,
}

/// The part of one download. Invariant: the bytes of a complete chunk never change.
pub(crate) struct Part {
    storage: Storage,
    path: PathBuf,
    stripes: Vec<Mutex<BTreeMap<ChunkIndex, Claim>>>,
    memory: Memory,
}

impl Part {
    /// Opens or creates the file, and locks it against other processes. `None` if another process has locked it.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if !try_lock(&file)? {
            return Ok(None);
        }
        Ok(Some(Self::with(path, Storage::File(Arc::new(file)))))
    }

    /// As [`Part::open`], for the folder of a directory's download.
    pub(crate) fn open_tree(path: &Path, selected: Selected) -> io::Result<Option<Self>> {
        let tree = Tree::open(path, selected)?;
        Ok(tree.map(|tree| Self::with(path, Storage::Tree(Arc::new(tree)))))
    }

    fn with(path: &Path, storage: Storage) -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Self { storage, path: path.to_owned(), stripes, memory: Memory::default() }
    }

    /// Sets the memory limit that bytes of second writers count towards.
    pub(crate) fn within(mut self, memory: &Memory) -> Self {
        self.memory = memory.clone();
        self
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets all claims and marks these chunks as complete. No writer may be active.
    pub(crate) fn reset(&self, done: impl Iterator<Item = ChunkIndex>) {
        for stripe in &self.stripes {
            stripe.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        for chunk in done {
            self.stripe(chunk).insert(chunk, Claim::Done);
        }
    }

    /// Claims `chunk` for `writer`.
    pub(crate) fn claim(&self, chunk: ChunkIndex, writer: WriterId) -> Claimed {
        match self.stripe(chunk).entry(chunk).or_insert(Claim::Writing(writer, Destination::Undecided)) {
            Claim::Done => Claimed::Done,
            Claim::Writing(owner, _) if *owner == writer => Claimed::Yes,
            Claim::Writing(..) => Claimed::Taken,
        }
    }

    /// Writes `bytes` of `chunk` at `offset` of the part. Returns false if the claim is not `writer`'s.
    pub(crate) fn write(&self, chunk: ChunkIndex, writer: WriterId, offset: u64, bytes: &[u8]) -> io::Result<bool> {
        let mut claims = self.stripe(chunk);
        let place = match claims.get_mut(&chunk) {
            Some(Claim::Writing(owner, place)) if *owner == writer => place,
            _ => return Ok(false),
        };
        if matches!(place, Destination::Undecided) {
            *place = self.storage.gather(offset, &self.memory)?.map_or(Destination::Storage, Destination::Memory);
        }
        // The lock is held during the write. Without it, a late write could change a chunk that was just completed.
        self.put(place, bytes, offset)?;
        Ok(true)
    }

    fn put(&self, place: &mut Destination, piece: &[u8], at: u64) -> io::Result<()> {
        if let Destination::Memory(gathered) = place {
            if gathered.push(at, piece) {
                return Ok(());
            }
            // The pieces do not come in order, so each is written to its place instead.
            let (from, bytes) = gathered.so_far();
            self.storage.write_all_at(bytes, from)?;
            *place = Destination::Storage;
        }
        self.storage.write_all_at(piece, at)
    }

    /// Marks `chunk` as complete, because `writer` wrote all of it and it is verified. Returns false if another writer
    /// was first, whose bytes stay.
    pub(crate) fn done(&self, chunk: ChunkIndex, writer: WriterId) -> bool {
        let mut claims = self.stripe(chunk);
        if !claims.get(&chunk).is_some_and(|claim| claim.is_of(writer)) {
            return false;
        }
        let before = claims.insert(chunk, Claim::Done);
        drop(claims);
        if let Some(Claim::Writing(_, Destination::Memory(gathered))) = before {
            self.storage.hand_over(gathered);
        }
        true
    }

    /// Writes all of a verified `chunk` over the bytes of a slower writer, and marks it as complete. Returns false if
    /// it was complete already.
    pub(crate) fn write_whole(&self, chunk: ChunkIndex, offset: u64, bytes: &[u8]) -> io::Result<bool> {
        let mut claims = self.stripe(chunk);
        if matches!(claims.get(&chunk), Some(Claim::Done)) {
            return Ok(false);
        }
        self.storage.write_all_at(bytes, offset)?;
        claims.insert(chunk, Claim::Done);
        Ok(true)
    }

    /// Ends the claim of `writer` on `chunk`, so that any writer may claim it.
    pub(crate) fn release(&self, chunk: ChunkIndex, writer: WriterId) {
        let mut claims = self.stripe(chunk);
        if claims.get(&chunk).is_some_and(|claim| claim.is_of(writer)) {
            claims.remove(&chunk);
        }
    }

    /// Reserves memory for a second writer's chunk; `None` if the limit is reached.
    pub(crate) fn spill(&self, bytes: usize) -> Option<Spill> {
        let permit = self.memory.try_take(Use::Spills, bytes)?;
        Some(Spill { _permit: permit, bytes: Vec::new() })
    }

    fn stripe(&self, chunk: ChunkIndex) -> MutexGuard<'_, BTreeMap<ChunkIndex, Claim>> {
        self.stripes[chunk.0 as usize % STRIPES].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of a chunk that a second writer gathers in memory.
pub(crate) struct Spill {
    pub(crate) bytes: Vec<u8>,
    _permit: Permit,
}

/// Syncs the folder that holds `path`, so that a new or renamed file survives a power cut.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: ChunkIndex = ChunkIndex(3);

    fn part() -> (tempfile::TempDir, Arc<Part>) {
        let folder = tempfile::tempdir().unwrap();
        let part = Part::open(&folder.path().join("part")).unwrap().unwrap();
        (folder, Arc::new(part))
    }

    fn content(part: &Part) -> Vec<u8> {
        std::fs::read(part.path()).unwrap()
    }

    #[test]
    fn a_late_writer_does_not_change_a_complete_chunk() {
        let (_folder, part) = part();
        let slow = WriterId(1);
        let quick = WriterId(2);
        assert_eq!(part.claim(CHUNK, slow), Claimed::Yes);
        assert_eq!(part.claim(CHUNK, quick), Claimed::Taken);
        assert!(part.write(CHUNK, slow, 0, b"wrong").unwrap());
        assert!(part.write_whole(CHUNK, 0, b"right!").unwrap());
        assert!(!part.write(CHUNK, slow, 0, b"wrong").unwrap());
        assert!(!part.done(CHUNK, slow));
        assert!(!part.write_whole(CHUNK, 0, b"third!").unwrap());
        assert_eq!((part.claim(CHUNK, slow), content(&part)), (Claimed::Done, b"right!".to_vec()));
    }

    #[test]
    fn a_chunk_of_many_files_is_written_when_it_is_complete() {
        let (collection, pack) = many_files();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        let part = Part::open_tree(&path, Selected::of(collection, |_| true)).unwrap().unwrap();
        let first = ChunkIndex(0);
        let second = WriterId(2);
        let send = |writer: WriterId, bytes: &[u8]| {
            assert_eq!(part.claim(first, writer), Claimed::Yes);
            let (a, b) = bytes.split_at(bytes.len() / 2);
            let middle = a.len() as u64;
            assert!(part.write(first, writer, 0, a).unwrap());
            assert!(part.write(first, writer, middle, b).unwrap());
        };
        std::thread::scope(|scope| {
            let _writers = part.storage().tree().map(|tree| tree.spawn_writers(scope));
            let wrong: Vec<u8> = pack.iter().map(|byte| !byte).collect();
            send(WriterId(1), &wrong);
            part.release(first, WriterId(1));
            assert!(part.storage().is_empty().unwrap());
            send(second, &pack);
            assert!(!part.done(first, WriterId(1)) && part.done(first, second) && !part.done(first, second));
        });
        let mut read = vec![0; pack.len()];
        part.storage().read_exact_at(&mut read, 0).unwrap();
        assert!(read == pack);
        // Pieces that come out of order are written one by one.
        let other = Part::open_tree(&folder.path().join("other"), part.storage().tree().unwrap().selected().clone());
        let other = other.unwrap().unwrap();
        std::thread::scope(|scope| {
            let _writers = other.storage().tree().map(|tree| tree.spawn_writers(scope));
            assert_eq!(other.claim(first, second), Claimed::Yes);
            for range in [0..100, 200..pack.len(), 100..200] {
                let at = range.start as u64;
                assert!(other.write(first, second, at, &pack[range]).unwrap());
            }
            assert!(other.done(first, second));
        });
        other.storage().read_exact_at(&mut read, 0).unwrap();
        assert!(read == pack);
    }

    #[test]
    fn any_writer_may_claim_a_released_chunk() {
        let (_folder, part) = part();
        assert_eq!(part.claim(CHUNK, WriterId(1)), Claimed::Yes);
        part.release(CHUNK, WriterId(2));
        assert_eq!(part.claim(CHUNK, WriterId(2)), Claimed::Taken);
        part.release(CHUNK, WriterId(1));
        assert_eq!(part.claim(CHUNK, WriterId(2)), Claimed::Yes);
    }

    #[test]
    fn spilled_bytes_are_bounded() {
        let (_folder, part) = part();
        let bound = crate::memory::MemoryMax::default().bytes();
        assert!(part.spill(bound).is_none());
        let most: Vec<_> = (0..1_000).map_while(|_| part.spill(1 << 20)).collect();
        assert!(most.len() > 1 && part.spill(1).is_none());
        assert_eq!(part.memory.used().0, most.len() << 20);
        drop(most);
        assert!(part.spill(1).is_some());
    }

    #[test]
    fn a_second_process_is_kept_out() {
        let (folder, _part) = part();
        // Another open file description stands for another process.
        assert!(Part::open(&folder.path().join("part")).unwrap().is_none());
    }

    #[test]
    fn many_writers_complete_each_chunk_once_with_its_own_bytes() {
        const CHUNKS: u32 = 64;
        const LEN: usize = 1_000;
        let (_folder, part) = part();
        let bytes_of = |chunk: u32| vec![chunk as u8 + 1; LEN];
        let completed = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for writer in 1..=4_u64 {
                let part = &part;
                let completed = &completed;
                scope.spawn(move || {
                    let id = WriterId(writer);
                    for chunk in 0..CHUNKS {
                        // The writers begin at different places, and every other attempt is given up.
                        let index = ChunkIndex((chunk + 16 * writer as u32) % CHUNKS);
                        let at = u64::from(index.0) * LEN as u64;
                        let bytes = bytes_of(index.0);
                        let is_new = match part.claim(index, id) {
                            Claimed::Done => false,
                            Claimed::Taken => part.write_whole(index, at, &bytes).unwrap(),
                            Claimed::Yes if chunk % 2 == 0 => {
                                part.write(index, id, at, &[0xee; 10]).unwrap();
                                part.release(index, id);
                                part.write_whole(index, at, &bytes).unwrap()
                            }
                            Claimed::Yes => {
                                let halves = bytes.split_at(LEN / 2);
                                part.write(index, id, at, halves.0).unwrap();
                                part.write(index, id, at + LEN as u64 / 2, halves.1).unwrap() && part.done(index, id)
                            }
                        };
                        completed.fetch_add(u32::from(is_new), std::sync::atomic::Ordering::AcqRel);
                    }
                });
            }
        });
        assert_eq!(completed.into_inner(), CHUNKS, "each chunk is completed by one writer");
        let expected: Vec<u8> = (0..CHUNKS).flat_map(bytes_of).collect();
        assert!(content(&part) == expected, "no late byte has changed a complete chunk");
    }

    #[test]
    fn a_reset_keeps_exactly_the_named_chunks() {
        let (_folder, part) = part();
        let writer = WriterId(1);
        let claims = |part: &Part| (0..40).map(|chunk| part.claim(ChunkIndex(chunk), writer)).collect::<Vec<_>>();
        assert!(claims(&part).iter().all(|claim| *claim == Claimed::Yes));
        part.reset([ChunkIndex(0), ChunkIndex(32), ChunkIndex(39)].into_iter());
        for (chunk, claim) in claims(&part).into_iter().enumerate() {
            let expected = if [0, 32, 39].contains(&chunk) { Claimed::Done } else { Claimed::Yes };
            assert_eq!(claim, expected, "{chunk}");
        }
        part.reset(std::iter::empty());
        assert_eq!(part.claim(ChunkIndex(32), WriterId(2)), Claimed::Yes);
    }

    #[test]
    fn only_the_owner_of_a_claim_writes_or_completes() {
        let (_folder, part) = part();
        let owner = WriterId(1);
        let other = WriterId(2);
        assert!(!part.write(CHUNK, owner, 0, b"x").unwrap() && !part.done(CHUNK, owner), "nobody has a claim");
        assert_eq!((part.claim(CHUNK, owner), part.claim(CHUNK, owner)), (Claimed::Yes, Claimed::Yes));
        assert!(!part.write(CHUNK, other, 0, b"x").unwrap() && !part.done(CHUNK, other));
        assert!(part.write(CHUNK, owner, 0, b"mine").unwrap() && part.done(CHUNK, owner));
        part.release(CHUNK, owner);
        assert_eq!(part.claim(CHUNK, other), Claimed::Done, "a complete chunk has no claim to release");
        assert_eq!(content(&part), b"mine");
    }

    #[test]
    fn the_folder_of_a_bare_name_is_the_current_one() {
        assert!(sync_folder_of(Path::new("bare name")).is_ok());
        let folder = tempfile::tempdir().unwrap();
        assert!(sync_folder_of(&folder.path().join("f")).is_ok());
        assert!(sync_folder_of(&folder.path().join("absent/f")).is_err());
    }
}
