//! Files with known content: deterministic, incompressible, any size, written in bounded memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

const BLOCK: usize = 1 << 16;

/// Writes `size` bytes derived from `seed` to `path` and returns their SHA-256 in hex.
pub fn write_file(path: &Path, size: u64, seed: u64) -> io::Result<String> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut hasher = Sha256::new();
    let mut state = seed;
    let mut left = size;
    let mut block = vec![0; BLOCK];
    while left > 0 {
        fill(&mut block, &mut state);
        let part = &block[..BLOCK.min(usize::try_from(left).unwrap_or(BLOCK))];
        hasher.update(part);
        out.write_all(part)?;
        left -= part.len() as u64;
    }
    out.flush()?;
    Ok(HEXLOWER.encode(&hasher.finalize()))
}

/// The same bytes in memory.
pub fn bytes(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut out = vec![0; size.div_ceil(BLOCK) * BLOCK];
    for block in out.chunks_mut(BLOCK) {
        fill(block, &mut state);
    }
    out.truncate(size);
    out
}

/// SHA-256 of bytes, in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// SHA-256 of a file, in hex, read in bounded memory.
pub fn sha256_file(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(HEXLOWER.encode(&hasher.finalize()))
}

/// splitmix64 (Steele, Lea, Flood 2014), eight bytes a step.
fn fill(block: &mut [u8], state: &mut u64) {
    for word in block.chunks_mut(8) {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bytes = (mixed ^ (mixed >> 31)).to_le_bytes();
        let len = word.len();
        word.copy_from_slice(&bytes[..len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_and_memory_hold_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        for size in [0, 1, BLOCK as u64, BLOCK as u64 + 3] {
            let hash = write_file(&path, size, 7).unwrap();
            assert_eq!(hash, sha256_hex(&bytes(size as usize, 7)), "{size}");
            assert_eq!(hash, sha256_file(&path).unwrap(), "{size}");
        }
    }
}
