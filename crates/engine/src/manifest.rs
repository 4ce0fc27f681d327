//! The manifest of a file: the hash of each chunk, and the id that names the manifest in links and announces.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::ids::{ByteCount, ChunkCount, ChunkHash, ChunkIndex, FileHash, ManifestId, PeerId};

/// The default chunk size and the smallest one: 1 MiB.
pub const CHUNK_SIZE_MIN: u32 = 1 << 20;
/// The largest chunk size: 16 MiB.
pub const CHUNK_SIZE_MAX: u32 = 16 << 20;
/// The most chunks a file has; with [`CHUNK_SIZE_MAX`] this bounds a file at 256 GiB.
pub const CHUNKS_MAX: u32 = 16_384;
/// The prefix of the bytes that a manifest id is the hash of.
const MANIFEST_DOMAIN: &[u8] = b"peernet-manifest-v1\0";
/// The prefix of the bytes that a publication signs.
const PUBLICATION_DOMAIN: &[u8; 23] = b"peernet-publication-v1\0";
/// The length of a [`publication_message`].
pub const PUBLICATION_MESSAGE_BYTES: usize = PUBLICATION_DOMAIN.len() + 16 + 32;

/// The reason that sizes and hashes do not make a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestError {
    /// The chunk size is not a power of two from 1 MiB to 16 MiB.
    ChunkSize(u32),
    /// The file is larger than 16,384 chunks of this size.
    TooLarge(u64),
    /// The number of chunk hashes does not fit the sizes.
    ChunkCount {
        /// The number that follows from size and chunk size.
        expected: u32,
        /// The number found.
        got: usize,
    },
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChunkSize(size) => write!(f, "chunk size {size} is not a power of two from 1 MiB to 16 MiB"),
            Self::TooLarge(size) => {
                write!(f, "{size} bytes do not fit {CHUNKS_MAX} chunks; the limit of a file is 256 GiB")
            }
            Self::ChunkCount { expected, got } => write!(f, "expected {expected} chunk hashes, found {got}"),
        }
    }
}

impl std::error::Error for ManifestError {}

/// The sizes of a file and its chunks. Invariant: `chunk_size` is a power of two from 1 to 16 MiB, and there are at
/// most [`CHUNKS_MAX`] chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    size: ByteCount,
    chunk_size: u32,
}

impl Geometry {
    /// Chooses the smallest chunk size that keeps the count within bounds.
    pub fn for_size(size: ByteCount) -> Result<Self, ManifestError> {
        let mut chunk_size = CHUNK_SIZE_MIN;
        while chunk_size < CHUNK_SIZE_MAX && size.0.div_ceil(u64::from(chunk_size)) > u64::from(CHUNKS_MAX) {
            chunk_size *= 2;
        }
        Self::new(size, chunk_size)
    }

    /// Checks a given chunk size.
    pub fn new(size: ByteCount, chunk_size: u32) -> Result<Self, ManifestError> {
        if !chunk_size.is_power_of_two() || !(CHUNK_SIZE_MIN..=CHUNK_SIZE_MAX).contains(&chunk_size) {
            return Err(ManifestError::ChunkSize(chunk_size));
        }
        if size.0.div_ceil(u64::from(chunk_size)) > u64::from(CHUNKS_MAX) {
            return Err(ManifestError::TooLarge(size.0));
        }
        Ok(Self { size, chunk_size })
    }

    /// Returns the file's size.
    pub fn size(&self) -> ByteCount {
        self.size
    }

    /// Returns the size of every chunk but the last, in bytes.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Returns the number of chunks; 0 for an empty file.
    pub fn chunk_count(&self) -> ChunkCount {
        // Within CHUNKS_MAX by the constructor.
        ChunkCount(self.size.0.div_ceil(u64::from(self.chunk_size)) as u32)
    }

    /// Returns the offset of chunk `index` in the file, in bytes.
    pub fn offset(&self, index: ChunkIndex) -> u64 {
        u64::from(index.0) * u64::from(self.chunk_size)
    }

    /// Returns the length of chunk `index` in bytes; 0 past the end.
    pub fn chunk_len(&self, index: ChunkIndex) -> u32 {
        let rest = self.size.0.saturating_sub(self.offset(index));
        rest.min(u64::from(self.chunk_size)) as u32
    }
}

/// A file's hash, sizes and chunk hashes. Invariant: one hash for each chunk of the geometry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    file_hash: FileHash,
    geometry: Geometry,
    chunk_hashes: Vec<ChunkHash>,
    id: ManifestId,
}

impl Manifest {
    /// Checks the count and computes the id.
    pub fn new(file_hash: FileHash, geometry: Geometry, chunk_hashes: Vec<ChunkHash>) -> Result<Self, ManifestError> {
        let expected = geometry.chunk_count().0;
        if chunk_hashes.len() != expected as usize {
            return Err(ManifestError::ChunkCount { expected, got: chunk_hashes.len() });
        }
        let id = manifest_id(&file_hash, &geometry, &chunk_hashes);
        Ok(Self { file_hash, geometry, chunk_hashes, id })
    }

