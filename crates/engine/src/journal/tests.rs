//! The journal survives tearing and damage, and never claims chunks that were not recorded.

use proptest::prelude::*;

use super::*;
use crate::assembly::V1Geometry;
use crate::bitmap::Bitmap;
use crate::ids::{ByteCount, ChunkCount, ChunkIndex};
use crate::manifest::Geometry;

const COUNT: u32 = 40;

fn sized() -> Identity {
    let geometry = Geometry::new(ByteCount((40 << 20) - 7), 1 << 20).expect("valid");
    Identity { file_hash: FileHash([1; 32]), manifest: [2; 32], shape: Shape::Sized(geometry) }
}

fn unsized_v1() -> Identity {
    Identity { shape: Shape::Unsized(V1Geometry::new(ChunkCount(COUNT)).expect("valid")), ..sized() }
}

fn journal(identity: &Identity, records: &[Vec<u32>]) -> Vec<u8> {
    let (mut writer, mut bytes) = Writer::create(identity);
    for record in records {
        bytes.extend(writer.held(record.iter().copied().map(ChunkIndex)));
        assert_eq!(writer.offset(), bytes.len() as u64);
    }
    bytes
}

fn held(bytes: &[u8]) -> Vec<u32> {
    decode(bytes).map(|decoded| decoded.held.iter().map(|chunk| chunk.0).collect()).unwrap_or_default()
}

fn any_records() -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(prop::collection::vec(0..COUNT, 0..12), 0..8)
}

#[test]
fn a_journal_that_goes_on_after_a_restart_says_it_all() {
    let mut bytes = journal(&sized(), &[vec![0, 1, 2, 7], vec![39]]);
    let torn = bytes.len() - 3;
    let (decoded, mut writer) = resume(&bytes[..torn], &sized()).expect("ours");
    assert_eq!(decoded.held.iter().map(|c| c.0).collect::<Vec<_>>(), [0, 1, 2, 7]);
    bytes.truncate(decoded.valid_len as usize);
    bytes.extend(writer.held([ChunkIndex(9)]));
    assert_eq!(held(&bytes), [0, 1, 2, 7, 9]);
}

#[test]
fn a_journal_of_another_file_is_refused() {
    let bytes = journal(&sized(), &[vec![1]]);
    let other_size = Geometry::new(ByteCount((40 << 20) - 8), 1 << 20).expect("valid");
    for other in [
        Identity { file_hash: FileHash([9; 32]), ..sized() },
        Identity { manifest: [9; 32], ..sized() },
        Identity { shape: Shape::Sized(other_size), ..sized() },
        unsized_v1(),
    ] {
        assert_eq!(resume(&bytes, &other).err(), Some(JournalError::OtherFile), "{other:?}");
    }
    assert!(resume(&bytes, &sized()).is_ok());
}

#[test]
fn foreign_bytes_differ_from_a_newer_journal() {
    let good = journal(&sized(), &[]);
    let mut newer = good.clone();
    newer[7] = b'2';
    for (bytes, error) in [
        (&b""[..], JournalError::NotAJournal),
        (&good[..good.len() - 1], JournalError::NotAJournal),
        (&[0; 200], JournalError::NotAJournal),
        (&newer, JournalError::Version),
    ] {
        assert_eq!(decode(bytes), Err(error));
    }
}

#[test]
fn the_last_chunk_of_an_unsized_file_needs_its_length() {
    let (mut writer, mut bytes) = Writer::create(&unsized_v1());
    bytes.extend(writer.held([ChunkIndex(0), ChunkIndex(39)]));
    assert_eq!(held(&bytes), [0]);
    bytes.extend(writer.last_chunk_len(77));
    let decoded = decode(&bytes).expect("a journal");
    assert_eq!(decoded.shape.size(), Some(ByteCount((39 << 20) + 77)));
    assert_eq!(held(&bytes), [0, 39]);
    let sound = bytes.len() as u64;
    bytes.extend(writer.last_chunk_len(78));
    assert_eq!(decode(&bytes).map(|decoded| decoded.valid_len), Ok(sound), "a contradiction ends it");
}

#[test]
fn a_record_does_not_pass_in_another_place_or_journal() {
    let one = journal(&sized(), &[vec![1]]);
    let record = &one[HEADER_LEN..];
    let mut twice = one.clone();
    twice.extend_from_slice(record);
    assert_eq!(decode(&twice).map(|decoded| decoded.valid_len), Ok(one.len() as u64));
    let mut other = journal(&Identity { manifest: [9; 32], ..sized() }, &[]);
    other.extend_from_slice(record);
    assert_eq!(held(&other), Vec::<u32>::new());
}

#[test]
fn many_scattered_chunks_take_several_records() {
    let geometry = Geometry::new(ByteCount(16_384 << 20), 1 << 20).expect("valid");
    let identity = Identity { shape: Shape::Sized(geometry), ..sized() };
    let odd: Vec<u32> = (0..16_384).filter(|i| i % 2 == 1).collect();
    assert_eq!(held(&journal(&identity, std::slice::from_ref(&odd))), odd);
}

proptest! {
    #[test]
    fn records_round_trip(records in any_records()) {
        let mut expected = Bitmap::empty(ChunkCount(COUNT));
        records.iter().flatten().for_each(|chunk| { expected.insert(ChunkIndex(*chunk)); });
        let bytes = journal(&sized(), &records);
        let decoded = decode(&bytes).expect("a journal");
        prop_assert_eq!((decoded.held, decoded.valid_len), (expected, bytes.len() as u64));
    }

    #[test]
    fn a_prefix_never_claims_more(records in any_records(), cut in any::<prop::sample::Index>()) {
        let bytes = journal(&sized(), &records);
        let prefix = &bytes[..cut.index(bytes.len() + 1)];
        let whole = held(&bytes);
        prop_assert!(held(prefix).iter().all(|chunk| whole.contains(chunk)));
        if let Ok(decoded) = decode(prefix) {
            prop_assert!(decoded.valid_len <= prefix.len() as u64);
            prop_assert_eq!(held(&prefix[..decoded.valid_len as usize]), held(prefix));
        }
    }

    #[test]
    fn damage_never_claims_more(
        records in any_records(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
    ) {
        let mut bytes = journal(&sized(), &records);
        let whole = held(&bytes);
        for (at, mask) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
        }
        prop_assert!(held(&bytes).iter().all(|chunk| whole.contains(chunk)));
    }

    #[test]
    fn anything_is_read_without_panic(tail in prop::collection::vec(any::<u8>(), 0..300), with_header in any::<bool>()) {
        let mut bytes = if with_header { journal(&sized(), &[]) } else { Vec::new() };
        bytes.extend(tail);
        prop_assert_eq!(held(&bytes), Vec::<u32>::new());
    }
}
