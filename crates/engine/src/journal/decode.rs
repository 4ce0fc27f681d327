//! Reads a journal that may be torn or damaged.

use crate::assembly::{Shape, V1Geometry};
use crate::bitmap::Bitmap;
use crate::ids::{ByteCount, ChunkCount, ChunkIndex, FileHash};
use crate::journal::write::{KIND_HELD, KIND_LAST, Writer};
use crate::journal::{CHECK_LEN, Check, HEADER_LEN, Identity, JournalError, MAGIC, RANGES_MAX, RECORD_HEAD_LEN, check};
use crate::manifest::Geometry;

/// The content of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The download that its header names.
    pub identity: Identity,
    /// The latest known sizes: the header's, or with the length of the last chunk that a later record gives.
    pub shape: Shape,
    /// The chunks that are on disk.
    pub held: Bitmap,
    /// The length of the valid part, in bytes. The file must be truncated to it before a record is appended.
    pub valid_len: u64,
}

/// Reads a journal up to the first record that is torn or damaged.
pub fn decode(bytes: &[u8]) -> Result<Decoded, JournalError> {
    let (identity, header) = decode_header(bytes)?;
    let held = Bitmap::empty(identity.shape.chunk_count());
    let mut decoded = Decoded { identity, shape: identity.shape, held, valid_len: HEADER_LEN as u64 };
    while let Some((kind, payload, end)) = next_record(bytes, &header, decoded.valid_len as usize) {
        if apply(&mut decoded, kind, payload).is_none() {
            break;
        }
        decoded.valid_len = end as u64;
    }
    drop_unsized_last(&mut decoded);
    Ok(decoded)
}

/// Reads the journal of a download that is to resume, and returns a writer that continues behind its valid part.
/// Refuses a journal of another file.
pub fn resume(bytes: &[u8], identity: &Identity) -> Result<(Decoded, Writer), JournalError> {
    let decoded = decode(bytes)?;
    if decoded.identity != *identity {
        return Err(JournalError::OtherFile);
    }
    let (_, header) = decode_header(bytes)?;
    let writer = Writer::at(header, decoded.valid_len);
    Ok((decoded, writer))
}

fn decode_header(bytes: &[u8]) -> Result<(Identity, Check), JournalError> {
    let (header, _) = bytes.split_at_checked(HEADER_LEN).ok_or(JournalError::NotAJournal)?;
    if header[..6] == MAGIC[..6] && header[..8] != MAGIC[..] {
        return Err(JournalError::Version);
    }
    let (body, tail) = header.split_at(HEADER_LEN - CHECK_LEN);
    let expected = check(&Check::default(), 0, body);
    if body[..8] != MAGIC[..] || tail != expected {
        return Err(JournalError::NotAJournal);
    }
    let identity = decode_identity(&body[8..]).ok_or(JournalError::NotAJournal)?;
    Ok((identity, expected))
}

fn decode_identity(mut body: &[u8]) -> Option<Identity> {
    let file_hash = FileHash(take(&mut body)?);
    let manifest = take(&mut body)?;
    let [is_sized] = take(&mut body)?;
    let size = u64::from_be_bytes(take(&mut body)?);
    let chunk_size = u32::from_be_bytes(take(&mut body)?);
    let count = ChunkCount(u32::from_be_bytes(take(&mut body)?));
    let shape = match is_sized {
        0 => Shape::Unsized(V1Geometry::new(count).ok()?),
        1 => Shape::Sized(Geometry::new(ByteCount(size), chunk_size).ok()?),
        _ => return None,
    };
    let fits = shape.chunk_count() == count && shape.chunk_size() == chunk_size;
    fits.then_some(Identity { file_hash, manifest, shape })
}

/// Returns kind and payload of the record at `at`, and where it ends. `None` at the end, or for a torn or damaged
/// record.
fn next_record<'a>(bytes: &'a [u8], header: &Check, at: usize) -> Option<(u8, &'a [u8], usize)> {
    let mut rest = bytes.get(at..)?;
    let whole = rest;
    let [kind, high, low] = take(&mut rest)?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let (payload, tail) = rest.split_at_checked(len)?;
    let found = tail.get(..CHECK_LEN)?;
    let expected = check(header, at as u64, &whole[..RECORD_HEAD_LEN + len]);
    (found == expected).then_some((kind, payload, at + RECORD_HEAD_LEN + len + CHECK_LEN))
}

/// Applies a record. Returns `None`, and changes nothing, if the record is invalid.
fn apply(decoded: &mut Decoded, kind: u8, payload: &[u8]) -> Option<()> {
    match kind {
        KIND_HELD => apply_held(decoded, payload),
        KIND_LAST => {
            let len = u32::from_be_bytes(payload.try_into().ok()?);
            let last = ChunkIndex(decoded.held.count().0.checked_sub(1)?);
            decoded.shape = decoded.shape.learn(last, len as usize).ok()?;
            Some(())
        }
        _ => None,
    }
}

fn apply_held(decoded: &mut Decoded, payload: &[u8]) -> Option<()> {
    let (ranges, rest) = payload.as_chunks::<8>();
    if !rest.is_empty() || ranges.is_empty() || ranges.len() > RANGES_MAX {
        return None;
    }
    let count = decoded.held.count().0;
    let parsed = ranges.iter().map(|range| parse_range(range, count)).collect::<Option<Vec<_>>>()?;
    for chunk in parsed.into_iter().flatten() {
        decoded.held.insert(ChunkIndex(chunk));
    }
    Some(())
}

fn parse_range(range: &[u8; 8], count: u32) -> Option<std::ops::Range<u32>> {
    let [a, b, c, d, e, f, g, h] = *range;
    let first = u32::from_be_bytes([a, b, c, d]);
    let len = u32::from_be_bytes([e, f, g, h]);
    let end = first.checked_add(len)?;
    (len > 0 && end <= count).then_some(first..end)
}

/// Removes the last chunk of a file whose size is unknown. Its length is unknown too, so it is fetched again.
fn drop_unsized_last(decoded: &mut Decoded) {
    if let Shape::Unsized(v1) = decoded.shape {
        decoded.held.remove(v1.last());
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}
