//! Reads a listing that may come from a hostile peer.

use crate::collection::{
    Collection, CollectionError, DOMAIN, ENTRIES_MAX, ENTRY_HEAD_LEN, Entry, EntryKind, FileEntry, KIND_EXECUTABLE,
    KIND_FILE, KIND_FOLDER, LISTING_BYTES_MAX, Pack, PathError,
};
use crate::ids::{ByteCount, FileHash, ManifestId};

/// The position of the version in the domain. The bytes before it are the same in every version.
const VERSIONED_FROM: usize = DOMAIN.len() - 2;

pub(super) fn decode(bytes: &[u8]) -> Result<Collection, CollectionError> {
    if bytes.len() > LISTING_BYTES_MAX {
        return Err(CollectionError::TooLong(bytes.len()));
    }
    let mut rest = match bytes.strip_prefix(DOMAIN) {
        Some(rest) => rest,
        None if bytes.starts_with(&DOMAIN[..VERSIONED_FROM]) => return Err(CollectionError::Version),
        None => return Err(CollectionError::NotAListing),
    };
    let pack = Pack {
        file_hash: FileHash(take(&mut rest)?),
        manifest_id: ManifestId(take(&mut rest)?),
        size: ByteCount(u64::from_be_bytes(take(&mut rest)?)),
        chunk_size: u32::from_be_bytes(take(&mut rest)?),
    };
    let count = u32::from_be_bytes(take(&mut rest)?) as usize;
    if count > ENTRIES_MAX {
        return Err(CollectionError::TooManyEntries(count));
    }
    // A peer's claim must not decide how much is allocated. No entry is shorter than its head and one byte of path.
    if count > rest.len() / (ENTRY_HEAD_LEN + 1) {
        return Err(CollectionError::NotAListing);
    }
    let entries = (0..count).map(|_| entry(&mut rest)).collect::<Result<Vec<_>, _>>()?;
    if !rest.is_empty() {
        return Err(CollectionError::Trailing);
    }
    Collection::new(pack, entries)
}

fn entry(rest: &mut &[u8]) -> Result<Entry, CollectionError> {
    let [kind] = take(rest)?;
    let path_len = usize::from(u16::from_be_bytes(take(rest)?));
    let (path, after) = rest.split_at_checked(path_len).ok_or(CollectionError::NotAListing)?;
    *rest = after;
    let path = std::str::from_utf8(path).map_err(|_| CollectionError::Path {
        path: String::from_utf8_lossy(path).into_owned(),
        why: PathError::NotUtf8,
    })?;
    let kind = match kind {
        KIND_FILE | KIND_EXECUTABLE => EntryKind::File(file(kind == KIND_EXECUTABLE, rest)?),
        KIND_FOLDER => EntryKind::Folder,
        unknown => return Err(CollectionError::Kind(unknown)),
    };
    Ok(Entry { path: path.to_owned(), kind })
}

fn file(executable: bool, rest: &mut &[u8]) -> Result<FileEntry, CollectionError> {
    Ok(FileEntry {
        size: ByteCount(u64::from_be_bytes(take(rest)?)),
        executable,
        file_hash: FileHash(take(rest)?),
        manifest_id: ManifestId(take(rest)?),
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CollectionError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(CollectionError::NotAListing)?;
    *rest = tail;
    Ok(*head)
}
