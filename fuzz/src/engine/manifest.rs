//! Bitmaps and manifests: taken exactly when they are canonical, and then the same bytes come out again.

use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkIndex, FileHash};
use peernet_engine::manifest::{CHUNK_SIZE_MAX, CHUNK_SIZE_MIN, CHUNKS_MAX, Manifest};

use crate::take;

/// A chunk count (two bytes) and a bitmap.
pub fn bitmap(data: &[u8]) {
    let (count, bytes) = take::<2>(data);
    let count = u32::from(u16::from_be_bytes(count)) % (CHUNKS_MAX + 1);
    let spare_are_zero = (count..bytes.len() as u32 * 8).all(|bit| bytes[bit as usize / 8] & (0x80 >> (bit % 8)) == 0);
    let is_canonical = bytes.len() == count.div_ceil(8) as usize && spare_are_zero;
    let Some(parsed) = Bitmap::from_bytes(bytes, ChunkCount(count)) else {
        assert!(!is_canonical, "a canonical bitmap was refused");
        return;
    };
    assert!(is_canonical, "a bitmap that is not canonical was taken");
    assert_eq!(parsed.as_bytes(), bytes);
    assert_eq!(parsed.len(), bytes.iter().map(|byte| byte.count_ones()).sum::<u32>());
    assert_eq!(parsed.iter().count() + parsed.missing().count(), count as usize);
    let mut rebuilt = Bitmap::empty(ChunkCount(count));
    assert!(parsed.iter().all(|chunk| rebuilt.insert(chunk)));
    assert_eq!((rebuilt, parsed.is_full()), (parsed.clone(), parsed.len() == count));
}

pub(super) fn bitmaps() -> Vec<Vec<u8>> {
    let with_count = |count: u16, bytes: &[u8]| [&count.to_be_bytes()[..], bytes].concat();
    vec![
        with_count(0, &[]),
        with_count(10, &[0xff, 0xc0]),
        with_count(40, &[0, 1, 2, 3, 4]),
        with_count(16_384, &[7; 2_048]),
    ]
}

/// A size (8 bytes), a chunk size (4) and chunk hashes.
pub fn manifest(data: &[u8]) {
    let (size, rest) = take::<8>(data);
    let (chunk_size, hashes) = take::<4>(rest);
    let (size, chunk_size) = (u64::from_be_bytes(size), u32::from_be_bytes(chunk_size));
    let is_fit = chunk_size.is_power_of_two()
        && (CHUNK_SIZE_MIN..=CHUNK_SIZE_MAX).contains(&chunk_size)
        && size.div_ceil(u64::from(chunk_size)) <= u64::from(CHUNKS_MAX)
        && size.div_ceil(u64::from(chunk_size)) * 32 == hashes.len() as u64;
    let parse = |hashes: &[u8]| Manifest::from_parts(FileHash([3; 32]), ByteCount(size), chunk_size, hashes);
    let parsed = parse(hashes);
    assert_eq!(parsed.is_ok(), is_fit, "{parsed:?}");
    if let Ok(manifest) = parsed {
        adds_up(&manifest, hashes);
        differs_when_changed(&manifest, hashes, parse);
    }
}

fn adds_up(manifest: &Manifest, hashes: &[u8]) {
    let geometry = manifest.geometry();
    let count = geometry.chunk_count().0;
    let lens = (0..count).map(|index| u64::from(geometry.chunk_len(ChunkIndex(index))));
    assert_eq!(lens.sum::<u64>(), geometry.size().0);
    assert_eq!(manifest.hash_bytes(), hashes);
    assert_eq!((geometry.chunk_len(ChunkIndex(count)), manifest.chunk_hash(ChunkIndex(count))), (0, None));
}

fn differs_when_changed<E>(manifest: &Manifest, hashes: &[u8], parse: impl Fn(&[u8]) -> Result<Manifest, E>) {
    let mut changed = hashes.to_vec();
    let Some(last) = changed.last_mut() else { return };
    *last ^= 1;
    assert!(parse(&changed).is_ok_and(|other| other.id() != manifest.id()));
}

pub(super) fn manifests() -> Vec<Vec<u8>> {
    let of = |size: u64, chunk_size: u32, chunks: usize| {
        [&size.to_be_bytes()[..], &chunk_size.to_be_bytes(), &vec![0xab; chunks * 32]].concat()
    };
    vec![of(0, 1 << 20, 0), of(1, 1 << 20, 1), of((3 << 20) + 7, 1 << 20, 4), of(5 << 24, 1 << 24, 5)]
}
