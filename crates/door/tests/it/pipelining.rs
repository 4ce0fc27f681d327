//! Clients that send many requests at once, read no answers, or reset their connections: they hurt only themselves.

use std::time::Duration;

use super::alone::{alone, assert_memory_flat, resident_bytes, threads_and_fds};
use super::client::{Client, get};
use super::{assert_alive, open, patient, short, wait_for};

#[test]
fn answers_come_in_order() {
    let (door, service) = open(patient());
    let mut client = Client::connect(door.local_addr());
    client.send([get("/gate"), get("/hello"), get("/nothing"), get("/hello")].concat());
    service.wait_for_waiting(1);
    assert_alive(&door);
    service.open_gate();
    let statuses: Vec<_> = (0..4).map(|_| client.answer().status).collect();
    assert_eq!(statuses, [200, 200, 204, 200]);
}

#[test]
fn a_client_that_never_reads_is_dropped_at_the_write_deadline() {
    let (door, _) = open(short());
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(door.local_addr())).collect();
    clients.iter_mut().for_each(|client| client.send(get("/big").repeat(4)));
    assert_alive(&door);
    wait_for(&door, "four write failures", |stats| stats.write_failures == 4 && stats.connections_open == 0);
    assert_eq!(door.stats().requests, 5, "the second /big of no client was looked at");
}

#[test]
fn a_pipelined_flood_is_held_back() {
    alone("pipelining::a_pipelined_flood_is_held_back", None, || {
        let (door, _) = open(short());
        let before = resident_bytes();
        let mut client = Client::connect(door.local_addr());
        client.stream.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
        let piece = get("/head").repeat(1_000);
        let mut sent = 0;
        while sent < 2_000_000 && client.try_send(&piece).is_ok() {
            sent += 1_000;
        }
        assert!(sent < 2_000_000, "nothing held the flood back");
        assert_memory_flat(before);
        wait_for(&door, "the end of the flood", |stats| stats.write_failures == 1);
        assert_alive(&door);
    });
}

#[test]
fn a_request_and_a_reset_panics_nobody() {
    alone("pipelining::a_request_and_a_reset_panics_nobody", None, || {
        let (door, _) = open(patient());
        let before = threads_and_fds();
        for round in 0..3_000 {
            let mut client = Client::connect(door.local_addr());
            client.send(get(if round % 2 == 0 { "/hello" } else { "/head" }));
            client.reset();
        }
        wait_for(&door, "the end of all connections", |stats| {
            stats.connections_open == 0 && threads_and_fds() == before
        });
        assert_alive(&door);
    });
}
