//! A drain: the port closes at once, idle connections end, requests in flight are answered, the rest is cut.

use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use peernet_door::{Door, DrainReport};

use super::client::{Client, get};
use super::{PATIENCE, open, patient, wait_for};

fn clients(door: &Door, count: usize, request: &str) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| Client::connect(door.local_addr())).collect();
    clients.iter_mut().for_each(|client| client.send(request));
    clients
}

#[test]
fn what_is_in_flight_is_answered_and_idle_connections_end() {
    let (door, service) = open(patient());
    let addr = door.local_addr();
    let mut idle = clients(&door, 100, &get("/hello"));
    assert!(idle.iter_mut().all(|client| client.answer().status == 200));
    let mut silent = clients(&door, 5, "");
    let mut busy = clients(&door, 10, &get("/gate"));
    service.wait_for_waiting(10);
    wait_for(&door, "all connections", |stats| stats.connections_open == 115);

    let drain = thread::spawn(move || door.drain(PATIENCE));
    assert!(idle.iter_mut().chain(&mut silent).all(Client::is_closed));
    assert!(TcpStream::connect(addr).is_err(), "the port is closed while requests are in flight");
    service.open_gate();
    for client in &mut busy {
        let answer = client.answer();
        assert_eq!((answer.status, answer.text(), answer.header("connection")), (200, "passed", Some("close")));
        assert!(client.is_closed());
    }
    drop((idle, silent, busy));
    let report = drain.join().unwrap();
    assert_eq!(report, DrainReport { idle_closed: 105, in_flight: 10, cut: 0, stuck: 0 });
}

#[test]
fn what_outlasts_the_grace_is_cut() {
    let (door, service) = open(patient());
    let mut half = Client::connect(door.local_addr());
    half.send("GET / HTT");
    let mut held = clients(&door, 1, &get("/gate"));
    service.wait_for_waiting(1);
    // The half request is under way once a later connection's whole one was answered and only two are open.
    assert_eq!(Client::connect(door.local_addr()).get("/hello").status, 200);
    wait_for(&door, "two connections", |stats| stats.connections_open == 2);
    let started = Instant::now();
    let report = door.drain(Duration::from_millis(200));
    assert!(started.elapsed() >= Duration::from_millis(200) && started.elapsed() < Duration::from_secs(5));
    assert_eq!((report.idle_closed + report.in_flight, report.stuck), (2, 1), "{report:?}");
    assert!(report.cut >= 1);
    assert!(half.is_closed() && held[0].is_closed());
    service.open_gate();
}

#[test]
fn a_drain_under_load_tears_no_answer() {
    let (door, _) = open(patient());
    let addr = door.local_addr();
    let threads: Vec<_> = (0..8).map(|_| thread::spawn(move || load(addr))).collect();
    wait_for(&door, "some load", |stats| stats.requests > 2_000);
    let report = door.drain(PATIENCE);
    assert_eq!((report.cut, report.stuck), (0, 0));
    assert!(threads.into_iter().all(|thread| thread.join().unwrap() > 0));
}

/// Asks until the connection ends; torn answers panic. How many were answered.
fn load(addr: std::net::SocketAddr) -> usize {
    let mut client = Client::connect(addr);
    let mut answered = 0;
    loop {
        if client.try_send(get("/hello")).is_err() {
            return answered;
        }
        // A request that arrives after the connection was found idle and ended is not answered; none is answered twice.
        let closes = match client.next_answer() {
            None => return answered,
            Some(answer) => answer.header("connection") == Some("close"),
        };
        answered += 1;
        if closes {
            assert!(client.is_closed());
            return answered;
        }
    }
}

#[test]
fn dropping_a_door_closes_it() {
    let (door, _) = open(patient());
    let addr = door.local_addr();
    let mut client = Client::connect(addr);
    assert_eq!(client.get("/hello").status, 200);
    drop(door);
    assert!(client.is_closed() && TcpStream::connect(addr).is_err());
}

#[test]
fn a_port_is_free_again_after_a_drain() {
    let (door, service) = open(patient());
    let addr = door.local_addr();
    assert_eq!(Client::connect(addr).get("/hello").status, 200);
    door.drain(PATIENCE);
    let again = Door::bind(addr, patient(), Arc::<super::TestService>::clone(&service)).unwrap();
    assert_eq!(Client::connect(again.local_addr()).get("/hello").status, 200);
}
