//! The operator's commands, with the real program and on both stores.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use peernet_testkit::postgres::fresh_database;
use serde_json::{Value, json};

use crate::server::{command, output};
use crate::support::{Client, start};

fn run(folder: &Path, database: Option<&str>, args: &[&str]) -> (i32, String, String) {
    let (code, out, error) = output(command(folder, database).args(args));
    (code, out.trim_end().to_owned(), error.trim_end().to_owned())
}

/// Runs a command that must succeed.
fn done(folder: &Path, database: Option<&str>, args: &[&str]) -> String {
    let (code, out, error) = run(folder, database, args);
    assert_eq!(code, 0, "{args:?}: {out} {error}");
    out
}

fn as_json(folder: &Path, database: Option<&str>, args: &[&str]) -> Value {
    serde_json::from_str(&done(folder, database, args)).unwrap()
}

/// With a running tracker that has two accounts: its folder, its database, and their ids.
fn with_accounts(check: impl Fn(&Path, Option<&str>, [&str; 2])) {
    for database in [None, Some(fresh_database())] {
        let folder = tempfile::tempdir().unwrap();
        let tracker = start(folder.path(), database.as_deref());
        let client = Client::new(&tracker.url());
        let one = client.register_at("host-one:1", "x").0;
        let other = client.register("x").0;
        check(folder.path(), database.as_deref(), [&one, &other]);
        assert!(tracker.stop());
    }
}

#[test]
fn accounts_are_listed_and_shown_while_the_tracker_runs() {
    with_accounts(|folder, database, [one, other]| {
        let all = as_json(folder, database, &["admin", "users", "--json"]);
        let ids: Vec<&str> =
            all["users"].as_array().unwrap().iter().map(|user| user["peer_id"].as_str().unwrap()).collect();
        assert!(ids.len() == 2 && ids.contains(&one) && ids.contains(&other) && ids.is_sorted(), "{ids:?}");
        assert!(!all.to_string().contains("$2b$"), "no password hash");
        let page = as_json(folder, database, &["admin", "users", "--json", "--limit", "1"]);
        assert_eq!((page["users"][0]["peer_id"].as_str(), page["next"].as_str()), (Some(ids[0]), Some(ids[0])));
        let next = as_json(folder, database, &["admin", "users", "--json", "--after", ids[0]]);
        assert_eq!((next["users"][0]["peer_id"].as_str(), next["next"].as_str()), (Some(ids[1]), None));
        let table = done(folder, database, &["admin", "users", "--match", "HOST-one"]);
        assert!(table.contains(one) && !table.contains(other) && table.contains("host-one:1"), "{table}");
        for name in [one, "Host-One:1"] {
            let shown = as_json(folder, database, &["admin", "show", name, "--json"]);
            assert_eq!((shown["peer_id"].as_str(), shown["token_balance_mt"].as_i64()), (Some(one), Some(20_000)));
        }
        assert!(done(folder, database, &["admin", "show", one]).contains("active"));
        assert_eq!(run(folder, database, &["admin", "show", "nobody:1"]).0, 1);
        assert_eq!(run(folder, database, &["admin", "users", "--after", "x"]).0, 2);
    });
}

