//! Devices, refresh tokens and scopes as clients meet them, against both stores.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use peernet_engine::time::UnixMillis;
use peernet_protos::identity::device_uri;
use peernet_protos::rest::{DeviceBody, TokenReply};
use peernet_testkit::postgres::fresh_database;
use peernet_threads::Blocking;
use peernet_tracker::api::{ROUTES, Route};
use peernet_tracker::boot::config::Config;
use peernet_tracker::store::audit_log::AuditQuery;
use peernet_tracker::{Tracker, admin};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::support::{Answer, COST, Client, for_both_stores, for_sqlite, start, until};

const REGISTER: &str = "/api/v1/peers/register";
const LOGIN: &str = "/api/v1/peers/login";
const PASSWORD: &str = "/api/v1/peers/password";
const OLD_REFRESH: &str = "/api/v1/peers/refresh";
const ME: &str = "/api/v1/peers/me";
const RENEW: &str = "/api/v1/tokens/refresh";
const DEVICES: &str = "/api/v1/devices";
const REVOCATIONS: &str = "/api/v1/revocations";
const NOBODY: &str = "123e4567-e89b-42d3-a456-426614174000";
/// The promised time, and some more for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A device as a client that is logged in with it.
struct Device {
    client: Client,
    id: String,
    refresh_token: String,
}

impl Device {
    fn of(client: &Client, answer: &Answer) -> Self {
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        let reply: TokenReply = serde_json::from_value(answer.json()).unwrap();
        let id = reply.device_id.unwrap();
        let refresh_token = reply.refresh_token.unwrap();
        Self { client: client.with_token(&reply.token), id, refresh_token }
    }

    fn log_in(client: &Client, peer_id: &str, scopes: &[&str]) -> Self {
        let device = json!({"label": "laptop", "scopes": scopes});
        Self::of(client, &client.post(LOGIN, &json!({"peer_id": peer_id, "password": "s", "device": device})))
    }

    /// The same device with its next tokens.
    fn renewed(&self) -> Self {
        Self::of(&self.client, &renew(&self.client, &self.refresh_token))
    }

    fn path(&self) -> String {
        format!("{DEVICES}/{}", self.id)
    }

    fn is_in(&self) -> bool {
        let answer = self.client.get(ME);
        assert!(answer.status == 200 || answer.error() == (401, "invalid_token".to_owned()), "{answer:?}");
        answer.status == 200
    }
}

fn renew(client: &Client, refresh_token: &str) -> Answer {
    client.post(RENEW, &json!({"refresh_token": refresh_token}))
}

fn unauthorized(code: &str) -> (u16, String) {
    (401, code.to_owned())
}

fn listed(client: &Client) -> Vec<DeviceBody> {
    let answer = client.get(DEVICES);
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_value(answer.json()["devices"].clone()).unwrap()
}

fn account(tracker: &Tracker) -> (Client, String, Client) {
    let client = Client::new(&tracker.url());
    let (id, own) = client.register("s");
    (client, id, own)
}

#[test]
fn a_device_logs_in_renews_its_tokens_and_logs_out() {
    for_both_stores(|tracker| {
        let (client, id, own) = account(tracker);
        let login = json!({"peer_id": id, "password": "s", "device": {"label": "Laptop ä"}});
        let answer = client.post(LOGIN, &login);
        let reply = answer.json();
        let token = reply["refresh_token"].as_str().unwrap();
        assert!(token.starts_with("pnr_") && token.len() == 47, "256 bits");
        let now = (tracker.app().clock)().as_secs();
        let lives = |field: &str| reply[field].as_u64().unwrap() - now;
        assert!((895..=905).contains(&lives("expires_at")), "an access token of 15 minutes");
        assert!((89 * 86_400..=90 * 86_400 + 5).contains(&lives("refresh_expires_at")));

        let mut device = Device::of(&client, &answer);
        for _ in 0..3 {
            let next = device.renewed();
            assert!(next.refresh_token != device.refresh_token && next.id == device.id);
            assert!(device.is_in() && next.is_in(), "access tokens end by themselves");
            device = next;
        }
        let devices = listed(&device.client);
        assert_eq!(devices.len(), 1);
        assert_eq!((devices[0].label.as_str(), devices[0].current), ("Laptop ä", true));
        assert_eq!(devices[0].scopes, ["read", "share", "admin"]);
        assert!(!listed(&own)[0].current, "another caller");

        let ended = device.client.call("DELETE", &device.path(), b"");
        assert_eq!((ended.status, ended.json()), (200, json!({"status": "revoked"})));
        assert!(!device.is_in() && listed(&own).is_empty());
        assert_eq!(renew(&client, &device.refresh_token).error(), unauthorized("invalid_refresh_token"));
        assert_eq!(own.get(REVOCATIONS).json()["devices"], json!([device.id]));
        assert_eq!(own.call("DELETE", &device.path(), b"").status, 200, "again is as good");
    });
}

