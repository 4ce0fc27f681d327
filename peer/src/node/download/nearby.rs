//! Chunks of a download that lie on this machine already: in files that this node shares, or in the file that is
//! replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use peernet_engine::bitmap::Bitmap;
use peernet_engine::collection::{Layout, Segment};
use peernet_engine::ids::{ChunkHash, ChunkIndex, FileHash};
use peernet_engine::manifest::Manifest;

use crate::download::Nearby;
use crate::files::SharedFile;
use crate::files::part::{Selected, Tree};
use crate::shares::{Local, LocalChunk, LocalFile, Shares};

/// The nearby files of one download. Their bytes are not checked here, because the copy hashes every chunk.
pub(super) struct Here {
    shares: Arc<Shares>,
    /// The file that is replaced, with its manifest.
    old_file: Option<Arc<SharedFile>>,
    pack: Option<PackHere>,
    local: Local,
    hashes: BTreeMap<ChunkIndex, (ChunkHash, u64)>,
}

/// The files of a pack, and where they may lie.
struct PackHere {
    selected: Selected,
    layout: Layout,
    /// The directory that is replaced: a file of it with the same path may have the same content.
    old: Option<Tree>,
}

impl Here {
    /// Looks for the chunks of a file.
    pub(super) fn of_file(shares: Arc<Shares>, old_file: Option<Arc<SharedFile>>) -> Self {
        Self { shares, old_file, pack: None, local: Local::default(), hashes: BTreeMap::new() }
    }

    /// Looks for the chunks of a pack.
    pub(super) fn of_pack(shares: Arc<Shares>, selected: Selected, old: Option<&Path>) -> Self {
        let old = old.and_then(|path| Tree::at(path, selected.clone()).ok());
        let pack = PackHere { layout: selected.collection.layout(), selected, old };
        Self { pack: Some(pack), ..Self::of_file(shares, None) }
    }

    fn find_in_old_file(&mut self, wanted: &BTreeMap<ChunkHash, u32>) {
        let Some(old) = &self.old_file else { return };
        let geometry = old.manifest().geometry();
        for (index, hash) in old.manifest().chunk_hashes().iter().enumerate() {
            let chunk = ChunkIndex(index as u32);
            if wanted.get(hash) == Some(&geometry.chunk_len(chunk)) {
                let found = || LocalChunk { shared_file: Arc::clone(old), offset: geometry.offset(chunk) };
                self.local.chunks.entry(*hash).or_insert_with(found);
            }
        }
    }
}

impl Nearby for Here {
    fn begin(&mut self, manifest: &Manifest, missing: &Bitmap) -> bool {
        let geometry = manifest.geometry();
        let mut chunks = BTreeMap::new();
        let mut files = BTreeSet::new();
        for chunk in missing.iter() {
            let Some(hash) = manifest.chunk_hash(chunk) else { continue };
            chunks.insert(hash, geometry.chunk_len(chunk));
            self.hashes.insert(chunk, (hash, geometry.offset(chunk)));
            if let Some(pack) = &self.pack {
                files.extend(pack.files_in(geometry.offset(chunk), geometry.chunk_len(chunk)));
            }
        }
        self.local = self.shares.find_local(&chunks, &files);
        self.find_in_old_file(&chunks);
        let has_old = self.pack.as_ref().is_some_and(|pack| pack.old.is_some());
        has_old || !self.local.chunks.is_empty() || !self.local.files.is_empty()
    }

    fn read(&mut self, chunk: ChunkIndex, buffer: &mut [u8]) -> bool {
        let Some((hash, at)) = self.hashes.get(&chunk) else { return false };
        if let Some(found) = self.local.chunks.get(hash) {
            return found.shared_file.open().and_then(|open| open.read(found.offset, buffer)).is_ok();
        }
        self.pack.as_ref().is_some_and(|pack| pack.put_together(&self.local, *at, buffer))
    }
}

impl PackHere {
    fn file_hash(&self, entry: usize) -> Option<FileHash> {
        Some(self.selected.collection.entries().get(entry)?.file()?.file_hash)
    }

    fn files_in(&self, at: u64, len: u32) -> impl Iterator<Item = FileHash> + '_ {
        self.layout.segments(at, u64::from(len)).filter_map(|segment| self.file_hash(segment.entry))
    }

    /// Puts a chunk together from pieces of files. Returns false when one of them is not here.
    fn put_together(&self, local: &Local, at: u64, buffer: &mut [u8]) -> bool {
        let mut rest = buffer;
        for segment in self.layout.segments(at, rest.len() as u64) {
            let (piece, after) = rest.split_at_mut(segment.len as usize);
            if !self.read_segment(local, segment, piece) {
                return false;
            }
            rest = after;
        }
        rest.is_empty()
    }

    fn read_segment(&self, local: &Local, segment: Segment, piece: &mut [u8]) -> bool {
        let known = self.file_hash(segment.entry).and_then(|hash| local.files.get(&hash));
        if known.is_some_and(|file| read_part(file, segment.offset, piece)) {
            return true;
        }
        self.old.as_ref().is_some_and(|old| old.read_of(segment.entry, segment.offset, piece).is_ok())
    }
}

/// Fills `buffer` from `offset` of a file that lies in pieces.
fn read_part(file: &LocalFile, offset: u64, buffer: &mut [u8]) -> bool {
    let Ok(open) = file.shared_file.open() else { return false };
    let mut rest = buffer;
    let mut at = offset;
    for piece in &file.pieces {
        let end = piece.file_offset + piece.len;
        if rest.is_empty() || at < piece.file_offset || at >= end {
            continue;
        }
        let len = (end - at).min(rest.len() as u64);
        let (part, after) = rest.split_at_mut(len as usize);
        if open.read(piece.pack_offset + (at - piece.file_offset), part).is_err() {
            return false;
        }
        (rest, at) = (after, at + len);
    }
    rest.is_empty()
}
