//! The refusals of every call, over a real connection: status and code for each kind of mistake.

use serde_json::{Value, json};

use crate::support::{Client, for_sqlite};

const OTHER: &str = "123e4567-e89b-42d3-a456-426614174000";

fn hash(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// Every call that needs a token, with a path that exists.
fn calls_with_token() -> Vec<(&'static str, String)> {
    let file = hash('a');
    [
        ("GET", "/api/v1/revocations".to_owned()),
        ("POST", "/api/v1/peers/password".to_owned()),
        ("POST", "/api/v1/peers/certificate".to_owned()),
        ("GET", "/api/v1/devices".to_owned()),
        ("DELETE", format!("/api/v1/devices/{OTHER}")),
        ("POST", "/api/v1/peers/refresh".to_owned()),
        ("GET", "/api/v1/peers/me".to_owned()),
        ("POST", "/api/v1/peers/feedback".to_owned()),
        ("POST", "/api/v1/peers/feedback/batch".to_owned()),
        ("POST", "/api/v1/files/announce".to_owned()),
        ("GET", format!("/api/v1/files/lookup/{file}")),
        ("GET", format!("/api/v1/files/{file}")),
        ("DELETE", format!("/api/v1/files/{file}")),
        ("GET", format!("/api/v1/files/{file}/access")),
        ("PUT", format!("/api/v1/files/{file}/access")),
        ("POST", "/api/v1/grants".to_owned()),
        ("GET", "/api/v1/groups".to_owned()),
        ("GET", "/api/v1/groups/lab".to_owned()),
        ("PUT", "/api/v1/groups/lab".to_owned()),
        ("DELETE", "/api/v1/groups/lab".to_owned()),
        ("GET", "/api/v1/files?name=a".to_owned()),
        ("PUT", format!("/api/v1/manifests/{file}")),
        ("GET", format!("/api/v1/manifests/{file}")),
        ("PUT", format!("/api/v1/manifests/{file}/signature")),
        ("GET", format!("/api/v1/manifests/{file}/signatures")),
        ("POST", "/api/v1/swarm/announce".to_owned()),
        ("POST", "/api/v1/swarm/leave".to_owned()),
    ]
    .into()
}

#[test]
fn calls_without_a_token_are_refused_before_their_body_is_read() {
    for_sqlite(|tracker| {
        let client = Client::new(&tracker.url());
        for (method, path) in calls_with_token() {
            let answer = client.call(method, &path, b"{not json");
            assert_eq!(answer.error(), (401, "authorization_required".to_owned()), "{method} {path}");
            assert_eq!(answer.header("WWW-Authenticate"), Some("Bearer"), "{method} {path}");
        }
        for (header, code) in [
            ("Basic abc", "authorization_format"),
            ("Bearer", "authorization_format"),
            ("Bearer a b", "authorization_format"),
            ("Bearer abc", "invalid_token"),
            ("bearer e30.e30.e30", "invalid_token"),
        ] {
            let answer = client.with_authorization(header).get("/api/v1/peers/me");
            assert_eq!(answer.error(), (401, code.to_owned()), "{header}");
        }
    });
}

#[test]
fn bodies_that_are_not_json_objects_are_refused_by_every_call() {
    for_sqlite(|tracker| {
        let (_, caller) = Client::new(&tracker.url()).register("x");
        let with_body = calls_with_token();
        // This call renews a token, and reads no body.
        let reads_body =
            |(method, path): &&(&str, String)| matches!(*method, "POST" | "PUT") && !path.ends_with("/refresh");
        let mut tried = 0;
        for (method, path) in with_body.iter().filter(reads_body) {
            for (body, code) in
                [("", "malformed_json"), ("{", "malformed_json"), ("[]", "invalid_body"), ("7", "invalid_body")]
            {
                // Leaving without a body means every file.
                if body.is_empty() && path.ends_with("/leave") {
                    continue;
                }
                let answer = caller.call(method, path, body.as_bytes());
                assert_eq!(answer.error(), (400, code.to_owned()), "{method} {path} {body:?}");
            }
            tried += 1;
        }
        assert!(tried >= 12, "{tried} calls read a body");
    });
}

#[test]
fn names_in_paths_are_checked_by_every_call() {
    for_sqlite(|tracker| {
        let (_, caller) = Client::new(&tracker.url()).register("x");
        let access = json!({"access": "public"});
        let none = Value::Null;
        for (method, path, body, code) in [
            ("GET", "/api/v1/files/lookup/xyz", &none, "invalid_file_hash"),
            ("GET", "/api/v1/files/xyz", &none, "invalid_file_hash"),
            ("DELETE", "/api/v1/files/xyz", &none, "invalid_file_hash"),
            ("GET", "/api/v1/files/xyz/access", &none, "invalid_file_hash"),
            ("PUT", "/api/v1/files/xyz/access", &access, "invalid_file_hash"),
            ("GET", "/api/v1/manifests/xyz", &none, "invalid_manifest_id"),
            ("GET", "/api/v1/manifests/xyz/signatures", &none, "invalid_manifest_id"),
            ("DELETE", "/api/v1/devices/xyz", &none, "invalid_device_id"),
            ("GET", "/api/v1/files/%zz", &none, "bad_path"),
            ("GET", "/api/v1/files?name=%zz", &none, "bad_query"),
        ] {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let answer = caller.call(method, path, body.as_bytes());
            assert_eq!(answer.error(), (400, code.to_owned()), "{method} {path}");
        }
    });
}

#[test]
fn unknown_things_are_404() {
    for_sqlite(|tracker| {
        let (_, caller) = Client::new(&tracker.url()).register("x");
        let file = hash('a');
        for (method, path, body, code) in [
            ("GET", format!("/api/v1/files/{file}"), Value::Null, "unknown_file"),
            ("DELETE", format!("/api/v1/files/{file}"), Value::Null, "unknown_file"),
            ("GET", format!("/api/v1/files/{file}/access"), Value::Null, "unknown_file"),
            ("POST", "/api/v1/grants".to_owned(), json!({"file_hash": file}), "unknown_file"),
            ("GET", format!("/api/v1/manifests/{file}"), Value::Null, "unknown_manifest"),
            ("GET", format!("/api/v1/manifests/{file}/signatures"), Value::Null, "unknown_manifest"),
            ("DELETE", format!("/api/v1/devices/{OTHER}"), Value::Null, "unknown_device"),
            ("GET", "/api/v1/groups/lab".to_owned(), Value::Null, "unknown_group"),
            ("DELETE", "/api/v1/groups/lab".to_owned(), Value::Null, "unknown_group"),
        ] {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let answer = caller.call(method, &path, body.as_bytes());
            assert_eq!(answer.error(), (404, code.to_owned()), "{method} {path}");
        }
        // Version 1 expects an empty listing instead.
        let lookup = caller.get(&format!("/api/v1/files/lookup/{file}"));
        assert_eq!((lookup.status, lookup.json()), (200, json!({"chunks": {}})));
    });
}

#[test]
fn fields_of_accounts_are_checked_one_by_one() {
    for_sqlite(|tracker| {
        let client = Client::new(&tracker.url());
        let long = "x".repeat(73);
        for (path, body, status, code) in [
            ("register", json!({"protocol": 2}), 400, "invalid_body"),
            ("register", json!({"password": "x"}), 400, "invalid_body"),
            ("register", json!({"protocol": 2, "password": ""}), 400, "invalid_password"),
            ("register", json!({"protocol": 2, "password": long}), 400, "invalid_password"),
            ("register", json!({"protocol": 2, "password": "a\u{0}b"}), 400, "invalid_password"),
            ("register", json!({"address": "nowhere", "password": "x"}), 400, "invalid_address"),
            ("register", json!({"protocol": 2, "password": "x", "csr": "no"}), 422, "invalid_csr"),
            ("register", json!({"protocol": 2, "password": "x", "device": {"label": ""}}), 422, "invalid_label"),
            (
                "register",
                json!({"protocol": 2, "password": "x", "device": {"label": "l", "scopes": ["fly"]}}),
                422,
                "invalid_scope",
            ),
            ("login", json!({"password": "x"}), 400, "invalid_body"),
            ("login", json!({"peer_id": "someone", "password": "x"}), 400, "invalid_peer_id"),
            ("login", json!({"peer_id": OTHER, "password": "x"}), 401, "invalid_credentials"),
            ("login", json!({"address": "host:1", "password": "x"}), 401, "invalid_credentials"),
        ] {
            let answer = client.post(&format!("/api/v1/peers/{path}"), &body);
            assert_eq!(answer.error(), (status, code.to_owned()), "{path} {body}");
        }
        let refresh = client.post("/api/v1/tokens/refresh", &json!({"refresh_token": "none"}));
        assert_eq!(refresh.error(), (401, "invalid_refresh_token".to_owned()));
    });
}

#[test]
fn fields_of_announces_and_reports_are_checked_one_by_one() {
    for_sqlite(|tracker| {
        let (_, caller) = Client::new(&tracker.url()).register("x");
        let file = hash('a');
        let announced =
            |address: &str, transport: &str| json!({"address": address, "transport": transport, "files": []});
        let report = |target: &str, file: &str, event: &str| json!({"target_peer_id": target, "file_hash": file, "chunk_index": 0, "event_type": event});
        let batch = |chunks: Value| {
            json!({"events": [
                {"target_peer_id": OTHER, "file_hash": hash('a'), "chunks": chunks, "event_type": "SUCCESS_UPLOAD"},
            ]})
        };
        for (path, body, status, code) in [
            ("swarm/announce", announced("nowhere", "grpc"), 400, "invalid_address"),
            ("swarm/announce", announced("10.0.0.1:5", "smtp"), 400, "invalid_transport"),
            (
                "swarm/announce",
                json!({"address": "10.0.0.1:5", "site": "x".repeat(65), "files": []}),
                400,
                "invalid_site",
            ),
            (
                "swarm/announce",
                json!({"address": "10.0.0.1:5", "files": [
                    {"file_hash": "x", "manifest_id": file, "have": "complete"},
                ]}),
                400,
                "invalid_file_hash",
            ),
            (
                "swarm/announce",
                json!({"address": "10.0.0.1:5", "files": [
                    {"file_hash": file, "manifest_id": "x", "have": "complete"},
                ]}),
                400,
                "invalid_manifest_id",
            ),
            ("swarm/leave", json!({"files": ["x"]}), 400, "invalid_file_hash"),
            ("peers/feedback", report("someone", &file, "SUCCESS_UPLOAD"), 400, "invalid_peer_id"),
            ("peers/feedback", report(OTHER, "x", "SUCCESS_UPLOAD"), 400, "invalid_file_hash"),
            ("peers/feedback", report(OTHER, &file, "PRAISE"), 400, "invalid_event_type"),
            ("peers/feedback/batch", batch(json!([])), 422, "invalid_chunks"),
            ("peers/feedback/batch", batch(json!([[0, 0]])), 422, "invalid_chunks"),
            ("peers/feedback/batch", batch(json!([[0, 2], [1, 1]])), 422, "invalid_chunks"),
            ("peers/feedback/batch", batch(json!([[16_384, 1]])), 422, "invalid_chunks"),
            ("peers/feedback/batch", batch(json!([[0]])), 400, "invalid_body"),
            ("grants", json!({"file_hash": "x"}), 400, "invalid_file_hash"),
            ("grants", json!({"file_hash": file, "more": ["x"]}), 400, "invalid_file_hash"),
        ] {
            let answer = caller.post(&format!("/api/v1/{path}"), &body);
            assert_eq!(answer.error(), (status, code.to_owned()), "{path} {body}");
        }
    });
}

#[test]
fn a_device_may_do_only_what_its_scopes_say() {
    for_sqlite(|tracker| {
        let client = Client::new(&tracker.url());
        let token_with = |scopes: Value| {
            let body = json!({"protocol": 2, "password": "x", "device": {"label": "l", "scopes": scopes}});
            let reply = client.post("/api/v1/peers/register", &body);
            assert_eq!(reply.status, 201, "{reply:?}");
            client.with_token(reply.json()["token"].as_str().unwrap())
        };
        let refused = (403, "insufficient_scope".to_owned());
        let reader = token_with(json!(["read"]));
        let sharer = token_with(json!(["share"]));
        let admin = token_with(json!(["admin"]));
        let leave = json!({});
        assert_eq!(reader.get("/api/v1/peers/me").status, 200);
        assert_eq!(reader.post("/api/v1/swarm/leave", &leave).error(), refused);
        assert_eq!(reader.get("/api/v1/groups").error(), refused);
        assert_eq!(sharer.post("/api/v1/swarm/leave", &leave).status, 200);
        assert_eq!(sharer.get("/api/v1/peers/me").error(), refused);
        assert_eq!(sharer.get("/api/v1/groups").error(), refused);
        assert_eq!(admin.get("/api/v1/groups").status, 200);
        assert_eq!(admin.get("/api/v1/peers/me").error(), refused);
        assert_eq!(admin.post("/api/v1/swarm/leave", &leave).error(), refused);
        for device in [&reader, &sharer, &admin] {
            assert_eq!(device.get("/api/v1/devices").status, 200, "every device may list the devices of its account");
        }
    });
}
