//! Bodies of requests: accepted forms and the code of each refusal, beside the tests of `wire`.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkCount, ChunkIndex, FileHash, PeerId};
use peernet_engine::plan::Held;
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::CHUNKS_MAX;
use peernet_protos::rest::{
    AnnounceChunkRequest, FAILED_UPLOAD, FeedbackEntry, FeedbackRequest, Have, ManifestBody, SUCCESS_UPLOAD,
    SwarmAnnounceRequest,
};

use super::ApiError;
use super::wire::{
    Report, Verdict, announced_address, file_hash, file_name, have, held, location, manifest, manifest_id, report,
    report_entry, site, v1_chunk,
};
use crate::domain::swarm::V1Chunk;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const PEER: PeerId = PeerId([7; 16]);
const MIB: u64 = 1 << 20;

fn hash(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// The status and code of a refusal.
#[track_caller]
fn refusal<T: std::fmt::Debug>(result: Result<T, ApiError>) -> (u16, &'static str) {
    let error = result.expect_err("it must be refused");
    assert!(!error.message.is_empty() && !error.message.ends_with('.'), "{error}");
    (error.status, error.code)
}

#[test]
fn hashes_are_64_lower_case_digits() {
    assert_eq!(file_hash(&hash('a')).map(|hash| hash.0), Ok([0xaa; 32]));
    assert_eq!(manifest_id(&hash('b')).map(|id| id.0), Ok([0xbb; 32]));
    for bad in
        ["", "a", &hash('A'), &hash('g'), &hash('a')[1..], &format!("{}0", hash('a')), &format!(" {}", hash('a'))]
    {
        assert_eq!(refusal(file_hash(bad)), (400, "invalid_file_hash"), "{bad}");
        assert_eq!(refusal(manifest_id(bad)), (400, "invalid_manifest_id"), "{bad}");
    }
}

fn chunk(change: impl FnOnce(&mut AnnounceChunkRequest)) -> Result<V1Chunk, ApiError> {
    let mut body = AnnounceChunkRequest {
        file_hash: hash('a'),
        file_name: "a.bin".to_owned(),
        total_chunks: 4,
        chunk_index: 3,
        chunk_hash: hash('c'),
    };
    change(&mut body);
    v1_chunk(NOW, PEER, &body)
}

fn manifest_body(size: u64, chunk_size: u32, hashes: usize) -> ManifestBody {
    ManifestBody {
        file_hash: hash('a'),
        file_name: "a.bin".to_owned(),
        size,
        chunk_size,
        chunk_hashes: BASE64.encode(&vec![1; 32 * hashes]),
    }
}

#[test]
fn a_manifest_has_a_hash_for_each_chunk() {
    let mib = MIB as u32;
    for (size, chunk_size, hashes) in
        [(0, mib, 0), (1, mib, 1), (MIB, mib, 1), (MIB + 1, mib, 2), (3 * MIB, 2 * mib, 2)]
    {
        let (found, name) = manifest(&manifest_body(size, chunk_size, hashes)).expect("well-formed");
        assert_eq!(found.geometry().chunk_count().0 as usize, hashes, "{size} {chunk_size}");
        assert_eq!(name, "a.bin");
    }
    for (size, chunk_size, hashes) in [
        (1, mib, 0),
        (1, mib, 2),
        (MIB + 1, mib, 1),
        (1, 0, 1),
        (1, mib - 1, 1),
        (1, mib / 2, 1),
        (1, 32 * mib, 1),
        (u64::MAX, mib, 1),
    ] {
        let found = manifest(&manifest_body(size, chunk_size, hashes));
        assert_eq!(refusal(found), (422, "invalid_manifest"), "{size} {chunk_size} {hashes}");
    }
}

#[test]
fn chunk_hashes_are_padded_base64() {
    let with = |chunk_hashes: &str| {
        manifest(&ManifestBody { chunk_hashes: chunk_hashes.to_owned(), ..manifest_body(1, MIB as u32, 1) })
    };
    let good = BASE64.encode(&[1; 32]);
    assert!(with(&good).is_ok());
    let unpadded = good.trim_end_matches('=').to_owned();
    let spaced = format!("{good}\n");
    for bad in ["%", unpadded.as_str(), spaced.as_str(), "", &BASE64.encode(&[1; 31]), &BASE64.encode(&[1; 33])] {
        assert_eq!(refusal(with(bad)), (422, "invalid_manifest"), "{bad:?}");
    }
    let name = manifest(&ManifestBody { file_name: "a/b".to_owned(), ..manifest_body(1, MIB as u32, 1) });
    assert_eq!(refusal(name), (400, "invalid_file_name"));
}

#[test]
fn held_chunks_round_trip_through_the_wire() {
    for (chunks, set) in [(1, &[][..]), (8, &[0, 7]), (9, &[8]), (10, &[0, 1, 2])] {
        let mut bitmap = Bitmap::empty(ChunkCount(chunks));
        set.iter().for_each(|index| assert!(bitmap.insert(ChunkIndex(*index))));
        let sent = have(&Held::of(bitmap));
        assert_eq!(have(&held(&sent, chunks).expect("well-formed")), sent);
    }
    assert_eq!(held(&Have::Complete, 3), Ok(Held::Complete));
    assert_eq!(have(&Held::Complete), Have::Complete);
    let full = Have::Bitmap(BASE64.encode(&[0xe0]));
    assert_eq!(held(&full, 3), Ok(Held::Complete), "a full bitmap is complete");
}

#[test]
fn bitmaps_have_one_bit_for_each_chunk() {
    let encode = |bytes: &[u8]| Have::Bitmap(BASE64.encode(bytes));
    for (sent, chunks) in [
        (encode(&[]), 1),
        (encode(&[0x80, 0]), 8),
        (encode(&[0x80]), 9),
        (encode(&[0xf0]), 3),
        (Have::Bitmap("gA".to_owned()), 1),
        (Have::Bitmap("gA==\n".to_owned()), 1),
        (Have::Bitmap("_w==".to_owned()), 8),
    ] {
        assert_eq!(refusal(held(&sent, chunks)), (422, "invalid_bitmap"), "{sent:?} of {chunks}");
    }
    assert_eq!(held(&encode(&[]), 0), Ok(Held::Complete), "an empty file is complete");
}

fn announce(transport: Option<&str>, plaintext: Option<&str>) -> SwarmAnnounceRequest {
    SwarmAnnounceRequest {
        address: "0.0.0.0:5".to_owned(),
        transport: transport.map(str::to_owned),
        plaintext_address: plaintext.map(str::to_owned),
        ..SwarmAnnounceRequest::default()
    }
}

fn feedback(index: i64, event: &str) -> FeedbackRequest {
    FeedbackRequest {
        target_peer_id: PEER.to_string(),
        file_hash: hash('a'),
        chunk_index: index,
        event_type: event.to_owned(),
    }
}

#[test]
fn a_version_1_report_names_one_chunk() {
    for (event, expected) in [(SUCCESS_UPLOAD, Verdict::Success), (FAILED_UPLOAD, Verdict::Failure)] {
        let found = report(&feedback(7, event)).expect("well-formed");
        let chunks = vec![ChunkIndex(7)];
        assert_eq!(found, Report { target: PEER, file_hash: FileHash([0xaa; 32]), chunks, verdict: expected });
    }
    for event in ["", "success_upload", "SUCCESS", "SUCCESS_UPLOAD "] {
        assert_eq!(refusal(report(&feedback(0, event))), (400, "invalid_event_type"), "{event}");
    }
    for index in [-1, i64::from(CHUNKS_MAX), i64::MAX] {
        assert_eq!(refusal(report(&feedback(index, SUCCESS_UPLOAD))), (400, "invalid_chunk_index"), "{index}");
    }
    let stranger = FeedbackRequest { target_peer_id: "someone".to_owned(), ..feedback(0, SUCCESS_UPLOAD) };
    assert_eq!(refusal(report(&stranger)), (400, "invalid_peer_id"));
    let other = FeedbackRequest { file_hash: hash('A'), ..feedback(0, SUCCESS_UPLOAD) };
    assert_eq!(refusal(report(&other)), (400, "invalid_file_hash"));
}

fn entry(chunks: &[(u32, u32)]) -> Result<Vec<u32>, ApiError> {
    let entry = FeedbackEntry {
        target_peer_id: PEER.to_string(),
        file_hash: hash('a'),
        chunks: chunks.to_vec(),
        event_type: SUCCESS_UPLOAD.to_owned(),
    };
    report_entry(&entry).map(|report| report.chunks.iter().map(|chunk| chunk.0).collect())
}

#[test]
fn refusals_of_bodies_have_distinct_codes() {
    let codes: BTreeSet<&str> = [
        refusal(file_hash("")),
        refusal(manifest_id("")),
        refusal(chunk(|body| body.total_chunks = 0)),
        refusal(chunk(|body| body.chunk_index = -1)),
        refusal(chunk(|body| body.chunk_hash.clear())),
        refusal(file_name(".")),
        refusal(manifest(&manifest_body(1, 0, 1))),
        refusal(held(&Have::Bitmap(String::new()), 1)),
        refusal(announced_address("", None)),
        refusal(location(&announce(Some("x"), None), None)),
        refusal(site(Some("\0"))),
        refusal(report(&feedback(0, ""))),
        refusal(entry(&[])),
    ]
    .map(|(_, code)| code)
    .into();
    assert_eq!(codes.len(), 13, "{codes:?}");
}
