//! Heads that grew without bound, or never ended, in the bare server.

use std::thread;

use peernet_door::head::{HeadError, HeadLimits, parse_head};

use super::alone::{alone, assert_memory_flat, resident_bytes, threads_and_fds};
use super::client::{Client, get};
use super::{assert_alive, open, patient, wait_for};

/// Sends `start`, then `piece` until `bytes` are sent or the door has enough; the first answer's status and code.
fn flood(door: &peernet_door::Door, start: &str, piece: &[u8], bytes: usize) -> (u16, String) {
    let mut client = Client::connect(door.local_addr());
    client.send(start);
    let mut sender = client.stream.try_clone().unwrap();
    let piece = piece.to_vec();
    let sending = thread::spawn(move || {
        let mut sent = 0;
        while sent < bytes && std::io::Write::write_all(&mut sender, &piece).is_ok() {
            sent += piece.len();
        }
    });
    let answer = client.answer();
    sending.join().unwrap();
    assert!(client.is_closed());
    (answer.status, answer.code())
}

#[test]
fn an_endless_head_is_refused_with_flat_memory() {
    alone("heads::an_endless_head_is_refused_with_flat_memory", None, || {
        let (door, _) = open(patient());
        let before = resident_bytes();
        let check = |start: &str, piece: &[u8], bytes, status, code: &str| {
            assert_eq!(flood(&door, start, piece, bytes), (status, code.to_owned()), "{start}");
            assert_memory_flat(before);
        };
        let mib = 1024 * 1024;
        let line = vec![b'a'; 64 * 1024];
        check("GET / HTTP/1.1\r\nHost: t\r\nX: ", &line, 300 * mib, 431, "head_too_large");
        check("GET /", &line, 300 * mib, 431, "head_too_large");
        check("GET / HTTP/1.1\r\nHost: t\r\n", &b"a:b\r\n".repeat(10_000), 10 * mib, 431, "head_too_large");
        let chunked = "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(chunked, &vec![b'1'; 64 * 1024], 200 * mib, 411, "length_required");
        assert_alive(&door);
    });
}

#[test]
fn the_http2_preface_leaves_no_thread_and_no_file() {
    alone("heads::the_http2_preface_leaves_no_thread_and_no_file", None, || {
        let (door, _) = open(patient());
        let before = threads_and_fds();
        for start in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET / HTTP/3.0\r\nHost: t\r\n\r\n"]
        {
            for _ in 0..700 {
                let mut client = Client::connect(door.local_addr());
                let answer = client.ask(start);
                assert_eq!((answer.status, answer.code().as_str()), (505, "http_version"));
            }
        }
        wait_for(&door, "the end of all connections", |stats| {
            stats.connections_open == 0 && threads_and_fds() == before
        });
        assert_alive(&door);
    });
}

#[test]
fn a_prefix_of_a_head_is_neither_accepted_nor_refused() {
    let head = "GET /a?b HTTP/1.1\r\nHost: t\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n";
    let limits = HeadLimits::default();
    for length in 0..head.len() {
        assert!(parse_head(&head.as_bytes()[..length], &limits).unwrap().is_none(), "{length}");
    }
    let parsed = parse_head(format!("{head}after").as_bytes(), &limits).unwrap().unwrap();
    assert_eq!((parsed.head_bytes, parsed.content_length, parsed.expects_continue), (head.len(), 7, true));
    assert_eq!((parsed.head.path.as_str(), parsed.head.query.as_str()), ("/a", "b"));
    assert_eq!(parsed.head.header("host"), Some("t"));
}

#[test]
fn heads_are_taken_up_to_their_limits() {
    let limits = HeadLimits { head_bytes_max: 400, headers_max: 4, target_bytes_max: 20 };
    let check = |head: String, expected: Option<HeadError>| {
        assert_eq!(parse_head(head.as_bytes(), &limits).err(), expected, "{head}");
    };
    let with_headers = |count: usize| format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", "a: b\r\n".repeat(count));
    check(with_headers(3), None);
    check(with_headers(4), Some(HeadError::TooLarge));
    check(get(&format!("/{}", "a".repeat(19))), None);
    check(get(&format!("/{}", "a".repeat(20))), Some(HeadError::TargetTooLong));
    let padded = |bytes: usize| {
        let bare = "GET / HTTP/1.1\r\nHost: t\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(bytes - bare))
    };
    check(padded(400), None);
    check(padded(401), Some(HeadError::TooLarge));
    check("x".repeat(399), None);
    check("x".repeat(400), Some(HeadError::TooLarge));
}
