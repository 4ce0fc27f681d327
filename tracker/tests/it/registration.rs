//! Registration, suspension and quotas of accounts, over a real connection.

use std::time::Duration;

use data_encoding::BASE64;
use peernet_engine::ids::{ByteCount, ChunkHash, FileHash, PeerId};
use peernet_engine::manifest::{Geometry, Manifest};
use peernet_testkit::postgres::fresh_database;
use peernet_threads::Blocking;
use peernet_tracker::Tracker;
use peernet_tracker::boot::config::{Config, Registration};
use peernet_tracker::domain::accounts::invites::{hash_code, new_code};
use peernet_tracker::store::accounts::AccountWrite;
use peernet_tracker::store::audit_log::AuditQuery;
use peernet_tracker::store::invites::Invite;
use peernet_tracker::store::{Durability, Write, Written};
use serde_json::{Value, json};

use crate::support::{Answer, Client, start, start_with, until};

const REGISTER: &str = "/api/v1/peers/register";
const LOGIN: &str = "/api/v1/peers/login";
const ME: &str = "/api/v1/peers/me";
const REFRESH: &str = "/api/v1/peers/refresh";
/// The promised time, and some more for a busy machine.
const SOON: Duration = Duration::from_secs(30);

fn on_both(config: &Config, check: impl Fn(&Tracker, &Client)) {
    for database in [None, Some(fresh_database())] {
        let folder = tempfile::tempdir().unwrap();
        let tracker = start_with(folder.path(), database.as_deref(), config.clone());
        check(&tracker, &Client::new(&tracker.url()));
        assert!(tracker.stop());
    }
}

fn change(tracker: &Tracker, change: AccountWrite) -> Written {
    let app = tracker.app();
    app.store.write((app.clock)(), &[Write::Account(change)], Durability::Synced).unwrap().pop().unwrap()
}

/// An invite, and its code.
fn invite(tracker: &Tracker, uses: u32, days: i64) -> String {
    let code = new_code().unwrap();
    let now = (tracker.app().clock)();
    let mut expires_at = now;
    expires_at.0 += days * 86_400_000;
    let invite = Invite {
        code_hash: hash_code(&code),
        uses,
        uses_left: uses,
        note: String::new(),
        created_at: now,
        expires_at,
        revoked_at: None,
    };
    assert_eq!(change(tracker, AccountWrite::PutInvite(invite)), Written::Done);
    code
}

fn register(client: &Client, address: &str, invite: Option<&str>) -> Answer {
    let mut body = json!({"address": address, "password": "x"});
    if let Some(code) = invite {
        body["invite"] = json!(code);
    }
    client.post(REGISTER, &body)
}

fn refused(answer: &Answer, code: &str) {
    assert_eq!(answer.error(), (403, code.to_owned()));
}

#[test]
fn by_invitation_a_code_makes_as_many_accounts_as_it_says() {
    let config = Config { registration: Registration::Invite, ..Config::default() };
    on_both(&config, |tracker, client| {
        refused(&register(client, "h:1", None), "invite_required");
        refused(&register(client, "h:1", Some(" ")), "invite_required");
        refused(&register(client, "h:1", Some("nonsense")), "invalid_invite");
        refused(&register(client, "h:1", Some(&invite(tracker, 1, 0))), "invalid_invite");
        let code = invite(tracker, 2, 1);
        assert_eq!(register(client, "h:1", Some(&code)).status, 201);
        assert_eq!(register(client, "h:1", None).status, 201, "what is registered logs in");
        assert_eq!(register(client, "h:2", Some(&code.to_uppercase())).status, 201);
        refused(&register(client, "h:3", Some(&code)), "invalid_invite");
        let log = tracker.app().store.audit_log(&AuditQuery { account: None, limit: 100 }).unwrap();
        assert!(
            !format!("{log:?}").contains(&code) && log.iter().filter(|row| row.action == "invite_used").count() == 2
        );
    });
}

#[test]
fn closed_registration_admits_only_existing_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let start = |registration| start_with(folder.path(), None, Config { registration, ..Config::default() });
    let open = start(Registration::Open);
    assert_eq!(register(&Client::new(&open.url()), "h:1", Some("ignored")).status, 201);
    assert!(open.stop());
    let closed = start(Registration::Closed);
    let client = Client::new(&closed.url());
    refused(&register(&client, "h:2", None), "registration_closed");
    refused(&client.post(REGISTER, &json!({"protocol": 2, "password": "x"})), "registration_closed");
    assert_eq!(register(&client, "h:1", None).status, 201);
    assert!(closed.stop());
}

#[test]
fn a_suspended_account_is_refused_everywhere_within_seconds() {
    on_both(&Config::default(), |tracker, client| {
        let (id, caller) = client.register_at("h:1", "right");
        let (_, neighbour) = client.register_at("h:2", "right");
        let peer: PeerId = id.parse().unwrap();
        assert!(!tracker.app().accounts.is_suspended(peer));
        let suspend = AccountWrite::Suspend { id: peer, reason: "test".into() };
        assert_eq!(change(tracker, suspend), Written::Done);
        until("suspended", SOON, || caller.get(ME).status == 403);
        assert!(tracker.app().accounts.is_suspended(peer));
        refused(&caller.call("POST", REFRESH, b""), "suspended");
        refused(&client.post(LOGIN, &json!({"peer_id": id, "password": "right"})), "suspended");
        refused(&client.post(REGISTER, &json!({"address": "h:1", "password": "right"})), "suspended");
        let guess = client.post(LOGIN, &json!({"peer_id": id, "password": "wrong"}));
        assert_eq!(guess.error(), (401, "invalid_credentials".to_owned()), "shown only with the password");
        assert_eq!(neighbour.get(ME).status, 200);
        assert_eq!(change(tracker, AccountWrite::Resume { id: peer }), Written::Done);
        until("resumed", SOON, || caller.get(ME).status == 200);
    });
}