#[test]
fn registering_and_changing_a_password_log_devices_in() {
    for_both_stores(|tracker| {
        let client = Client::new(&tracker.url());
        let register = json!({"address": "h:1", "password": "s", "device": {"label": "first"}});
        let first = Device::of(&client, &client.post(REGISTER, &register));
        let again = Device::of(&client, &client.post(REGISTER, &register));
        assert!(first.is_in() && again.is_in() && first.id != again.id, "a registered address logs in");

        let change =
            json!({"old_password": "s", "new_password": "t", "device": {"label": "first", "scopes": ["read"]}});
        let changed = Device::of(&client, &first.client.post(PASSWORD, &change));
        assert!(changed.is_in() && !first.is_in() && !again.is_in());
        for ended in [&first, &again] {
            assert_eq!(renew(&client, &ended.refresh_token).error(), unauthorized("invalid_refresh_token"));
        }
        let changed = changed.renewed();
        assert_eq!(listed(&changed.client).len(), 1);
        let mut both = [first.id, again.id];
        both.sort_unstable();
        until("they are listed", PATIENCE, || changed.client.get(REVOCATIONS).json()["devices"] == json!(both));

        let version_1 = client.post(REGISTER, &json!({"address": "h:2", "password": "s"}));
        let fields: Vec<String> = version_1.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!((version_1.status, fields), (201, ["expires_at", "peer_id", "token"].map(str::to_owned).to_vec()));
        let lives = version_1.json()["expires_at"].as_u64().unwrap() - (tracker.app().clock)().as_secs();
        assert!((86_395..=86_405).contains(&lives));
    });
}

#[test]
fn a_reused_refresh_token_ends_its_device_everywhere() {
    for_both_stores(|tracker| {
        let (client, id, own) = account(tracker);
        let first = Device::log_in(&client, &id, &[]);
        let other = Device::log_in(&client, &id, &[]);
        let newest = first.renewed().renewed();
        assert!(newest.is_in());
        assert_eq!(renew(&client, &first.refresh_token).error(), unauthorized("refresh_token_reused"));
        assert!(!newest.is_in(), "at once");
        for token in [&newest.refresh_token, &first.refresh_token] {
            assert_eq!(renew(&client, token).error(), unauthorized("invalid_refresh_token"));
        }
        assert_eq!(own.get(REVOCATIONS).json()["devices"], json!([first.id]));
        assert!(other.is_in() && other.renewed().is_in(), "another device of the account goes on");

        let registry = &tracker.app().store;
        let rows = registry.audit_log(&AuditQuery { account: id.parse().ok(), limit: 100 }).unwrap();
        let actions: Vec<&str> = rows.iter().map(|row| row.action.as_str()).collect();
        assert_eq!(actions, ["refresh_token_reused", "device_added", "device_added", "registered"]);
        assert!(rows[0].detail == first.id && !format!("{rows:?}").contains("pnr_"));
    });
}

#[test]
fn a_renewal_can_be_repeated_while_its_tokens_are_unused() {
    for_both_stores(|tracker| {
        let (client, id, _) = account(tracker);
        let device = Device::log_in(&client, &id, &[]);
        let lost = device.renewed();
        let again = device.renewed();
        assert!(again.refresh_token != lost.refresh_token && again.is_in());
        let used = again.renewed();
        assert_eq!(renew(&client, &device.refresh_token).error(), unauthorized("refresh_token_reused"));
        assert!(!used.is_in());

        let device = Device::log_in(&client, &id, &[]);
        let lost = device.renewed();
        device.renewed();
        assert_eq!(renew(&client, &lost.refresh_token).error(), unauthorized("refresh_token_reused"));
    });
}

