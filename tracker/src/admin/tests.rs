//! The operator's commands on a SQLite store in a temporary folder, with their whole output.

use std::fs;
use std::path::Path;

use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::store::accounts::{AccountQuery, PAGE_MAX, TEXT_BYTES_MAX};
use crate::store::audit_log::AuditQuery;
use crate::store::sqlite::SqliteStore;
use crate::store::{Account, Durability, Write};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const DAY_MS: i64 = 86_400_000;

/// A tracker's folder with a store of two accounts, `a:1` and `b:2`.
struct Place {
    _folder: TempDir,
    config: Config,
    store: Arc<dyn Store>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config { data_dir: folder.path().join("data"), ..Config::default() };
        fs::create_dir(&config.data_dir).expect("makes");
        let store = open_store(&config).expect("opens");
        store.migrate(NOW).expect("migrates");
        let accounts = [account(1, "a:1"), account(2, "b:2")].map(Write::create_account);
        store.write(NOW, &accounts, Durability::Synced).expect("writes");
        Self { _folder: folder, config, store }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.config.data_dir.with_file_name(name)
    }

    fn shown(&self, named: &str) -> Value {
        as_json(show(&*self.store, NOW, named, true))
    }

    fn actions(&self) -> Vec<String> {
        let query = AuditQuery { account: None, limit: PAGE_MAX };
        self.store.audit_log(&query).expect("reads").into_iter().map(|row| row.action).collect()
    }
}

fn account(n: u8, address: &str) -> Account {
    Account {
        id: id(n),
        address: Some(address.to_owned()),
        password_hash: "hash".to_owned(),
        generation: 0,
        created_at: NOW,
    }
}

fn id(n: u8) -> PeerId {
    PeerId([n; 16])
}

fn as_json(text: Result<String>) -> Value {
    serde_json::from_str(&text.expect("is printed")).expect("is JSON")
}

/// Checks that a command failed: its kind and its whole text.
fn check(result: Result<impl fmt::Debug>, kind: &str, text: &str) {
    let error = result.expect_err(text);
    let found = match &error {
        AdminError::Usage(_) => "usage",
        AdminError::No(_) => "no",
        AdminError::Failed(_) => "failed",
    };
    assert_eq!((found, error.to_string().as_str()), (kind, text));
}

#[test]
fn a_list_shows_each_account_in_a_row() {
    let place = Place::new();
    let list = |query| list_accounts(&*place.store, &query, false).expect("lists");
    let query = AccountQuery { matching: None, limit: 100, after: None };
    let header = "ID                                    STATE      CREATED                   METADATA  ADDRESS";
    let row = |n, address| format!("\n{}  active     2027-01-15T08:00:00Z             0  {address}", id(n));
    assert_eq!(list(query.clone()), format!("{header}{}{}", row(1, "a:1"), row(2, "b:2")));
    let page = AccountQuery { limit: 1, ..query.clone() };
    assert_eq!(list(page), format!("{header}{}\nThere may be more: --after {}", row(1, "a:1"), id(1)));
    assert_eq!(list(AccountQuery { after: Some(id(1)), ..query.clone() }), format!("{header}{}", row(2, "b:2")));
    assert_eq!(
        list(AccountQuery { matching: Some("B:".into()), ..query.clone() }),
        format!("{header}{}", row(2, "b:2"))
    );
    assert_eq!(list(AccountQuery { matching: Some("%".into()), ..query }), header, "no wildcard");
}

#[test]
fn an_account_is_found_by_id_or_address() {
    let place = Place::new();
    let text = show(&*place.store, NOW, "A:1", false).expect("is shown");
    let expected = format!(
        "id          {}\naddress     a:1\nstate       active\ncreated     2027-01-15T08:00:00Z\ngeneration  0\n\
         metadata    0 bytes\ntokens      20\nscore       0.5",
        id(1)
    );
    assert_eq!(text, expected);
    assert_eq!(show(&*place.store, NOW, &id(1).to_string(), false).ok(), Some(text));
    for nobody in ["c:3", "", &id(9).to_string()] {
        check(show(&*place.store, NOW, nobody, false), "no", &format!("there is no account {nobody}"));
    }
}

