//! The resume journal: whatever became of its bytes, it never claims a chunk that was not recorded.

use peernet_engine::assembly::{Shape, V1Geometry};
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkIndex, FileHash};
use peernet_engine::journal::{Decoded, Identity, Writer, decode, resume};
use peernet_engine::manifest::Geometry;

/// Reads `data` as a journal; checks that cutting or damaging it only loses claims, and that a writer goes on behind it.
pub fn journal(data: &[u8]) {
    let Ok(decoded) = decode(data) else { return };
    let valid = &data[..decoded.valid_len as usize];
    assert_eq!(decode(valid).as_ref(), Ok(&decoded), "what is behind the valid part must not matter");
    for cut in cuts(valid.len()) {
        claims_no_more(&valid[..cut], &decoded);
    }
    for at in cuts(valid.len().saturating_sub(1)) {
        let mut damaged = valid.to_vec();
        damaged[at] ^= 1 << (at % 8);
        claims_no_more(&damaged, &decoded);
    }
    goes_on(valid, &decoded);
}

/// A few places in 0..=len, close together at the end, where the last records are.
fn cuts(len: usize) -> impl Iterator<Item = usize> {
    (0..24).map(move |i| if i < 12 { len * i / 12 } else { len.saturating_sub(i - 12) })
}

fn claims_no_more(bytes: &[u8], whole: &Decoded) {
    let Ok(part) = decode(bytes) else { return };
    assert_eq!(part.identity, whole.identity);
    assert!(is_subset(&part.held, &whole.held), "{part:?} claims more than {whole:?}");
}

fn is_subset(part: &Bitmap, whole: &Bitmap) -> bool {
    part.iter().all(|chunk| whole.contains(chunk))
}

fn goes_on(valid: &[u8], decoded: &Decoded) {
    let (again, mut writer) = resume(valid, &decoded.identity).expect("its own identity");
    assert_eq!((&again, writer.offset()), (decoded, decoded.valid_len));
    let Some(new) = decoded.held.missing().next() else { return };
    let grown = [valid, &writer.held([new])].concat();
    assert_eq!(writer.offset(), grown.len() as u64);
    let after = decode(&grown).expect("what was valid and a record of ours");
    let is_open_end = matches!(decoded.shape, Shape::Unsized(v1) if new == v1.last());
    assert_eq!(after.held.contains(new), !is_open_end);
    assert!(is_subset(&decoded.held, &after.held));
}

pub(super) fn examples() -> Vec<Vec<u8>> {
    let sized = Geometry::new(ByteCount((40 << 20) - 7), 1 << 20).expect("a valid geometry");
    let unsized_v1 = V1Geometry::new(ChunkCount(40)).expect("a valid count");
    [Shape::Sized(sized), Shape::Unsized(unsized_v1)].into_iter().flat_map(of_shape).collect()
}

fn of_shape(shape: Shape) -> [Vec<u8>; 3] {
    let identity = Identity { file_hash: FileHash([1; 32]), manifest: [2; 32], shape };
    let (mut writer, header) = Writer::create(&identity);
    let some = [header.clone(), writer.held([0, 1, 2, 9].map(ChunkIndex))].concat();
    let all = [some.clone(), writer.last_chunk_len((1 << 20) - 7), writer.held((0..40).map(ChunkIndex))].concat();
    [header, some, all]
}