#[test]
fn of_many_renewals_of_one_token_at_once_one_chain_goes_on() {
    for_both_stores(|tracker| {
        let (client, id, _) = account(tracker);
        let device = Device::log_in(&client, &id, &[]);
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| renew(&client, &device.refresh_token))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let tokens: Vec<String> =
            answers.iter().map(|answer| answer.json()["refresh_token"].as_str().unwrap().to_owned()).collect();
        let shown: Vec<u16> = tokens.iter().map(|token| renew(&client, token).status).collect();
        assert!(shown.iter().filter(|status| **status == 200).count() <= 1, "{shown:?}");
        assert!(shown.iter().filter(|status| **status == 401).count() >= 7, "{shown:?}");
    });
}

#[test]
fn an_invalid_refresh_token_gets_no_detail() {
    for_sqlite(|tracker| {
        let (client, id, own) = account(tracker);
        let device = Device::log_in(&client, &id, &[]);
        let mut other_half = device.refresh_token.clone();
        other_half.replace_range(4..12, "AAAAAAAA");
        let access = own.authorization().unwrap().split(' ').nth(1).unwrap().to_owned();
        for token in ["", "x", "pnr_", &device.refresh_token[4..], &access, &"x".repeat(60_000), &other_half, "pnr_\0"]
        {
            assert_eq!(renew(&client, token).error(), unauthorized("invalid_refresh_token"), "{token:.60}");
        }
        for (body, code) in [("", "malformed_json"), ("{}", "invalid_body"), ("[]", "invalid_body")] {
            assert_eq!(client.call("POST", RENEW, body.as_bytes()).error(), (400, code.to_owned()));
        }
        let with_csr = json!({"refresh_token": device.refresh_token, "csr": "nonsense"});
        assert_eq!(client.post(RENEW, &with_csr).error(), (422, "invalid_csr".to_owned()));
        assert!(device.renewed().is_in(), "none of this has touched it");
    });
}

#[test]
fn a_device_says_who_it_is_in_few_words() {
    for_sqlite(|tracker| {
        let (client, id, own) = account(tracker);
        let long = "x".repeat(65);
        for (device, code) in [
            (json!({"label": ""}), "invalid_label"),
            (json!({"label": long}), "invalid_label"),
            (json!({"label": "ä".repeat(33)}), "invalid_label"),
            (json!({"label": "a\nb"}), "invalid_label"),
            (json!({"label": "a", "scopes": ["write"]}), "invalid_scope"),
            (json!({"label": "a", "scopes": ["read", ""]}), "invalid_scope"),
            (json!({"label": "a", "scopes": vec!["read"; 9]}), "invalid_scope"),
        ] {
            let login = json!({"peer_id": id, "password": "s", "device": device});
            let register = json!({"address": "h:1", "password": "s", "device": device});
            let password = json!({"old_password": "s", "new_password": "t", "device": device});
            for answer in [client.post(LOGIN, &login), client.post(REGISTER, &register), own.post(PASSWORD, &password)]
            {
                assert_eq!(answer.error(), (422, code.to_owned()), "{device}");
            }
        }
        for device in [json!({}), json!("x"), json!({"label": 7}), json!({"label": "a", "scopes": "read"})] {
            let login = json!({"peer_id": id, "password": "s", "device": device});
            assert_eq!(client.post(LOGIN, &login).error(), (400, "invalid_body".to_owned()), "{device}");
        }
        let none = client.post(LOGIN, &json!({"peer_id": id, "password": "s", "device": null}));
        assert!(none.status == 200 && none.json().get("device_id").is_none());
        assert_eq!(own.get(ME).status, 200, "no password was changed");
    });
}

