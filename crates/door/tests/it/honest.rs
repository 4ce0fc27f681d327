//! Replies to honest clients: keep-alive, HTTP/1.0, HEAD, bodies, `Expect`, either form of target, bursts.

use super::client::{Client, get, post};
use super::{alone, assert_alive, open, patient, wait_for};

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let (door, _) = open(patient());
    let mut client = Client::connect(door.local_addr());
    for _ in 0..3 {
        let answer = client.get("/hello");
        assert_eq!((answer.status, answer.text(), answer.header("content-length")), (200, "hello", Some("5")));
        assert_eq!(answer.header("connection"), None);
        assert!(answer.header("date").is_some());
        assert_eq!(client.ask(post("/echo", "body")).text(), "body");
    }
    assert_eq!(door.stats().requests, 6);
}

#[test]
fn the_connection_stays_as_version_and_header_say() {
    let (door, _) = open(patient());
    let check = |request: &str, connection: Option<&str>, closes: bool| {
        let mut client = Client::connect(door.local_addr());
        let answer = client.ask(request);
        assert_eq!((answer.status, answer.header("connection")), (200, connection), "{request}");
        if closes {
            assert!(client.is_closed(), "{request}");
        } else {
            assert_eq!(client.get("/hello").status, 200, "{request}");
        }
    };
    check("GET / HTTP/1.0\r\n\r\n", Some("close"), true);
    check("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", Some("keep-alive"), false);
    check("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", Some("close"), true);
    check("GET / HTTP/1.1\r\nHost: t\r\nConnection: te, Close\r\n\r\n", Some("close"), true);
    check("GET / HTTP/1.1\r\nHost: t\r\nConnection: keep-alive\r\n\r\n", None, false);
    check("\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", None, false);
}

#[test]
fn head_and_204_have_no_body() {
    let (door, _) = open(patient());
    let mut client = Client::connect(door.local_addr());
    client.send("HEAD /hello HTTP/1.1\r\nHost: t\r\n\r\n");
    let answer = client.answer_without_body();
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("5")));
    let answer = client.get("/nothing");
    assert_eq!((answer.status, answer.header("content-length")), (204, None));
    assert_eq!(client.get("/hello").text(), "hello");
}

#[test]
fn targets_and_headers_reach_the_service() {
    let (door, _) = open(patient());
    let check = |target: &str, expected: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\nX-Some:  a b \r\n\r\n");
        let answer = Client::connect(door.local_addr()).ask(request);
        assert!(answer.text().contains(expected), "{}", answer.text());
        assert!(answer.text().contains(r#"("x-some", "a b")"#), "{}", answer.text());
    };
    check("/head?a=%20b", r#"path: "/head", query: "a=%20b""#);
    check("//head", r#"path: "/head", query: """#);
    check("http://other:80/head?x", r#"path: "/head", query: "x""#);
}

#[test]
fn a_client_that_expects_is_told_to_continue() {
    let (door, _) = open(patient());
    let mut client = Client::connect(door.local_addr());
    let head = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    let interim = client.ask(head);
    assert_eq!((interim.status, interim.headers.len()), (100, 0));
    assert_eq!(client.ask("body").text(), "body");
    assert_eq!(client.ask(format!("{head}here")).text(), "here", "a body that is there needs no telling");
    let large = "POST /tiny HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(client.ask(large).code(), "body_too_large");
    assert!(client.is_closed());
}

#[test]
fn a_request_may_come_in_any_pieces() {
    let (door, _) = open(patient());
    let sent = format!("{}{}{}", post("/echo", "first"), get("/hello"), post("/echo", "second"));
    for cut in 1..sent.len() {
        let mut client = Client::connect(door.local_addr());
        client.send(&sent[..cut]);
        client.send(&sent[cut..]);
        client.finish_sending();
        let texts: Vec<_> = client.answers().iter().map(|answer| answer.text().to_owned()).collect();
        // The last turn finds the end of the stream between requests, which is no error.
        assert_eq!(texts, ["first", "hello", "second"], "cut at {cut}");
    }
    assert_eq!(door.stats().refused, 0);
}

#[test]
fn a_panic_of_the_service_is_a_500() {
    let (door, _) = open(patient());
    let mut client = Client::connect(door.local_addr());
    let answer = client.get("/panic");
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
    assert!(client.is_closed());
    assert_eq!(door.stats().panics, 1);
    assert_eq!(Client::connect(door.local_addr()).get("/hello").status, 200);
}

#[test]
fn a_burst_of_connections_is_answered_and_kept() {
    alone::alone("honest::a_burst_of_connections_is_answered_and_kept", None, || {
        for count in [64, 200, 1_000] {
            let (door, _) = open(patient());
            let mut clients: Vec<_> = (0..count).map(|_| Client::connect(door.local_addr())).collect();
            clients.iter_mut().for_each(|client| client.send(get("/hello")));
            assert!(clients.iter_mut().all(|client| client.answer().status == 200));
            wait_for(&door, "all connections", |stats| stats.connections_open == count);
            assert!(clients.iter_mut().all(|client| client.get("/hello").status == 200));
            assert_alive(&door);
        }
    });
}
