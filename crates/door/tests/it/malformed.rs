//! Requests that two programs could read in two ways, or that are no requests: refused, and the connection closed.

use super::client::Client;
use super::{assert_alive, open, patient};

/// Sends the bytes and an honest request behind them, which must not be answered.
fn check_all(cases: &[(u16, String)]) {
    let (door, _) = open(patient());
    for (status, bytes) in cases {
        let mut client = Client::connect(door.local_addr());
        client.send(bytes);
        // Where the door has refused already, the rest may meet a closed connection.
        let _ = client.try_send("GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n");
        client.finish_sending();
        let statuses: Vec<_> = client.answers().iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [*status], "{bytes:?}");
    }
    assert_eq!((door.stats().requests, door.stats().panics), (0, 0));
    assert_alive(&door);
}

fn with_headers(headers: &str) -> String {
    format!("POST /echo HTTP/1.1\r\n{headers}\r\n\r\n")
}

#[test]
fn request_lines_are_strict() {
    let line = |line: &str| format!("{line}\r\nHost: t\r\n\r\n");
    let bad =
        ["GET  HTTP/1.1", "GET HTTP/1.1", "GET /", "GET", " GET / HTTP/1.1", "GET  / HTTP/1.1", "GET /  HTTP/1.1"];
    let more = [
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1junk",
        "GET / HTTP/1.1 junk",
        "GET / http/1.1",
        "GET / HTTP",
        "GET / FOO/1.1",
    ];
    let targets =
        ["GET * HTTP/1.1", "OPTIONS * HTTP/1.1", "CONNECT host:80 HTTP/1.1", "GET a HTTP/1.1", "GET /#a HTTP/1.1"];
    let methods =
        ["G\0T / HTTP/1.1", "G(T / HTTP/1.1", "GET\t/ HTTP/1.1", "G\u{e9}T / HTTP/1.1", "GET /\u{e9} HTTP/1.1"];
    let lines = [&bad[..], &more[..], &targets[..], &methods[..]].concat();
    let mut cases: Vec<_> = lines.into_iter().map(|text| (400, line(text))).collect();
    cases
        .extend(["HTTP/2.0", "HTTP/3.0", "HTTP/1.2", "HTTP/0.9", "HTTP/2"].map(|v| (505, line(&format!("GET / {v}")))));
    cases.push((414, line(&format!("GET /{} HTTP/1.1", "a".repeat(5_000)))));
    cases.push((400, "\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n".to_owned()));
    cases.push((400, "GET / HTTP/1.1\nHost: t\n\n".to_owned()));
    cases.push((400, "\u{16}\u{3}\u{1}\u{2}\0".to_owned()));
    check_all(&cases);
}

#[test]
fn framing_is_unambiguous() {
    let lengths = ["+5", "-5", "5,6", "5, 5", "abc", "0x5", "", "5 5", "5.0", "1e3", "\u{b2}"];
    let mut cases: Vec<_> =
        lengths.map(|length| (400, with_headers(&format!("Host: t\r\nContent-Length: {length}")))).to_vec();
    let encodings = ["chunked", "identity", "gzip", "cow", "", "chunked, chunked", "xchunked", "\tchunked"];
    cases.extend(encodings.map(|value| (411, with_headers(&format!("Host: t\r\nTransfer-Encoding: {value}")))));
    let both = "Host: t\r\nContent-Length: 4\r\nTransfer-Encoding: chunked";
    cases.push((411, with_headers(both)));
    cases.push((411, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()));
    for twice in ["Content-Length: 4\r\nContent-Length: 5", "Content-Length: 4\r\ncontent-length: 4"] {
        cases.push((400, with_headers(&format!("Host: t\r\n{twice}"))));
    }
    check_all(&cases);
}

#[test]
fn headers_are_strict() {
    let hosts = [
        "X: y",
        "Host: a\r\nHost: b",
        "Host: a\r\nhost: a",
        "Host:",
        "Host: a b",
        "Host: a,b",
        "Host: a/b",
        "Host: u@a",
    ];
    let folds = ["Host: t\r\nX: a\r\n b", "Host: t\r\nX: a\r\n\tb", "Host: t\r\nX: a\r\n Transfer-Encoding: chunked"];
    let names = ["Host: t\r\nX : a", "Host: t\r\nno colon", "Host: t\r\n: a", "Host: t\r\nX\0: a", "Host: t\r\nX(: a"];
    let starts = [" X: a\r\nHost: t", "\tX: a\r\nHost: t"];
    let bytes =
        ["a\0b", "a\rb", "a\nb", "a\u{7f}b", "a\u{1b}b", "a\u{e9}b", "a\u{8}b"].map(|v| format!("Host: t\r\nX: {v}"));
    let groups = [&hosts[..], &folds[..], &names[..], &starts[..]].concat();
    let mut cases: Vec<_> = groups.into_iter().map(|headers| (400, with_headers(headers))).collect();
    cases.extend(bytes.map(|headers| (400, with_headers(&headers))));
    cases.push((417, with_headers("Host: t\r\nExpect: a miracle")));
    cases.push((417, with_headers("Host: t\r\nExpect: ")));
    cases.push((431, with_headers(&format!("Host: t{}", "\r\na: b".repeat(64)))));
    check_all(&cases);
}