fn csr() -> String {
    CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

/// Returns whether a certificate names a device.
fn names(certificate: &Value, device: &str) -> bool {
    let der = CertificateDer::from_pem_slice(certificate["certificate"].as_str().unwrap().as_bytes()).unwrap();
    let uri = device_uri(device);
    der.windows(uri.len()).any(|bytes| bytes == uri.as_bytes())
}

#[test]
fn a_device_s_certificates_name_it() {
    for_sqlite(|tracker| {
        let (client, id, own) = account(tracker);
        let login = json!({"peer_id": id, "password": "s", "csr": csr(), "device": {"label": "a"}});
        let answer = client.post(LOGIN, &login);
        let device = Device::of(&client, &answer);
        let renewed = client.post(RENEW, &json!({"refresh_token": device.refresh_token, "csr": csr()})).json();
        let asked = device.client.post("/api/v1/peers/certificate", &json!({"csr": csr()})).json();
        for certificate in [&answer.json()["certificate"], &renewed["certificate"], &asked] {
            assert!(names(certificate, &device.id), "{certificate}");
        }
        let account_s = own.post("/api/v1/peers/certificate", &json!({"csr": csr()})).json();
        assert!(!names(&account_s, &device.id));
    });
}

/// The scope that each call needs, repeated here so that a change of the table is a change here too.
fn expected_scopes() -> BTreeMap<&'static str, &'static str> {
    let read = [
        "revocations",
        "certificate",
        "me",
        "feedback",
        "feedbackBatch",
        "lookup",
        "plan",
        "search",
        "manifest",
        "signatures",
        "access",
        "grant",
    ];
    let share = ["announceChunk", "putManifest", "putSignature", "announce", "leave", "setAccess", "withdraw"];
    let admin = ["changePassword", "refreshToken", "groups", "group", "putGroup", "deleteGroup"];
    let any = ["devices", "revokeDevice"];
    let all = [(&read[..], "read"), (&share, "share"), (&admin, "admin"), (&any, "read share admin")];
    all.into_iter().flat_map(|(calls, scope)| calls.iter().map(move |call| (*call, scope))).collect()
}

/// A call of a route, as far as a scope matters: `device` is what its path may name.
fn call(client: &Client, route: &Route, device: &str) -> Answer {
    let zeros = "0".repeat(64);
    let path = route.path.replace("{file_hash}", &zeros).replace("{manifest_id}", &zeros);
    let path = path.replace("{device_id}", device).replace("{name}", "group");
    client.call(route.method, &path, if ["GET", "DELETE"].contains(&route.method) { b"" } else { b"{}" })
}

#[test]
fn every_call_of_an_account_wants_its_scope_and_no_other() {
    for_both_stores(|tracker| {
        let (client, id, own) = account(tracker);
        let table: BTreeMap<&str, String> = ROUTES
            .iter()
            .filter_map(|route| Some((route.operation, route.access.needed_scopes()?.to_string())))
            .collect();
        let expected: BTreeMap<&str, String> =
            expected_scopes().into_iter().map(|(call, scope)| (call, scope.to_owned())).collect();
        assert_eq!(table, expected);
        for scope in ["read", "share", "admin"] {
            let device = Device::log_in(&client, &id, &[scope]);
            for route in ROUTES.iter().filter(|route| route.access.needs_token()) {
                // Logging out ends the device: another one of the same kind does that.
                let spare = Device::log_in(&client, &id, &[scope]);
                let caller = if route.operation == "revokeDevice" { &spare } else { &device };
                let answer = call(&caller.client, route, &spare.id);
                let allowed = expected[route.operation].split(' ').any(|word| word == scope);
                let refused = answer.json()["code"] == "insufficient_scope";
                assert_eq!(refused, !allowed, "{scope} {}: {answer:?}", route.operation);
                assert!(allowed || answer.status == 403, "{answer:?}");
                let message = answer.json()["error"].to_string();
                assert!(allowed || message.contains(&format!("the scope {}", expected[route.operation])), "{message}");
                if allowed {
                    assert_ne!(answer.status, 401, "{scope} {}: {answer:?}", route.operation);
                }
            }
        }
        for route in ROUTES.iter().filter(|route| route.access.needs_token() && route.operation != "changePassword") {
            assert_ne!(call(&own, route, NOBODY).json()["code"], "insufficient_scope", "{}", route.operation);
        }
    });
}

#[test]
fn a_device_revokes_others_only_with_the_scope() {
    for_both_stores(|tracker| {
        let (client, id, own) = account(tracker);
        let reader = Device::log_in(&client, &id, &["read"]);
        let owner = Device::log_in(&client, &id, &["admin", "read"]);
        let end = |client: &Client, path: &str| client.call("DELETE", path, b"");
        assert_eq!(end(&reader.client, &owner.path()).error(), (403, "insufficient_scope".to_owned()));
        assert!(owner.is_in());
        let (_, stranger) = client.register("s");
        let unknown = (404, "unknown_device".to_owned());
        assert_eq!(end(&stranger, &owner.path()).error(), unknown);
        assert_eq!(end(&own, &format!("{DEVICES}/{NOBODY}")).error(), unknown);
        assert_eq!(end(&own, &format!("{DEVICES}/me")).error(), (400, "invalid_device_id".to_owned()));
        assert!(owner.is_in(), "not by a stranger");
        assert_eq!(end(&owner.client, &reader.path()).status, 200);
        assert!(!reader.is_in() && owner.is_in());
        assert_eq!(own.post(&owner.path(), &json!({})).header("Allow"), Some("DELETE"));
        assert_eq!(end(&own, DEVICES).header("Allow"), Some("GET, HEAD"));
    });
}

#[test]
fn a_device_s_token_cannot_be_made_to_last_in_the_old_way() {
    for_sqlite(|tracker| {
        let (client, id, own) = account(tracker);
        let device = Device::log_in(&client, &id, &[]);
        assert_eq!(device.client.call("POST", OLD_REFRESH, b"").error(), (409, "device_token".to_owned()));
        assert_eq!(own.call("POST", OLD_REFRESH, b"").status, 200);
    });
}

#[test]
fn one_device_too_many_ends_the_one_unused_longest() {
    for_both_stores(|tracker| {
        let (client, id, own) = account(tracker);
        let first = Device::log_in(&client, &id, &[]);
        // Times differ by milliseconds.
        until("a moment", PATIENCE, || listed(&own).len() == 1);
        for _ in 0..99 {
            Device::log_in(&client, &id, &[]);
        }
        assert!(listed(&own).len() == 100 && first.is_in());
        let last = Device::log_in(&client, &id, &[]);
        let devices = listed(&own);
        assert!(devices.len() == 100 && devices.iter().all(|device| device.device_id != first.id));
        assert!(last.is_in() && !first.is_in());
        assert_eq!(own.get(REVOCATIONS).json()["devices"], json!([first.id]));
    });
}

#[test]
fn who_is_suspended_renews_nothing_until_that_ends() {
    for_both_stores(|tracker| {
        let (client, id, _) = account(tracker);
        let (_, reader) = client.register("reader");
        let device = Device::log_in(&client, &id, &[]);
        let ended = Device::log_in(&client, &id, &[]);
        assert_eq!(ended.client.call("DELETE", &ended.path(), b"").status, 200);
        let listed = || reader.get(REVOCATIONS);
        let before = listed();
        assert_eq!((&before.json()["accounts"], &before.json()["devices"]), (&json!([]), &json!([ended.id])));
        let app = tracker.app();
        admin::suspend(&*app.store, (app.clock)(), &id, "lies").unwrap();
        let is_suspended = || app.accounts.is_suspended(id.parse().unwrap());
        until("the tracker knows", PATIENCE, is_suspended);
        assert_eq!(renew(&client, &device.refresh_token).error(), (403, "suspended".to_owned()));
        assert_eq!(renew(&client, "pnr_x").error(), unauthorized("invalid_refresh_token"));
        let both = listed();
        assert_eq!((&both.json()["accounts"], &both.json()["devices"]), (&json!([id]), &json!([])), "one says it all");
        assert_ne!(both.header("etag"), before.header("etag"));
        admin::resume(&*app.store, (app.clock)(), &id).unwrap();
        until("it may go on", PATIENCE, || !is_suspended());
        assert!(device.renewed().is_in());
        assert_eq!(listed().header("etag"), before.header("etag"));
    });
}

#[test]
fn an_operator_ends_all_devices() {
    for_both_stores(|tracker| {
        let (client, id, _) = account(tracker);
        let (_, reader) = client.register("reader");
        let device = Device::log_in(&client, &id, &[]);
        let app = tracker.app();
        let shown = admin::show(&*app.store, (app.clock)(), &id, true).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["devices"][0]["device_id"], device.id);
        let shown = admin::show(&*app.store, (app.clock)(), &id, false).unwrap();
        assert!(shown.contains(&format!("device      {} \"laptop\" for read share admin, seen", device.id)), "{shown}");
        admin::revoke(&*app.store, (app.clock)(), &id).unwrap();
        assert_eq!(renew(&client, &device.refresh_token).error(), unauthorized("invalid_refresh_token"));
        until("its token is refused", PATIENCE, || !device.is_in());
        until("it is listed", PATIENCE, || reader.get(REVOCATIONS).json()["devices"] == json!([device.id]));
        assert!(Device::log_in(&client, &id, &[]).is_in(), "the password still works");
    });
}

