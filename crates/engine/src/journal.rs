//! The resume journal of a partial download: the chunks of `<name>.peernet-part` that are on disk for certain.
//!
//! This module maps bytes to bytes; the driver writes and syncs. The driver syncs chunks first and then appends the
//! record that names them. So a crash can tear only the tail. A torn or damaged tail costs the chunks that it names,
//! and never leads to a wrong claim. Each record carries the start of a SHA-256 over the header, its position and its
//! content. So no record of another file, another position or an older journal is accepted.
//!
//! ```text
//! header   "PNJRNL01"  file_hash 32  manifest 32  sized u8  size u64  chunk_size u32  chunk_count u32  check 8
//! record   kind u8  len u16  payload  check 8
//!   kind 1 held: (first u32, count u32)*, 1 to 1,024 of them        kind 2 last chunk: its length u32
//! check    first 8 bytes of SHA-256(header check, 0s for the header ‖ offset u64 ‖ all before it)      numbers big-endian
//! ```
//!
//! Invariant: the chunks decoded from any damaged copy of a journal are among those recorded.

mod decode;
mod write;

use std::fmt;

use sha2::{Digest, Sha256};

use crate::assembly::Shape;
use crate::ids::FileHash;

pub use self::decode::{Decoded, decode, resume};
pub use self::write::Writer;

/// The first bytes of every journal; the last two are the version of the format.
const MAGIC: &[u8; 8] = b"PNJRNL01";
/// Bytes of a check.
const CHECK_LEN: usize = 8;
/// Bytes of the header.
const HEADER_LEN: usize = 8 + 32 + 32 + 1 + 8 + 4 + 4 + CHECK_LEN;
/// Bytes before a record's payload.
const RECORD_HEAD_LEN: usize = 3;
/// Ranges in one record.
const RANGES_MAX: usize = 1_024;
/// The longest journal that is read, in bytes: a record for each of 16,384 chunks, fifty times over. A driver that
/// finds a longer one begins a new one.
pub const JOURNAL_LEN_MAX: u64 = 16 << 20;

/// The download that a journal belongs to. A journal is used for exactly this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The hash of the whole file.
    pub file_hash: FileHash,
    /// The manifest's id; for a version-1 file [`crate::assembly::v1_list_id`].
    pub manifest: [u8; 32],
    /// The sizes that were known when the journal was begun.
    pub shape: Shape,
}

/// The reason that a download cannot resume from a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalError {
    /// The header is damaged, or the bytes are no journal. A new one may replace it.
    NotAJournal,
    /// A journal of a later format.
    Version,
    /// An intact journal of another file, manifest or size. It must not be overwritten.
    OtherFile,
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAJournal => "not a resume journal, or its beginning is damaged",
            Self::Version => "the resume journal was written by a newer version of PeerNet",
            Self::OtherFile => "the resume journal belongs to another file",
        })
    }
}

impl std::error::Error for JournalError {}

type Check = [u8; CHECK_LEN];

/// Returns the check of `bytes` at `offset` of the journal whose header has check `header`.
fn check(header: &Check, offset: u64, bytes: &[u8]) -> Check {
    let mut hasher = Sha256::new();
    hasher.update(header);
    hasher.update(offset.to_be_bytes());
    hasher.update(bytes);
    let digest: [u8; 32] = hasher.finalize().into();
    let mut out = Check::default();
    out.copy_from_slice(&digest[..CHECK_LEN]);
    out
}

#[cfg(test)]
mod tests;
