//! The chunks that a download expects: by a manifest, or by version 1's list of chunk hashes.

use std::sync::Arc;

use peernet_engine::assembly::{Shape, V1Geometry, v1_list_id};
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkCount, ChunkHash, ChunkIndex, FileHash};
use peernet_engine::journal::Identity;
use peernet_engine::manifest::Manifest;

use sha2::{Digest, Sha256};

use crate::download::FetchError;
use crate::files::part::Selected;

/// Prefix of the hash that identifies a manifest together with the files of it that are wanted.
const SELECTION_DOMAIN: &[u8] = b"peernet-selection-v1\0";

/// The expected chunks of a file. Never changes during a session.
pub(crate) struct Expected {
    pub(crate) file_hash: FileHash,
    pub(crate) shape: Shape,
    pub(crate) manifest: Option<Arc<Manifest>>,
    /// The chunks to fetch.
    pub(crate) wanted: Bitmap,
    /// Identifies the choice where not every file of a pack is wanted: the bytes of the part lie elsewhere then.
    selection: Option<Vec<u8>>,
    chunk_hashes: Vec<ChunkHash>,
}

impl Expected {
    pub(crate) fn of_manifest(manifest: Manifest) -> Self {
        Self {
            file_hash: manifest.file_hash(),
            shape: Shape::Sized(manifest.geometry()),
            wanted: Bitmap::full(manifest.geometry().chunk_count()),
            selection: None,
            chunk_hashes: manifest.chunk_hashes().to_vec(),
            manifest: Some(Arc::new(manifest)),
        }
    }

    /// The chunks of a pack in which the selected files lie. `None` when the listing is of another pack.
    pub(crate) fn of_pack(manifest: Manifest, selected: &Selected) -> Option<Self> {
        let pack = &selected.collection.pack;
        let geometry = manifest.geometry();
        if (geometry.size(), geometry.chunk_size()) != (pack.size, pack.chunk_size) {
            return None;
        }
        Some(Self { wanted: selected.chunks(), selection: selected.bytes(), ..Self::of_manifest(manifest) })
    }

    /// The chunks of version 1's list. `None` for a list that is empty or too long.
    pub(crate) fn of_v1(file_hash: FileHash, chunk_hashes: Vec<ChunkHash>) -> Option<Self> {
        let count = ChunkCount(u32::try_from(chunk_hashes.len()).ok()?);
        let shape = Shape::Unsized(V1Geometry::new(count).ok()?);
        Some(Self { file_hash, shape, manifest: None, wanted: Bitmap::full(count), selection: None, chunk_hashes })
    }

    /// The same chunks, with the sizes that were learnt meanwhile.
    pub(crate) fn with_shape(other: &Self, shape: Shape) -> Self {
        Self {
            file_hash: other.file_hash,
            shape,
            manifest: other.manifest.clone(),
            wanted: other.wanted.clone(),
            selection: other.selection.clone(),
            chunk_hashes: other.chunk_hashes.clone(),
        }
    }

    pub(crate) fn count(&self) -> ChunkCount {
        self.shape.chunk_count()
    }

    pub(crate) fn hash(&self, chunk: ChunkIndex) -> Option<ChunkHash> {
        self.chunk_hashes.get(chunk.0 as usize).copied()
    }

    pub(crate) fn chunk_hashes(&self) -> &[ChunkHash] {
        &self.chunk_hashes
    }

    pub(crate) fn identity(&self) -> Identity {
        let manifest = match &self.manifest {
            Some(manifest) => *manifest.id().as_bytes(),
            None => v1_list_id(&self.file_hash, &self.chunk_hashes),
        };
        let manifest = self.selection.as_ref().map_or(manifest, |selection| with_selection(&manifest, selection));
        Identity { file_hash: self.file_hash, manifest, shape: self.shape }
    }

    /// Returns the manifest. Version 1's list makes one with `shape`, the sizes as known in the end.
    pub(crate) fn manifest_as(&self, shape: Shape) -> Result<Arc<Manifest>, FetchError> {
        if let Some(manifest) = &self.manifest {
            return Ok(Arc::clone(manifest));
        }
        let Shape::Sized(geometry) = shape else { return Err(FetchError::NoManifest) };
        let manifest = Manifest::new(self.file_hash, geometry, self.chunk_hashes.clone());
        manifest.map(Arc::new).map_err(|_| FetchError::NoManifest)
    }
}

fn with_selection(manifest: &[u8; 32], selection: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(SELECTION_DOMAIN);
    hasher.update(manifest);
    hasher.update(selection);
    hasher.finalize().into()
}
