//! The parser of heads without a socket: the meaning of each accepted head, and the reason of each refusal.

use peernet_door::head::{HEADERS_MAX, HeadError, HeadLimits, ParsedHead, parse_head};

fn parse(text: &str) -> Result<Option<ParsedHead>, HeadError> {
    parse_head(text.as_bytes(), &HeadLimits::default())
}

/// A head in one line: method, path, query, body length, and the signs of its connection.
fn shown(parsed: &ParsedHead) -> String {
    let signs = [
        (parsed.keep_alive, "keep-alive"),
        (parsed.expects_continue, "expects-continue"),
        (parsed.http_1_0, "http/1.0"),
    ];
    let mut words = vec![
        parsed.head.method.to_string(),
        parsed.head.path.clone(),
        format!("?{}", parsed.head.query),
        parsed.content_length.to_string(),
    ];
    words.extend(signs.into_iter().filter(|(is_set, _)| *is_set).map(|(_, word)| word.to_owned()));
    words.join(" ")
}

/// Compares the meaning of a head, given without its empty line.
#[track_caller]
fn check(lines: &[&str], expected: &str) {
    let text = format!("{}\r\n\r\n", lines.join("\r\n"));
    let parsed = parse(&text).unwrap_or_else(|error| panic!("{text:?} is refused: {error:?}")).expect("it has an end");
    assert_eq!(shown(&parsed), expected, "{text:?}");
    assert_eq!(parsed.head_bytes, text.len(), "{text:?}");
}

/// Compares the refusal of a head; `Malformed` counts whatever its text.
#[track_caller]
fn refuse(lines: &[&str], expected: HeadError) {
    let text = format!("{}\r\n\r\n", lines.join("\r\n"));
    let found = parse(&text).err();
    let is_malformed = matches!((found, expected), (Some(HeadError::Malformed(_)), HeadError::Malformed(_)));
    assert!(is_malformed || found == Some(expected), "{text:?}: {found:?}, {expected:?} expected");
}

const MALFORMED: HeadError = HeadError::Malformed("");

#[test]
fn methods_and_targets_are_read_as_sent() {
    check(&["GET / HTTP/1.1", "Host: t"], "GET / ? 0 keep-alive");
    check(&["HEAD /a/b HTTP/1.1", "Host: t"], "HEAD /a/b ? 0 keep-alive");
    check(&["PUT /a%2Fb?c=d&e HTTP/1.1", "Host: t"], "PUT /a%2Fb ?c=d&e 0 keep-alive");
    check(&["PATCH //api/v1 HTTP/1.1", "Host: t"], "PATCH /api/v1 ? 0 keep-alive");
    check(&["BREW /pot HTTP/1.1", "Host: t"], "BREW /pot ? 0 keep-alive");
    check(&["GET http://host/a?b HTTP/1.1", "Host: t"], "GET /a ?b 0 keep-alive");
    check(&["get / HTTP/1.1", "Host: t"], "get / ? 0 keep-alive");
}

#[test]
fn the_connection_header_decides_about_the_next_request() {
    let cases: [(&str, &[&str], bool); 11] = [
        ("1.1", &[], true),
        ("1.1", &["Connection: close"], false),
        ("1.1", &["Connection: CLOSE"], false),
        ("1.1", &["connection: keep-alive, close"], false),
        ("1.1", &["Connection: upgrade , x"], true),
        ("1.1", &["Connection: keep-alive", "Connection: close"], false),
        ("1.0", &[], false),
        ("1.0", &["Connection: keep-alive"], true),
        ("1.0", &["Connection: Keep-Alive"], true),
        ("1.0", &["Connection: keep-alive, close"], false),
        ("1.0", &["Connection: closed"], false),
    ];
    for (version, headers, keep_alive) in cases {
        let text = format!("GET / HTTP/{version}\r\nHost: t\r\n{}\r\n\r\n", headers.join("\r\n"));
        let text = text.replace("t\r\n\r\n\r\n", "t\r\n\r\n");
        let parsed = parse(&text).expect("well-formed").expect("whole");
        assert_eq!(parsed.keep_alive, keep_alive, "{text:?}");
    }
}

