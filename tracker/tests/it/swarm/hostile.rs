//! Malformed requests get a clear 4xx and change nothing.

use serde_json::{Value, json};

use super::client::{File, Peer, on_both};

/// `base` with one field replaced, or taken out where `value` is null.
fn with(base: &Value, field: &str, value: &Value) -> Value {
    let mut body = base.clone();
    let fields = body.as_object_mut().unwrap();
    match value {
        Value::Null => drop(fields.remove(field)),
        value => drop(fields.insert(field.to_owned(), value.clone())),
    }
    body
}

fn check(peer: &Peer, path: &str, base: &Value, cases: &[(&str, Value, u16, &str)]) {
    for (field, value, status, code) in cases {
        let body = with(base, field, value);
        let (got, answer) = if path.contains("/manifests/") { peer.put(path, &body) } else { peer.post(path, &body) };
        assert_eq!((got, answer["code"].as_str()), (*status, Some(*code)), "{path} {field} = {value}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|text| !text.is_empty()));
    }
}

#[test]
fn announces_of_chunks() {
    on_both(|api| {
        let peer = api.peer(1);
        let caller = api.peer(2);
        let file = File::new(0xab, 1);
        let base = file.chunk_body(0);
        let hash = "invalid_file_hash";
        check(
            &peer,
            "/api/v1/files/announce",
            &base,
            &[
                ("file_hash", json!(file.hash.to_uppercase()), 400, hash),
                ("file_hash", json!("../../etc/passwd"), 400, hash),
                ("file_hash", json!(""), 400, hash),
                ("file_hash", json!(7), 400, "invalid_body"),
                ("file_hash", Value::Null, 400, "invalid_body"),
                ("chunk_hash", json!("zz"), 400, "invalid_chunk_hash"),
                ("chunk_hash", json!("AB".repeat(32)), 400, "invalid_chunk_hash"),
                ("total_chunks", json!(0), 400, "invalid_total_chunks"),
                ("total_chunks", json!(-1), 400, "invalid_total_chunks"),
                ("total_chunks", json!(16_385), 400, "invalid_total_chunks"),
                ("total_chunks", json!(i64::MAX), 400, "invalid_total_chunks"),
                ("total_chunks", json!(1.5), 400, "invalid_body"),
                ("total_chunks", json!(1e30), 400, "invalid_body"),
                ("chunk_index", json!(-1), 400, "invalid_chunk_index"),
                ("chunk_index", json!(1), 400, "invalid_chunk_index"),
                ("chunk_index", json!(i64::MIN), 400, "invalid_chunk_index"),
                ("chunk_index", json!("0"), 400, "invalid_body"),
                ("file_name", json!("a\u{0}b"), 400, "invalid_file_name"),
                ("file_name", json!("n".repeat(256)), 400, "invalid_file_name"),
                ("file_name", json!(".."), 400, "invalid_file_name"),
            ],
        );
        assert!(caller.lookup(&file).is_empty());
        assert_eq!(peer.me()["files_shared"], 0);
        let (status, _) = caller.get(&format!("/api/v1/files/{}", file.hash));
        assert_eq!(status, 404);
    });
}

#[test]
fn manifests_and_swarm_announces() {
    on_both(|api| {
        let peer = api.peer(1);
        let file = File::new(1, 9);
        let id = file.manifest().id().to_string();
        let path = format!("/api/v1/manifests/{id}");
        let base = file.manifest_body();
        check(
            &peer,
            &path,
            &base,
            &[
                ("size", json!(1), 422, "invalid_manifest"),
                ("size", json!(-1), 400, "invalid_body"),
                ("size", json!(u64::MAX), 422, "invalid_manifest"),
                ("chunk_size", json!(1_000_000), 422, "invalid_manifest"),
                ("chunk_size", json!(0), 422, "invalid_manifest"),
                ("chunk_hashes", json!("AAAA"), 422, "invalid_manifest"),
                ("chunk_hashes", json!("!"), 422, "invalid_manifest"),
                ("file_name", json!("a/b"), 400, "invalid_file_name"),
                ("file_hash", json!("22".repeat(32)), 422, "manifest_id_mismatch"),
            ],
        );
        assert_eq!(peer.put("/api/v1/manifests/xyz", &base).1["code"], "invalid_manifest_id");
        assert_eq!(peer.get(&path).0, 404, "nothing was stored");
        assert_eq!(peer.put(&path, &base).0, 201);
        let files = |have: Value| json!([{"file_hash": file.hash, "manifest_id": id, "have": have}]);
        let other = json!([{"file_hash": "ee".repeat(32), "manifest_id": id, "have": "complete"}]);
        let many: Vec<Value> = vec![files(json!("complete"))[0].clone(); 1_001];
        let announce = json!({"address": "10.0.0.1:1", "files": files(json!("complete"))});
        check(
            &peer,
            "/api/v1/swarm/announce",
            &announce,
            &[
                ("address", json!("unix:///tmp/x"), 400, "invalid_address"),
                ("address", json!("dns:///x:1"), 400, "invalid_address"),
                ("address", json!("10.0.0.1"), 400, "invalid_address"),
                ("site", json!("s".repeat(65)), 400, "invalid_site"),
                ("files", files(json!({"bitmap": "AAAAAA=="})), 422, "invalid_bitmap"),
                ("files", files(json!({"bitmap": "//8="})), 422, "invalid_bitmap"),
                ("files", files(json!({"bitmap": "?"})), 422, "invalid_bitmap"),
                ("files", files(json!("most")), 400, "invalid_body"),
                ("files", other, 400, "manifest_mismatch"),
                ("files", json!(many), 400, "too_many_files"),
            ],
        );
        check(&peer, "/api/v1/swarm/leave", &json!({}), &[("files", json!(["x"]), 400, "invalid_file_hash")]);
        assert_eq!(peer.me()["files_shared"], 0);
    });
}

#[test]
fn feedback() {
    on_both(|api| {
        let peer = api.peer(1);
        let target = api.peer(2);
        let file = File::new(1, 3);
        let base = json!({
            "target_peer_id": target.id, "file_hash": file.hash, "chunk_index": 0, "event_type": "SUCCESS_UPLOAD",
        });
        let unknown = "00000000-0000-4000-8000-000000000000";
        check(
            &peer,
            "/api/v1/peers/feedback",
            &base,
            &[
                ("target_peer_id", json!("me"), 400, "invalid_peer_id"),
                ("target_peer_id", json!(unknown), 404, "unknown_peer"),
                ("file_hash", json!("x"), 400, "invalid_file_hash"),
                ("chunk_index", json!(-1), 400, "invalid_chunk_index"),
                ("chunk_index", json!(16_384), 400, "invalid_chunk_index"),
                ("chunk_index", json!(i64::MAX), 400, "invalid_chunk_index"),
                ("event_type", json!("GIFT"), 400, "invalid_event_type"),
                ("event_type", Value::Null, 400, "invalid_body"),
            ],
        );
        let entry = |field: &str, value: Value| {
            let entry = json!({
                "target_peer_id": target.id, "file_hash": file.hash, "chunks": [[0, 1]], "event_type": "SUCCESS_UPLOAD",
            });
            json!([with(&entry, field, &value)])
        };
        let whole: Vec<Value> = vec![entry("chunks", json!([[0, 16_384]]))[0].clone(); 5];
        let many: Vec<Value> = vec![entry("x", json!(0))[0].clone(); 1_001];
        let runs: Vec<(u32, u32)> = (0..1_025).map(|n| (n * 2, 1)).collect();
        check(
            &peer,
            "/api/v1/peers/feedback/batch",
            &json!({"events": []}),
            &[
                ("events", entry("chunks", json!([])), 422, "invalid_chunks"),
                ("events", entry("chunks", json!([[0, 0]])), 422, "invalid_chunks"),
                ("events", entry("chunks", json!([[16_384, 1]])), 422, "invalid_chunks"),
                ("events", entry("chunks", json!([[u32::MAX, u32::MAX]])), 422, "invalid_chunks"),
                ("events", entry("chunks", json!([[0, 2], [1, 1]])), 422, "invalid_chunks"),
                ("events", entry("chunks", json!(runs)), 422, "invalid_chunks"),
                ("events", entry("target_peer_id", json!(unknown)), 404, "unknown_peer"),
                ("events", json!(whole), 413, "too_many_events"),
                ("events", json!(many), 413, "too_many_events"),
            ],
        );
    });
}