#[test]
fn a_suspension_holds_from_the_first_request_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(folder.path(), None);
    let (id, caller) = Client::new(&tracker.url()).register("x");
    let suspend = AccountWrite::Suspend { id: id.parse().unwrap(), reason: "test".into() };
    assert_eq!(change(&tracker, suspend), Written::Done);
    assert!(tracker.stop());
    let tracker = start(folder.path(), None);
    let again = Client::new(&tracker.url()).with_authorization(caller.authorization().unwrap());
    refused(&again.get(ME), "suspended");
    assert!(tracker.stop());
}

#[test]
fn revoked_tokens_stop_and_the_password_still_works() {
    on_both(&Config::default(), |tracker, client| {
        let (id, caller) = client.register("right");
        assert_eq!(change(tracker, AccountWrite::Revoke { id: id.parse().unwrap() }), Written::Done);
        until("revoked", SOON, || caller.get(ME).status == 401);
        assert_eq!(client.post(LOGIN, &json!({"peer_id": id, "password": "right"})).status, 200);
    });
}

#[test]
fn a_lock_on_guessing_stands_in_the_audit_log() {
    on_both(&Config::default(), |tracker, client| {
        let (id, _) = client.register("right");
        for _ in 0..7 {
            client.post(LOGIN, &json!({"peer_id": id, "password": "s3cret-guess"}));
        }
        let query = AuditQuery { account: Some(id.parse().unwrap()), limit: 100 };
        let rows = tracker.app().store.audit_log(&query).unwrap();
        let actions: Vec<&str> = rows.iter().map(|row| row.action.as_str()).collect();
        assert_eq!(actions, ["login_locked", "registered"], "once");
        assert!(rows[0].detail.contains("127.0.0.1") && !format!("{rows:?}").contains("s3cret"));
    });
}

fn put(caller: &Client, file: u8, chunks: usize) -> Answer {
    let geometry = Geometry::new(ByteCount((chunks as u64) << 20), 1 << 20).unwrap();
    let manifest = Manifest::new(FileHash([file; 32]), geometry, vec![ChunkHash([file; 32]); chunks]).unwrap();
    let body: Value = json!({
        "file_hash": manifest.file_hash().to_string(),
        "file_name": "f",
        "size": chunks << 20,
        "chunk_size": 1 << 20,
        "chunk_hashes": BASE64.encode(&manifest.hash_bytes()),
    });
    caller.call("PUT", &format!("/api/v1/manifests/{}", manifest.id()), body.to_string().as_bytes())
}

#[test]
fn an_account_cannot_exceed_its_metadata_quota() {
    let config = Config { metadata_bytes_per_account: 2 * 256 + 6 * 32, ..Config::default() };
    on_both(&config, |tracker, client| {
        let one = client.register("x").1;
        let other = client.register("x").1;
        assert_eq!(put(&one, 1, 4).status, 201);
        assert_eq!(put(&one, 2, 3).error(), (413, "quota_exceeded".to_owned()));
        assert_eq!(put(&one, 2, 2).status, 201);
        assert_eq!(put(&one, 3, 0).status, 413);
        assert_eq!(put(&other, 3, 1).status, 201, "another account has its own");
        assert_eq!((put(&one, 1, 4).status, put(&one, 3, 1).status), (200, 200), "what is known costs nothing");
        let known = &tracker.app().store;
        assert_eq!(
            known
                .accounts(&peernet_tracker::store::accounts::AccountQuery { limit: 9, ..Default::default() })
                .unwrap()
                .len(),
            2
        );
    });
}

#[test]
fn an_account_announces_as_many_files_as_the_setting_says() {
    on_both(&Config { files_per_account: 2, ..Config::default() }, |_, client| {
        let (_, caller) = client.register_at("127.0.0.1:9", "x");
        let announce = |file: &str| {
            let file_hash = file.repeat(64);
            let chunk_hash = "c".repeat(64);
            let body = json!({"file_hash": file_hash, "file_name": "f", "total_chunks": 1, "chunk_hash": chunk_hash});
            caller.post("/api/v1/files/announce", &body)
        };
        assert_eq!((announce("1").status, announce("2").status), (200, 200));
        assert_eq!(announce("3").error(), (413, "too_many_files".to_owned()));
        assert_eq!(announce("1").status, 200);
    });
}

#[test]
fn the_audit_log_is_pruned_to_its_age() {
    on_both(&Config { audit_days: 30, ..Config::default() }, |tracker, client| {
        let (id, _) = client.register("x");
        let app = tracker.app();
        let revoked_days_ago = |days: i64| {
            let mut then = (app.clock)();
            then.0 -= days * 86_400_000;
            let write = Write::Account(AccountWrite::Revoke { id: id.parse().unwrap() });
            app.store.write(then, &[write], Durability::Synced).unwrap();
        };
        revoked_days_ago(31);
        revoked_days_ago(29);
        let rows = || app.store.audit_log(&AuditQuery { account: None, limit: 9 }).unwrap();
        app.accounts.prune_audit_log(&Blocking::declare());
        let left: Vec<String> = rows().into_iter().map(|row| row.action).collect();
        assert_eq!(left, ["revoked", "registered"]);
    });
}
