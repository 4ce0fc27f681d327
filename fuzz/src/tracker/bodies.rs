//! The bodies of REST calls: JSON to wire types, wire types to valid ones.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use peernet_engine::ids::{ManifestId, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::{CHUNKS_MAX, FILE_NAME_BYTES_MAX};
use peernet_protos::rest::{
    AnnounceChunkRequest, FeedbackBatchRequest, FeedbackEntry, FeedbackRequest, Have, LoginRequest, LookupV1Reply,
    ManifestBody, PasswordRequest, PlanReply, RegisterRequest, SearchReply, SignatureRequest, SignaturesReply,
    SwarmAnnounceRequest, SwarmLeaveRequest, TokenRefreshRequest,
};
use peernet_tracker::api::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::texts;

/// Any JSON, read as every body there is: it prints and reads the same, and what the tracker then believes of it is within
/// every bound.
pub fn rest_body(data: &[u8]) {
    same::<RegisterRequest>(data);
    same::<LoginRequest>(data);
    same::<PasswordRequest>(data);
    same::<TokenRefreshRequest>(data);
    same::<SwarmLeaveRequest>(data);
    same::<SearchReply>(data);
    same::<SignaturesReply>(data);
    same::<AnnounceChunkRequest>(data).iter().for_each(announced_chunk);
    same::<ManifestBody>(data).iter().for_each(manifest);
    same::<SignatureRequest>(data).iter().for_each(signature);
    same::<Have>(data).iter().for_each(have);
    same::<FeedbackRequest>(data).iter().for_each(report);
    same::<FeedbackEntry>(data).iter().for_each(report_entry);
    for entry in same::<FeedbackBatchRequest>(data).iter().flat_map(|batch| &batch.events) {
        report_entry(entry);
    }
    for file in same::<SwarmAnnounceRequest>(data).iter().flat_map(|announce| &announce.files) {
        have(&file.have);
    }
    // Scores are decimal numbers: printing and reading them again may move the last bit.
    let _ = serde_json::from_slice::<PlanReply>(data).map(|reply| serde_json::to_vec(&reply).expect("prints"));
    let _ = serde_json::from_slice::<LookupV1Reply>(data).map(|reply| serde_json::to_vec(&reply).expect("prints"));
}

fn same<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(data: &[u8]) -> Option<T> {
    let body: T = serde_json::from_slice(data).ok()?;
    let printed = serde_json::to_vec(&body).expect("a body prints");
    assert_eq!(serde_json::from_slice::<T>(&printed).expect("what was printed is read"), body);
    Some(body)
}

fn announced_chunk(body: &AnnounceChunkRequest) {
    let Ok(chunk) = wire::v1_chunk(UnixMillis(0), PeerId([7; 16]), body) else { return };
    assert!(chunk.index < chunk.total_chunks && chunk.total_chunks <= CHUNKS_MAX);
    assert_eq!((i64::from(chunk.index), i64::from(chunk.total_chunks)), (body.chunk_index, body.total_chunks));
    assert_eq!(
        (chunk.file_hash.to_string(), chunk.chunk_hash.to_string()),
        (body.file_hash.clone(), body.chunk_hash.clone())
    );
    plain_name(&chunk.file_name);
}

fn plain_name(name: &str) {
    assert!(name.len() <= FILE_NAME_BYTES_MAX && !name.contains(|c: char| matches!(c, '/' | '\\') || c.is_control()));
    assert!(!matches!(name, "." | ".."));
}

fn manifest(body: &ManifestBody) {
    let Ok((manifest, name)) = wire::manifest(body) else { return };
    plain_name(&name);
    assert_eq!(BASE64.encode(&manifest.hash_bytes()), body.chunk_hashes);
    assert_eq!((manifest.geometry().size().0, manifest.geometry().chunk_size()), (body.size, body.chunk_size));
    assert_eq!(manifest.file_hash().to_string(), body.file_hash);
}