#[test]
fn a_device_revoked_at_one_tracker_is_refused_at_another() {
    let one_folder = tempfile::tempdir().unwrap();
    let other_folder = tempfile::tempdir().unwrap();
    let database = fresh_database();
    let one = start(one_folder.path(), Some(&database));
    let other = start(other_folder.path(), Some(&database));
    let (client, id, _) = account(&one);
    let elsewhere = Client::new(&other.url());
    let device = Device::log_in(&client, &id, &[]);
    let there = elsewhere.with_authorization(device.client.authorization().unwrap());
    until("the trackers know each other", PATIENCE, || there.get(ME).status == 200);
    // A chain goes on at whichever tracker is asked, and a token is exchanged once at all of them.
    let next = Device::of(&elsewhere, &renew(&elsewhere, &device.refresh_token)).renewed();
    assert_eq!(renew(&client, &device.refresh_token).error(), unauthorized("refresh_token_reused"));
    assert!(!device.is_in());
    // The other tracker reads the database every 2 s; the rest of the time is for a busy machine.
    until("it is refused there too", Duration::from_secs(20), || !next.is_in());
    assert_eq!(elsewhere.with_authorization(there.authorization().unwrap()).get(ME).status, 401);
    assert!(one.stop() && other.stop());
}

#[test]
fn tokens_end_by_the_clock_and_revocations_are_forgotten() {
    static NOW: AtomicI64 = AtomicI64::new(1_800_000_000_000);
    let pass = |seconds: i64| {
        NOW.fetch_add(seconds * 1_000, Ordering::Relaxed);
    };
    let folder = tempfile::tempdir().unwrap();
    let config = Config { refresh_days: 2, access_minutes: 10, certificate_hours: 1, ..Config::default() };
    let builder = Tracker::builder().config(config).listen("127.0.0.1:0").data_dir(folder.path()).bcrypt_cost(COST);
    let tracker = builder.clock(|| UnixMillis(NOW.load(Ordering::Relaxed))).start().unwrap();
    let (client, id, _) = account(&tracker);
    let used = Device::log_in(&client, &id, &[]);
    let unused = Device::log_in(&client, &id, &[]);
    pass(599);
    assert!(used.is_in());
    pass(1);
    assert!(!used.is_in(), "an access token ends");
    pass(86_400 + 3_600);
    let used = used.renewed();
    pass(86_400 - 3_600 - 600);
    assert_eq!(renew(&client, &unused.refresh_token).error(), unauthorized("invalid_refresh_token"));
    let used = used.renewed();
    assert!(used.is_in(), "each use renews it");
    assert_eq!(listed(&used.client).len(), 1);

    assert_eq!(used.client.call("DELETE", &used.path(), b"").status, 200);
    let app = tracker.app();
    let known = |family_of: &Device| app.accounts.is_revoked(family_of.id.parse().unwrap());
    assert!(known(&used));
    pass(3_600 - 600);
    app.accounts.refresh(&Blocking::declare()).unwrap();
    assert!(known(&used), "its certificate might not have ended");
    pass(601);
    app.accounts.refresh(&Blocking::declare()).unwrap();
    app.accounts.prune_devices(&Blocking::declare());
    assert!(!known(&used));
    let registry = &app.store;
    assert_eq!(registry.revoked_devices(UnixMillis(0)).unwrap(), []);
    assert!(tracker.stop());
}

#[test]
fn renewals_of_one_address_are_limited_like_logins() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { logins_per_address: 2, ..Config::default() };
    let tracker = crate::support::start_with(folder.path(), None, config);
    let client = Client::new(&tracker.url());
    let statuses: Vec<u16> = (0..4).map(|_| renew(&client, "pnr_x").status).collect();
    assert_eq!(statuses, [401, 401, 429, 429]);
    assert!(tracker.stop());
}
