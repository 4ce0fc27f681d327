//! Tests of the layers, and of what each refuses.

use std::collections::BTreeMap;

use super::*;

mod bounds;
mod parts;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    // The machine's own default file must not matter here.
    let mut all = BTreeMap::from([("PEERNET_TRACKER_CONFIG".to_owned(), "/dev/null".to_owned())]);
    all.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    all
}

fn loaded(file: Option<&str>, env: &[(&str, &str)], flags: Flags) -> Result<(Config, Vec<Notice>), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = file.map(|text| {
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).expect("writes");
        path
    });
    load_from(path.as_deref(), &environment(env), &flags).map_err(|error| error.0)
}

fn listen_flag(listen: &str) -> Flags {
    Flags { listen: Some(listen.to_owned()), ..Flags::default() }
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = Some("listen = \"127.0.0.1:3\"\nbcrypt_cost = 5\n");
    let env =
        [("PEERNET_TRACKER_LISTEN", "127.0.0.1:2"), ("TRACKER_PORT", "9"), ("DATABASE_URL", "postgres://u:p@h/d")];
    let listen = |file, env: &[_], flags| loaded(file, env, flags).expect("is fine").0.listen;
    assert_eq!(listen(file, &env, listen_flag("127.0.0.1:1")), "127.0.0.1:1");
    assert_eq!(listen(file, &env, Flags::default()), "127.0.0.1:2");
    assert_eq!(listen(file, &env[1..], Flags::default()), "0.0.0.0:9");
    assert_eq!(listen(file, &[], Flags::default()), "127.0.0.1:3");
    assert_eq!(listen(None, &[], Flags::default()), "127.0.0.1:8080");
    let (config, notices) = loaded(file, &env, Flags::default()).expect("is fine");
    assert_eq!((config.bcrypt_cost, config.database_url.reveal()), (5, Some("postgres://u:p@h/d")));
    assert!(notices.is_empty());
}

#[test]
fn version_1_s_secret_is_accepted_and_ignored_with_a_notice() {
    let (_, notices) = loaded(None, &[("JWT_SECRET", "hunter2")], Flags::default()).expect("is fine");
    assert!(notices.len() == 1 && notices[0].contains("JWT_SECRET") && !notices[0].contains("hunter2"));
}

#[test]
fn a_refusal_names_the_place_and_the_setting() {
    let flags = Flags::default;
    let cases = [
        (loaded(Some("listn = \"x\""), &[], flags()), "unknown key \"listn\""),
        (loaded(Some("[door]\nx = 1"), &[], flags()), "unknown key \"door\""),
        (loaded(Some("listen = [1]"), &[], flags()), "listen must be a text"),
        (loaded(Some("listen = "), &[], flags()), "config.toml"),
        (loaded(Some("bcrypt_cost = -1"), &[], flags()), "bcrypt_cost: \"-1\" is not a whole number"),
        (loaded(Some("bcrypt_cost = 3"), &[], flags()), "bcrypt_cost: must be 4 to 16"),
        (loaded(Some("token_hours = 0"), &[], flags()), "token_hours: must be 1 to 8760"),
        (loaded(Some("access_minutes = 1441"), &[], flags()), "access_minutes: must be 1 to 1440"),
        (loaded(Some("refresh_days = 0"), &[], flags()), "refresh_days: must be 1 to 3650"),
        (loaded(Some("grant_hours = 169"), &[], flags()), "grant_hours: must be 1 to 168"),
        (loaded(Some("head_seconds = 0"), &[], flags()), "head_seconds: must be at least 1"),
        (loaded(Some("drain_seconds = 86401"), &[], flags()), "drain_seconds: must be at most 86400"),
        (loaded(Some("connections_max = 1000001"), &[], flags()), "connections_max: must be at most 1000000"),
        (loaded(Some("rate_per_account = 1000001"), &[], flags()), "rate_per_account: must be at most 1000000"),
        (
            loaded(Some("registration = \"maybe\""), &[], flags()),
            "registration: \"maybe\" is not open, invite or closed",
        ),
        (loaded(Some("audit_days = 36501"), &[], flags()), "audit_days: must be at most 36500"),
        (loaded(Some("files_per_account = 0"), &[], flags()), "files_per_account: must be at least 1"),
        (loaded(None, &[("PEERNET_TRACKER_LISTN", "x")], flags()), "environment PEERNET_TRACKER_LISTN: there is no"),
        (
            loaded(None, &[("PEERNET_TRACKER_DIALBACK", "maybe")], flags()),
            "environment PEERNET_TRACKER_DIALBACK: \"maybe\"",
        ),
        (loaded(None, &[("TRACKER_PORT", "http")], flags()), "environment TRACKER_PORT"),
        (loaded(None, &[("PEERNET_TRACKER_LOG_LEVEL", "loud")], flags()), "must be error, warn, info or debug"),
        (loaded(None, &[("PEERNET_TRACKER_OPS_LISTEN", "0.0.0.0:1")], flags()), "only a loopback address"),
        (loaded(None, &[("PEERNET_TRACKER_DATABASE_URL_FILE", "/nowhere/x")], flags()), "/nowhere/x"),
        (loaded(None, &[("DATABASE_URL", "postgres://h/d?sslmode=on")], flags()), "database_url: sslmode must be"),
        (
            loaded(None, &[("DATABASE_URL", "host=h sslrootcert=/nowhere/x")], flags()),
            "sslrootcert /nowhere/x: No such",
        ),
        (loaded(None, &[], listen_flag("nonsense")), "listen: \"nonsense\" is not ADDR:PORT"),
        (
            load_from(Some(Path::new("/nowhere/c.toml")), &environment(&[]), &flags()).map_err(|e| e.0),
            "/nowhere/c.toml",
        ),
    ];
    for (result, expected) in cases {
        let message = result.expect_err(expected);
        assert!(message.contains(expected), "{message} should contain {expected}");
    }
}

