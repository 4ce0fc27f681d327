//! The JSON form of every REST body. Other programs depend on these names, on absent fields, and on the forms of numbers:
//! a change of an expected text here is a change of the wire.
// Clippy knows functions marked #[test] only, not what they share.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Debug;

use peernet_protos::rest::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json, to_value};

const FILE: &str = "00000000000000000000000000000000000000000000000000000000000000f1";
const MANIFEST: &str = "000000000000000000000000000000000000000000000000000000000000ab12";
const PEER: &str = "123e4567-e89b-42d3-a456-426614174000";
const OTHER: &str = "223e4567-e89b-42d3-a456-426614174000";

/// Compares a body with its JSON, in both directions.
#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(body: &T, expected: Value) {
    assert_eq!(to_value(body).unwrap(), expected);
    assert_eq!(from_value::<T>(expected).unwrap(), *body);
}

/// Reads JSON that another version of the program sends.
#[track_caller]
fn reads<T: DeserializeOwned + PartialEq + Debug>(sent: Value, expected: &T) {
    assert_eq!(from_value::<T>(sent.clone()).unwrap(), *expected, "{sent}");
}

/// Returns whether JSON is a body of this type at all.
fn is_body<T: DeserializeOwned>(sent: Value) -> bool {
    from_value::<T>(sent).is_ok()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().copied().map(str::to_owned).collect()
}

fn device() -> DeviceRequest {
    DeviceRequest { label: text("laptop"), scopes: texts(&["read", "share"]) }
}

#[test]
fn errors_carry_a_sentence_and_a_word() {
    let body = ErrorBody { error: text("no such file"), code: text("unknown_file"), request_id: None };
    check(&body, json!({"error": "no such file", "code": "unknown_file"}));
    let body = ErrorBody { request_id: Some(text("7f3a")), ..body };
    check(&body, json!({"error": "no such file", "code": "unknown_file", "request_id": "7f3a"}));
    // Version 1's servers send no code.
    let old = ErrorBody { error: text("Peer not found"), code: String::new(), request_id: None };
    reads(json!({"error": "Peer not found"}), &old);
    assert!(!is_body::<ErrorBody>(json!({"code": "unknown_file"})));
}

#[test]
fn registration_keeps_version_1_s_two_fields() {
    let old = RegisterRequest {
        address: Some(text("10.0.0.1:50051")),
        password: Some(text("secret")),
        ..RegisterRequest::default()
    };
    check(&old, json!({"address": "10.0.0.1:50051", "password": "secret"}));
    let new = RegisterRequest {
        protocol: Some(2),
        invite: Some(text("ABCD")),
        csr: Some(text("-----BEGIN")),
        device: Some(device()),
        ..old
    };
    let expected = json!({
        "address": "10.0.0.1:50051",
        "password": "secret",
        "protocol": 2,
        "invite": "ABCD",
        "csr": "-----BEGIN",
        "device": {"label": "laptop", "scopes": ["read", "share"]},
    });
    check(&new, expected);
    check(&RegisterRequest::default(), json!({}));
    reads(json!({"unknown": [1, 2], "password": null}), &RegisterRequest::default());
}

#[test]
fn a_device_without_scopes_may_do_everything() {
    check(&DeviceRequest { label: text("server"), scopes: Vec::new() }, json!({"label": "server"}));
    assert!(!is_body::<DeviceRequest>(json!({"scopes": ["read"]})), "a device has a label");
}

#[test]
fn logins_name_an_id_or_an_address() {
    let by_id = LoginRequest { peer_id: Some(text(PEER)), password: text("secret"), ..LoginRequest::default() };
    check(&by_id, json!({"peer_id": PEER, "password": "secret"}));
    let by_address =
        LoginRequest { address: Some(text("host:1")), password: text("secret"), ..LoginRequest::default() };
    check(&by_address, json!({"address": "host:1", "password": "secret"}));
    assert!(!is_body::<LoginRequest>(json!({"peer_id": PEER})), "a login has a password");
}

