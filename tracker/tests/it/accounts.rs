//! The REST contract of accounts, against both stores.

use std::collections::BTreeSet;

use peernet_protos::rest::{MeReply, TokenReply};
use peernet_tracker::Tracker;
use serde_json::{Value, json};

use crate::support::{Answer, Client, for_both_stores, for_sqlite};

const REGISTER: &str = "/api/v1/peers/register";
const LOGIN: &str = "/api/v1/peers/login";
const PASSWORD: &str = "/api/v1/peers/password";
const REFRESH: &str = "/api/v1/peers/refresh";
const ME: &str = "/api/v1/peers/me";

fn token(answer: &Answer) -> TokenReply {
    serde_json::from_value(answer.json()).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

fn client(tracker: &Tracker) -> Client {
    Client::new(&tracker.url())
}

#[test]
fn an_account_registers_logs_in_and_sees_itself() {
    for_both_stores(|tracker| {
        let client = client(tracker);
        let answer = client.post(REGISTER, &json!({"address": "10.0.0.7:50051", "password": "s3cret"}));
        assert_eq!(answer.status, 201);
        let made = token(&answer);
        let me: MeReply = serde_json::from_value(client.with_token(&made.token).get(ME).json()).unwrap();
        assert_eq!((me.peer_id.as_str(), me.address.as_deref()), (made.peer_id.as_str(), Some("10.0.0.7:50051")));
        assert_eq!((me.reputation_score, me.established, me.files_shared), (0.5, false, 0));
        assert_eq!((me.token_balance, me.token_balance_mt, me.escrow_mt), (20, 20_000, 0));
        for login in [
            json!({"peer_id": made.peer_id, "password": "s3cret"}),
            json!({"address": "10.0.0.7:50051", "password": "s3cret"}),
        ] {
            let answer = client.post(LOGIN, &login);
            assert_eq!(answer.status, 200, "{answer:?}");
            let again = token(&answer);
            assert_eq!(again.peer_id, made.peer_id);
            assert!(again.expires_at > me.created_at && answer.header("Cache-Control") == Some("no-store"));
            assert_eq!(client.with_token(&again.token).get(ME).status, 200);
        }
    });
}

#[test]
fn a_registered_address_logs_in_or_conflicts() {
    for_both_stores(|tracker| {
        let client = client(tracker);
        let (id, _) = client.register_at("peer-1:50051", "right");
        let register = |body: Value| client.post(REGISTER, &body);
        let version_1 = register(json!({"address": "peer-1:50051", "password": "right"}));
        assert_eq!((version_1.status, token(&version_1).peer_id), (201, id.clone()));
        let version_2 = register(json!({"address": "PEER-1:50051", "password": "right", "protocol": 2}));
        assert_eq!((version_2.status, token(&version_2).peer_id), (200, id));
        let other = register(json!({"address": "peer-1:50051", "password": "wrong"}));
        assert_eq!(other.error(), (409, "address_taken".to_owned()));
        let first = client.register("a").0;
        let second = client.register("a").0;
        assert_ne!(first, second, "without an address every registration is an account of its own");
    });
}

#[test]
fn one_address_registered_by_many_at_once_is_one_account() {
    for_both_stores(|tracker| {
        let client = client(tracker);
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let register = || client.post(REGISTER, &json!({"address": "h:1", "password": "same"}));
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(register)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let ids: BTreeSet<String> = answers.iter().map(|answer| token(answer).peer_id).collect();
        assert_eq!(ids.len(), 1, "{answers:?}");
    });
}

#[test]
fn malformed_registrations_are_400_and_leave_no_trace() {
    for_both_stores(|tracker| {
        let client = client(tracker);
        let long = "x".repeat(73);
        let cases = [
            ("", "malformed_json"),
            ("{", "malformed_json"),
            ("\u{0}", "malformed_json"),
            ("[]", "invalid_body"),
            ("7", "invalid_body"),
            ("{}", "invalid_body"),
            (r#"{"address":"h:1"}"#, "invalid_body"),
            (r#"{"password":"x"}"#, "invalid_body"),
            (r#"{"address":"","password":"x"}"#, "invalid_body"),
            (r#"{"address":null,"password":"x"}"#, "invalid_body"),
            (r#"{"address":7,"password":"x"}"#, "invalid_body"),
            (r#"{"address":"h:1","password":7}"#, "invalid_body"),
            (r#"{"address":"h:1","password":"x","protocol":-1}"#, "invalid_body"),
            (r#"{"address":"h:1","password":"x","password":"y"}"#, "invalid_body"),
            (r#"{"address":"h:1","password":""}"#, "invalid_password"),
            (r#"{"address":"h:1","password":"a\u0000b"}"#, "invalid_password"),
            (&format!(r#"{{"address":"h:1","password":"{long}"}}"#), "invalid_password"),
            (r#"{"address":"h","password":"x"}"#, "invalid_address"),
            (r#"{"address":"h:0","password":"x"}"#, "invalid_address"),
            (r#"{"address":"h:65536","password":"x"}"#, "invalid_address"),
            (r#"{"address":"unix:///tmp/x","password":"x"}"#, "invalid_address"),
            (r#"{"address":"dns:///h:1","password":"x"}"#, "invalid_address"),
            (r#"{"address":"unix:h:1","password":"x","protocol":2}"#, "invalid_address"),
            (r#"{"address":"'; DROP TABLE accounts;--:1","password":"x"}"#, "invalid_address"),
        ];
        for (body, code) in cases {
            let answer = client.call("POST", REGISTER, body.as_bytes());
            assert_eq!(answer.error(), (400, code.to_owned()), "{body}");
        }
        let invalid_utf8 = client.call("POST", REGISTER, b"{\"address\":\"\xff:1\",\"password\":\"x\"}");
        assert_eq!(invalid_utf8.status, 400);
        assert_eq!(client.post(LOGIN, &json!({"address": "h:1", "password": "x"})).status, 401, "nothing was made");
    });
}

#[test]
fn a_login_answers_wrong_and_unknown_alike() {
    for_both_stores(|tracker| {
        let client = client(tracker);
        let (id, _) = client.register_at("h:1", "right");
        let unknown = "123e4567-e89b-42d3-a456-426614174000";
        let answers: Vec<Answer> = [
            json!({"peer_id": id, "password": "wrong"}),
            json!({"peer_id": id, "password": "x".repeat(100)}),
            json!({"peer_id": unknown, "password": "right"}),
            json!({"address": "h:2", "password": "right"}),
        ]
        .iter()
        .map(|body| client.post(LOGIN, body))
        .collect();
        for answer in &answers {
            assert_eq!(answer.error(), (401, "invalid_credentials".to_owned()));
            assert_eq!(answer.body, answers[0].body);
        }
        for (body, code) in [
            (json!({"password": "right"}), "invalid_body"),
            (json!({"peer_id": id, "address": "h:1", "password": "right"}), "invalid_body"),
            (json!({"peer_id": id}), "invalid_body"),
            (json!({"peer_id": "me", "password": "right"}), "invalid_peer_id"),
            (json!({"address": "unix:/x", "password": "right"}), "invalid_address"),
        ] {
            assert_eq!(client.post(LOGIN, &body).error(), (400, code.to_owned()), "{body}");
        }
    });
}

#[test]
fn a_new_password_ends_every_earlier_token() {
    for_both_stores(|tracker| {
        let client = client(tracker);
        let (id, old) = client.register("first");
        let other_device =
            client.with_token(&token(&client.post(LOGIN, &json!({"peer_id": id, "password": "first"}))).token);
        let change = |old_password: &str, new_password: &str| {
            old.post(PASSWORD, &json!({"old_password": old_password, "new_password": new_password}))
        };
        assert_eq!(change("wrong", "second").error(), (403, "wrong_password".to_owned()));
        assert_eq!(change("first", "").error(), (400, "invalid_password".to_owned()));
        assert_eq!(change("first", &"x".repeat(73)).error(), (400, "invalid_password".to_owned()));
        assert_eq!(other_device.get(ME).status, 200, "nothing has changed yet");
        let answer = change("first", "second");
        assert_eq!(answer.status, 200);
        for ended in [&old, &other_device] {
            let refusal = ended.get(ME);
            assert_eq!(refusal.error(), (401, "invalid_token".to_owned()));
            assert_eq!(refusal.json()["error"], "Invalid token");
        }
        assert_eq!(client.with_token(&token(&answer).token).get(ME).status, 200);
        assert_eq!(client.post(LOGIN, &json!({"peer_id": id, "password": "first"})).status, 401);
        assert_eq!(client.post(LOGIN, &json!({"peer_id": id, "password": "second"})).status, 200);
    });
}

#[test]
fn of_two_password_changes_at_once_one_wins() {
    for_both_stores(|tracker| {
        let (_, caller) = client(tracker).register("first");
        let change = |new: &str| caller.post(PASSWORD, &json!({"old_password": "first", "new_password": new})).status;
        let (a, b) = std::thread::scope(|scope| {
            let a = scope.spawn(|| change("a"));
            let b = scope.spawn(|| change("b"));
            (a.join().unwrap(), b.join().unwrap())
        });
        assert_eq!(usize::from(a == 200) + usize::from(b == 200), 1, "{a} {b}");
    });
}

#[test]
fn a_refreshed_token_works_and_the_old_one_too() {
    for_both_stores(|tracker| {
        let (id, caller) = client(tracker).register("x");
        let answer = caller.call("POST", REFRESH, b"");
        let fresh = token(&answer);
        assert_eq!((answer.status, &fresh.peer_id), (200, &id));
        assert_eq!(client(tracker).with_token(&fresh.token).get(ME).status, 200);
        assert_eq!(caller.get(ME).status, 200);
    });
}

#[test]
fn every_call_refuses_bad_tokens_with_version_1_texts() {
    for_sqlite(|tracker| {
        let client = client(tracker);
        let (_, good) = client.register("x");
        let routes = peernet_tracker::api::ROUTES.iter();
        let bearer: Vec<_> = routes.filter(|route| route.access.needs_token()).collect();
        assert!(bearer.len() >= 13);
        for route in bearer {
            let path = route.path.replace("{file_hash}", &"0".repeat(64)).replace("{manifest_id}", &"0".repeat(64));
            let path = path.replace("{device_id}", "123e4567-e89b-42d3-a456-426614174000");
            let refused = |client: &Client| {
                client.call(route.method, &path, if ["GET", "DELETE"].contains(&route.method) { b"" } else { b"{}" })
            };
            let required = refused(&client);
            assert_eq!(required.error(), (401, "authorization_required".to_owned()), "{path}");
            assert_eq!(required.json()["error"], "Authorization header required");
            assert_eq!(required.header("WWW-Authenticate"), Some("Bearer"));
            let format = refused(&client.with_authorization("Basic eDp5"));
            assert_eq!(format.json()["error"], "Authorization header format must be Bearer {token}", "{path}");
            for token in ["abc", "e30.e30.e30", &"x".repeat(5_000)] {
                let invalid = refused(&client.with_token(token));
                assert_eq!((invalid.status, invalid.json()["error"].as_str()), (401, Some("Invalid token")), "{path}");
            }
            assert_ne!(refused(&good).status, 401, "{path}");
        }
    });
}

#[test]
fn tokens_of_another_tracker_are_refused() {
    for_sqlite(|one| {
        for_sqlite(|other| {
            let (_, of_one) = client(one).register("x");
            let answer = of_one.get(ME);
            assert_eq!(answer.status, 200);
            let (_, of_other) = client(other).register("x");
            let moved = client(one).with_authorization(of_other.authorization().unwrap());
            assert_eq!(moved.get(ME).status, 401);
        });
    });
}
