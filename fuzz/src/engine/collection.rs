//! The listing of a collection: an accepted listing is written again byte for byte, names nothing outside the folder it
//! will be in, and is laid out so that every byte of the pack belongs to one file.

use std::path::{Component, Path};

use peernet_engine::collection::{Collection, Entry, EntryKind, FileEntry, Layout, PATH_BYTES_MAX, Pack};
use peernet_engine::ids::{ByteCount, FileHash, ManifestId};

/// Reads `data` as a listing.
pub fn collection(data: &[u8]) {
    let Ok(collection) = Collection::decode(data) else { return };
    assert_eq!(collection.encode(), data, "one tree has one listing");
    let entries = collection.entries();
    assert!(entries.is_sorted_by(|a, b| a.path.as_bytes() < b.path.as_bytes()));
    for entry in entries {
        stays_inside(&entry.path);
    }
    adds_up(&collection, &collection.layout());
}

fn stays_inside(path: &str) {
    assert!(path.len() <= PATH_BYTES_MAX && !path.contains(['\0', '\\']), "{path:?}");
    assert!(Path::new(path).components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
    // The same path again, component by component: nothing was skipped, such as `//` or `.`.
    let joined = Path::new(path).iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
    assert_eq!(joined, path);
}

fn adds_up(collection: &Collection, layout: &Layout) {
    assert_eq!(layout.size(), collection.pack.size.0);
    let whole: Vec<_> = layout.segments(0, u64::MAX).collect();
    assert_eq!(whole.iter().map(|segment| segment.len).sum::<u64>(), layout.size());
    for (place, entry) in collection.entries().iter().enumerate() {
        let pieces: Vec<_> = layout.pieces_of(place).collect();
        assert!(pieces.len() <= 2 && pieces.iter().all(|piece| piece.len > 0));
        assert_eq!(pieces.iter().map(|piece| piece.len).sum::<u64>(), entry.size());
        let touched = layout.chunks_of(place).count() as u64;
        assert!(touched <= entry.size() / u64::from(collection.pack.chunk_size) + 2);
    }
}

pub(super) fn examples() -> Vec<Vec<u8>> {
    let file = |path: &str, size, executable| {
        let hashes = (FileHash([7; 32]), ManifestId([8; 32]));
        let file = FileEntry { size: ByteCount(size), executable, file_hash: hashes.0, manifest_id: hashes.1 };
        Entry { path: path.to_owned(), kind: EntryKind::File(file) }
    };
    let folder = |path: &str| Entry { path: path.to_owned(), kind: EntryKind::Folder };
    let small = vec![file("a", 0, false), file("a-b/c", 5, true), folder("b")];
    let large = vec![file("big/é.bin", (3 << 20) + 7, false), folder("d/e/f"), file("x", 1 << 20, true)];
    [Vec::new(), small, large].map(listing).into()
}

fn listing(entries: Vec<Entry>) -> Vec<u8> {
    let size = ByteCount(entries.iter().map(Entry::size).sum());
    let pack = Pack { file_hash: FileHash([1; 32]), manifest_id: ManifestId([2; 32]), size, chunk_size: 1 << 20 };
    Collection::new(pack, entries).expect("a tree in order").encode()
}