#[test]
fn token_replies_grow_beyond_version_1_s_two_fields() {
    let old = TokenReply { peer_id: text(PEER), token: text("ey"), ..TokenReply::default() };
    reads(json!({"peer_id": PEER, "token": "ey"}), &old);
    check(&old, json!({"peer_id": PEER, "token": "ey", "expires_at": 0}));
    let certificate = CertificateBody { certificate: text("C"), authorities: text("A"), expires_at: 30 };
    let new = TokenReply {
        expires_at: 10,
        certificate: Some(certificate),
        device_id: Some(text(OTHER)),
        refresh_token: Some(text("r")),
        refresh_expires_at: Some(20),
        ..old
    };
    let expected = json!({
        "peer_id": PEER,
        "token": "ey",
        "expires_at": 10,
        "certificate": {"certificate": "C", "authorities": "A", "expires_at": 30},
        "device_id": OTHER,
        "refresh_token": "r",
        "refresh_expires_at": 20,
    });
    check(&new, expected);
}

#[test]
fn secrets_do_not_appear_in_debug_texts() {
    let secret = "s3cr3t-t0ken";
    let reply = TokenReply {
        peer_id: text(PEER),
        token: text(secret),
        refresh_token: Some(text(secret)),
        ..TokenReply::default()
    };
    let refresh = TokenRefreshRequest { refresh_token: text(secret), csr: None };
    let grant = GrantReply { grant: text(secret), expires_at: 5, renew_in_seconds: 2 };
    for shown in [format!("{reply:?}"), format!("{refresh:?}"), format!("{grant:?}")] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(format!("{reply:?}").contains(PEER), "the account is no secret");
}

#[test]
fn refresh_requests_carry_only_the_token() {
    check(&TokenRefreshRequest { refresh_token: text("r"), csr: None }, json!({"refresh_token": "r"}));
    let with_key = TokenRefreshRequest { refresh_token: text("r"), csr: Some(text("P")) };
    check(&with_key, json!({"refresh_token": "r", "csr": "P"}));
}

#[test]
fn devices_are_listed_with_their_times() {
    let body = DeviceBody {
        device_id: text(OTHER),
        label: text("laptop"),
        scopes: texts(&["read"]),
        created_at: 1,
        seen_at: 2,
        current: true,
    };
    let expected = json!({
        "devices": [{
            "device_id": OTHER,
            "label": "laptop",
            "scopes": ["read"],
            "created_at": 1,
            "seen_at": 2,
            "current": true,
        }],
    });
    check(&DevicesReply { devices: vec![body] }, expected);
}

#[test]
fn certificates_and_authorities_are_pem_texts() {
    check(&CertificateRequest { csr: text("P") }, json!({"csr": "P"}));
    let authority = AuthorityReply { fingerprint: text("5a1f"), certificates: text("PEM") };
    check(&authority, json!({"fingerprint": "5a1f", "certificates": "PEM"}));
}

#[test]
fn revocations_of_older_trackers_name_no_devices() {
    let expected = RevocationsReply { accounts: texts(&[PEER]), devices: Vec::new(), ask_again_seconds: 20 };
    reads(json!({"accounts": [PEER], "ask_again_seconds": 20}), &expected);
    check(&expected, json!({"accounts": [PEER], "devices": [], "ask_again_seconds": 20}));
}

#[test]
fn a_change_of_password_may_introduce_a_device() {
    let plain = PasswordRequest { old_password: text("a"), new_password: text("b"), device: None };
    check(&plain, json!({"old_password": "a", "new_password": "b"}));
    let with_device = PasswordRequest { device: Some(device()), ..plain };
    let shown = json!({"label": "laptop", "scopes": ["read", "share"]});
    check(&with_device, json!({"old_password": "a", "new_password": "b", "device": shown}));
}

#[test]
fn an_account_sees_tokens_whole_and_in_milli_tokens() {
    let me = MeReply {
        peer_id: text(PEER),
        address: None,
        reputation_score: 0.55,
        established: false,
        token_balance: 18,
        token_balance_mt: 18_999,
        escrow_mt: 1,
        files_shared: 3,
        created_at: 9,
    };
    let expected = json!({
        "peer_id": PEER,
        "address": null,
        "reputation_score": 0.55,
        "established": false,
        "token_balance": 18,
        "token_balance_mt": 18_999,
        "escrow_mt": 1,
        "files_shared": 3,
        "created_at": 9,
    });
    check(&me, expected);
}

