//! Access control over HTTP: policies, groups, withdrawals and grants, on both stores.

use data_encoding::BASE64URL_NOPAD;
use peernet_protos::claims::{GRANT_AUDIENCE, GrantClaims};
use peernet_testkit::postgres::fresh_database;
use peernet_tracker::Tracker;
use peernet_tracker::boot::config::Secret;
use serde_json::{Value, json};

use super::client::{Answer, Api, File, Peer, eventually, on_both, quiet, text};

fn access_path(file: &File) -> String {
    format!("/api/v1/files/{}/access", file.hash)
}

fn set(owner: &Peer, file: &File, body: &Value) -> Value {
    let (status, answer) = owner.put(&access_path(file), body);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(owner.get(&access_path(file)), (200, answer.clone()), "shown again");
    answer
}

fn private() -> Value {
    json!({"access": "private"})
}

fn shared(accounts: &[&Peer], groups: &[&str]) -> Value {
    let accounts: Vec<&str> = accounts.iter().map(|peer| peer.id.as_str()).collect();
    json!({"access": "shared", "accounts": accounts, "groups": groups})
}

fn announce(peer: &Peer, file: &File) -> Value {
    let entry = json!({"file_hash": file.hash, "manifest_id": file.manifest().id().to_string(), "have": "complete"});
    let (status, answer) = peer.post("/api/v1/swarm/announce", &json!({"address": peer.address, "files": [entry]}));
    assert_eq!(status, 200, "{answer}");
    answer
}

fn grant(peer: &Peer, file: &File, more: &[&File]) -> Answer {
    let more: Vec<&str> = more.iter().map(|file| file.hash.as_str()).collect();
    peer.post("/api/v1/grants", &json!({"file_hash": file.hash, "more": more}))
}

fn code((status, answer): &Answer) -> (u16, &str) {
    (*status, answer["code"].as_str().unwrap_or_default())
}

/// The header and the claims of a token, unchecked.
fn opened(token: &str) -> (Value, GrantClaims) {
    let parts: Vec<Vec<u8>> =
        token.split('.').take(2).map(|part| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).collect();
    (serde_json::from_slice(&parts[0]).unwrap(), serde_json::from_slice(&parts[1]).unwrap())
}

/// Returns whether a file exists for an account, which every call must answer alike.
fn sees(peer: &Peer, file: &File) -> bool {
    let plan = peer.get(&format!("/api/v1/files/{}", file.hash));
    let manifest = peer.get(&format!("/api/v1/manifests/{}", file.manifest().id()));
    let grant = grant(peer, file, &[]);
    let (_, page) = peer.get("/api/v1/files?limit=100");
    let found = page["files"].as_array().unwrap().iter().any(|hit| hit["file_hash"] == file.hash.as_str());
    if plan.0 != 200 {
        assert_eq!((code(&plan), code(&grant)), ((404, "unknown_file"), (404, "unknown_file")));
        assert_eq!(code(&manifest), (404, "unknown_manifest"));
        let nobody_s = File::new(250, 1);
        assert_eq!(plan, peer.get(&format!("/api/v1/files/{}", nobody_s.hash)), "no difference");
        assert!(peer.lookup(file).is_empty() && !found);
    } else {
        assert!(manifest.0 == 200 && grant.0 == 200 && found, "{manifest:?} {grant:?}");
    }
    plan.0 == 200
}

#[test]
fn a_grant_for_a_public_file_is_given_to_every_member() {
    on_both(|api| {
        let source = api.peer(1);
        let caller = api.peer(2);
        let file = File::new(1, 2);
        let pack = File::new(2, 3);
        assert_eq!(code(&grant(&caller, &file, &[])), (404, "unknown_file"));
        source.announce_v2(&file, json!("complete"));
        assert_eq!(code(&grant(&caller, &file, &[&pack])), (404, "unknown_file"));
        source.announce_v2(&pack, json!("complete"));
        assert_eq!(caller.plan(&file)["access"], "public");
        let (status, answer) = grant(&caller, &file, &[&pack]);
        assert_eq!((status, &answer["renew_in_seconds"]), (200, &json!(3 * 3_600)), "{answer}");
        let (header, claims) = opened(&text(&answer["grant"]));
        assert_eq!((&header["typ"], &header["alg"]), (&json!("peernet-grant+jwt"), &json!("EdDSA")));
        assert_eq!((claims.aud.as_str(), &claims.sub, claims.public), (GRANT_AUDIENCE, &caller.id, true));
        assert_eq!((&claims.file, &claims.more), (&file.hash, &vec![pack.hash.clone()]));
        assert_eq!((answer["expires_at"].as_u64(), claims.exp - claims.iat), (Some(claims.exp), 12 * 3_600));
        let other = opened(&text(&grant(&caller, &file, &[]).1["grant"])).1;
        assert_ne!(other.jti, claims.jti);
        assert_eq!(code(&grant(&caller, &file, &[&pack; 5])), (400, "too_many_files"));
        let bad = caller.post("/api/v1/grants", &json!({"file_hash": "x"}));
        assert_eq!(code(&bad), (400, "invalid_file_hash"));
    });
}

