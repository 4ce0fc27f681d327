//! Rate limits and the lock on guessing, over a real connection.

use std::sync::atomic::{AtomicI64, Ordering};

use peernet_engine::time::UnixMillis;
use peernet_tracker::Tracker;
use peernet_tracker::boot::config::Config;
use serde_json::json;

use crate::support::{COST, Client, for_both_stores, start_with};

const REGISTER: &str = "/api/v1/peers/register";
const LOGIN: &str = "/api/v1/peers/login";
const PASSWORD: &str = "/api/v1/peers/password";
const ME: &str = "/api/v1/peers/me";

fn check_with(config: Config, check: impl Fn(&Client)) {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start_with(folder.path(), None, config);
    check(&Client::new(&tracker.url()));
    assert!(tracker.stop());
}

#[test]
fn an_address_over_its_rate_is_429_except_for_health() {
    check_with(Config { rate_per_address: 1, ..Config::default() }, |client| {
        let answers: Vec<_> = (0..50).map(|_| client.get(ME)).collect();
        let refused = answers.iter().find(|answer| answer.status == 429).expect("is over");
        assert_eq!(refused.error(), (429, "rate_limited".to_owned()));
        assert_eq!(refused.header("Retry-After"), Some("1"));
        assert!(answers.iter().filter(|answer| answer.status == 401).count() >= 4, "the burst");
        assert!((0..50).all(|_| client.get("/health").status == 200));
    });
}

#[test]
fn an_account_over_its_rate_is_429_and_its_neighbour_is_not() {
    check_with(Config { rate_per_account: 1, ..Config::default() }, |client| {
        let one = client.register("x").1;
        let other = client.register("x").1;
        let refused = (0..50).map(|_| one.get(ME)).find(|answer| answer.status == 429).expect("is over");
        assert_eq!(refused.error(), (429, "rate_limited".to_owned()));
        assert_eq!(other.get(ME).status, 200);
    });
}

#[test]
fn registrations_and_logins_of_an_address_have_their_own_limits() {
    check_with(Config { registrations_per_address: 2, logins_per_address: 2, ..Config::default() }, |client| {
        let (id, _) = client.register("x");
        client.register("x");
        let refused = client.post(REGISTER, &json!({"protocol": 2, "password": "x"}));
        assert_eq!(refused.error(), (429, "rate_limited".to_owned()));
        let seconds: u32 = refused.header("Retry-After").unwrap().parse().unwrap();
        assert!((20..=30).contains(&seconds), "{seconds}");
        let login = || client.post(LOGIN, &json!({"peer_id": id, "password": "x"}));
        assert_eq!((login().status, login().status, login().status), (200, 200, 429));
    });
}

#[test]
fn wrong_passwords_are_slowed_and_the_right_one_waits() {
    static NOW: AtomicI64 = AtomicI64::new(1_800_000_000_000);
    let folder = tempfile::tempdir().unwrap();
    let tracker = Tracker::builder()
        .listen("127.0.0.1:0")
        .data_dir(folder.path())
        .bcrypt_cost(COST)
        .clock(|| UnixMillis(NOW.load(Ordering::Relaxed)))
        .start()
        .unwrap();
    let client = Client::new(&tracker.url());
    let (id, _) = client.register("right");
    let login = |password: &str| client.post(LOGIN, &json!({"peer_id": id, "password": password}));
    for _ in 0..5 {
        assert_eq!(login("wrong").error(), (401, "invalid_credentials".to_owned()));
    }
    for password in ["wrong", "right"] {
        let refused = login(password);
        assert_eq!(refused.error(), (429, "too_many_attempts".to_owned()));
        assert_eq!(refused.header("Retry-After"), Some("1"));
    }
    NOW.fetch_add(1_000, Ordering::Relaxed);
    assert_eq!(login("wrong").status, 401);
    assert_eq!(login("right").header("Retry-After"), Some("2"));
    NOW.fetch_add(2_000, Ordering::Relaxed);
    assert_eq!(login("right").status, 200);
    assert_eq!(login("wrong").status, 401, "the count begins anew");
    assert!(tracker.stop());
}

#[test]
fn guesses_through_different_calls_count_together() {
    for_both_stores(|tracker| {
        let client = Client::new(&tracker.url());
        let (id, caller) = client.register_at("h:1", "right");
        let change = |old: &str| caller.post(PASSWORD, &json!({"old_password": old, "new_password": "new"}));
        let register = |password: &str| client.post(REGISTER, &json!({"address": "h:1", "password": password}));
        assert_eq!((change("a").status, change("b").status), (403, 403));
        assert_eq!((register("a").status, register("b").status), (409, 409));
        assert_eq!(client.post(LOGIN, &json!({"address": "h:1", "password": "a"})).status, 401);
        for refused in [
            change("right"),
            register("right"),
            client.post(LOGIN, &json!({"address": "h:1", "password": "right"})),
            client.post(LOGIN, &json!({"peer_id": id, "password": "right"})),
        ] {
            assert_eq!(refused.error(), (429, "too_many_attempts".to_owned()));
        }
        assert_eq!(caller.get(ME).status, 200, "a logged-in client goes on");
    });
}

#[test]
fn an_account_that_does_not_exist_is_locked_like_one_that_does() {
    for_both_stores(|tracker| {
        let client = Client::new(&tracker.url());
        let login = || client.post(LOGIN, &json!({"address": "nobody:1", "password": "x"}));
        assert!((0..5).all(|_| login().status == 401));
        assert_eq!(login().error(), (429, "too_many_attempts".to_owned()));
    });
}

#[test]
fn behind_a_proxy_guesses_delay_only_their_account() {
    check_with(Config { logins_per_address: 0, ..Config::default() }, |client| {
        let login =
            |address: &str, password: &str| client.post(LOGIN, &json!({"address": address, "password": password}));
        client.register_at("owner:1", "right");
        for victim in 0..12 {
            let statuses: Vec<u16> = (0..6).map(|_| login(&format!("victim{victim}:1"), "x").status).collect();
            assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
        }
        assert_eq!(
            login("owner:1", "right").status,
            200,
            "at its first login, after 60 wrong passwords of that address"
        );
    });
}