#[test]
fn version_1_announces_a_chunk_at_a_time() {
    let body = AnnounceChunkRequest {
        file_hash: text(FILE),
        file_name: text("a.bin"),
        total_chunks: 4,
        chunk_index: 2,
        chunk_hash: text(MANIFEST),
    };
    let expected = json!({
        "file_hash": FILE,
        "file_name": "a.bin",
        "total_chunks": 4,
        "chunk_index": 2,
        "chunk_hash": MANIFEST,
    });
    check(&body, expected);
    let least = AnnounceChunkRequest { file_name: String::new(), chunk_index: 0, ..body };
    reads(json!({"file_hash": FILE, "total_chunks": 4, "chunk_hash": MANIFEST}), &least);
    check(&StatusReply { status: text("announced") }, json!({"status": "announced"}));
}

#[test]
fn version_1_lookups_have_chunk_numbers_as_keys() {
    let peer = LookupV1Peer { id: text(PEER), address: text("10.0.0.1:50051"), reputation_score: 0.5 };
    let chunk = LookupV1Chunk { chunk_hash: text(FILE), peers: vec![peer] };
    let reply = LookupV1Reply { chunks: BTreeMap::from([(0, chunk)]) };
    let peers = json!([{"id": PEER, "address": "10.0.0.1:50051", "reputation_score": 0.5}]);
    check(&reply, json!({"chunks": {"0": {"chunk_hash": FILE, "peers": peers}}}));
    check(&LookupV1Reply::default(), json!({"chunks": {}}));
}

#[test]
fn version_1_feedback_names_one_chunk() {
    let body = FeedbackRequest {
        target_peer_id: text(OTHER),
        file_hash: text(FILE),
        chunk_index: 7,
        event_type: text(SUCCESS_UPLOAD),
    };
    let expected =
        json!({"target_peer_id": OTHER, "file_hash": FILE, "chunk_index": 7, "event_type": "SUCCESS_UPLOAD"});
    check(&body, expected);
    assert_eq!(FAILED_UPLOAD, "FAILED_UPLOAD");
}

#[test]
fn batches_of_feedback_name_runs_of_chunks() {
    let entry = FeedbackEntry {
        target_peer_id: text(OTHER),
        file_hash: text(FILE),
        chunks: vec![(0, 64), (70, 2)],
        event_type: text(FAILED_UPLOAD),
    };
    let expected = json!({
        "events": [{
            "target_peer_id": OTHER,
            "file_hash": FILE,
            "chunks": [[0, 64], [70, 2]],
            "event_type": "FAILED_UPLOAD",
        }],
    });
    check(&FeedbackBatchRequest { events: vec![entry] }, expected);
    let reply = FeedbackBatchReply { status: text("feedback received"), received: 66 };
    check(&reply, json!({"status": "feedback received", "received": 66}));
}

fn manifest() -> ManifestBody {
    ManifestBody {
        file_hash: text(FILE),
        file_name: text("a.bin"),
        size: 5_000_000_000,
        chunk_size: 1 << 20,
        chunk_hashes: text("AAAA"),
    }
}

#[test]
fn a_manifest_stands_beside_its_id() {
    let mut expected = json!({
        "file_hash": FILE,
        "file_name": "a.bin",
        "size": 5_000_000_000_u64,
        "chunk_size": 1_048_576,
        "chunk_hashes": "AAAA",
    });
    check(&manifest(), expected.clone());
    expected["manifest_id"] = json!(MANIFEST);
    check(&ManifestReplyBody { manifest_id: text(MANIFEST), manifest: manifest() }, expected);
}

#[test]
fn whole_numbers_may_be_written_with_a_point() {
    let sent = |size: Value| {
        json!({
            "file_hash": FILE,
            "file_name": "a.bin",
            "size": size,
            "chunk_size": 1_048_576.0,
            "chunk_hashes": "AAAA",
        })
    };
    reads(sent(json!(5_000_000_000.0)), &manifest());
    for bad in [json!(1.5), json!(-1), json!("5"), json!(null), json!(1e300), json!([5])] {
        assert!(!is_body::<ManifestBody>(sent(bad.clone())), "{bad}");
    }
    let register = RegisterRequest { protocol: Some(2), ..RegisterRequest::default() };
    reads(json!({"protocol": 2.0}), &register);
    assert!(!is_body::<RegisterRequest>(json!({"protocol": 2.5})));
}

