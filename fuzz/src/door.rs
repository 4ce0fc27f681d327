//! Bodies for input that reaches the door: the strict parser of a request's head.

use peernet_door::head::{HeadLimits, ParsedHead, parse_head};

use crate::{Body, texts};

/// The bodies of this file.
pub(crate) const BODIES: &[Body] = &[Body { name: "http_head", run: http_head, examples }];

/// A head that is taken does not depend on what follows it, is waited for byte by byte, and prints to one of the same
/// meaning; a head that is refused stays refused.
pub fn http_head(data: &[u8]) {
    let limits = HeadLimits::default();
    match parse_head(data, &limits) {
        Ok(Some(parsed)) => is_sound(data, &parsed),
        Ok(None) => assert!(data.len() < limits.head_bytes_max),
        Err(error) => {
            let more = [data, b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            assert!(parse_head(&more, &limits).is_err(), "{error:?} was forgotten when more came");
        }
    }
}

fn is_sound(data: &[u8], parsed: &ParsedHead) {
    let own = &data[..parsed.head_bytes];
    assert!(own.ends_with(b"\r\n\r\n"));
    assert_eq!(shown(own), Some(show(parsed)), "what follows a head must not matter");
    for cut in (0..own.len()).rev().take(64).chain((0..8).map(|i| own.len() * i / 8)) {
        assert!(matches!(parse_head(&own[..cut], &HeadLimits::default()), Ok(None)), "a part of a head is no head");
    }
    is_unambiguous(parsed);
    assert_eq!(shown(print(parsed).as_bytes()), Some(show(parsed)));
}

fn is_unambiguous(parsed: &ParsedHead) {
    let head = &parsed.head;
    let count = |name: &str| head.headers.iter().filter(|(known, _)| known == name).count();
    assert!(count("host") == 1 || (parsed.http_1_0 && count("host") == 0));
    assert!(count("content-length") <= 1 && count("transfer-encoding") == 0);
    assert!(head.path.starts_with('/') && !head.path.starts_with("//"), "{}", head.path);
    assert!(!head.path.contains(['?', '#']) && !head.query.contains('#'));
    for (name, value) in &head.headers {
        assert!(!name.is_empty() && !name.bytes().any(|b| b.is_ascii_uppercase()), "{name:?}");
        assert!(value.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) && value.trim() == value, "{value:?}");
    }
}

/// Returns the canonical spelling of a parsed head.
fn print(parsed: &ParsedHead) -> String {
    let head = &parsed.head;
    let question = if head.query.is_empty() { "" } else { "?" };
    let version = if parsed.http_1_0 { "1.0" } else { "1.1" };
    let mut text = format!("{} {}{question}{} HTTP/{version}\r\n", head.method, head.path, head.query);
    text.extend(head.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
    text + "\r\n"
}

/// Returns the parsed head without its length. The limits leave room for a printer's blanks.
fn shown(bytes: &[u8]) -> Option<String> {
    let limits = HeadLimits { head_bytes_max: 32 << 10, target_bytes_max: 8 << 10, ..HeadLimits::default() };
    parse_head(bytes, &limits).ok().flatten().map(|parsed| show(&parsed))
}

fn show(parsed: &ParsedHead) -> String {
    let framing = (parsed.content_length, parsed.keep_alive, parsed.expects_continue, parsed.http_1_0);
    format!("{:?} {framing:?}", parsed.head)
}

fn examples() -> Vec<Vec<u8>> {
    texts(&[
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET //api/v1/files?name=a+b&limit=3 HTTP/1.1\r\nhost: tracker:8080\r\nAuthorization: Bearer x.y.z\r\n\r\n",
        "POST http://tracker/api/v1/x HTTP/1.1\r\nHost: a:1\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n{\"a\": 12345}",
        "PUT /a HTTP/1.0\r\nConnection: keep-alive, close\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HEAD /a%20b HTTP/1.1\r\nHost: [::1]:80\r\nConnection:\tclose \r\nX-Empty:\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "BREW /pot HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ])
}