#[test]
fn a_suspension_begins_and_ends_once_and_is_audited() {
    let place = Place::new();
    let store = &*place.store;
    let one = id(1);
    assert_eq!(suspend(store, NOW, "a:1", "floods").ok(), Some(format!("suspended {one}")));
    check(suspend(store, NOW, "a:1", "again"), "no", &format!("{one} is suspended already"));
    let shown = place.shown("a:1");
    assert_eq!([&shown["state"], &shown["suspended_reason"]], [&json!("suspended"), &json!("floods")]);
    assert_eq!(shown["suspended_at"], json!(NOW.as_secs()));
    let text = show(store, NOW, "a:1", false).expect("is shown");
    assert!(text.contains("\nstate       suspended since 2027-01-15T08:00:00Z: floods\n"), "{text}");
    assert_eq!(place.shown("b:2")["state"], json!("active"));
    assert_eq!(resume(store, NOW, "a:1").ok(), Some(format!("resumed {one}")));
    check(resume(store, NOW, "a:1"), "no", &format!("{one} is not suspended"));
    assert_eq!(revoke(store, NOW, "a:1").ok(), Some(format!("revoked every token and device of {one}")));
    assert_eq!(place.shown("a:1")["generation"], json!(1));
    check(revoke(store, NOW, "c:3"), "no", "there is no account c:3");
    assert_eq!(place.actions(), ["revoked", "resumed", "suspended", "registered", "registered"]);
}

#[test]
fn texts_of_operators_are_bounded_and_plain() {
    let place = Place::new();
    let store = &*place.store;
    let longest = "x".repeat(TEXT_BYTES_MAX);
    let refusal = |name: &str| format!("{name}: at most {TEXT_BYTES_MAX} bytes, without control characters");
    for blank in ["", " ", "\t"] {
        check(suspend(store, NOW, "a:1", blank), "usage", "--reason: give a reason; the audit log keeps it");
    }
    for bad in ["a\nb", "a\0", &format!("{longest}x")] {
        check(suspend(store, NOW, "a:1", bad), "usage", &refusal("--reason"));
        let new = NewInvite { uses: 1, days: 1, note: bad.to_owned() };
        check(create_invite(store, NOW, &new, None, false), "usage", &refusal("--note"));
    }
    suspend(store, NOW, "a:1", &longest).expect("the longest reason");
    assert_eq!(place.shown("a:1")["suspended_reason"], json!(longest));
}

#[test]
fn an_invite_has_bounded_uses_and_days() {
    let place = Place::new();
    let create = |uses, days| {
        let new = NewInvite { uses, days, note: String::new() };
        create_invite(&*place.store, NOW, &new, None, false)
    };
    for (uses, days) in [(1, 1), (1_000_000, 3_650)] {
        create(uses, days).expect("is in range");
    }
    for uses in [0, 1_000_001] {
        check(create(uses, 1), "usage", "--uses: must be 1 to 1000000");
    }
    for days in [0, 3_651] {
        check(create(1, days), "usage", "--days: must be 1 to 3650");
    }
    assert_eq!(place.store.invites().expect("reads").len(), 2, "a refused invite is not stored");
}

#[test]
fn an_invite_s_state_follows_its_uses_and_its_end() {
    let place = Place::new();
    let store = &*place.store;
    let new = NewInvite { uses: 3, days: 2, note: "lab".to_owned() };
    let (code, remark) = create_invite(store, NOW, &new, Some("abc"), false).expect("is made");
    let id = store.invites().expect("reads")[0].id();
    assert_eq!(remark, format!("invite {id}: 3 uses, until 2027-01-17T08:00:00Z; the code is not shown again"));
    assert!(code.ends_with("@abc"), "{code}");
    let state = |now| as_json(list_invites(store, now, true))["invites"][0]["state"].clone();
    let later = |ms| UnixMillis(NOW.0 + 2 * DAY_MS + ms);
    assert_eq!([state(NOW), state(later(-1)), state(later(0))], [json!("good"), json!("good"), json!("expired")]);
    let header = "ID            STATE              LEFT  EXPIRES               NOTE";
    let row = format!("{id}  good             3 of 3  2027-01-17T08:00:00Z  lab");
    assert_eq!(list_invites(store, NOW, false).ok(), Some(format!("{header}\n{row}")));
    assert_eq!(revoke_invite(store, NOW, &id.to_uppercase()).ok(), Some(format!("revoked invite {id}")));
    assert_eq!([state(NOW), state(later(0))], [json!("revoked"), json!("revoked")]);
    check(revoke_invite(store, NOW, &id), "no", &format!("invite {id} is revoked already"));
    check(revoke_invite(store, NOW, "zz"), "no", "there is no invite zz; `admin invite list` shows all");
    assert_eq!(place.actions()[..2], ["invite_revoked", "invite_created"]);
}

