//! Listings round trip and refuse; layouts tile.

use proptest::prelude::*;

use super::*;
use crate::manifest::CHUNK_SIZE_MIN;
use crate::random::Rng;

const CHUNK: u64 = CHUNK_SIZE_MIN as u64;

fn file(path: &str, size: u64) -> Entry {
    let byte = path.len() as u8;
    let file_hash = FileHash([byte; 32]);
    let manifest_id = ManifestId([!byte; 32]);
    let kind = EntryKind::File(FileEntry { size: ByteCount(size), executable: size % 2 == 1, file_hash, manifest_id });
    Entry { path: path.to_owned(), kind }
}

fn folder(path: &str) -> Entry {
    Entry { path: path.to_owned(), kind: EntryKind::Folder }
}

fn pack_of(entries: &[Entry]) -> Pack {
    let size = ByteCount(entries.iter().map(Entry::size).fold(0, u64::wrapping_add));
    let chunk_size = Geometry::for_size(size).map_or(CHUNK_SIZE_MIN, |geometry| geometry.chunk_size());
    Pack { file_hash: FileHash([1; 32]), manifest_id: ManifestId([2; 32]), size, chunk_size }
}

fn collection(entries: Vec<Entry>) -> Result<Collection, CollectionError> {
    Collection::new(pack_of(&entries), entries)
}

fn tree() -> Collection {
    let entries = vec![
        file(".hidden", 0),
        file("Größe/ünïcödé (1).bin", CHUNK + 3),
        file("a", 5),
        file("a-b", 7),
        folder("empty"),
        file("long/a/b/c", 3 * CHUNK),
        folder("long/a/b/d"),
    ];
    // "G" comes before "a" in bytes, and "a-b" before paths below "a".
    collection(entries).expect("a tree")
}