#[test]
fn suspending_resuming_and_revoking_are_audited() {
    with_accounts(|folder, database, [one, other]| {
        done(folder, database, &["admin", "suspend", one, "--reason", "floods the swarm"]);
        let (code, _, error) = run(folder, database, &["admin", "suspend", one, "--reason", "again"]);
        assert!(code == 1 && error.contains("already"), "{error}");
        assert_eq!(run(folder, database, &["admin", "suspend", one, "--reason", " "]).0, 2);
        let shown = as_json(folder, database, &["admin", "show", one, "--json"]);
        assert_eq!((&shown["state"], &shown["suspended_reason"]), (&json!("suspended"), &json!("floods the swarm")));
        done(folder, database, &["admin", "resume", "host-one:1"]);
        assert_eq!(run(folder, database, &["admin", "resume", one]).0, 1);
        done(folder, database, &["admin", "revoke", one]);
        assert_eq!(run(folder, database, &["admin", "revoke", "123e4567-e89b-42d3-a456-426614174000"]).0, 1);
        let audit = as_json(folder, database, &["admin", "audit", "--json", "--account", one]);
        let rows = audit["audit"].as_array().unwrap();
        let actions: Vec<&str> = rows.iter().map(|row| row["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["revoked", "resumed", "suspended", "registered"]);
        assert!(rows[..3].iter().all(|row| row["by"] == "operator"));
        let table = done(folder, database, &["admin", "audit", "--limit", "2"]);
        assert!(table.lines().count() == 3 && !table.contains(other), "{table}");
    });
}

#[test]
fn an_invite_is_shown_once_and_can_be_revoked() {
    with_accounts(|folder, database, _| {
        let (code, text, remark) =
            run(folder, database, &["admin", "invite", "create", "--uses", "3", "--note", "lab"]);
        let fingerprint = done(folder, database, &["admin", "authority", "show"]);
        assert!(text.ends_with(&format!("@{}", fingerprint.trim())), "{text} {fingerprint}");
        assert!(code == 0 && text.len() == 100 && remark.contains("3 uses"), "{text} {remark}");
        let list = done(folder, database, &["admin", "invite", "list"]);
        assert!(list.contains("3 of 3") && list.contains("lab") && !list.contains(&text), "{list}");
        let made = as_json(folder, database, &["admin", "invite", "create", "--days", "1", "--json"]);
        let id = made["id"].as_str().unwrap();
        assert_eq!((made["uses"].as_i64(), made["code"].as_str().unwrap().len()), (Some(1), 100));
        done(folder, database, &["admin", "invite", "revoke", id]);
        assert_eq!(run(folder, database, &["admin", "invite", "revoke", id]).0, 1);
        assert_eq!(run(folder, database, &["admin", "invite", "revoke", "0123456789ab"]).0, 1);
        for bad in [["--uses", "0"], ["--days", "0"], ["--days", "4000"], ["--note", "a\nb"]] {
            assert_eq!(run(folder, database, &["admin", "invite", "create", bad[0], bad[1]]).0, 2, "{bad:?}");
        }
        let audit = done(folder, database, &["admin", "audit"]);
        assert!(audit.contains("invite_created") && audit.contains("invite_revoked") && !audit.contains(&text));
    });
}

#[test]
fn commands_neither_make_nor_upgrade_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("none");
    for args in [&["admin", "users"][..], &["admin", "backup", "x"], &["admin", "audit"]] {
        let (code, _, error) = run(&nowhere, None, args);
        assert!(code == 3 && error.contains("there is no tracker"), "{args:?}: {error}");
    }
    assert!(!nowhere.exists());
    assert!(start(folder.path(), None).stop());
    let database = rusqlite::Connection::open(folder.path().join("tracker.sqlite")).unwrap();
    for (version, words) in [(1, "upgrades it"), (1_000, "too old")] {
        database.execute("UPDATE schema_version SET version = ?1", [version]).unwrap();
        let (code, _, error) = run(folder.path(), None, &["admin", "users"]);
        assert!(code == 3 && error.contains(words), "{error}");
    }
}

#[test]
fn a_backup_of_a_running_tracker_restores() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.sqlite");
    let copy_name = copy.to_str().unwrap();
    let data = folder.path().join("data");
    let tracker = start(&data, None);
    let client = Client::new(&tracker.url());
    let before = client.register_at("before:1", "x").0;
    done(&data, None, &["admin", "backup", copy_name]);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, _, error) = run(&data, None, &["admin", "backup", copy_name]);
    assert!(code == 3 && error.contains("exists"), "never overwritten: {error}");
    client.register_at("after:1", "x");
    let (code, _, error) = run(&data, None, &["admin", "restore", copy_name]);
    assert!(code == 1 && error.contains("stop the tracker first"), "{error}");
    assert!(tracker.stop());

    let restored = done(&data, None, &["admin", "restore", copy_name]);
    assert!(restored.contains("before-restore-"), "{restored}");
    let users = done(&data, None, &["admin", "users"]);
    assert!(users.contains(&before) && !users.contains("after:1"), "{users}");
    assert!(done(&data, None, &["admin", "audit"]).contains("restored"));
    done(&data, None, &["admin", "ledger", "verify"]);
    let kept: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    let kept = kept.iter().find(|path| path.to_string_lossy().contains("before-restore-")).unwrap();
    let addresses: i64 = rusqlite::Connection::open(kept)
        .unwrap()
        .query_row("SELECT count(*) FROM accounts", [], |row| row.get(0))
        .unwrap();
    assert_eq!(addresses, 2, "what was there is kept");
    let tracker = start(&data, None);
    assert_eq!(Client::new(&tracker.url()).register_at("before:1", "x").0, before);
    assert!(tracker.stop());
}