#[test]
fn the_audit_log_is_a_table_or_an_object() {
    let place = Place::new();
    suspend(&*place.store, NOW, "a:1", "floods").expect("is done");
    let query = AuditQuery { account: Some(id(1)), limit: 1 };
    let text = list_audit(&*place.store, &query, false).expect("lists");
    let header = "TIME                  BY        ACTION            ACCOUNT                               DETAIL";
    let row = format!("2027-01-15T08:00:00Z  operator  suspended         {}  floods", id(1));
    assert_eq!(text, format!("{header}\n{row}"));
    let rows = as_json(list_audit(&*place.store, &query, true));
    let expected = json!([{"id": 3, "at": NOW.as_secs(), "by": "operator", "action": "suspended",
        "peer_id": id(1).to_string(), "detail": "floods"}]);
    assert_eq!(rows["audit"], expected);
}

#[test]
fn a_sound_ledger_is_reported_with_its_sums() {
    let place = Place::new();
    let report = verify_ledger(&*place.store).expect("audits");
    assert!(report.is_sound(), "{report}");
    let shown = report.to_json();
    assert_eq!([&shown["ok"], &shown["violations"]], [&json!(true), &json!([])]);
    let sums = ["balances_mt", "escrow_mt", "treasury_mt"].map(|key| shown[key].as_i64().expect("a number"));
    assert_eq!((sums[0], sums[1]), (40_000, 0));
    assert_eq!(Some(sums.iter().sum()), shown["supply_mt"].as_i64());
    assert!(report.to_string().ends_with("issued\nOK"), "{report}");
}

#[test]
fn a_balance_out_of_nothing_is_a_violation() {
    let place = Place::new();
    let database = rusqlite::Connection::open(place.config.data_dir.join(DATABASE_FILE)).expect("opens");
    let changed = database.execute("UPDATE ledger SET balance_mt = balance_mt + 1 WHERE peer = ?1", [id(1).0]);
    assert_eq!(changed, Ok(1));
    let report = verify_ledger(&*place.store).expect("audits");
    assert!(!report.is_sound());
    assert_eq!(report.to_json()["ok"], json!(false));
    let text = report.to_string();
    assert!(text.contains("\nVIOLATION ") && text.ends_with("\nthe ledger is wrong"), "{text}");
}

#[test]
fn a_store_is_opened_only_where_a_tracker_made_it() {
    let place = Place::new();
    assert!(open(&place.config).is_ok());
    let nowhere = Config { data_dir: place.file("none"), ..Config::default() };
    let why = format!("there is no tracker in {}", nowhere.data_dir.display());
    check(open(&nowhere).map(drop), "failed", &why);
    check(backup(&nowhere, &place.file("copy")), "failed", &why);
    assert!(!nowhere.data_dir.exists(), "no folder is made");
    let database = rusqlite::Connection::open(place.config.data_dir.join(DATABASE_FILE)).expect("opens");
    for (version, why) in [
        (SCHEMA_VERSION - 1, "start this version of the tracker once, which upgrades it"),
        (SCHEMA_VERSION + 1, "this program is too old for it"),
    ] {
        database.execute("UPDATE schema_version SET version = ?1", [version]).expect("writes");
        let text = format!("the database has schema version {version}: {why}");
        check(open(&place.config).map(drop), "failed", &text);
    }
    database.execute_batch("DROP TABLE schema_version").expect("drops");
    check(open(&place.config).map(drop), "failed", "there are no tables of a tracker in the database");
}

