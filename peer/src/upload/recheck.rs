//! Reading a chunk again to see whether it is still what was hashed.

use peernet_engine::ids::{ChunkHash, ChunkIndex};

use super::{Held, ReadError};
use crate::hashing::digest::Digest;

/// Bytes read at once: all the memory it takes.
const PIECE_BYTES: usize = 256 << 10;

impl Held {
    /// Whether `chunk`, read now, has the hash that the manifest says. Takes as long as the disk does.
    pub(crate) fn is_as_hashed(&self, chunk: ChunkIndex) -> Result<bool, ReadError> {
        let opened = self.open()?;
        let geometry = self.manifest().geometry();
        let (mut at, mut left) = (geometry.offset(chunk), geometry.chunk_len(chunk) as usize);
        let (mut digest, mut buffer) = (Digest::new(), vec![0; PIECE_BYTES.min(left)]);
        while left > 0 {
            let piece = &mut buffer[..PIECE_BYTES.min(left)];
            opened.read(at, piece)?;
            digest.update(piece);
            at += piece.len() as u64;
            left -= piece.len();
        }
        Ok(self.manifest().chunk_hash(chunk) == Some(ChunkHash(digest.finish())))
    }
}