#[test]
fn a_password_on_the_command_line_is_refused() {
    let flags = |url: &str| Flags { database_url: Some(url.to_owned()), ..Flags::default() };
    for bad in ["postgres://u:p@h/d", "host=h password=p"] {
        assert!(loaded(None, &[], flags(bad)).expect_err(bad).contains("DATABASE_URL"), "{bad}");
    }
    let (config, _) = loaded(None, &[], flags("postgres://h:5432/d")).expect("has no password");
    assert_eq!(config.database_url.reveal(), Some("postgres://h:5432/d"));
}

#[test]
fn the_documented_file_reads_back_and_hides_secrets() {
    let (config, _) = loaded(None, &[("DATABASE_URL", "postgres://u:hunter2@h/d")], Flags::default()).expect("is fine");
    let text = config.to_toml();
    assert!(!text.contains("hunter2") && !format!("{config:?}").contains("hunter2"));
    let hidden = loaded(Some(&text), &[], Flags::default()).expect_err("is no address any more");
    assert!(hidden.contains("database_url: not a PostgreSQL address"), "{hidden}");
    let text = text.replace("(hidden)", "");
    let (again, _) = loaded(Some(&text), &[], Flags::default()).expect("reads back");
    assert_eq!(again.to_toml(), text);
    for field in FIELDS {
        assert!(!field.doc.is_empty() && text.contains(&format!("\n{} = ", field.name)), "{}", field.name);
    }
}

#[test]
fn the_operations_listener_is_a_private_place() {
    let address =
        |text: &str| Config { ops_listen: text.into(), data_dir: "/d".into(), ..Config::default() }.ops_address();
    assert_eq!(address(""), Ok(Some(LocalAddress::Unix("/d/ops.sock".into()))));
    assert_eq!(address("unix:/x/y"), Ok(Some(LocalAddress::Unix("/x/y".into()))));
    assert_eq!(address("off"), Ok(None));
    assert!(address("127.0.0.1:0").is_ok_and(|found| matches!(found, Some(LocalAddress::Loopback(_)))));
    for bad in ["8.8.8.8:1", "[::]:1", "nonsense"] {
        assert!(address(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_broken_file_is_refused_by_line_and_not_quoted() {
    for broken in
        ["database_url = \"postgres://u:s3cret@h/d\n", "database_url = postgres://u:s3cret@h/d\n", "\"s3cret\" 1\n"]
    {
        let error = loaded(Some(&format!("# a comment\n{broken}")), &[], Flags::default()).expect_err("is broken");
        assert!(error.contains("config.toml: line 2: ") && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn by_default_many_version_1_peers_at_one_address_announce() {
    let limits = crate::domain::limits::Limits::new(Config::default().rates());
    let here = Some("10.0.0.1".parse().expect("an address"));
    for peer in 0..64 {
        for _ in 0..1_024 {
            limits.check_address(here).expect("64 peers with a file of 1 GiB each");
            limits.check_account(peernet_engine::ids::PeerId([peer; 16])).expect("its own rate");
        }
    }
    for _ in 0..16_384 {
        limits.check_account(peernet_engine::ids::PeerId([99; 16])).expect("the largest file of version 1");
    }
}
