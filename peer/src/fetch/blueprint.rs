//! What a download checks its chunks against: a manifest, or version 1's list of chunk hashes.

use std::sync::Arc;

use peernet_engine::assembly::{Shape, V1Geometry, v1_list_id};
use peernet_engine::ids::{ChunkCount, ChunkHash, ChunkIndex, FileHash};
use peernet_engine::journal::Identity;
use peernet_engine::manifest::Manifest;

use super::FetchError;

/// Never changes during an attempt.
pub(super) struct Blueprint {
    pub(super) file_hash: FileHash,
    pub(super) shape: Shape,
    pub(super) manifest: Option<Arc<Manifest>>,
    chunk_hashes: Vec<ChunkHash>,
}

impl Blueprint {
    pub(super) fn of_manifest(manifest: Manifest) -> Self {
        Self {
            file_hash: manifest.file_hash(),
            shape: Shape::Sized(manifest.geometry()),
            chunk_hashes: manifest.chunk_hashes().to_vec(),
            manifest: Some(Arc::new(manifest)),
        }
    }

    /// `None` for a listing that cannot be.
    pub(super) fn of_v1(file_hash: FileHash, chunk_hashes: Vec<ChunkHash>) -> Option<Self> {
        let count = ChunkCount(u32::try_from(chunk_hashes.len()).ok()?);
        let shape = Shape::Unsized(V1Geometry::new(count).ok()?);
        Some(Self { file_hash, shape, manifest: None, chunk_hashes })
    }

    /// The same, with sizes that were learnt meanwhile.
    pub(super) fn with_shape(other: &Self, shape: Shape) -> Self {
        Self {
            file_hash: other.file_hash,
            shape,
            manifest: other.manifest.clone(),
            chunk_hashes: other.chunk_hashes.clone(),
        }
    }

    pub(super) fn count(&self) -> ChunkCount {
        self.shape.chunk_count()
    }

    pub(super) fn hash(&self, chunk: ChunkIndex) -> Option<ChunkHash> {
        self.chunk_hashes.get(chunk.0 as usize).copied()
    }

    pub(super) fn chunk_hashes(&self) -> &[ChunkHash] {
        &self.chunk_hashes
    }

    pub(super) fn identity(&self) -> Identity {
        let manifest = match &self.manifest {
            Some(manifest) => *manifest.id().as_bytes(),
            None => v1_list_id(&self.file_hash, &self.chunk_hashes),
        };
        Identity { file_hash: self.file_hash, manifest, shape: self.shape }
    }

    /// The manifest, also where only the sizes were missing. `shape` is what is known in the end.
    pub(super) fn manifest_as(&self, shape: Shape) -> Result<Arc<Manifest>, FetchError> {
        if let Some(manifest) = &self.manifest {
            return Ok(Arc::clone(manifest));
        }
        let Shape::Sized(geometry) = shape else { return Err(FetchError::NoManifest) };
        let manifest = Manifest::new(self.file_hash, geometry, self.chunk_hashes.clone());
        manifest.map(Arc::new).map_err(|_| FetchError::NoManifest)
    }
}
