//! Waits that hold up no other request. Idle and slow connections cost no thread, a request that waits hands its
//! worker's role over, and no reply that is yet to come is waited for by nobody.

use std::thread;

use peernet_door::{Door, DrainReport};

use super::alone::{alone, threads_and_fds};
use super::client::{Client, get};
use super::service::TestService;
use super::{PATIENCE, assert_alive, open, patient, wait_for};

/// More than any machine of ours has cores.
const MANY: usize = 100;

fn connected(door: &Door, count: usize, start: &str) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| Client::connect(door.local_addr())).collect();
    clients.iter_mut().for_each(|client| client.send(start));
    clients
}

/// Requests to `/later`, each of which has come to the service.
fn later(door: &Door, service: &TestService, count: usize, more: &str) -> Vec<Client> {
    let clients = connected(door, count, &format!("{}{more}", get("/later")));
    wait_for(door, "all requests", |_| service.later_count() == count);
    clients
}

#[test]
fn a_handler_delivers_the_deferred_replies_of_others() {
    for (path, expected) in [("/release", Some("later")), ("/abandon", None)] {
        let (door, service) = open(patient());
        let mut waiting = later(&door, &service, 3, "");
        assert_eq!(Client::connect(door.local_addr()).ask(get(path)).status, 200, "{path}");
        for client in &mut waiting {
            let answer = client.answer();
            match expected {
                Some(text) => assert_eq!(answer.text(), text),
                None => assert_eq!(answer.status, 500, "a responder that is dropped is a failure of the service"),
            }
        }
        assert_eq!(door.stats().panics, if expected.is_some() { 0 } else { 3 });
    }
}

#[test]
fn idle_and_slow_connections_cost_no_thread() {
    alone("waits::idle_and_slow_connections_cost_no_thread", None, || {
        let (door, _) = open(patient());
        assert_alive(&door);
        let (before, _) = threads_and_fds();
        let mut silent = connected(&door, MANY, "");
        let mut slow = connected(&door, MANY, "GET /hello HT");
        let mut idle = connected(&door, MANY, &get("/hello"));
        assert!(idle.iter_mut().all(|client| client.answer().status == 200));
        wait_for(&door, "all connections", |stats| stats.connections_open == 3 * MANY);
        assert_eq!(threads_and_fds().0, before);
        slow.iter_mut().for_each(|client| client.send("TP/1.1\r\nHost: t\r\n\r\n"));
        silent.iter_mut().chain(&mut idle).for_each(|client| client.send(get("/hello")));
        let mut all = silent.iter_mut().chain(&mut slow).chain(&mut idle);
        assert!(all.all(|client| client.answer().status == 200));
        assert_eq!(threads_and_fds().0, before);
    });
}

#[test]
fn a_request_that_waits_holds_up_no_other() {
    alone("waits::a_request_that_waits_holds_up_no_other", None, || {
        let (door, service) = open(patient());
        let (before, _) = threads_and_fds();
        let mut waiting = connected(&door, MANY, &get("/gate"));
        service.wait_for_waiting(MANY);
        assert_alive(&door);
        service.open_gate();
        assert!(waiting.iter_mut().all(|client| client.answer().text() == "passed"));
        drop(waiting);
        // Those that stood in stay a while for the next time, and no longer.
        wait_for(&door, "the end of the stand-ins", |_| threads_and_fds().0 == before);
        assert_alive(&door);
    });
}

#[test]
fn nobody_waits_for_a_reply_that_is_yet_to_come() {
    alone("waits::nobody_waits_for_a_reply_that_is_yet_to_come", None, || {
        let (door, service) = open(patient());
        let (before, _) = threads_and_fds();
        let mut clients = later(&door, &service, MANY, "");
        assert_alive(&door);
        assert_eq!(threads_and_fds().0, before);
        service.reply_later();
        assert!(clients.iter_mut().all(|client| client.answer().text() == "later"));
        clients.iter_mut().for_each(|client| client.send(get("/hello")));
        assert!(clients.iter_mut().all(|client| client.answer().text() == "hello"));
    });
}

#[test]
fn what_was_sent_after_it_is_answered_after_it() {
    let (door, service) = open(patient());
    let mut client = later(&door, &service, 1, &[get("/hello"), get("/gate"), get("/later")].concat()).remove(0);
    service.reply_later();
    assert_eq!((client.answer().text(), client.answer().text()), ("later", "hello"));
    // The one that waits does so on a thread of the door, not on the one that brought the reply before.
    service.wait_for_waiting(1);
    service.open_gate();
    assert_eq!(client.answer().text(), "passed");
    wait_for(&door, "the last request", |_| service.later_count() == 1);
    service.reply_later();
    assert_eq!(client.answer().text(), "later");
}

#[test]
fn a_client_that_left_meanwhile_leaves_nothing() {
    let (door, service) = open(patient());
    let clients = later(&door, &service, 10, "");
    clients.into_iter().for_each(Client::reset);
    service.reply_later();
    wait_for(&door, "the end of all connections", |stats| stats.connections_open == 0);
    assert_alive(&door);
}

#[test]
fn a_drain_waits_for_replies_that_are_yet_to_come() {
    let (door, service) = open(patient());
    let mut clients = later(&door, &service, 3, "");
    let mut idle = Client::connect(door.local_addr());
    assert_eq!(idle.get("/hello").status, 200);
    let drain = thread::spawn(move || door.drain(PATIENCE));
    assert!(idle.is_closed(), "which tells that the drain has begun");
    service.reply_later();
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!((answer.text(), answer.header("connection")), ("later", Some("close")));
    }
    drop((clients, idle));
    let DrainReport { idle_closed, in_flight, cut, stuck } = drain.join().unwrap();
    // The thread that has just answered the idle one may not have said yet that it is idle.
    assert_eq!((idle_closed + in_flight, cut, stuck), (4, 0, 0));
    assert!(in_flight >= 3, "{in_flight}");
}
