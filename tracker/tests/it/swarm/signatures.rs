//! Signatures of publishers, over HTTP, on both stores.

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signer, SigningKey};
use peernet_engine::ids::PeerId;
use peernet_engine::manifest::publication_message;
use peernet_testkit::postgres::fresh_database;
use peernet_tracker::admin;
use peernet_tracker::boot::config::Config;
use serde_json::{Value, json};

use super::client::File;
use crate::support::{Answer, Client, for_both_stores, start_with};

fn path(file: &File, end: &str) -> String {
    format!("/api/v1/manifests/{}{end}", file.manifest().id())
}

fn put_json(caller: &Client, path: &str, body: &Value) -> Answer {
    caller.call("PUT", path, body.to_string().as_bytes())
}

fn put_manifest(caller: &Client, file: &File) {
    assert_eq!(put_json(caller, &path(file, ""), &file.manifest_body()).status, 201);
}

/// Returns the signature of an account with key number `key`.
fn signed(key: u8, peer_id: &str, file: &File) -> Value {
    let key = SigningKey::from_bytes(&[key; 32]);
    let signature = key.sign(&publication_message(peer_id.parse::<PeerId>().unwrap(), file.manifest().id()));
    let key = key.verifying_key().to_bytes();
    let signature = signature.to_bytes();
    json!({"key": BASE64URL_NOPAD.encode(&key), "signature": BASE64URL_NOPAD.encode(&signature)})
}

fn sign(caller: &Client, file: &File, body: &Value) -> Answer {
    put_json(caller, &path(file, "/signature"), body)
}

fn is_signed(caller: &Client, file: &File, body: &Value) -> bool {
    let answer = sign(caller, file, body);
    answer.status == 200 && answer.json() == json!({"status": "signed"})
}

