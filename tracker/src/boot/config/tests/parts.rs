//! Settings as the parts of the tracker read them: in their units, and together with each other.

use super::*;

#[test]
fn settings_that_belong_together_are_checked_together() {
    let config = |certificate: &str, key: &str| Config {
        tls_certificate: certificate.into(),
        tls_key: key.into(),
        ..Config::default()
    };
    let refused = Err(ConfigError("tls_certificate: must come with tls_key, and tls_key with it".to_owned()));
    assert_eq!(config("c.pem", "").check(), refused);
    assert_eq!(config("", "k.pem").check(), refused);
    assert_eq!(config("c.pem", "k.pem").check(), Ok(()));
    let setup = config("c.pem", "k.pem").authority().expect("is in order");
    assert_eq!(setup.given, Some(("c.pem".into(), "k.pem".into())));
}

#[test]
fn the_authority_lies_in_the_data_folder_by_default() {
    let config = |authority: &str| Config {
        data_dir: "/data".into(),
        authority_dir: authority.into(),
        certificate_hours: 2,
        ..Config::default()
    };
    let setup = config("").authority().expect("is in order");
    assert_eq!((setup.folder, setup.lifetime), ("/data".into(), Duration::from_secs(7_200)));
    assert_eq!(config("/ca").authority().expect("is in order").folder, PathBuf::from("/ca"));
}

#[test]
fn names_of_the_certificate_are_known_ones_and_given_ones_once() {
    let names = |listen: &str, given: &str| {
        let config = Config { listen: listen.into(), tls_names: given.into(), ..Config::default() };
        config.tls_names()
    };
    let known = names("0.0.0.0:1", "").expect("is in order");
    assert_eq!(known[..3], ["localhost", "127.0.0.1", "::1"]);
    let more = names("0.0.0.0:1", " t.example , localhost,,10.0.0.9,t.example").expect("is in order");
    assert_eq!(more[..known.len()], known);
    assert_eq!(more[known.len()..], ["t.example", "10.0.0.9"]);
    assert!(names("192.0.2.1:1", "").expect("is in order").contains(&"192.0.2.1".to_owned()));
    for bad in ["a b", "http://t.example", "*"] {
        assert_eq!(names("0.0.0.0:1", bad), Err(ConfigError(format!("tls_names: {bad:?} is no host name or address"))));
    }
}

#[test]
fn plaintext_is_answered_on_loopback_or_where_allowed() {
    let answers = |allowed, address: &str| {
        let config = Config { allow_plaintext: allowed, ..Config::default() };
        config.answers_plaintext(address.parse().expect("an address"))
    };
    for (allowed, address, expected) in [
        (false, "127.0.0.1:1", true),
        (false, "[::1]:1", true),
        (false, "0.0.0.0:1", false),
        (false, "192.0.2.1:1", false),
        (true, "192.0.2.1:1", true),
    ] {
        assert_eq!(answers(allowed, address), expected, "{allowed} {address}");
    }
}

#[test]
fn settings_reach_the_parts_in_their_units() {
    let config = Config {
        token_hours: 2,
        access_minutes: 3,
        grant_hours: 4,
        refresh_days: 5,
        audit_days: 6,
        swarm_mebibytes_max: 7,
        leases_max: 8,
        files_per_account: 9,
        database_connections: 10,
        drain_seconds: 11,
        ..Config::default()
    };
    let lifetimes = config.lifetimes();
    let seconds = [lifetimes.account, lifetimes.device, lifetimes.grant].map(|life| life.as_secs());
    assert_eq!(seconds, [7_200, 180, 14_400]);
    let accounts = config.account_settings();
    assert_eq!(accounts.refresh_lifetime, 5 * DAY);
    assert_eq!(accounts.audit_log_age_max, Some(6 * DAY));
    assert_eq!(Config { audit_days: 0, ..config.clone() }.account_settings().audit_log_age_max, None);
    let swarm = config.swarm_limits();
    assert_eq!([swarm.bytes_max, swarm.leases_max, swarm.files_per_peer_max], [7 << 20, 8, 9]);
    assert_eq!(config.database_connections(), 10);
    let automatic = Config { database_connections: 0, ..config }.database_connections();
    assert!(automatic >= 2 && automatic.is_multiple_of(2), "{automatic}");
}