#[test]
fn signatures_are_listed_with_their_number() {
    check(&SignatureRequest { key: text("k"), signature: text("s") }, json!({"key": "k", "signature": "s"}));
    let body = SignatureBody { peer_id: text(PEER), key: text("k"), signature: text("s"), signed_at: 5 };
    let expected = json!({
        "signatures": [{"peer_id": PEER, "key": "k", "signature": "s", "signed_at": 5}],
        "total": 1,
    });
    check(&SignaturesReply { signatures: vec![body], total: 1 }, expected);
}

#[test]
fn held_chunks_are_a_word_or_a_bitmap() {
    check(&Have::Complete, json!("complete"));
    check(&Have::Bitmap(text("gA==")), json!({"bitmap": "gA=="}));
    for bad in [json!("Complete"), json!("bitmap"), json!({"bitmap": 1}), json!({"complete": true}), json!(null)] {
        assert!(!is_body::<Have>(bad.clone()), "{bad}");
    }
}

#[test]
fn an_announce_names_address_and_files() {
    let file = SwarmFile { file_hash: text(FILE), manifest_id: text(MANIFEST), have: Have::Complete };
    let least =
        SwarmAnnounceRequest { address: text("0.0.0.0:50051"), files: vec![file], ..SwarmAnnounceRequest::default() };
    let files = json!([{"file_hash": FILE, "manifest_id": MANIFEST, "have": "complete"}]);
    check(&least, json!({"address": "0.0.0.0:50051", "files": files}));
    let full = SwarmAnnounceRequest {
        transport: Some(text(GRPC_TLS)),
        plaintext_address: Some(text("0.0.0.0:50052")),
        site: Some(text("lab")),
        ..least
    };
    let expected = json!({
        "address": "0.0.0.0:50051",
        "transport": "grpc-tls",
        "plaintext_address": "0.0.0.0:50052",
        "site": "lab",
        "files": files,
    });
    check(&full, expected);
    assert_eq!((GRPC, GRPC_V1), ("grpc", "grpc-v1"));
}

#[test]
fn replies_to_announces_name_only_files_with_restrictions() {
    let plain = SwarmAnnounceReply {
        status: text("announced"),
        lease_seconds: 300,
        renew_in_seconds: 120,
        unknown_manifests: Vec::new(),
        withdrawn: Vec::new(),
        restricted: Vec::new(),
    };
    let mut expected = json!({
        "status": "announced",
        "lease_seconds": 300,
        "renew_in_seconds": 120,
        "unknown_manifests": [],
    });
    check(&plain, expected.clone());
    let full = SwarmAnnounceReply {
        unknown_manifests: texts(&[MANIFEST]),
        withdrawn: texts(&[FILE]),
        restricted: texts(&[FILE]),
        ..plain
    };
    expected["unknown_manifests"] = json!([MANIFEST]);
    expected["withdrawn"] = json!([FILE]);
    expected["restricted"] = json!([FILE]);
    check(&full, expected);
}

#[test]
fn leaving_without_a_list_means_every_file() {
    check(&SwarmLeaveRequest { files: None }, json!({}));
    check(&SwarmLeaveRequest { files: Some(Vec::new()) }, json!({"files": []}));
    check(&SwarmLeaveRequest { files: Some(texts(&[FILE])) }, json!({"files": [FILE]}));
    check(&SwarmLeaveReply { status: text("left"), left: 2 }, json!({"status": "left", "left": 2}));
}

fn plan() -> PlanReply {
    let source = PlanSource {
        peer_id: text(OTHER),
        addresses: texts(&["10.0.0.1:1", "relay:2"]),
        transport: text(GRPC_TLS),
        reputation_score: 0.75,
        have: Have::Bitmap(text("gA==")),
    };
    let manifest = PlanManifest {
        manifest_id: text(MANIFEST),
        size: 10,
        chunk_size: 1 << 20,
        sources: vec![source],
        kept: Vec::new(),
    };
    PlanReply {
        file_hash: text(FILE),
        file_name: text("a.bin"),
        access: text(ACCESS_PUBLIC),
        base: None,
        gone: Vec::new(),
        manifests: vec![manifest],
        v1_listed: true,
        ticket: Some(TicketBody { id: text("t"), escrow_mt: 5, expires_at: 6 }),
        ask_again_seconds: 5,
    }
}

