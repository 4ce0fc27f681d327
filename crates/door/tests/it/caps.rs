//! The caps on connections, and what happens when the process runs out of open files.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use peernet_door::DoorLimits;

use super::alone::alone;
use super::client::{Client, get};
use super::{PATIENCE, assert_alive, open, patient, wait_for};

/// Takes places until one is refused; the clients that hold them and the refused one's answer.
fn fill(addr: std::net::SocketAddr, count: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| Client::connect(addr)).collect();
    assert!(clients.iter_mut().all(|client| client.get("/hello").status == 200));
    clients
}

fn assert_turned_away(mut client: Client) {
    let answer = client.answer();
    assert_eq!((answer.status, answer.code().as_str(), answer.header("retry-after")), (503, "busy", Some("1")));
    assert!(client.is_closed());
}

#[test]
fn connections_over_the_cap_are_told_503() {
    let check = |limits: DoorLimits, cap: usize| {
        let (door, _) = open(limits);
        let mut clients = fill(door.local_addr(), cap);
        assert_turned_away(Client::connect(door.local_addr()));
        assert_eq!(door.stats().turned_away_full, 1);
        assert!(clients.iter_mut().all(|client| client.get("/hello").status == 200), "who is in stays in");
        clients.pop();
        wait_for(&door, "a free place", |stats| stats.connections_open < cap);
        assert_alive(&door);
    };
    check(DoorLimits { connections_max: 8, ..patient() }, 8);
    check(DoorLimits { fds_max: Some(280), ..patient() }, 24);
}

#[test]
fn one_address_cannot_take_all_places() {
    for address_wait in [Duration::ZERO, Duration::from_millis(200)] {
        let (door, _) = open(DoorLimits { connections_per_address_max: 5, address_wait, ..patient() });
        let clients = fill(door.local_addr(), 5);
        assert_turned_away(Client::connect(door.local_addr()));
        let mut other = Client::connect_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), door.local_addr());
        assert_eq!(other.get("/hello").status, 200);
        assert_eq!((door.stats().turned_away_address, door.stats().turned_away_full), (1, 0));
        drop((clients, other));
        wait_for(&door, "free places", |stats| stats.connections_open == 0);
        assert_alive(&door);
    }
}

#[test]
fn surplus_connections_of_one_address_wait_for_its_others() {
    let (door, service) = open(DoorLimits { connections_per_address_max: 2, address_wait: PATIENCE, ..patient() });
    let ask = |request: &str| {
        let mut client = Client::connect(door.local_addr());
        client.send(request);
        client
    };
    let mut first = [get("/gate"), get("/gate")].map(|request| ask(&request));
    service.wait_for_waiting(2);
    let mut surplus: Vec<Client> = (0..10).map(|_| ask(&get("/hello"))).collect();
    wait_for(&door, "ten that wait", |stats| stats.connections_waiting == 10);
    let mut other = Client::connect_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), door.local_addr());
    assert_eq!(other.get("/hello").header("connection"), None, "nobody waits for this one");
    service.open_gate();
    for client in first.iter_mut().chain(&mut surplus) {
        assert_eq!(client.answer().status, 200);
    }
    let stats = door.stats();
    assert_eq!((stats.turned_away_address, stats.connections_waiting, stats.connections), (0, 0, 13));
    drop((first, surplus, other));
    wait_for(&door, "free places", |stats| stats.connections_open == 0);
    assert_alive(&door);
}

#[test]
fn a_client_with_waiting_connections_is_asked_to_close_one() {
    let (door, _) = open(DoorLimits { connections_per_address_max: 1, address_wait: PATIENCE, ..patient() });
    let mut first = Client::connect(door.local_addr());
    assert_eq!(first.get("/hello").header("connection"), None);
    let mut second = Client::connect(door.local_addr());
    wait_for(&door, "one that waits", |stats| stats.connections_waiting == 1);
    assert_eq!(first.get("/hello").header("connection"), Some("close"));
    assert!(first.is_closed());
    assert_eq!(second.get("/hello").status, 200);
}

#[test]
fn a_waiting_connection_takes_no_place_and_ends_with_the_door() {
    let limits = DoorLimits { connections_max: 3, connections_per_address_max: 1, address_wait: PATIENCE, ..patient() };
    let (door, _) = open(limits);
    let clients = fill(door.local_addr(), 1);
    let waiting = [1, 2].map(|count| {
        let client = Client::connect(door.local_addr());
        wait_for(&door, "a waiting one", |stats| stats.connections_waiting == count);
        client
    });
    let mut other = Client::connect_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), door.local_addr());
    assert_eq!(other.get("/hello").status, 200);
    let [earlier, later] = waiting;
    assert_turned_away(later);
    assert_eq!((door.stats().connections_waiting, door.stats().turned_away_address), (1, 1));
    door.drain(PATIENCE);
    assert_turned_away(earlier);
    drop((clients, other));
}

#[test]
fn running_out_of_open_files_does_not_end_the_door() {
    alone("caps::running_out_of_open_files_does_not_end_the_door", Some(60), || {
        let (door, _) = open(DoorLimits { fds_max: Some(100_000), ..patient() });
        let mut clients = fill(door.local_addr(), 10);
        let mut files: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        // One free file for the client's end, none for the door's.
        files.pop();
        let mut waiting = Client::connect(door.local_addr());
        wait_for(&door, "a failed accept", |stats| stats.accept_errors >= 2);
        assert!(clients.iter_mut().all(|client| client.get("/hello").status == 200));
        drop(files);
        assert_eq!(waiting.get("/hello").status, 200);
        drop((clients, waiting));
        assert_alive(&door);
    });
}
