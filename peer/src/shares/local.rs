//! Chunks and files that lie on this machine already, in something it shares: a download copies them instead of fetching.
//!
//! Nothing is kept between two searches: one pass over manifests that are in memory anyway is quick, and an index would
//! have to follow every share that comes and goes. What comes out is bounded by what was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use peernet_engine::collection::{Collection, Piece};
use peernet_engine::ids::{ChunkHash, ChunkIndex, FileHash};

use super::Shares;
use super::known::Entry;
use super::record::TreeRecord;
use crate::upload::Held;

/// Where a chunk lies. To be read with [`Held::open`] and hashed, for a file may have changed unseen.
#[derive(Debug, Clone)]
pub(crate) struct LocalChunk {
    /// What it is a chunk of.
    pub(crate) held: Arc<Held>,
    /// Where it begins there.
    pub(crate) offset: u64,
}

/// Where a whole file lies: alone, or in the pack of a directory. To be read and hashed likewise.
#[derive(Debug, Clone)]
pub(crate) struct LocalFile {
    /// What it lies in.
    pub(crate) held: Arc<Held>,
    /// Where in it, in the order of the file; none for an empty file.
    pub(crate) pieces: Vec<Piece>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// By hash.
    pub(crate) chunks: BTreeMap<ChunkHash, LocalChunk>,
    /// By hash.
    pub(crate) files: BTreeMap<FileHash, LocalFile>,
}

impl Shares {
    /// Where these chunks, each of this many bytes, and these files lie, as far as they do.
    pub(crate) fn find_local(&self, chunks: &BTreeMap<ChunkHash, u32>, files: &BTreeSet<FileHash>) -> Local {
        // Looking takes a while, so the lock is only held for listing what to look at.
        let helds: Vec<Arc<Held>> = self.lock().entries().flat_map(Entry::helds).cloned().collect();
        let mut local = Local::default();
        for held in &helds {
            find_chunks(held, chunks, &mut local);
            find_file(held, files, &mut local);
        }
        for (tree, pack) in if files.is_empty() { Vec::new() } else { self.trees() } {
            find_files_within(&tree, &pack, files, &mut local);
        }
        local
    }

    fn trees(&self) -> Vec<(Arc<TreeRecord>, Arc<Held>)> {
        let of = |entry: &Entry| Some((Arc::clone(entry.record.as_ref()?.tree()?), Arc::clone(entry.pack.as_ref()?)));
        self.lock().entries().filter_map(of).collect()
    }
}

fn find_chunks(held: &Arc<Held>, wanted: &BTreeMap<ChunkHash, u32>, local: &mut Local) {
    let geometry = held.manifest().geometry();
    for (place, hash) in held.manifest().chunk_hashes().iter().enumerate() {
        let index = ChunkIndex(place as u32);
        if wanted.get(hash).is_some_and(|len| *len == geometry.chunk_len(index)) && held.holds(index) {
            let found = || LocalChunk { held: Arc::clone(held), offset: geometry.offset(index) };
            local.chunks.entry(*hash).or_insert_with(found);
        }
    }
}

fn find_file(held: &Arc<Held>, wanted: &BTreeSet<FileHash>, local: &mut Local) {
    let (file_hash, len) = (held.manifest().file_hash(), held.manifest().geometry().size().0);
    if wanted.contains(&file_hash) && held.is_complete() {
        let pieces = if len == 0 { Vec::new() } else { vec![Piece { pack_offset: 0, file_offset: 0, len }] };
        local.files.entry(file_hash).or_insert_with(|| LocalFile { held: Arc::clone(held), pieces });
    }
}

fn find_files_within(tree: &TreeRecord, pack: &Arc<Held>, wanted: &BTreeSet<FileHash>, local: &mut Local) {
    let collection = Collection::decode(&tree.listing).expect("it was checked when it became a share");
    for (place, entry) in collection.entries().iter().enumerate() {
        let Some(file) = entry.file().filter(|file| wanted.contains(&file.file_hash)) else { continue };
        local.files.entry(file.file_hash).or_insert_with(|| LocalFile {
            held: Arc::clone(pack),
            pieces: tree.files.layout().pieces_of(place).collect(),
        });
    }
}