#[test]
fn a_shared_file_exists_only_for_the_accounts_named() {
    on_both(|api| {
        let owner = api.peer(1);
        let friend = api.peer(2);
        let member = api.peer(3);
        let stranger = api.peer(4);
        let file = File::new(1, 2);
        let everyone = [&owner, &friend, &member, &stranger];
        let check = |expected: [bool; 4]| assert_eq!(everyone.map(|peer| sees(peer, &file)), expected);
        let answer = set(&owner, &file, &private());
        let expected =
            json!({"file_hash": file.hash, "owner": owner.id, "access": "private", "accounts": [], "groups": []});
        assert_eq!(answer, expected, "before anyone has announced it");
        owner.announce_v2(&file, json!("complete"));
        check([true, false, false, false]);
        assert_eq!(
            (&owner.plan(&file)["access"], owner.plan(&file)["manifests"][0]["sources"].is_array()),
            (&json!("private"), true)
        );

        let group = owner.put("/api/v1/groups/the%20lab", &json!({"members": [member.id]}));
        assert_eq!(group, (200, json!({"name": "the lab", "members": [member.id]})));
        let answer = set(&owner, &file, &shared(&[&friend], &["the lab"]));
        assert_eq!((&answer["accounts"], &answer["groups"]), (&json!([friend.id]), &json!(["the lab"])));
        check([true, true, true, false]);
        assert_eq!(friend.plan(&file)["access"], "shared");
        let claims = opened(&text(&grant(&friend, &file, &[]).1["grant"])).1;
        assert!(!claims.public && claims.sub == friend.id);

        owner.put("/api/v1/groups/the%20lab", &json!({"members": [stranger.id]}));
        check([true, true, false, true]);
        assert_eq!(owner.delete("/api/v1/groups/the%20lab"), (200, json!({"status": "deleted"})));
        check([true, true, false, false]);
        assert_eq!(owner.get(&access_path(&file)).1["groups"], json!([]));
        set(&owner, &file, &json!({"access": "public"}));
        check([true, true, true, true]);
    });
}

#[test]
fn who_has_a_plan_is_told_that_its_access_changed() {
    on_both(|api| {
        let owner = api.peer(1);
        let friend = api.peer(2);
        let file = File::new(1, 2);
        owner.announce_v2(&file, json!("complete"));
        let (_, etag, plan) = friend.plan_since(&file, "", "");
        assert_eq!(plan["access"], "public");
        assert_eq!(friend.plan_since(&file, "", &etag).0, 304);
        set(&owner, &file, &shared(&[&friend], &[]));
        let (status, etag, plan) = friend.plan_since(&file, "", &etag);
        assert_eq!((status, &plan["access"]), (200, &json!("shared")));
        set(&owner, &file, &private());
        assert_eq!(friend.plan_since(&file, "", &etag).0, 404);
    });
}

#[test]
fn only_the_owner_says_who_may_have_a_file() {
    on_both(|api| {
        let owner = api.peer(1);
        let other = api.peer(2);
        let file = File::new(1, 2);
        owner.announce_v2(&file, json!("complete"));
        other.announce_v2(&file, json!("complete"));
        assert_eq!(code(&other.put(&access_path(&file), &private())), (403, "not_owner"));
        assert_eq!(code(&other.get(&access_path(&file))), (404, "unknown_file"));
        assert_eq!(owner.get(&access_path(&file)).1["access"], "public");
        let delete = |peer: &Peer| peer.delete(&format!("/api/v1/files/{}", file.hash));
        assert_eq!(code(&delete(&other)), (403, "not_owner"));
        set(&owner, &file, &private());
        assert_eq!(code(&delete(&other)), (404, "unknown_file"), "he may not know of it");
        assert_eq!(code(&other.delete(&format!("/api/v1/files/{}", File::new(9, 1).hash))), (404, "unknown_file"));
    });
}

#[test]
fn an_announce_lists_restricted_and_withdrawn_files() {
    on_both(|api| {
        let owner = api.peer(1);
        let friend = api.peer(2);
        let stranger = api.peer(3);
        let file = File::new(1, 2);
        [&owner, &friend, &stranger].iter().for_each(|peer| peer.announce_v2(&file, json!("complete")));
        assert!(announce(&owner, &file)["restricted"].is_null(), "public: as ever");
        set(&owner, &file, &shared(&[&friend], &[]));
        for peer in [&owner, &friend] {
            let answer = announce(peer, &file);
            assert_eq!((&answer["restricted"], &answer["withdrawn"]), (&json!([file.hash]), &Value::Null));
        }
        let answer = announce(&stranger, &file);
        assert_eq!((&answer["restricted"], &answer["withdrawn"]), (&Value::Null, &json!([file.hash])));
        assert_eq!(stranger.me()["files_shared"], 0, "what he announced before has ended");
        let refused = owner.post("/api/v1/files/announce", &file.chunk_body(0));
        assert_eq!(code(&refused), (403, "restricted_file"), "version 1's form serves everyone");
    });
}

