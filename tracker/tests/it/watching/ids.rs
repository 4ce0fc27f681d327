//! Every answer carries the id of its request.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::server::{SOON, command, output};
use crate::support::{Client, for_sqlite, start};

/// Sends `request` as it is and returns all that comes until the connection closes.
fn raw(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn id_of(answer: &str) -> &str {
    let (_, rest) = answer.split_once("\r\nX-Request-Id: ").unwrap_or_else(|| panic!("no id in {answer}"));
    rest.split_once("\r\n").unwrap().0
}

#[test]
fn a_client_s_own_id_comes_back_and_others_get_one_each() {
    for_sqlite(|tracker| {
        let get = |header: &str| format!("GET /health HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{header}\r\n");
        assert_eq!(id_of(&raw(tracker.address(), &get("x-request-id: Mine.7_a-b\r\n"))), "Mine.7_a-b");
        let headers = ["", "", "X-Request-Id: a b\r\n", "X-Request-Id: a\"b\r\n"];
        let made: BTreeSet<String> =
            headers.iter().map(|header| id_of(&raw(tracker.address(), &get(header))).to_owned()).collect();
        assert_eq!(made.len(), headers.len(), "{made:?}");
        assert!(made.iter().all(|id| !id.contains([' ', '"'])), "{made:?}");
    });
}

#[test]
fn errors_and_requests_that_never_reach_a_handler_have_one_too() {
    for_sqlite(|tracker| {
        for (request, status) in [
            ("GET /nothing HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "404"),
            ("GET /api/v1/peers/me HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "401"),
            ("POST /api/v1/peers/login HTTP/1.1\r\nHost: t\r\nContent-Length: 9999999\r\n\r\n", "413"),
            ("nonsense\r\n\r\n", "400"),
            ("GET / HTTP/2.0\r\nHost: t\r\n\r\n", "505"),
        ] {
            let answer = raw(tracker.address(), request);
            assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
            assert!(!id_of(&answer).is_empty());
            let named = answer.contains(&format!("\"request_id\":\"{}\"", id_of(&answer)));
            assert_eq!(named, status >= "500", "the body of our own failures names it: {answer}");
        }
    });
}

#[test]
fn the_operations_listener_marks_its_answers() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(folder.path(), None);
    let mut stream = std::os::unix::net::UnixStream::connect(folder.path().join("ops.sock")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: ours\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(id_of(&answer), "ours");
    assert!(tracker.stop());
}

#[test]
fn a_head_request_has_one() {
    for_sqlite(|tracker| {
        let head = Client::new(&tracker.url()).call("HEAD", "/health", b"");
        assert!(head.header("X-Request-Id").is_some());
    });
}

#[test]
fn settings_of_the_log_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, expected) in [
        ("--log-format", "must be text or json"),
        ("--access-log", "must be off, errors or all"),
        ("--log-level", "must be error, warn, info or debug"),
    ] {
        let (code, _, error) = output(command(folder.path(), None).args([flag, "loud"]));
        assert!(code == 2 && error.contains(expected), "{error}");
    }
}
