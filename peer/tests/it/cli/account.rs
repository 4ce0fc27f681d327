//! Accounts: the places that a password comes from, and the files that are stored.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use peernet_tracker::Tracker;
use peernet_tracker::boot::config::{Config, Registration};
use peernet_tracker::domain::accounts::invites::hash_code;
use peernet_tracker::store::accounts::AccountWrite;
use peernet_tracker::store::invites::Invite;
use peernet_tracker::store::{Durability, Write, Written};

use super::{Stage, ran};

#[test]
fn passwords_come_from_an_option_a_file_or_the_environment() {
    let stage = Stage::new();
    fs::write(stage.path("secret.txt"), "from a file\nand no more\n").unwrap();
    let registered = stage.run("alice", &["register", "--password-file", "secret.txt", "--json"]).ok().json();
    let peer = registered["peer_id"].as_str().unwrap();
    let login = |password: &str| stage.run("alice", &["login", "--peer-id", peer, "--password", password]);
    login("from a file").ok().says(peer);
    login("from a file\nand no more").code(3).complains("peernet: error: ");
    ran(stage.command("alice", &["login"]).env("PEERNET_PASSWORD", "from a file")).ok().says(peer);
    ran(stage.command("alice", &["login"]).env("PEERNET_PASSWORD", "wrong")).code(3);
    stage.run("alice", &["login", "--password", "a", "--password-file", "secret.txt"]).code(2);
    stage.run("alice", &["login", "--password-file", "absent.txt"]).code(7).complains("absent.txt");
    // A failed login leaves the account as it is.
    stage.run("alice", &["status"]).ok();
}

#[test]
fn without_a_terminal_no_password_is_waited_for() {
    let stage = Stage::new();
    // A session of its own has no terminal to ask on, wherever the test runs.
    let mut command = stage.command_of("setsid", "alice", &[super::PROGRAM, "register"]);
    ran(command.env_remove("PEERNET_PASSWORD")).code(2).complains("--password-file");
}

#[test]
fn a_changed_password_replaces_the_old_one() {
    let stage = Stage::with(&["alice"]);
    fs::write(stage.path("new.txt"), "another one").unwrap();
    stage.run("alice", &["password", "--new-password-file", "new.txt"]).ok().says("password changed");
    stage.run("alice", &["status"]).ok();
    stage.run("alice", &["login"]).code(3);
    stage.run("alice", &["login", "--password-file", "new.txt"]).ok();
}

#[test]
fn an_account_is_found_again_by_its_address() {
    let stage = Stage::new();
    let register = |who: &str| stage.run(who, &["register", "--address", "127.0.0.1:4", "--json", "--password", "x"]);
    let first = register("alice").ok().json();
    let again = register("elsewhere").ok().json();
    assert_eq!((&first["peer_id"], &first["address"]), (&again["peer_id"], &again["address"]));
    stage.run("third", &["login", "--address", "127.0.0.1:4", "--password", "x"]).ok();
    stage.run("fourth", &["register", "--address", "127.0.0.1:4", "--password", "y"]).code(3);
    stage.run("fifth", &["register", "--address", "unix:///x", "--password", "y"]).code(2).complains("--address");
}

#[test]
fn stored_files_are_closed_to_others_and_hold_no_password() {
    let stage = Stage::with(&["alice"]);
    stage.file("a.bin", 9);
    let (_daemon, _) = stage.daemon("alice");
    stage.run("alice", &["share", "a.bin"]).ok();
    let mut files = 0;
    let mut folders = vec![stage.path("alice")];
    while let Some(folder) = folders.pop() {
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", entry.path().display());
            files += 1;
            if kind.is_file() {
                let bytes = fs::read(entry.path()).unwrap();
                assert!(!String::from_utf8_lossy(&bytes).contains("password of"), "{}", entry.path().display());
            }
        }
    }
    assert!(files >= 4, "credentials, lock, socket and a share: {files}");
}

#[test]
fn the_tracker_comes_from_the_configuration_or_the_account() {
    let stage = Stage::new();
    let without = |arguments: &[&str]| ran(stage.command("alice", arguments).env_remove("PEERNET_TRACKER"));
    without(&["register"]).code(2).complains("--tracker");
    fs::create_dir(stage.path("alice")).unwrap();
    fs::write(stage.path("alice/config.toml"), format!("tracker = \"{}\"\n", stage.url)).unwrap();
    without(&["register"]).ok();
    fs::remove_file(stage.path("alice/config.toml")).unwrap();
    without(&["status"]).ok().says(&stage.url);
    fs::write(stage.path("alice/config.toml"), "trackr = \"x\"\n").unwrap();
    without(&["status"]).code(2).complains("trackr");
}

/// A tracker where registration is by invitation, with one code for three accounts.
fn tracker_by_invitation(stage: &Stage, code: &str) -> Tracker {
    let config = Config {
        listen: "127.0.0.1:0".into(),
        data_dir: stage.path("by-invitation"),
        bcrypt_cost: 4,
        registration: Registration::Invite,
        ..Config::default()
    };
    let tracker = Tracker::builder().config(config).start().unwrap();
    let now = (tracker.app().clock)();
    let invite = Invite {
        code_hash: hash_code(code),
        uses: 3,
        uses_left: 3,
        note: String::new(),
        created_at: now,
        expires_at: now.plus(std::time::Duration::from_secs(3_600)),
        revoked_at: None,
    };
    let write = Write::Account(AccountWrite::PutInvite(invite));
    assert_eq!(tracker.app().store.write(now, &[write], Durability::Synced).unwrap(), [Written::Done]);
    tracker
}

#[test]
fn an_invite_comes_from_an_option_a_file_or_the_environment() {
    let stage = Stage::new();
    let tracker = tracker_by_invitation(&stage, "abcd-efgh");
    let url = tracker.url();
    let register =
        |who: &str, more: &[&str]| stage.run(who, &[&["register", "--tracker", url.as_str()][..], more].concat());
    register("alice", &[]).code(3).complains("invite");
    register("alice", &["--invite", "wrong"]).code(3).complains("invite");
    fs::write(stage.path("code.txt"), "ABCD-EFGH\nand no more\n").unwrap();
    register("alice", &["--invite-file", "code.txt"]).ok().says("registered");
    register("bob", &["--invite", "abcd-efgh"]).ok();
    let mut by_environment = stage.command("carol", &["register", "--tracker", &url]);
    ran(by_environment.env("PEERNET_INVITE", "abcd-efgh")).ok();
    register("dave", &["--invite", "abcd-efgh"]).code(3).complains("invite");
    register("dave", &["--invite", "a", "--invite-file", "code.txt"]).code(2);
    register("dave", &["--invite-file", "absent.txt"]).code(7).complains("absent.txt");
    assert!(tracker.stop());
}