#[test]
fn a_withdrawn_file_is_gone_until_its_owner_restores_it() {
    on_both(|api| {
        let owner = api.peer(1);
        let other = api.peer(2);
        let old = api.peer(3);
        let file = File::new(1, 2);
        [&owner, &other].iter().for_each(|peer| peer.announce_v2(&file, json!("complete")));
        old.announce_v1(&file);
        assert_eq!(other.lookup(&file).len(), 2);
        for _again_is_as_good in 0..2 {
            let answer = owner.delete(&format!("/api/v1/files/{}", file.hash));
            assert_eq!(answer, (200, json!({"status": "withdrawn"})));
        }
        for peer in [&owner, &other, &old] {
            assert!(!sees(peer, &file));
            assert_eq!(peer.me()["files_shared"], 0);
        }
        assert_eq!(owner.get(&access_path(&file)).1["access"], "withdrawn");
        for peer in [&owner, &other] {
            assert_eq!(announce(peer, &file)["withdrawn"], json!([file.hash]));
        }
        assert!(!sees(&owner, &file) && owner.me()["files_shared"] == 0, "nothing was recorded");
        set(&owner, &file, &json!({"access": "public"}));
        assert!(announce(&other, &file)["withdrawn"].is_null() && sees(&old, &file));
    });
}

#[test]
fn what_cannot_be_meant_is_refused() {
    on_both(|api| {
        let owner = api.peer(1);
        let file = File::new(1, 2);
        let put = |body: Value| code(&owner.put(&access_path(&file), &body)).1.to_owned();
        let unknown = "123e4567-e89b-42d3-a456-426614174000";
        for (body, expected) in [
            (json!({"access": "withdrawn"}), "invalid_access"),
            (json!({"access": ""}), "invalid_access"),
            (json!({"access": "public", "accounts": [unknown]}), "invalid_access"),
            (json!({"access": "private", "groups": ["g"]}), "invalid_access"),
            (json!({"access": "shared", "accounts": ["x"]}), "invalid_peer_id"),
            (json!({"access": "shared", "accounts": [unknown]}), "unknown_account"),
            (json!({"access": "shared", "accounts": vec![unknown; 1_001]}), "too_many_members"),
            (json!({"access": "shared", "groups": ["g"]}), "unknown_group"),
            (json!({"access": "shared", "groups": vec!["g"; 101]}), "too_many_groups"),
            (json!({}), "invalid_body"),
        ] {
            assert_eq!(put(body), expected);
        }
        let group = |name: &str, members: Value| {
            code(&owner.put(&format!("/api/v1/groups/{name}"), &json!({"members": members}))).1.to_owned()
        };
        assert_eq!(group("a%0Ab", json!([])), "invalid_group_name");
        assert_eq!(group(&"a".repeat(65), json!([])), "invalid_group_name");
        assert_eq!(group("g", json!([unknown])), "unknown_account");
        assert_eq!(group("g", json!(vec![unknown; 1_001])), "too_many_members");
        assert_eq!(code(&owner.get("/api/v1/groups/g")), (404, "unknown_group"));
        assert_eq!(owner.get("/api/v1/groups"), (200, json!({"groups": []})));
        assert_eq!(group("g", json!([owner.id, owner.id])), "");
        assert_eq!(owner.get("/api/v1/groups"), (200, json!({"groups": [{"name": "g", "members": 1}]})));
    });
}

#[test]
fn another_tracker_of_the_database_and_a_restart_know_of_it() {
    let one = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let url = fresh_database();
    let start = |folder: &std::path::Path| {
        let mut config = quiet(folder);
        config.database_url = Secret::new(url.clone());
        Tracker::builder().config(config).start().unwrap()
    };
    let first = start(one.path());
    let second = start(other.path());
    let api = Api::new(&first.url());
    let owner = api.peer(1);
    let member = api.peer(2);
    let file = File::new(1, 2);
    let gone = File::new(2, 2);
    [&file, &gone].iter().for_each(|file| owner.announce_v2(file, json!("complete")));
    let there = member.at(&second.url());
    let is_there = |file: &File| there.get(&format!("/api/v1/files/{}", file.hash)).0 == 200;
    eventually("the other tracker knows the files", || is_there(&file) && is_there(&gone));
    owner.put("/api/v1/groups/lab", &json!({"members": []}));
    set(&owner, &file, &shared(&[], &["lab"]));
    owner.delete(&format!("/api/v1/files/{}", gone.hash));
    eventually("the other tracker hides them", || !is_there(&file) && !is_there(&gone));
    owner.put("/api/v1/groups/lab", &json!({"members": [member.id]}));
    eventually("a member is let in", || is_there(&file));
    owner.delete("/api/v1/groups/lab");
    eventually("and out again", || !is_there(&file));
    assert!(second.stop() && first.stop());

    let again = start(one.path());
    let owner = owner.at(&again.url());
    let member = member.at(&again.url());
    assert!(sees(&owner, &file) && !sees(&member, &file) && !sees(&owner, &gone), "from the first request on");
    assert_eq!(owner.me()["files_shared"], 1, "the log's lease of what was withdrawn has ended");
    assert!(again.stop());
}
