//! Devices: renewal of their tokens, the list of devices, revocation and logout.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Ran, Stage, ended, ran};
use crate::identity::testing::unix_now;

impl Stage {
    fn credentials(&self, who: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(who).join("credentials.json")).unwrap()).unwrap()
    }

    /// As if a quarter of an hour had gone by: the access token of `who` has ended by the file.
    fn age(&self, who: &str) -> Value {
        let mut stored = self.credentials(who);
        let now = unix_now();
        (stored["obtained_at"], stored["expires_at"]) = (json!(now - 1_000), json!(now - 100));
        fs::write(self.path(who).join("credentials.json"), stored.to_string()).unwrap();
        stored
    }

    /// Another device of an account.
    fn log_in(&self, who: &str, account: &str, more: &[&str]) -> Ran {
        let peer = self.credentials(account)["peer_id"].as_str().unwrap().to_owned();
        let password = format!("password of {account}");
        let arguments = ["login", "--peer-id", &peer, "--password", &password];
        self.run(who, &[&arguments[..], more].concat())
    }

    fn devices(&self, who: &str) -> Vec<Value> {
        let listed = self.run(who, &["devices", "--json"]).ok().json();
        listed["devices"].as_array().unwrap().clone()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in ["credentials.json", "certificate.json", "identity-key.pem"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn all_processes_of_a_folder_renew_tokens_in_turn() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("a.bin", 3 << 20);
    let first = stage.age("alice");
    assert!(first["refresh_token"].as_str().unwrap().starts_with("pnr_"), "{first}");
    let (_daemon, _) = stage.daemon("alice");
    stage.run("alice", &["share", "a.bin"]).ok();
    for _ in 0..4 {
        let before = stage.age("alice");
        // At once, as a script does.
        let mut both = [(); 3].map(|()| stage.start("alice", &["search", "nothing"]));
        for process in &mut both {
            ended(process).ok();
        }
        let after = stage.credentials("alice");
        assert_ne!(before["refresh_token"], after["refresh_token"]);
        // Tokens of one second are alike; their times are not.
        assert!(after["expires_at"].as_u64() > Some(unix_now()), "{:?}", after["expires_at"]);
        assert_eq!(before["device_id"], after["device_id"]);
    }
    let devices = stage.devices("alice");
    assert!(devices.len() == 1 && devices[0]["current"] == true, "{devices:?}");
    stage.run("bob", &["download", &hash]).ok();
    assert_eq!(stage.announced("alice"), 1);
}

#[test]
fn devices_are_listed_and_a_revoked_one_is_refused() {
    let stage = Stage::with(&["alice"]);
    stage.log_in("phone", "alice", &["--device-label", "the phone"]).ok();
    stage.file("a.bin", 9);
    let devices = stage.devices("alice");
    assert_eq!(devices.len(), 2);
    let phone = &devices[0];
    let own = &devices[1];
    assert_eq!((&phone["label"], &phone["current"]), (&json!("the phone"), &json!(false)));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!((&own["label"], &own["current"]), (&json!(host.trim()), &json!(true)));
    assert_eq!(own["scopes"], json!(["read", "share", "admin"]));
    let listed = stage.run("phone", &["devices"]).ok().says("the phone").says("read,share,admin");
    assert_eq!(listed.out.iter().filter(|line| line.ends_with("(this one)")).count(), 1, "{:?}", listed.out);
    let id = phone["device_id"].as_str().unwrap();
    let told = stage.run("alice", &["devices", "revoke", id, "--json"]).ok().json();
    assert_eq!(told, json!({"device_id": id, "status": "revoked"}));
    stage.run("alice", &["devices", "revoke", id]).ok().says("is logged out");
    for arguments in [&["devices"][..], &["search", "x"], &["share", "a.bin", "--no-daemon"]] {
        let refused = stage.run("phone", arguments);
        refused.code(3).complains("logged out at the tracker");
    }
    stage.run("alice", &["devices", "revoke", "123e4567-e89b-42d3-a456-426614174000"]).code(4);
    stage.run("alice", &["devices", "revoke", "phone"]).code(2).complains("not a device id");
    stage.run("alice", &["login", "--device-label", &"x".repeat(65)]).code(2).complains("64 bytes");
    // The label stays where a password changes, and that ends the others.
    stage.log_in("tablet", "alice", &["--device-label=the tablet"]).ok();
    fs::write(stage.path("old.txt"), "password of alice").unwrap();
    fs::write(stage.path("new.txt"), "another").unwrap();
    stage.run("tablet", &["password", "--password-file", "new.txt", "--new-password-file", "new.txt"]).code(3);
    stage.run("tablet", &["password", "--password-file", "old.txt", "--new-password-file", "new.txt"]).ok();
    assert_eq!(stage.devices("tablet").iter().map(|it| &it["label"]).collect::<Vec<_>>(), ["the tablet"]);
    stage.run("alice", &["devices"]).code(3).complains("peernet login");
}

#[test]
fn logging_out_also_ends_copies_of_the_folder() {
    let stage = Stage::with(&["alice"]);
    copy(&stage.path("alice"), &stage.path("copy"));
    let id = stage.credentials("alice")["device_id"].clone();
    let told = stage.run("alice", &["logout", "--json"]).ok().json();
    assert_eq!((&told["device_id"], &told["ended_at_tracker"]), (&id, &json!(true)));
    let left: Vec<_> = fs::read_dir(stage.path("alice")).unwrap().map(|it| it.unwrap().file_name()).collect();
    for name in ["credentials.json", "certificate.json", "identity-key.pem"] {
        assert!(!left.iter().any(|it| it.to_str() == Some(name)), "{left:?}");
    }
    stage.run("alice", &["devices"]).code(3).complains("peernet login");
    stage.run("copy", &["devices"]).code(3).complains("logged out at the tracker");
    stage.run("alice", &["logout"]).ok().says("no account was logged in");
    ran(stage.command("alice", &["logout"]).env_remove("PEERNET_TRACKER")).ok().says("no account was logged in");
    // One whose tokens have ended, and one that was revoked, are logged out as well.
    stage.log_in("alice", "copy", &["--password", "password of alice"]).code(2);
    let peer = told["peer_id"].as_str().unwrap();
    let log_in = || stage.run("alice", &["login", "--peer-id", peer]).ok();
    log_in();
    stage.age("alice");
    stage.run("alice", &["logout"]).ok();
    log_in();
    let own = stage.credentials("alice")["device_id"].as_str().unwrap().to_owned();
    stage.run("alice", &["devices", "revoke", &own]).ok().complains("the device you are at");
    stage.run("alice", &["logout"]).ok();
}

#[test]
fn a_logout_without_the_tracker_says_what_is_left() {
    let mut stage = Stage::with(&["alice", "bob"]);
    let device = stage.credentials("alice")["device_id"].as_str().unwrap().to_owned();
    stage.run("bob", &["logout", "--local"]).ok().complains("the tracker was not told");
    assert!(stage.tracker.take().unwrap().stop());
    stage.run("alice", &["logout"]).code(6).complains(&format!("`peernet devices revoke {device}`"));
    for who in ["alice", "bob"] {
        assert!(!stage.path(who).join("credentials.json").exists());
        assert!(!stage.path(who).join("identity-key.pem").exists());
    }
    stage.run("alice", &["logout"]).ok();
}

#[test]
fn a_copied_folder_logs_both_copies_out() {
    let stage = Stage::with(&["alice"]);
    copy(&stage.path("alice"), &stage.path("copy"));
    // Twice, so that the copy's is not the one before the last, which may have been lost.
    for _ in 0..2 {
        stage.age("alice");
        stage.run("alice", &["search", "x"]).ok();
    }
    stage.age("copy");
    stage.run("copy", &["search", "x"]).code(3).complains("seen one of its refresh tokens twice");
    stage.run("alice", &["search", "x"]).code(3).complains("peernet login");
}

#[test]
fn a_device_is_limited_to_its_scopes() {
    let stage = Stage::with(&["alice", "bob"]);
    let hash = stage.file("a.bin", 1 << 20);
    let _sharer = stage.sharer("bob", "a.bin");
    stage.log_in("reader", "alice", &["--scope", "read"]).ok();
    stage.run("reader", &["download", &hash]).ok();
    stage.age("reader");
    let arguments = ["share", "a.bin", "--no-daemon", "--listen", "127.0.0.1:0"];
    stage.run("reader", &arguments).code(3).complains("--scope");
    let other = stage.credentials("alice")["device_id"].as_str().unwrap().to_owned();
    stage.run("reader", &["devices", "revoke", &other]).code(3).complains("admin");
    assert_eq!(stage.devices("reader")[0]["scopes"], json!(["read"]));
    stage.log_in("reader", "alice", &["--scope", "read,write"]).code(2).complains("read, share and admin");
    // Its own end needs no scope.
    stage.run("reader", &["logout"]).ok();
}

#[test]
fn a_folder_from_before_devices_keeps_working() {
    let stage = Stage::with(&["alice"]);
    let app = std::sync::Arc::clone(stage.tracker.as_ref().unwrap().app());
    let mut stored = stage.credentials("alice");
    let peer = stored["peer_id"].as_str().unwrap().parse().unwrap();
    let token = app.keys.issue((app.clock)(), &peernet_tracker::api::Caller::account(peer, 0));
    let now = unix_now();
    for name in ["device_id", "device_label", "device_scopes", "refresh_token", "refresh_expires_at"] {
        stored.as_object_mut().unwrap().remove(name);
    }
    stored["token"] = json!(token.text);
    (stored["obtained_at"], stored["expires_at"]) = (json!(now - 900), json!(now + 100));
    fs::write(stage.path("alice/credentials.json"), stored.to_string()).unwrap();
    stage.run("alice", &["search", "x"]).ok();
    let after = stage.credentials("alice");
    assert!(after["device_id"].is_null() && after["expires_at"].as_u64().unwrap() > now + 100, "{after}");
    stage.run("alice", &["logout"]).ok().complains("a change of the password ends it");
}

#[test]
fn no_output_contains_a_secret() {
    let stage = Stage::with(&["alice"]);
    stage.age("alice");
    let mut said = Vec::new();
    for arguments in [&["devices"][..], &["devices", "--json"], &["status", "--json"], &["login", "--json"]] {
        let Ran { out, err, .. } = ran(&mut stage.command("alice", arguments)).ok();
        said.extend(out.into_iter().chain(err));
    }
    let stored = stage.credentials("alice");
    let secrets = [stored["token"].as_str().unwrap(), stored["refresh_token"].as_str().unwrap(), "pnr_"];
    assert!(!said.iter().any(|line| secrets.iter().any(|secret| line.contains(secret))), "{said:?}");
}