    /// Builds a manifest from chunk hashes in their stored form: 32 bytes each, in order.
    pub fn from_parts(
        file_hash: FileHash,
        size: ByteCount,
        chunk_size: u32,
        hashes: &[u8],
    ) -> Result<Self, ManifestError> {
        let geometry = Geometry::new(size, chunk_size)?;
        let (whole, rest) = hashes.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(ManifestError::ChunkCount { expected: geometry.chunk_count().0, got: whole.len() + 1 });
        }
        Self::new(file_hash, geometry, whole.iter().copied().map(ChunkHash).collect())
    }

    /// Returns the SHA-256 of the whole file.
    pub fn file_hash(&self) -> FileHash {
        self.file_hash
    }

    /// Returns the sizes of the file and its chunks.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Returns the hash of every chunk, in order.
    pub fn chunk_hashes(&self) -> &[ChunkHash] {
        &self.chunk_hashes
    }

    /// Returns the hash of one chunk; `None` past the end.
    pub fn chunk_hash(&self, index: ChunkIndex) -> Option<ChunkHash> {
        self.chunk_hashes.get(index.0 as usize).copied()
    }

    /// Returns the id that names this manifest in links and announces.
    pub fn id(&self) -> ManifestId {
        self.id
    }

    /// Returns the chunk hashes in their stored form; see [`Manifest::from_parts`].
    pub fn hash_bytes(&self) -> Vec<u8> {
        self.chunk_hashes.iter().flat_map(|h| h.0).collect()
    }
}

fn manifest_id(file_hash: &FileHash, geometry: &Geometry, chunk_hashes: &[ChunkHash]) -> ManifestId {
    let mut hasher = Sha256::new();
    hasher.update(MANIFEST_DOMAIN);
    hasher.update(file_hash.0);
    hasher.update(geometry.size.0.to_be_bytes());
    hasher.update(geometry.chunk_size.to_be_bytes());
    for hash in chunk_hashes {
        hasher.update(hash.0);
    }
    ManifestId(hasher.finalize().into())
}

/// Returns the message that an account signs (Ed25519, RFC 8032) to publish a manifest: a domain, then the two ids. The
/// account's id is part of it, so no other account can present the signature as its own.
pub fn publication_message(peer: PeerId, manifest: ManifestId) -> [u8; PUBLICATION_MESSAGE_BYTES] {
    let mut message = [0; PUBLICATION_MESSAGE_BYTES];
    let (domain, ids) = message.split_at_mut(PUBLICATION_DOMAIN.len());
    let (peer_id, manifest_id) = ids.split_at_mut(peer.0.len());
    domain.copy_from_slice(PUBLICATION_DOMAIN);
    peer_id.copy_from_slice(&peer.0);
    manifest_id.copy_from_slice(&manifest.0);
    message
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn the_chunk_size_grows_only_to_bound_the_count() {
        const MIB: u64 = 1 << 20;
        for (size, chunk_size, count) in [
            (0, 1 << 20, 0),
            (1, 1 << 20, 1),
            (16_384 * MIB, 1 << 20, 16_384),
            (16_384 * MIB + 1, 2 << 20, 8_193),
            (16_384 * 16 * MIB, 16 << 20, 16_384),
        ] {
            let geometry = Geometry::for_size(ByteCount(size)).expect("within bounds");
            assert_eq!((geometry.chunk_size(), geometry.chunk_count().0), (chunk_size, count), "{size}");
        }
        assert!(Geometry::for_size(ByteCount(16_384 * 16 * MIB + 1)).is_err());
        assert!(Geometry::new(ByteCount(1), 3 << 20).is_err());
    }

    #[test]
    fn the_last_chunk_is_short() {
        let geometry = Geometry::new(ByteCount((1 << 20) + 5), 1 << 20).expect("valid");
        assert_eq!([0, 1, 2].map(|i| geometry.chunk_len(ChunkIndex(i))), [1 << 20, 5, 0]);
    }

    #[test]
    fn the_id_covers_every_field() {
        let make = |file: u8, size: u64, chunk: u32, hash: u8| {
            let geometry = Geometry::new(ByteCount(size), chunk).expect("valid");
            Manifest::new(FileHash([file; 32]), geometry, vec![ChunkHash([hash; 32])]).expect("one chunk").id()
        };
        let base = make(1, 10, 1 << 20, 3);
        for other in
            [make(2, 10, 1 << 20, 3), make(1, 11, 1 << 20, 3), make(1, 10, 2 << 20, 3), make(1, 10, 1 << 20, 4)]
        {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn the_signed_message_has_these_bytes() {
        let message = publication_message(PeerId([0xa1; 16]), ManifestId([0xb2; 32]));
        let ids = format!("{}{}", "a1".repeat(16), "b2".repeat(32));
        assert_eq!(HEXLOWER.encode(&message), format!("706565726e65742d7075626c69636174696f6e2d763100{ids}"));
    }
}