fn plan_json() -> Value {
    json!({
        "file_hash": FILE,
        "file_name": "a.bin",
        "access": "public",
        "manifests": [{
            "manifest_id": MANIFEST,
            "size": 10,
            "chunk_size": 1_048_576,
            "sources": [{
                "peer_id": OTHER,
                "addresses": ["10.0.0.1:1", "relay:2"],
                "transport": "grpc-tls",
                "reputation_score": 0.75,
                "have": {"bitmap": "gA=="},
            }],
        }],
        "v1_listed": true,
        "ticket": {"id": "t", "escrow_mt": 5, "expires_at": 6},
        "ask_again_seconds": 5,
    })
}

#[test]
fn a_plan_names_sources_by_manifest() {
    check(&plan(), plan_json());
    let mut without_ticket = plan_json();
    without_ticket["ticket"] = Value::Null;
    check(&PlanReply { ticket: None, ..plan() }, without_ticket);
}

#[test]
fn a_delta_names_its_base_and_changes_only() {
    let mut delta = PlanReply { base: Some(text("\"7\"")), gone: texts(&[PEER]), ..plan() };
    delta.manifests[0].kept = texts(&[OTHER]);
    delta.manifests[0].sources.clear();
    let mut expected = plan_json();
    expected["base"] = json!("\"7\"");
    expected["gone"] = json!([PEER]);
    expected["manifests"][0]["sources"] = json!([]);
    expected["manifests"][0]["kept"] = json!([OTHER]);
    check(&delta, expected);
}

#[test]
fn plans_of_older_trackers_have_no_access() {
    let mut old = plan_json();
    old.as_object_mut().unwrap().remove("access");
    reads(old, &PlanReply { access: String::new(), ..plan() });
}

#[test]
fn a_search_ends_without_a_next_page() {
    let hit = SearchFile {
        file_hash: text(FILE),
        file_name: text("a.bin"),
        size: Some(10),
        manifest_id: Some(text(MANIFEST)),
        sources: 2,
        created_at: 3,
    };
    let old = SearchFile { size: None, manifest_id: None, ..hit.clone() };
    let mut expected = json!({
        "files": [
            {
                "file_hash": FILE,
                "file_name": "a.bin",
                "size": 10,
                "manifest_id": MANIFEST,
                "sources": 2,
                "created_at": 3,
            },
            {
                "file_hash": FILE,
                "file_name": "a.bin",
                "size": null,
                "manifest_id": null,
                "sources": 2,
                "created_at": 3,
            },
        ],
    });
    let reply = SearchReply { files: vec![hit, old], next: None };
    check(&reply, expected.clone());
    expected["next"] = json!("cursor");
    check(&SearchReply { next: Some(text("cursor")), ..reply }, expected);
}

#[test]
fn a_grant_may_cover_several_files() {
    check(&GrantRequest { file_hash: text(FILE), more: Vec::new() }, json!({"file_hash": FILE}));
    let both = GrantRequest { file_hash: text(FILE), more: texts(&[MANIFEST]) };
    check(&both, json!({"file_hash": FILE, "more": [MANIFEST]}));
    let reply = GrantReply { grant: text("ey"), expires_at: 9, renew_in_seconds: 4 };
    check(&reply, json!({"grant": "ey", "expires_at": 9, "renew_in_seconds": 4}));
}

#[test]
fn access_names_accounts_and_groups() {
    let private = FileAccessRequest { access: text(ACCESS_PRIVATE), ..FileAccessRequest::default() };
    check(&private, json!({"access": "private"}));
    let shared = FileAccessRequest { access: text(ACCESS_SHARED), accounts: texts(&[PEER]), groups: texts(&["lab"]) };
    check(&shared, json!({"access": "shared", "accounts": [PEER], "groups": ["lab"]}));
    let reply = FileAccessReply {
        file_hash: text(FILE),
        owner: text(PEER),
        access: text(ACCESS_WITHDRAWN),
        accounts: Vec::new(),
        groups: Vec::new(),
    };
    let expected = json!({"file_hash": FILE, "owner": PEER, "access": "withdrawn", "accounts": [], "groups": []});
    check(&reply, expected);
}

#[test]
fn groups_are_listed_with_the_number_of_members() {
    check(&GroupRequest { members: texts(&[PEER]) }, json!({"members": [PEER]}));
    check(&GroupReply { name: text("lab"), members: texts(&[PEER]) }, json!({"name": "lab", "members": [PEER]}));
    let summary = GroupSummary { name: text("lab"), members: 1 };
    check(&GroupsReply { groups: vec![summary] }, json!({"groups": [{"name": "lab", "members": 1}]}));
}
