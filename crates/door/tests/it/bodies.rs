//! Announced bodies that never come, or that no memory could hold.

use peernet_door::DoorLimits;

use super::alone::{alone, assert_memory_flat, resident_bytes};
use super::client::{Client, get, post};
use super::service::{BIG_BYTES, BODY_BYTES_MAX};
use super::{PATIENCE, assert_alive, open, patient, short, wait_for};

#[test]
fn a_body_too_large_is_refused_before_it_is_read() {
    alone("bodies::a_body_too_large_is_refused_before_it_is_read", None, || {
        let (door, _) = open(patient());
        let before = resident_bytes();
        let lengths =
            ["1048577", "30000000000", "9223372036854775807", "18446744073709551615", "99999999999999999999999999"];
        for length in lengths {
            for body in ["", "some"] {
                let mut client = Client::connect(door.local_addr());
                let answer =
                    client.ask(format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}"));
                assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"), "{length}");
                assert!(client.is_closed());
            }
        }
        assert_memory_flat(before);
        assert_alive(&door);
    });
}

#[test]
fn a_refused_client_may_finish_sending() {
    let (door, _) = open(DoorLimits { linger: PATIENCE, ..patient() });
    let mut client = Client::connect(door.local_addr());
    let answer = client.ask("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2000000\r\n\r\n");
    assert_eq!(answer.code(), "body_too_large");
    assert!(client.is_closed(), "nothing more is said");
    for _ in 0..8 {
        client.try_send([b'b'; 64 * 1024]).expect("the door reads on for a while, lest the answer be lost to a reset");
    }
}

#[test]
fn a_body_of_the_largest_size_is_taken() {
    let (door, _) = open(patient());
    let body = "b".repeat(BODY_BYTES_MAX);
    let mut client = Client::connect(door.local_addr());
    assert_eq!(client.ask(post("/echo", &body)).text(), body);
    assert_eq!(client.ask(post("/tiny", "four")).status, 200);
    assert_eq!(client.ask(post("/tiny", "fives")).status, 413);
}

#[test]
fn half_sent_posts_stop_nobody_and_are_dropped() {
    let (door, _) = open(short());
    let half = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2000\r\n\r\nhalf";
    let mut halves: Vec<_> = (0..32).map(|_| Client::connect(door.local_addr())).collect();
    halves.iter_mut().for_each(|client| client.send(half));
    assert_alive(&door);
    for client in &mut halves {
        assert_eq!(client.answer().code(), "timeout");
        assert!(client.is_closed());
    }
    assert_eq!((door.stats().timeouts, door.stats().requests), (32, 1));
}

#[test]
fn a_body_cut_short_is_not_taken_for_a_whole_one() {
    let (door, _) = open(patient());
    let mut client = Client::connect(door.local_addr());
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nshort");
    client.finish_sending();
    assert_eq!(client.answer().code(), "bad_request");
    assert_eq!(door.stats().requests, 0);
}

#[test]
fn a_client_that_withholds_an_expected_body_is_dropped() {
    let (door, _) = open(short());
    let mut client = Client::connect(door.local_addr());
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    assert_alive(&door);
    assert_eq!(client.answer().code(), "timeout");
}

#[test]
fn large_bodies_share_a_budget() {
    let (door, _) = open(DoorLimits { large_bodies_bytes_max: BODY_BYTES_MAX, ..patient() });
    let mut first = Client::connect(door.local_addr());
    let head = format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {BODY_BYTES_MAX}\r\n\r\n");
    // The interim answer shows that the budget is taken.
    let interim = first.ask(head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(interim.status, 100);
    let answer = Client::connect(door.local_addr()).ask(&head);
    assert_eq!((answer.status, answer.code().as_str(), answer.header("retry-after")), (503, "busy", Some("1")));
    assert_eq!(Client::connect(door.local_addr()).ask(post("/echo", "small")).status, 200);
    assert_eq!(first.ask("b".repeat(BODY_BYTES_MAX)).status, 200);
    assert_eq!(first.ask(format!("{head}{}", "b".repeat(BODY_BYTES_MAX))).status, 200, "the budget came back");
    wait_for(&door, "one refusal", |stats| stats.refused == 1);
}

#[test]
fn answers_that_nobody_reads_share_a_budget() {
    let (door, _) = open(DoorLimits { large_answers_bytes_max: BIG_BYTES + 1, ..patient() });
    let mut slow = Client::connect(door.local_addr());
    slow.send(get("/big"));
    // The first byte of it is here, the rest does not fit between the two of us.
    assert!(!slow.closes_within(PATIENCE));
    let refused = Client::connect(door.local_addr()).get("/big");
    assert_eq!((refused.status, refused.code().as_str(), refused.header("retry-after")), (503, "busy", Some("1")));
    assert_alive(&door);
    drop(slow);
    wait_for(&door, "the slow one's end", |stats| stats.connections_open == 0);
    assert_eq!(Client::connect(door.local_addr()).get("/big").body.len(), BIG_BYTES);
}