#[test]
fn a_backup_restores_and_the_former_database_stays() {
    let place = Place::new();
    let copy = place.file("copy.sqlite");
    let done = backup(&place.config, &copy).expect("is made");
    assert_eq!(done, format!("backed up to {}; keep token-key.pem with it", copy.display()));
    check(
        backup(&place.config, &copy),
        "failed",
        &format!("store failed: {}: File exists (os error 17)", copy.display()),
    );
    let created = Write::create_account(account(3, "c:3"));
    place.store.write(NOW, &[created], Durability::Synced).expect("writes");
    let Place { _folder, config, store } = place;
    drop(store);
    let aside = config.data_dir.join("tracker.sqlite.before-restore-1800000000");
    let database = config.data_dir.join(DATABASE_FILE);
    let expected = format!("restored {}; the old database is {}", database.display(), aside.display());
    assert_eq!(restore(&config, NOW, &copy).ok(), Some(expected));
    let found = |path: &Path| {
        let store: Arc<dyn Store> = SqliteStore::open(path).expect("opens");
        store.account_entry(id(3)).expect("reads").is_some()
    };
    assert_eq!([found(&database), found(&aside)], [false, true]);
    let newest = AuditQuery { account: None, limit: 1 };
    let row = open(&config).expect("opens").audit_log(&newest).expect("reads").remove(0);
    assert_eq!((row.action.as_str(), row.detail.as_str()), ("restored", "from copy.sqlite"));
}

#[test]
fn a_restore_into_a_new_folder_keeps_nothing_aside() {
    let place = Place::new();
    let copy = place.file("copy.sqlite");
    backup(&place.config, &copy).expect("is made");
    let fresh = Config { data_dir: place.file("fresh"), ..Config::default() };
    let database = fresh.data_dir.join(DATABASE_FILE);
    assert_eq!(restore(&fresh, NOW, &copy).ok(), Some(format!("restored {}", database.display())));
    let lock = crate::boot::FolderLock::take(&fresh.data_dir).expect("is free again");
    let refused = restore(&fresh, NOW, &copy).expect_err("is in use");
    assert!(matches!(&refused, AdminError::No(why) if why.ends_with(": stop the tracker first")), "{refused}");
    drop(lock);
}

#[test]
fn a_file_that_is_no_backup_changes_nothing() {
    let place = Place::new();
    let good = place.file("good");
    backup(&place.config, &good).expect("is made");
    let bytes = fs::read(&good).expect("reads");
    let mut damaged = bytes.clone();
    damaged[4_096..bytes.len() / 2].fill(0xa5);
    fs::write(place.file("text"), "hello").expect("writes");
    fs::write(place.file("torn"), &bytes[..bytes.len() / 2]).expect("writes");
    fs::write(place.file("damaged"), damaged).expect("writes");
    let with = |name: &str, sql: &str| {
        fs::copy(&good, place.file(name)).expect("copies");
        rusqlite::Connection::open(place.file(name)).expect("opens").execute_batch(sql).expect("writes");
    };
    with("newer", "UPDATE schema_version SET version = 99");
    with("other", "DROP TABLE schema_version");
    with("orphan", "PRAGMA foreign_keys = OFF; DELETE FROM accounts");
    for (name, why) in [
        ("missing", "there is no such file"),
        ("text", "file is not a database"),
        ("torn", "malformed"),
        ("damaged", "malformed"),
        ("newer", "schema version 99: this program is too old for it"),
        ("other", "not a tracker's database"),
        ("orphan", "damaged: rows refer to others that are missing"),
    ] {
        let refused = restore(&place.config, NOW, &place.file(name)).expect_err(name);
        assert!(matches!(&refused, AdminError::Failed(text) if text.contains(why)), "{name}: {refused}");
        assert_eq!(place.shown("a:1")["address"], json!("a:1"), "{name}: the database is as it was");
    }
}

#[test]
fn with_postgresql_its_own_tools_are_named() {
    let url = crate::boot::config::Secret::new("postgres://localhost/d");
    let config = Config { database_url: url, ..Config::default() };
    check(backup(&config, Path::new("x")), "usage", "the database is PostgreSQL: use pg_dump");
    check(restore(&config, NOW, Path::new("x")), "usage", "the database is PostgreSQL: use pg_restore or psql");
}

#[test]
fn a_proxy_s_certificate_needs_names_and_bounded_days() {
    let place = Place::new();
    let absent = format!("there is no authority in {}", place.config.data_dir.display());
    check(show_authority(&place.config, false, false), "no", &absent);
    check(rotate_authority(&place.config), "no", &absent);
    check(issue_for_proxy(&place.config, &[], 90), "no", &absent);
    assert_eq!(fingerprint(&place.config), None);
    for days in [0, 826] {
        check(issue_for_proxy(&place.config, &[], days), "usage", "--days: must be 1 to 825");
    }
    let names = ["t.example".to_owned(), "a b".to_owned()];
    check(issue_for_proxy(&place.config, &names, 1), "usage", "--name: \"a b\" is not a host name or address");
}