fn listed(caller: &Client, file: &File, query: &str) -> Value {
    let answer = caller.get(&path(file, &format!("/signatures{query}")));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn an_account_signs_a_manifest_and_everyone_is_told() {
    for_both_stores(|tracker| {
        let client = Client::new(&tracker.url());
        let (one, signer) = client.register("a");
        let (other, reader) = client.register("b");
        let file = File::new(1, 2);
        put_manifest(&signer, &file);
        assert_eq!(listed(&reader, &file, ""), json!({"signatures": [], "total": 0}));
        let body = signed(1, &one, &file);
        for _again_is_as_good in 0..2 {
            assert!(is_signed(&signer, &file, &body));
        }
        let all = listed(&reader, &file, "");
        let signed_at = all["signatures"][0]["signed_at"].clone();
        let now = (tracker.app().clock)().as_secs();
        assert!((now - 60..=now).contains(&signed_at.as_u64().unwrap()), "{all}");
        let entry = |body: &Value| {
            let key = &body["key"];
            let signature = &body["signature"];
            json!({"peer_id": one, "key": key, "signature": signature, "signed_at": signed_at})
        };
        assert_eq!(all, json!({"signatures": [entry(&body)], "total": 1}));
        let with_another_key = signed(2, &one, &file);
        assert!(is_signed(&signer, &file, &with_another_key));
        let all = json!({"signatures": [entry(&with_another_key)], "total": 1});
        assert_eq!(listed(&reader, &file, ""), all);
        assert_eq!(listed(&reader, &file, &format!("?account={one}")), all);
        let by_key = |body: &Value| format!("?key={}", body["key"].as_str().unwrap());
        assert_eq!(listed(&reader, &file, &by_key(&with_another_key)), all);
        let of_both = |account, body: &Value| format!("?account={account}&{}", &by_key(body)[1..]);
        assert_eq!(listed(&reader, &file, &of_both(&one, &with_another_key)), all);
        for query in [format!("?account={other}"), by_key(&body), of_both(&one, &body)] {
            assert_eq!(listed(&reader, &file, &query), json!({"signatures": [], "total": 0}));
        }
        assert!(is_signed(&reader, &file, &signed(1, &other, &file)), "an account that has not put it may sign it too");
        assert_eq!(listed(&signer, &file, "")["total"], 2);
        assert_eq!(listed(&signer, &file, &format!("?account={other}"))["total"], 1, "of what was asked for");
    });
}

#[test]
fn a_signature_for_another_account_or_manifest_is_refused() {
    for_both_stores(|tracker| {
        let client = Client::new(&tracker.url());
        let (one, signer) = client.register("a");
        let (other, _) = client.register("b");
        let file = File::new(1, 2);
        let another = File::new(2, 2);
        [&file, &another].iter().for_each(|file| put_manifest(&signer, file));
        let good = signed(1, &one, &file);
        let key = good["key"].as_str().unwrap();
        let signature = good["signature"].as_str().unwrap();
        let with = |key: &str, signature: &str| json!({"key": key, "signature": signature});
        let cut = |text: &str, bytes: usize| {
            BASE64URL_NOPAD.encode(&BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()[..bytes])
        };
        let mut flipped = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        flipped[40] ^= 1;
        for (why, body) in [
            ("another account's", signed(1, &other, &file)),
            ("another manifest's", signed(1, &one, &another)),
            ("another key's", with(signed(2, &one, &file)["key"].as_str().unwrap(), signature)),
            ("a bit flipped", with(key, &BASE64URL_NOPAD.encode(&flipped))),
            ("a short key", with(&cut(key, 31), signature)),
            ("a long key", with(signature, signature)),
            ("a short signature", with(key, &cut(signature, 63))),
            ("padded", with(&format!("{key}="), signature)),
            ("no base64url", with(key, &"+".repeat(86))),
            ("nothing", with("", "")),
        ] {
            assert_eq!(sign(&signer, &file, &body).error(), (422, "invalid_signature".to_owned()), "{why}");
        }
        for body in [json!({}), json!({"key": key}), json!({"key": 7, "signature": signature})] {
            assert_eq!(sign(&signer, &file, &body).error(), (400, "invalid_body".to_owned()));
        }
        assert_eq!(listed(&signer, &file, "")["total"], 0);
        assert!(is_signed(&signer, &file, &good));
    });
}

#[test]
fn a_manifest_the_caller_may_not_have_is_unknown() {
    for_both_stores(|tracker| {
        let client = Client::new(&tracker.url());
        let (one, owner) = client.register("a");
        let (other, stranger) = client.register("b");
        let file = File::new(1, 2);
        let nobody_s = File::new(2, 2);
        put_manifest(&owner, &file);
        let access = json!({"access": "private"});
        assert_eq!(put_json(&owner, &format!("/api/v1/files/{}/access", file.hash), &access).status, 200);
        assert!(is_signed(&owner, &file, &signed(1, &one, &file)));
        assert_eq!(listed(&owner, &file, "")["total"], 1);
        let unknown = (404, "unknown_manifest".to_owned());
        for file in [&file, &nobody_s] {
            let account = format!("/signatures?account={one}");
            let key = format!("/signatures?key={}", "A".repeat(43));
            for path in [path(file, "/signatures"), path(file, &account), path(file, &key)] {
                assert_eq!(stranger.get(&path).error(), unknown);
            }
            for body in [signed(1, &other, file), json!({"key": "", "signature": ""})] {
                assert_eq!(sign(&stranger, file, &body).error(), unknown);
            }
        }
        assert_eq!(listed(&owner, &file, "")["total"], 1);

        let bad_key = owner.get(&path(&file, "/signatures?key=x"));
        assert_eq!(bad_key.error(), (400, "invalid_key".to_owned()));
        let bad_account = owner.get(&path(&file, "/signatures?account=x"));
        assert_eq!(bad_account.error(), (400, "invalid_peer_id".to_owned()));
        let bad_id = owner.get("/api/v1/manifests/x/signatures");
        assert_eq!(bad_id.error(), (400, "invalid_manifest_id".to_owned()));
    });
}

#[test]
fn signatures_need_a_token_and_signing_the_scope() {
    for_both_stores(|tracker| {
        let client = Client::new(&tracker.url());
        let (one, signer) = client.register("a");
        let file = File::new(1, 2);
        put_manifest(&signer, &file);
        let body = signed(1, &one, &file);
        assert_eq!(sign(&client, &file, &body).error().0, 401);
        assert_eq!(client.get(&path(&file, "/signatures")).error().0, 401);
        let login = json!({"peer_id": one, "password": "a", "device": {"label": "reader", "scopes": ["read"]}});
        let reader = client.post("/api/v1/peers/login", &login).json();
        let reader = client.with_token(reader["token"].as_str().unwrap());
        assert_eq!(sign(&reader, &file, &body).error(), (403, "insufficient_scope".to_owned()));
        assert_eq!(listed(&reader, &file, "")["total"], 0);
    });
}

#[test]
fn what_a_suspended_account_has_signed_is_not_told() {
    for_both_stores(|tracker| {
        let client = Client::new(&tracker.url());
        let (one, signer) = client.register("a");
        let (_, reader) = client.register("b");
        let file = File::new(1, 2);
        put_manifest(&signer, &file);
        assert!(is_signed(&signer, &file, &signed(1, &one, &file)));
        let app = tracker.app();
        let of_one = format!("?account={one}");
        admin::suspend(&*app.store, (app.clock)(), &one, "lies").unwrap();
        for query in ["", &of_one] {
            assert_eq!(listed(&reader, &file, query), json!({"signatures": [], "total": 0}));
        }
        admin::resume(&*app.store, (app.clock)(), &one).unwrap();
        assert_eq!(listed(&reader, &file, "")["total"], 1);
    });
}

#[test]
fn of_many_signatures_ten_are_told_and_all_are_counted() {
    for_both_stores(|tracker| {
        let client = Client::new(&tracker.url());
        let file = File::new(1, 2);
        let accounts: Vec<(String, Client)> = (0..12).map(|_| client.register("a")).collect();
        put_manifest(&accounts[0].1, &file);
        for (n, (id, caller)) in (1..).zip(&accounts) {
            assert!(is_signed(caller, &file, &signed(n, id, &file)));
        }
        let all = listed(&accounts[0].1, &file, "");
        assert_eq!((all["signatures"].as_array().unwrap().len(), &all["total"]), (10, &json!(12)));
        let (last, _) = &accounts[11];
        let by_key = format!("?key={}", signed(12, last, &file)["key"].as_str().unwrap());
        for query in [by_key, format!("?account={last}")] {
            let found = listed(&accounts[0].1, &file, &query);
            assert_eq!((&found["signatures"][0]["peer_id"], &found["total"]), (&json!(last), &json!(1)), "{query}");
        }
    });
}

#[test]
fn a_signature_counts_towards_what_an_account_may_store() {
    // A manifest of one chunk, and one signature.
    let config = Config { metadata_bytes_per_account: 256 + 32 + 256, ..Config::default() };
    for database in [None, Some(fresh_database())] {
        let folder = tempfile::tempdir().unwrap();
        let tracker = start_with(folder.path(), database.as_deref(), config.clone());
        let client = Client::new(&tracker.url());
        let (one, signer) = client.register("a");
        let (_, other) = client.register("b");
        let mine = File::new(1, 1);
        let theirs = File::new(2, 1);
        put_manifest(&signer, &mine);
        put_manifest(&other, &theirs);
        assert!(is_signed(&signer, &mine, &signed(1, &one, &mine)));
        let refused = sign(&signer, &theirs, &signed(1, &one, &theirs));
        assert_eq!(refused.error(), (413, "quota_exceeded".to_owned()));
        assert!(is_signed(&signer, &mine, &signed(2, &one, &mine)), "a replacement costs nothing");
        assert!(tracker.stop());
    }
}
