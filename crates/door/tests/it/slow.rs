//! Clients that take their time: every deadline is for the whole head, body or pause, not for one read.

use std::time::{Duration, Instant};

use peernet_door::DoorLimits;

use super::client::{Client, get};
use super::{PATIENCE, assert_alive, open, patient, short};

/// Between two bytes; far below every deadline.
const TRICKLE: Duration = Duration::from_millis(50);

/// Sends single bytes until the door ends the connection; how long that took.
fn trickle(client: &mut Client, byte: &[u8]) -> Duration {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if client.try_send(byte).is_err() || client.closes_within(TRICKLE) {
            break;
        }
    }
    started.elapsed()
}

#[test]
fn a_slow_loris_is_dropped_at_the_total_deadline() {
    let (door, _) = open(short());
    let check = |start: &str| {
        let mut client = Client::connect(door.local_addr());
        client.send(start);
        let lasted = trickle(&mut client, b"a");
        assert!(lasted > Duration::from_millis(300) && lasted < Duration::from_secs(8), "{start:?} lasted {lasted:?}");
        assert_alive(&door);
    };
    check("G");
    check("GET / HTTP/1.1\r\nHost: t\r\nX: ");
    check("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5000\r\n\r\n");
    assert_eq!(door.stats().timeouts, 3);
}

#[test]
fn silent_and_half_sent_connections_end() {
    let (door, _) = open(DoorLimits { idle_deadline: Duration::from_millis(300), ..short() });
    let mut silent = Client::connect(door.local_addr());
    assert!(silent.is_closed(), "nothing is said to who said nothing");
    let mut half = Client::connect(door.local_addr());
    assert_eq!(half.ask("GET / HT").code(), "timeout");
    assert!(half.is_closed());
    let mut idle = Client::connect(door.local_addr());
    assert_eq!(idle.get("/hello").status, 200);
    let since = Instant::now();
    assert!(idle.is_closed());
    assert!(since.elapsed() < PATIENCE / 2, "closed after {:?}", since.elapsed());
}

#[test]
fn a_later_head_has_its_own_deadline() {
    let limits =
        DoorLimits { idle_deadline: Duration::from_secs(60), head_deadline: Duration::from_millis(500), ..short() };
    let (door, _) = open(limits);
    let mut client = Client::connect(door.local_addr());
    assert_eq!(client.get("/hello").status, 200);
    assert!(!client.closes_within(Duration::from_millis(800)), "idle is not the head's deadline");
    client.send(&get("/hello")[..10]);
    assert_eq!(client.answer().code(), "timeout");
}

#[test]
fn a_slow_reader_within_the_deadline_gets_all() {
    let (door, _) = open(patient());
    let mut client = Client::connect(door.local_addr());
    client.send(get("/big"));
    assert!(!client.closes_within(Duration::from_millis(1)));
    assert_alive(&door);
    assert_eq!(Client::connect(door.local_addr()).get("/big").body.len(), super::service::BIG_BYTES);
}