#[test]
fn bodies_are_announced_in_plain_digits_once() {
    check(&["POST / HTTP/1.1", "Host: t", "Content-Length: 0"], "POST / ? 0 keep-alive");
    check(&["POST / HTTP/1.1", "Host: t", "content-length:7"], "POST / ? 7 keep-alive");
    check(&["POST / HTTP/1.1", "Host: t", "Content-Length: 007"], "POST / ? 7 keep-alive");
    let huge = format!("Content-Length: {}0", u64::MAX);
    let expected = format!("POST / ? {} keep-alive", u64::MAX);
    check(&["POST / HTTP/1.1", "Host: t", &huge], &expected);
    for length in ["", "+1", "-1", "1 1", "1,1", "0x1", "1.0", "one", "１"] {
        refuse(&["POST / HTTP/1.1", "Host: t", &format!("Content-Length: {length}")], MALFORMED);
    }
    refuse(&["POST / HTTP/1.1", "Host: t", "Content-Length: 1", "Content-Length: 1"], MALFORMED);
    refuse(&["POST / HTTP/1.1", "Host: t", "Content-Length: 1", "content-length: 2"], MALFORMED);
}

#[test]
fn transfer_encodings_are_refused_in_every_form() {
    for encoding in ["chunked", "identity", "gzip, chunked", "", "xchunked"] {
        let line = format!("Transfer-Encoding: {encoding}");
        refuse(&["POST / HTTP/1.1", "Host: t", &line], HeadError::TransferEncoding);
        refuse(&["POST / HTTP/1.1", "Host: t", "Content-Length: 4", &line], HeadError::TransferEncoding);
        refuse(&["POST / HTTP/1.0", &line], HeadError::TransferEncoding);
    }
}

#[test]
fn one_host_is_required_and_checked() {
    for host in ["t", "example.org:8080", "[::1]:80", "10.0.0.1", "a_b.c-d"] {
        check(&["GET / HTTP/1.1", &format!("Host: {host}")], "GET / ? 0 keep-alive");
    }
    for host in ["", "a b", "a,b", "a/b", "a?b", "a#b", "a@b", "a\\b"] {
        refuse(&["GET / HTTP/1.1", &format!("Host: {host}")], MALFORMED);
    }
    refuse(&["GET / HTTP/1.1"], MALFORMED);
    refuse(&["GET / HTTP/1.1", "Host: t", "Host: t"], MALFORMED);
    refuse(&["GET / HTTP/1.0", "Host: t", "host: u"], MALFORMED);
    check(&["GET / HTTP/1.0"], "GET / ? 0 http/1.0");
}

#[test]
fn only_the_continue_expectation_is_known() {
    let post = "POST / HTTP/1.1";
    let length = "Content-Length: 2";
    check(&[post, "Host: t", length, "Expect: 100-continue"], "POST / ? 2 keep-alive expects-continue");
    check(&[post, "Host: t", length, "EXPECT: 100-Continue"], "POST / ? 2 keep-alive expects-continue");
    for expectation in ["", "200-ok", "100-continue, x", "100"] {
        refuse(&[post, "Host: t", length, &format!("Expect: {expectation}")], HeadError::Expectation);
    }
    // RFC 9110 10.1.1: a server ignores the expectation of an HTTP/1.0 request.
    check(&["POST / HTTP/1.0", length, "Expect: 200-ok"], "POST / ? 2 http/1.0");
}

#[test]
fn other_versions_are_told_apart_from_noise() {
    for version in ["2.0", "1.2", "0.9", "3", "11"] {
        refuse(&[&format!("GET / HTTP/{version}"), "Host: t"], HeadError::Version);
    }
    refuse(&["PRI * HTTP/2.0"], HeadError::Version);
    for line in ["GET / HTTP/", "GET / HTTP/x", "GET / http/1.1", "GET /", "GET", "/ HTTP/1.1", "GET / HTTP/1.1 x"] {
        refuse(&[line, "Host: t"], MALFORMED);
    }
}