#[test]
fn what_is_no_whole_backup_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let tracker = start(&data, None);
    let id = Client::new(&tracker.url()).register("x").0;
    assert!(tracker.stop());
    let file = |name: &str| folder.path().join(name);
    done(&data, None, &["admin", "backup", file("good").to_str().unwrap()]);
    fs::write(file("text"), "hello").unwrap();
    rusqlite::Connection::open(file("other")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    fs::copy(file("good"), file("newer")).unwrap();
    rusqlite::Connection::open(file("newer")).unwrap().execute_batch("UPDATE schema_version SET version = 99").unwrap();
    let mut bytes = fs::read(file("good")).unwrap();
    let middle = bytes.len() / 2;
    bytes[4_096..middle].fill(0xa5);
    fs::write(file("damaged"), &bytes).unwrap();
    fs::write(file("torn"), &fs::read(file("good")).unwrap()[..middle]).unwrap();
    for name in ["missing", "text", "other", "newer", "damaged", "torn"] {
        let (code, _, error) = run(&data, None, &["admin", "restore", file(name).to_str().unwrap()]);
        assert_eq!(code, 3, "{name}: {error}");
        assert!(done(&data, None, &["admin", "users"]).contains(&id), "{name}: the database is as it was");
    }
}

#[test]
fn with_postgresql_the_database_s_own_tools_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let url = fresh_database();
    for (args, tool) in [(["admin", "backup", "x"], "pg_dump"), (["admin", "restore", "x"], "pg_restore")] {
        let (code, _, error) = run(folder.path(), Some(&url), &args);
        assert!(code == 2 && error.contains(tool), "{error}");
    }
}

#[test]
fn a_second_tracker_on_an_embedded_database_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(folder.path(), None);
    let (code, _, error) = run(folder.path(), None, &["serve", "--ops-listen", "off"]);
    assert!(code == 3 && error.contains("a tracker is running"), "{error}");
    assert!(tracker.stop());
    assert!(start(folder.path(), None).stop(), "the folder is free again");
}

fn verdicts(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    report["checks"].as_array().unwrap().iter().map(|check| (text(&check["check"]), text(&check["verdict"]))).collect()
}

#[test]
fn the_doctor_finds_a_healthy_tracker_healthy() {
    for database in [None, Some(fresh_database())] {
        let folder = tempfile::tempdir().unwrap();
        assert!(start(folder.path(), database.as_deref()).stop());
        let report = as_json(folder.path(), database.as_deref(), &["doctor", "--json", "--connections-max", "64"]);
        let found = verdicts(&report);
        assert!(found.iter().all(|(name, verdict)| verdict == "OK" || name == "disk space"), "{report}");
        assert_eq!(found.len(), if database.is_some() { 11 } else { 9 }, "{report}");
        let lines = done(folder.path(), database.as_deref(), &["admin", "doctor"]);
        assert_eq!(lines.lines().count(), found.len());
    }
}

#[test]
fn the_doctor_names_what_is_wrong_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    assert!(start(folder.path(), None).stop());
    let key = folder.path().join("token-key.pem");
    let database = folder.path().join("tracker.sqlite");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&key, 0o644);
    mode(folder.path(), 0o755);
    let (code, text, _) = run(folder.path(), None, &["doctor"]);
    assert!(code == 1 && text.contains("chmod 600") && text.contains("chmod 700"), "{text}");
    mode(&key, 0o600);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let (code, text, _) = run(folder.path(), None, &["doctor", "--listen", &listen]);
    assert!(code == 1 && text.contains("is taken by a program"), "{text}");
    let (code, text, _) = run(folder.path(), None, &["doctor", "--bcrypt-cost", "99", "--json"]);
    assert!(code == 1 && text.contains("bcrypt_cost"), "{text}");
    fs::write(&database, "no database").unwrap();
    let (code, text, _) = run(folder.path(), None, &["doctor"]);
    assert!(code == 3 && text.contains("FAIL  store"), "{text}");
    let (code, text, _) = run(folder.path(), Some("postgres://nobody@127.0.0.1:1/none"), &["doctor"]);
    assert!(code == 3 && text.contains("check DATABASE_URL"), "{text}");
}

#[test]
fn every_command_s_help_has_its_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        "admin users",
        "admin show",
        "admin suspend",
        "admin resume",
        "admin revoke",
        "admin invite create",
        "admin invite list",
        "admin invite revoke",
        "admin audit",
        "admin backup",
        "admin restore",
        "admin doctor",
        "doctor",
    ] {
        let args: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = done(folder.path(), None, &args);
        assert!(help.contains("Exit codes: 0") && help.contains("Examples:"), "{command}: {help}");
    }
}