fn signature(body: &SignatureRequest) {
    let verified = |peer| wire::signature(PeerId([peer; 16]), ManifestId([9; 32]), body);
    let Ok((key, signature)) = verified(7) else { return };
    let written = (BASE64URL_NOPAD.encode(&key), BASE64URL_NOPAD.encode(&signature));
    assert_eq!(written, (body.key.clone(), body.signature.clone()), "there is one way to write it");
    assert!(verified(8).is_err(), "it is good for one account");
}

fn have(body: &Have) {
    for chunks in [0, 1, 10, 40] {
        let Ok(held) = wire::held(body, chunks) else { continue };
        assert_eq!(wire::held(&wire::have(&held), chunks).ok(), Some(held));
    }
}

fn report(body: &FeedbackRequest) {
    let Ok(report) = wire::report(body) else { return };
    assert_eq!(
        (report.target.to_string(), report.file_hash.to_string()),
        (body.target_peer_id.clone(), body.file_hash.clone())
    );
    assert!(matches!(report.chunks[..], [chunk] if i64::from(chunk.0) == body.chunk_index && chunk.0 < CHUNKS_MAX));
}

fn report_entry(entry: &FeedbackEntry) {
    let Ok(report) = wire::report_entry(entry) else { return };
    let named: u64 = entry.chunks.iter().map(|(_, count)| u64::from(*count)).sum();
    assert!(named == report.chunks.len() as u64 && named > 0);
    let distinct: std::collections::BTreeSet<_> = report.chunks.iter().collect();
    assert!(distinct.len() == report.chunks.len() && distinct.iter().all(|chunk| chunk.0 < CHUNKS_MAX));
}

pub(super) fn examples() -> Vec<Vec<u8>> {
    let hash = "0123456789abcdef".repeat(4);
    let peer = "123e4567-e89b-42d3-a456-426614174000";
    let chunk_hash = BASE64.encode(&[5; 32]);
    texts(&[
        r#"{"address":"127.0.0.1:50051","password":"secret"}"#,
        r#"{"protocol":2,"password":"secret"}"#,
        &format!(r#"{{"peer_id":"{peer}","password":"secret"}}"#),
        r#"{"old_password":"a","new_password":"b"}"#,
        &format!(
            r#"{{"file_hash":"{hash}","file_name":"dir/x","total_chunks":3,"chunk_index":2,"chunk_hash":"{hash}"}}"#
        ),
        &format!(
            r#"{{"file_hash":"{hash}","file_name":"x","size":7,"chunk_size":1048576,"chunk_hashes":"{chunk_hash}"}}"#
        ),
        // Signed for the account and the manifest of `signature`.
        r#"{"key":"A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg","signature":"EZTv3l8sHOFetG8GxpybL65wgN3MTr8f1eH_KP9-evhF8nqbIoLkRJ2he2HygkSOe3SjKoI7AGHq7joAV622Bg"}"#,
        &format!(
            r#"{{"signatures":[{{"peer_id":"{peer}","key":"a","signature":"b","signed_at":1800000000}}],"total":3}}"#
        ),
        r#""complete""#,
        r#"{"bitmap":"/8A="}"#,
        &format!(r#"{{"target_peer_id":"{peer}","file_hash":"{hash}","chunk_index":7,"event_type":"SUCCESS_UPLOAD"}}"#),
        &format!(
            r#"{{"events":[{{"target_peer_id":"{peer}","file_hash":"{hash}","chunks":[[0,5],[7,1]],"event_type":"FAILED_UPLOAD"}}]}}"#
        ),
        &format!(
            r#"{{"address":"0.0.0.0:1","site":"a","files":[{{"file_hash":"{hash}","manifest_id":"{hash}","have":{{"bitmap":"gA=="}}}}]}}"#
        ),
        &format!(r#"{{"files":["{hash}"]}}"#),
        &format!(
            r#"{{"chunks":{{"0":{{"chunk_hash":"{hash}","peers":[{{"id":"{peer}","address":"a:1","reputation_score":0.5}}]}}}}}}"#
        ),
    ])
}
