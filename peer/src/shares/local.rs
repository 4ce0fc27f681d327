//! Finds chunks and files that this machine shares already, so that a download copies them instead of fetching them.
//!
//! No index is kept. The manifests are in memory, so one pass over them is quick, and an index would have to follow
//! every change of the shares. The result is no larger than the request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use peernet_engine::collection::{Collection, Piece};
use peernet_engine::ids::{ChunkHash, ChunkIndex, FileHash};

use super::Shares;
use super::known::Entry;
use super::record::TreeRecord;
use crate::files::SharedFile;

/// The location of a chunk. The reader uses [`SharedFile::open`] and hashes it, because a file may have changed
/// unnoticed.
#[derive(Debug, Clone)]
pub(crate) struct LocalChunk {
    /// The file that contains it.
    pub(crate) shared_file: Arc<SharedFile>,
    /// The chunk's offset in the file.
    pub(crate) offset: u64,
}

/// The location of a whole file: alone, or in the pack of a directory. The reader hashes it too.
#[derive(Debug, Clone)]
pub(crate) struct LocalFile {
    /// The file itself, or the pack.
    pub(crate) shared_file: Arc<SharedFile>,
    /// The pieces of the file, in its order; none for an empty file.
    pub(crate) pieces: Vec<Piece>,
}

/// The chunks and files that were found.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// Chunks by their hash.
    pub(crate) chunks: BTreeMap<ChunkHash, LocalChunk>,
    /// Files by their hash.
    pub(crate) files: BTreeMap<FileHash, LocalFile>,
}

impl Shares {
    /// Finds these chunks, each with its length in bytes, and these files.
    pub(crate) fn find_local(&self, chunks: &BTreeMap<ChunkHash, u32>, files: &BTreeSet<FileHash>) -> Local {
        // The search takes a while, so the lock is held only to list the files.
        let shared_files: Vec<Arc<SharedFile>> = self.lock().entries().flat_map(Entry::shared_files).cloned().collect();
        let mut local = Local::default();
        for shared_file in &shared_files {
            find_chunks(shared_file, chunks, &mut local);
            find_file(shared_file, files, &mut local);
        }
        for (tree, pack) in if files.is_empty() { Vec::new() } else { self.trees() } {
            find_files_within(&tree, &pack, files, &mut local);
        }
        local
    }

    fn trees(&self) -> Vec<(Arc<TreeRecord>, Arc<SharedFile>)> {
        let of = |entry: &Entry| Some((Arc::clone(entry.record.as_ref()?.tree()?), Arc::clone(entry.pack.as_ref()?)));
        self.lock().entries().filter_map(of).collect()
    }
}

fn find_chunks(shared_file: &Arc<SharedFile>, wanted: &BTreeMap<ChunkHash, u32>, local: &mut Local) {
    let geometry = shared_file.manifest().geometry();
    for (place, hash) in shared_file.manifest().chunk_hashes().iter().enumerate() {
        let index = ChunkIndex(place as u32);
        if wanted.get(hash).is_some_and(|len| *len == geometry.chunk_len(index)) && shared_file.holds(index) {
            let found = || LocalChunk { shared_file: Arc::clone(shared_file), offset: geometry.offset(index) };
            local.chunks.entry(*hash).or_insert_with(found);
        }
    }
}

fn find_file(shared_file: &Arc<SharedFile>, wanted: &BTreeSet<FileHash>, local: &mut Local) {
    let file_hash = shared_file.manifest().file_hash();
    let len = shared_file.manifest().geometry().size().0;
    if wanted.contains(&file_hash) && shared_file.is_complete() {
        let pieces = if len == 0 { Vec::new() } else { vec![Piece { pack_offset: 0, file_offset: 0, len }] };
        local.files.entry(file_hash).or_insert_with(|| LocalFile { shared_file: Arc::clone(shared_file), pieces });
    }
}

fn find_files_within(tree: &TreeRecord, pack: &Arc<SharedFile>, wanted: &BTreeSet<FileHash>, local: &mut Local) {
    let collection = Collection::decode(&tree.listing).expect("a listing is checked before it becomes a share");
    for (place, entry) in collection.entries().iter().enumerate() {
        let Some(file) = entry.file().filter(|file| wanted.contains(&file.file_hash)) else { continue };
        local.files.entry(file.file_hash).or_insert_with(|| LocalFile {
            shared_file: Arc::clone(pack),
            pieces: tree.files.layout().pieces_of(place).collect(),
        });
    }
}
