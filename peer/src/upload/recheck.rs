//! Reading a chunk again to see whether it is still what was hashed.

use peernet_engine::ids::{ChunkHash, ChunkIndex};

use super::Held;
use crate::files::ReadError;
use crate::files::hashing::digest::Digest;

impl Held {
    /// Whether `chunk`, read now, has the hash that the manifest says. Takes as long as the disk does.
    pub(crate) fn is_as_hashed(&self, chunk: ChunkIndex) -> Result<bool, ReadError> {
        let opened = self.open()?;
        let geometry = self.manifest().geometry();
        let read = |at, piece: &mut [u8]| opened.read(at, piece);
        let hash = Digest::of_range(geometry.offset(chunk), geometry.chunk_len(chunk).into(), read)?;
        Ok(self.manifest().chunk_hash(chunk) == Some(ChunkHash(hash)))
    }
}
