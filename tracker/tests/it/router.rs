//! Replies of the router to calls that do not exist, wrong methods, large bodies and hostile paths, over a real connection.

use serde_json::json;

use crate::support::{Client, for_both_stores, for_sqlite};

#[test]
fn unknown_calls_are_404_and_wrong_methods_405() {
    for_sqlite(|tracker| {
        let client = Client::new(&tracker.url());
        for path in ["/", "/nothing", "/api/v1", "/api/v1/peers", "/metrics", "/api/v1/files/a/b/c", "/../etc/passwd"] {
            assert_eq!(client.get(path).error(), (404, "not_found".to_owned()), "{path}");
        }
        let wrong = client.call("DELETE", "/api/v1/peers/register", b"");
        assert_eq!(wrong.error(), (405, "method_not_allowed".to_owned()));
        assert_eq!(wrong.header("Allow"), Some("POST"));
        assert_eq!(client.get("/api/v1/files/%ff").error(), (400, "bad_path".to_owned()));
    });
}

#[test]
fn double_slashes_and_any_content_type_are_accepted() {
    for_sqlite(|tracker| {
        let client = Client::new(&format!("{}/", tracker.url()));
        assert_eq!(client.get("/health").json(), json!({"status": "UP"}));
        assert_eq!(client.call("POST", "/api/v1/peers/register", br#"{"address":"h:1","password":"x"}"#).status, 201);
    });
}

#[test]
fn a_head_request_has_a_get_s_head_and_no_body() {
    for_sqlite(|tracker| {
        let client = Client::new(&tracker.url());
        let get = client.get("/health");
        let head = client.call("HEAD", "/health", b"");
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("Content-Length"), get.header("Content-Length"));
    });
}

#[test]
fn a_body_past_its_call_s_limit_is_413() {
    for_sqlite(|tracker| {
        let client = Client::new(&tracker.url());
        let (_, caller) = client.register("x");
        for (path, limit) in [("/api/v1/peers/login", 64 << 10), ("/api/v1/peers/feedback/batch", 1 << 20)] {
            let within = caller.call("POST", path, " ".repeat(limit).as_bytes());
            assert_eq!(within.error(), (400, "malformed_json".to_owned()), "{path}");
            assert_eq!(caller.call("POST", path, " ".repeat(limit + 1).as_bytes()).status, 413, "{path}");
        }
    });
}

#[test]
fn the_tracker_tells_about_itself() {
    for_both_stores(|tracker| {
        let client = Client::new(&tracker.url());
        assert_eq!((client.get("/health").status, client.get("/health").json()), (200, json!({"status": "UP"})));
        assert_eq!((client.get("/ready").status, client.get("/ready").json()), (200, json!({"status": "READY"})));
        let keys = client.get("/.well-known/jwks.json").json();
        assert_eq!(
            (keys["keys"][0]["crv"].as_str(), keys["keys"][0]["alg"].as_str()),
            (Some("Ed25519"), Some("EdDSA"))
        );
        let stats = client.get("/api/v1/stats").json();
        assert!(stats["requests"].as_u64().unwrap() >= 4 && stats["connections_open"].as_u64().unwrap() >= 1);
        assert_eq!(client.get("/api/v1/openapi.json").json()["openapi"], "3.1.0");
    });
}

#[test]
fn published_keys_check_a_token_offline() {
    for_sqlite(|tracker| {
        let client = Client::new(&tracker.url());
        let body = client.post("/api/v1/peers/register", &json!({"protocol": 2, "password": "x"})).json();
        let keys =
            serde_json::from_value::<jsonwebtoken::jwk::JwkSet>(client.get("/.well-known/jwks.json").json()).unwrap();
        let token = body["token"].as_str().unwrap();
        let header = jsonwebtoken::decode_header(token).unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
        let validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
        let claims = peernet_protos::tokens::decode::<peernet_protos::claims::AccessClaims>(token, &key, &validation)
            .unwrap()
            .claims;
        assert_eq!((Some(claims.sub.as_str()), claims.generation), (body["peer_id"].as_str(), 0));
    });
}