#[test]
fn a_listing_has_the_bytes_it_is_documented_to_have() {
    let bytes = collection(vec![file("ab", 3), folder("c")]).expect("two entries").encode();
    let expected = [
        &b"peernet-collection-v1\0"[..],
        &[1; 32],
        &[2; 32],
        &3_u64.to_be_bytes(),
        &CHUNK_SIZE_MIN.to_be_bytes(),
        &2_u32.to_be_bytes(),
        &[1, 0, 2],
        b"ab",
        &3_u64.to_be_bytes(),
        &[2; 32],
        &[!2; 32],
        &[2, 0, 1],
        b"c",
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn listings_come_back_as_they_were() {
    for collection in [collection(Vec::new()).expect("an empty directory"), tree()] {
        let bytes = collection.encode();
        assert_eq!(Collection::decode(&bytes).as_ref(), Ok(&collection));
    }
    assert_eq!(tree().file_count(), 5);
}

#[test]
fn every_cut_and_every_byte_more_is_refused() {
    let bytes = tree().encode();
    for len in 0..bytes.len() {
        assert!(Collection::decode(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
    }
    assert_eq!(Collection::decode(&[&bytes[..], &[0]].concat()), Err(CollectionError::Trailing));
    let mut newer = bytes;
    newer[DOMAIN.len() - 2] = b'2';
    assert_eq!(Collection::decode(&newer), Err(CollectionError::Version));
    assert_eq!(Collection::decode(b"something else"), Err(CollectionError::NotAListing));
}

#[test]
fn a_count_alone_allocates_nothing() {
    let mut bytes = collection(Vec::new()).expect("an empty directory").encode();
    let at = bytes.len() - 4;
    for (count, error) in [
        (1, CollectionError::NotAListing),
        (ENTRIES_MAX as u32, CollectionError::NotAListing),
        (ENTRIES_MAX as u32 + 1, CollectionError::TooManyEntries(ENTRIES_MAX + 1)),
        (u32::MAX, CollectionError::TooManyEntries(u32::MAX as usize)),
    ] {
        bytes[at..].copy_from_slice(&count.to_be_bytes());
        assert_eq!(Collection::decode(&bytes), Err(error), "{count}");
    }
}

#[test]
fn a_path_that_could_leave_the_folder_or_confuse_is_refused() {
    let deep = "d/".repeat(PATH_DEPTH_MAX) + "f";
    let long = format!("{0}/{0}/{0}/{0}/x", "n".repeat(255));
    for (path, why) in [
        ("", PathError::Component),
        (".", PathError::Component),
        ("..", PathError::Component),
        ("../etc/passwd", PathError::Component),
        ("a/../../b", PathError::Component),
        ("/etc/passwd", PathError::Component),
        ("a//b", PathError::Component),
        ("a/", PathError::Component),
        ("a/./b", PathError::Component),
        ("a\\b", PathError::Component),
        ("a\0b", PathError::Component),
        ("a/b\n", PathError::Component),
        ("a/nul.txt", PathError::Component),
        ("name. /b", PathError::Component),
        ("photo\u{202e}gpj.exe", PathError::Component),
        (&"n".repeat(256), PathError::Component),
        (&deep, PathError::TooDeep),
        (&"/".repeat(PATH_BYTES_MAX), PathError::TooDeep),
        (&long, PathError::TooLong),
    ] {
        let refused = Err(CollectionError::Path { path: path.to_owned(), why });
        assert_eq!(collection(vec![file(path, 1)]), refused, "{path:?}");
        assert_eq!(collection(vec![folder(path)]), refused, "{path:?}");
    }
    assert!(collection(vec![file(&deep[2..], 1)]).is_ok());
    assert!(collection(vec![file(&long[..PATH_BYTES_MAX - 1], 1)]).is_ok());
    let not_utf8 = collection(vec![folder("aé")]).expect("a folder").encode();
    let cut = [&not_utf8[..not_utf8.len() - 5], &[0, 2], b"a\xc3"].concat();
    assert!(matches!(Collection::decode(&cut), Err(CollectionError::Path { why: PathError::NotUtf8, .. })));
}

#[test]
fn entries_that_are_no_tree_in_order_are_refused() {
    let twice = |path: &str| Err(CollectionError::Order(path.to_owned()));
    let below = |path: &str| Err(CollectionError::NotAFolder(path.to_owned()));
    for (entries, refused) in [
        (vec![file("b", 1), file("a", 1)], twice("a")),
        (vec![file("a", 1), file("a", 1)], twice("a")),
        (vec![file("a", 1), folder("a")], twice("a")),
        (vec![file("a", 1), file("a/b", 1)], below("a")),
        // Paths between a file and paths below it hide nothing.
        (vec![file("a", 1), file("a!", 1), file("a-", 1), file("a-/x", 1), file("a/b/c", 1)], below("a-")),
        (vec![file("a", 1), file("a!", 1), file("a-", 1), file("a/b/c", 1)], below("a")),
        // A folder with something in it is there by itself, and a second way to say so would be a second listing.
        (vec![folder("a"), file("a/b", 1)], below("a")),
    ] {
        assert_eq!(collection(entries.clone()), refused, "{entries:?}");
    }
    assert!(collection(vec![file("a", 1), file("a-/b", 1), file("ab/c", 1)]).is_ok());
}

#[test]
fn files_that_do_not_add_up_to_the_pack_are_refused() {
    let entries = vec![file("a", 5), file("b", 7)];
    let pack = pack_of(&entries);
    let with = |pack: Pack| Collection::new(pack, entries.clone()).err();
    assert_eq!(with(Pack { size: ByteCount(13), ..pack }), Some(CollectionError::Sum { pack: 13, files: Some(12) }));
    let geometry = CollectionError::Geometry { size: 12, chunk_size: 2 << 20 };
    assert_eq!(with(Pack { chunk_size: 2 << 20, ..pack }), Some(geometry));
    let all = vec![file("a", u64::MAX), file("b", 13)];
    assert_eq!(Collection::new(pack, all), Err(CollectionError::Sum { pack: 12, files: None }));
    let large = vec![file("a", 257 << 30)];
    assert!(matches!(collection(large), Err(CollectionError::Geometry { .. })));
    assert!(collection(vec![file("a", 20 << 30), file("b", 1)]).is_ok_and(|large| large.pack.chunk_size == 2 << 20));
}

#[test]
fn too_many_entries_and_too_long_a_listing_are_refused() {
    let many = (0..=ENTRIES_MAX).map(|i| folder(&format!("{i:07}"))).collect();
    assert_eq!(collection(many), Err(CollectionError::TooManyEntries(ENTRIES_MAX + 1)));
    let name = "n".repeat(255);
    let long = (0..90_000).map(|i| folder(&format!("{i:06}/{name}/{name}/{name}"))).collect();
    assert!(matches!(collection(long), Err(CollectionError::TooLong(_))));
}

#[test]
fn bodies_are_aligned_and_tails_follow() {
    let layout = Layout::new([3 * CHUNK + 5, 0, 7, 2 * CHUNK, CHUNK - 1], CHUNK as u32);
    let pieces = |entry| layout.pieces_of(entry).map(|p| (p.pack_offset, p.file_offset, p.len)).collect::<Vec<_>>();
    assert_eq!(layout.size(), 6 * CHUNK + 11);
    assert_eq!(pieces(0), [(0, 0, 3 * CHUNK), (5 * CHUNK, 3 * CHUNK, 5)]);
    assert_eq!(pieces(1), []);
    assert_eq!(pieces(2), [(5 * CHUNK + 5, 0, 7)]);
    assert_eq!(pieces(3), [(3 * CHUNK, 0, 2 * CHUNK)]);
    assert_eq!(pieces(4), [(5 * CHUNK + 12, 0, CHUNK - 1)]);
    assert_eq!(pieces(5), []);
    let chunks = |entry| layout.chunks_of(entry).map(|chunk| chunk.0).collect::<Vec<_>>();
    assert_eq!([0, 1, 2, 3, 4, 5].map(chunks), [vec![0, 1, 2, 5], vec![], vec![5], vec![3, 4], vec![5, 6], vec![]]);
}

#[test]
fn large_files_keep_their_chunks_when_small_ones_change() {
    let before = Layout::new([10, 4 * CHUNK + 9, 20], CHUNK as u32);
    let after = Layout::new([4 * CHUNK + 9, 5, 5, 5], CHUNK as u32);
    let body =
        |layout: &Layout, entry| layout.pieces_of(entry).next().map(|piece| (piece.pack_offset % CHUNK, piece.len));
    assert_eq!(body(&before, 1), Some((0, 4 * CHUNK)));
    assert_eq!(body(&before, 1), body(&after, 0));
}

fn sizes() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![Just(0), 0..40_u64, (0..6_u64).prop_map(|n| n * 16)], 0..12)
}

proptest! {
    #[test]
    fn segments_tile_the_pack_exactly_once(sizes in sizes(), at in 0..200_u64, len in 0..200_u64) {
        let layout = Layout::new(sizes.iter().copied(), 16);
        prop_assert_eq!(layout.size(), sizes.iter().sum::<u64>());
        // The pack's bytes, each as (entry, offset in its file).
        let of = |segment: Segment| (segment.offset..segment.offset + segment.len).map(move |o| (segment.entry, o));
        let pack: Vec<_> = layout.segments(0, u64::MAX).flat_map(of).collect();
        let mut sorted = pack.clone();
        sorted.sort_unstable();
        let expected: Vec<_> = sizes.iter().enumerate().flat_map(|(entry, size)| (0..*size).map(move |o| (entry, o))).collect();
        prop_assert_eq!(sorted, expected);
        let range: Vec<_> = layout.segments(at, len).flat_map(of).collect();
        let wanted: Vec<_> = pack.iter().copied().skip(at as usize).take(len as usize).collect();
        prop_assert_eq!(range, wanted);
    }

    #[test]
    fn pieces_chunks_and_segments_agree(sizes in sizes()) {
        let layout = Layout::new(sizes.iter().copied(), 16);
        for (entry, size) in sizes.iter().enumerate() {
            let mut offset = 0;
            for piece in layout.pieces_of(entry) {
                prop_assert_eq!(piece.file_offset, offset);
                offset += piece.len;
                let segments: Vec<_> = layout.segments(piece.pack_offset, piece.len).collect();
                prop_assert_eq!(segments, [Segment { entry, offset: piece.file_offset, len: piece.len }]);
            }
            prop_assert_eq!(offset, *size);
            let touched: Vec<u32> = (0..layout.size().div_ceil(16) as u32)
                .filter(|chunk| layout.segments(u64::from(*chunk) * 16, 16).any(|segment| segment.entry == entry))
                .collect();
            prop_assert_eq!(layout.chunks_of(entry).map(|chunk| chunk.0).collect::<Vec<_>>(), touched);
        }
    }

    #[test]
    fn any_bytes_parse_without_panic_and_listings_round_trip(seed: u64, changes in 0..4_u64) {
        let mut rng = Rng::new(seed);
        let mut bytes = tree().encode();
        for _ in 0..changes {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
        }
        if let Ok(collection) = Collection::decode(&bytes) {
            prop_assert_eq!(collection.encode(), bytes);
        }
    }
}
