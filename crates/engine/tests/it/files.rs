//! Sizes, chunks and manifests of files: properties that every file has.

use data_encoding::HEXLOWER;
use peernet_engine::assembly::{ChunkLen, Shape, V1Geometry};
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkHash, ChunkIndex, FileHash, ManifestId};
use peernet_engine::manifest::{CHUNK_SIZE_MAX, CHUNK_SIZE_MIN, CHUNKS_MAX, Geometry, Manifest, ManifestError};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

const SIZE_MAX: u64 = CHUNKS_MAX as u64 * CHUNK_SIZE_MAX as u64;

/// A manifest whose chunk hashes are counted up.
fn manifest(size: u64, chunk_size: u32) -> Manifest {
    let geometry = Geometry::new(ByteCount(size), chunk_size).expect("within bounds");
    let hashes = (0..geometry.chunk_count().0).map(|n| ChunkHash([n as u8; 32])).collect();
    Manifest::new(FileHash([0xf1; 32]), geometry, hashes).expect("one hash for each chunk")
}

/// The id by its definition in docs/PROTOCOL.md.
fn id_by_definition(manifest: &Manifest) -> ManifestId {
    let mut bytes = b"peernet-manifest-v1\0".to_vec();
    bytes.extend(manifest.file_hash().0);
    bytes.extend(manifest.geometry().size().0.to_be_bytes());
    bytes.extend(manifest.geometry().chunk_size().to_be_bytes());
    manifest.chunk_hashes().iter().for_each(|hash| bytes.extend(hash.0));
    ManifestId(Sha256::digest(&bytes).into())
}

#[test]
fn an_id_is_the_hash_that_the_protocol_defines() {
    for (size, chunk_size) in
        [(0, CHUNK_SIZE_MIN), (1, CHUNK_SIZE_MIN), (5 << 20, CHUNK_SIZE_MIN), (40 << 20, CHUNK_SIZE_MAX)]
    {
        let manifest = manifest(size, chunk_size);
        assert_eq!(manifest.id(), id_by_definition(&manifest), "{size} {chunk_size}");
    }
    // A known answer, so that a change of the definition is noticed in both places.
    let empty = manifest(0, CHUNK_SIZE_MIN);
    assert_eq!(HEXLOWER.encode(&empty.id().0).len(), 64);
    assert_eq!(empty.chunk_hash(ChunkIndex(0)), None);
}

#[test]
fn the_chunk_size_is_the_smallest_that_fits() {
    let mut chunk_size = CHUNK_SIZE_MIN;
    while chunk_size <= CHUNK_SIZE_MAX {
        let most = u64::from(chunk_size) * u64::from(CHUNKS_MAX);
        assert_eq!(Geometry::for_size(ByteCount(most)).unwrap().chunk_size(), chunk_size, "{most}");
        let more = Geometry::for_size(ByteCount(most + 1)).map(|geometry| geometry.chunk_size());
        let expected =
            if chunk_size == CHUNK_SIZE_MAX { Err(ManifestError::TooLarge(most + 1)) } else { Ok(2 * chunk_size) };
        assert_eq!(more, expected, "{most} and one byte");
        chunk_size *= 2;
    }
}

#[test]
fn only_powers_of_two_within_bounds_are_chunk_sizes() {
    for shift in 0..32 {
        let size = 1_u32 << shift;
        let is_good = (20..=24).contains(&shift);
        assert_eq!(Geometry::new(ByteCount(1), size).is_ok(), is_good, "{size}");
        assert_eq!(Geometry::new(ByteCount(1), size + 1), Err(ManifestError::ChunkSize(size + 1)));
    }
}

#[test]
fn a_manifest_needs_exactly_one_hash_for_each_chunk() {
    let geometry = Geometry::new(ByteCount(3 << 20), CHUNK_SIZE_MIN).unwrap();
    for got in 0..6 {
        let hashes = vec![ChunkHash([0; 32]); got];
        let made = Manifest::new(FileHash([1; 32]), geometry, hashes).map(|_| ());
        let expected = if got == 3 { Ok(()) } else { Err(ManifestError::ChunkCount { expected: 3, got }) };
        assert_eq!(made, expected, "{got} hashes");
    }
    for bytes in [0, 31, 33, 95, 97] {
        let made = Manifest::from_parts(FileHash([1; 32]), ByteCount(3 << 20), CHUNK_SIZE_MIN, &vec![0; bytes]);
        assert!(matches!(made, Err(ManifestError::ChunkCount { expected: 3, .. })), "{bytes} bytes");
    }
}

proptest! {
    #[test]
    fn chunks_cover_a_file_without_gaps(size in 0..=SIZE_MAX) {
        let geometry = Geometry::for_size(ByteCount(size)).unwrap();
        let count = geometry.chunk_count().0;
        prop_assert!(count <= CHUNKS_MAX);
        let mut end = 0;
        for index in (0..count).map(ChunkIndex) {
            prop_assert_eq!(geometry.offset(index), end);
            let len = geometry.chunk_len(index);
            let is_last = index.0 + 1 == count;
            let allowed = if is_last { 1..=geometry.chunk_size() } else { geometry.chunk_size()..=geometry.chunk_size() };
            prop_assert!(allowed.contains(&len), "chunk {} has {} bytes", index.0, len);
            end += u64::from(len);
        }
        prop_assert_eq!(end, size);
        for past in [count, count + 1, u32::MAX] {
            prop_assert_eq!(geometry.chunk_len(ChunkIndex(past)), 0);
        }
    }

    #[test]
    fn a_manifest_survives_its_stored_form(chunks in 0u32..20, short in 1u64..=1 << 20) {
        let size = (u64::from(chunks) << 20).saturating_sub(if chunks == 0 { 0 } else { (1 << 20) - short });
        let manifest = manifest(size, CHUNK_SIZE_MIN);
        let again = Manifest::from_parts(manifest.file_hash(), ByteCount(size), CHUNK_SIZE_MIN, &manifest.hash_bytes());
        prop_assert_eq!(again.as_ref(), Ok(&manifest));
        prop_assert_eq!(again.unwrap().id(), manifest.id());
    }

    #[test]
    fn an_unsized_file_becomes_the_sized_one_it_is(count in 1u32..50, last in 1usize..=1 << 20) {
        let unsized_shape = Shape::Unsized(V1Geometry::new(ChunkCount(count)).unwrap());
        let sized = unsized_shape.learn(ChunkIndex(count - 1), last).unwrap();
        let size = (u64::from(count - 1) << 20) + last as u64;
        prop_assert_eq!(sized, Shape::Sized(Geometry::new(ByteCount(size), CHUNK_SIZE_MIN).unwrap()));
        for index in (0..count).map(ChunkIndex) {
            prop_assert_eq!(sized.offset(index), unsized_shape.offset(index));
            let is_last = index.0 + 1 == count;
            let expected = if is_last { ChunkLen::Exactly(last as u32) } else { ChunkLen::Exactly(CHUNK_SIZE_MIN) };
            prop_assert_eq!(sized.chunk_len(index), expected);
        }
        prop_assert!(sized.learn(ChunkIndex(count - 1), last).is_ok(), "the same again is no news");
        prop_assert_eq!(sized.learn(ChunkIndex(count - 1), last + 1).is_ok(), false);
    }
}
