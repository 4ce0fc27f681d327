//! `/ready` reports the state of the database, and occupies no thread.

use std::time::{Duration, Instant};

use peernet_testkit::postgres::Postgres;

use crate::support::{Client, start};

/// By then a change of the database is known: a look a second, two seconds for its answer, and a slow machine.
const BOUND: Duration = Duration::from_secs(60);
/// The longest that one answer may take, whatever the database does.
const ANSWER: Duration = Duration::from_secs(4);

/// Asks until `/ready` has this status.
fn wait_for(client: &Client, status: u16) {
    let deadline = Instant::now() + BOUND;
    loop {
        let asked = Instant::now();
        let answer = client.get("/ready");
        assert!(asked.elapsed() < ANSWER, "no request waits for the database: {:?}", asked.elapsed());
        if answer.status == status {
            return;
        }
        assert!(Instant::now() < deadline, "still {answer:?}");
    }
}

fn check(client: &Client, away: impl FnOnce(), back: impl FnOnce()) {
    wait_for(client, 200);
    away();
    wait_for(client, 503);
    let answer = client.get("/ready");
    assert_eq!(answer.error(), (503, "store_unavailable".to_owned()));
    assert!(answer.header("Retry-After").is_some());
    assert_eq!(client.get("/health").status, 200, "the process itself is well");
    back();
    wait_for(client, 200);
}

#[test]
fn readiness_notices_a_frozen_or_lost_database() {
    let mut server = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(folder.path(), Some(&server.fresh_database()));
    let client = Client::new(&tracker.url());
    let server = std::cell::RefCell::new(&mut server);
    check(&client, || server.borrow_mut().freeze(), || server.borrow_mut().thaw());
    check(&client, || server.borrow_mut().stop(), || server.borrow_mut().restart());
    assert!(tracker.stop(), "no thread was left behind");
}

#[test]
fn many_readiness_calls_are_answered_on_a_frozen_database() {
    let mut server = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(folder.path(), Some(&server.fresh_database()));
    let client = Client::new(&tracker.url());
    server.freeze();
    wait_for(&client, 503);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| assert_eq!(Client::new(&tracker.url()).get("/ready").status, 503));
        }
    });
    server.thaw();
    wait_for(&client, 200);
    assert!(tracker.stop());
}