#[test]
fn lines_that_two_programs_could_read_differently_are_refused() {
    let host = "Host: t";
    for line in [
        "X : y",
        " X: y",
        "\tX: y",
        "X",
        ": y",
        "X\0: y",
        "X: y\0",
        "X: \u{7f}",
        "X: ü",
        "Xü: y",
        "X: a\rb",
        "X: a\nb",
        "X(: y",
    ] {
        refuse(&["GET / HTTP/1.1", host, line], MALFORMED);
    }
    for text in [
        "GET / HTTP/1.1\nHost: t\n\n",
        "GET / HTTP/1.1\r\nHost: t\n\r\n",
        "GET / HTTP/1.1\rHost: t\r\r",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: t\r\n\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        assert!(matches!(parse(text), Err(HeadError::Malformed(_))), "{text:?}");
    }
}

#[test]
fn one_empty_line_before_a_request_is_ignored() {
    let text = "\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let parsed = parse(text).expect("RFC 9112 2.2 allows it").expect("whole");
    assert_eq!((shown(&parsed).as_str(), parsed.head_bytes), ("GET / ? 0 keep-alive", text.len()));
}

#[test]
fn sizes_are_bounded_one_by_one() {
    let limits = HeadLimits { head_bytes_max: 200, headers_max: 3, target_bytes_max: 20 };
    let head = |target: usize, headers: usize, padding: usize| {
        let more: String = (1..headers).map(|n| format!("X-{n}: {}\r\n", "y".repeat(padding))).collect();
        format!("GET /{} HTTP/1.1\r\nHost: t\r\n{more}\r\n", "a".repeat(target - 1))
    };
    let cases = [
        (head(20, 1, 0), None),
        (head(21, 1, 0), Some(HeadError::TargetTooLong)),
        (head(5, 3, 1), None),
        (head(5, 4, 1), Some(HeadError::TooLarge)),
        (head(5, 3, 70), None),
        (head(5, 3, 80), Some(HeadError::TooLarge)),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_head(text.as_bytes(), &limits).err(), expected, "{text:?}");
    }
    let many = HeadLimits { headers_max: 10_000, ..HeadLimits::default() };
    let text = head(5, HEADERS_MAX + 1, 1);
    assert_eq!(parse_head(text.as_bytes(), &many).err(), Some(HeadError::TooLarge), "the parser's table has a size");
}

#[test]
fn a_head_without_its_end_is_awaited_up_to_the_limit() {
    let limits = HeadLimits { head_bytes_max: 64, ..HeadLimits::default() };
    let endless = "GET / HTTP/1.1\r\nHost: t\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
    for length in 0..64 {
        assert!(matches!(parse_head(&endless.as_bytes()[..length], &limits), Ok(None)), "{length} bytes");
    }
    assert_eq!(parse_head(&endless.as_bytes()[..64], &limits).err(), Some(HeadError::TooLarge));
}

#[test]
fn bytes_behind_the_head_are_left_alone() {
    let head = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\n";
    for behind in ["", "abc", "abcGET / HTTP/1.1\r\n", "\0\0\0", "\r\n\r\n"] {
        let text = format!("{head}{behind}");
        let parsed = parse(&text).expect("well-formed").expect("whole");
        assert_eq!((parsed.head_bytes, parsed.content_length), (head.len(), 3), "{behind:?}");
    }
}

#[test]
fn header_names_are_lower_case_and_values_trimmed() {
    let parsed = parse("GET / HTTP/1.1\r\nHOST: t\r\nX-Any:  a  b\t \r\nAccept:\r\nx-any: c\r\n\r\n");
    let head = parsed.expect("well-formed").expect("whole").head;
    let headers: Vec<(&str, &str)> = head.headers.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
    assert_eq!(headers, [("host", "t"), ("x-any", "a  b"), ("accept", ""), ("x-any", "c")]);
    assert_eq!((head.header("x-any"), head.header("X-Any"), head.header("none")), (Some("a  b"), None, None));
}
