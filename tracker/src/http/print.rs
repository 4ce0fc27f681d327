//! A [`Reply`] as bytes: tiny_http's types and its printer, into memory, so that no client can hold whoever made it.

use std::io::{self, Cursor};

use tiny_http::{HTTPVersion, Header, Response, StatusCode};

use super::Reply;
use super::id::{self, RequestId};

/// What the head says about the connection afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// HTTP/1.1's default: nothing said.
    Open,
    /// HTTP/1.0 must be told.
    OpenSaid,
    /// This is the last answer.
    Closed,
}

/// Appends the answer's head to `out`. Its Content-Length is the body's, also where the body is not sent (HEAD).
pub(crate) fn print_head(out: &mut Vec<u8>, reply: &Reply, id: &RequestId, afterwards: Afterwards) {
    let length = if has_body(reply.status) { reply.body.len() } else { 0 };
    let response = Response::new(StatusCode(reply.status), headers(reply), io::empty(), Some(length), None);
    response
        .with_chunked_threshold(usize::MAX)
        .raw_print(&mut *out, HTTPVersion(1, 1), &[], true, None)
        .expect("writing to memory cannot fail");
    amend(out, reply.status, id, afterwards);
}

/// Whether an answer with this status carries a body (RFC 9110 6.4.1).
pub(crate) fn has_body(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 304)
}

/// The reply as tiny_http's own server sends it.
pub(crate) fn response(reply: Reply, id: &RequestId) -> Response<Cursor<Vec<u8>>> {
    let reply = reply.with_header(id::HEADER, id.to_string());
    let (headers, length) = (headers(&reply), reply.body.len());
    Response::new(StatusCode(reply.status), headers, Cursor::new(reply.body), Some(length), None)
        .with_chunked_threshold(usize::MAX)
}

fn headers(reply: &Reply) -> Vec<Header> {
    let fixed = [("Server", "peernet"), ("Content-Type", reply.content_type)];
    let further = reply.headers.iter().map(|(name, value)| (*name, value.as_str()));
    fixed.into_iter().chain(further).filter_map(|(name, value)| header(name, value)).collect()
}

/// A header line, unless its value is empty or could end the line: values are ours, but may be made from a client's.
fn header(name: &str, value: &str) -> Option<Header> {
    let printable = value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'));
    if value.is_empty() || !printable {
        return None;
    }
    Header::from_bytes(name, value).ok()
}

/// The request's id, and the two things tiny_http's printer does not do: it drops every `Connection` header, and it says `Content-Length: 0`
/// where RFC 9110 8.6 forbids the header.
fn amend(out: &mut Vec<u8>, status: u16, id: &RequestId, afterwards: Afterwards) {
    out.truncate(out.len() - b"\r\n".len());
    let length_line = b"Content-Length: 0\r\n";
    if matches!(status, 100..=199 | 204) && out.ends_with(length_line) {
        out.truncate(out.len() - length_line.len());
    }
    // Put here, and not among the reply's headers, because every answer has it and a header of its own costs two allocations.
    for part in [id::HEADER.as_bytes(), b": ", id.as_bytes(), b"\r\n"] {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(match afterwards {
        Afterwards::Open => b"\r\n",
        Afterwards::OpenSaid => b"Connection: keep-alive\r\n\r\n",
        Afterwards::Closed => b"Connection: close\r\n\r\n",
    });
}

#[cfg(test)]
mod tests {
    use super::{Afterwards, print_head};
    use crate::http::{Reply, RequestId};

    fn printed(reply: &Reply, afterwards: Afterwards) -> String {
        let mut out = Vec::new();
        let id = RequestId::fresh();
        print_head(&mut out, reply, &id, afterwards);
        let text = String::from_utf8(out).unwrap();
        let text = text.replace(&format!("X-Request-Id: {id}\r\n"), "<id>");
        let (head, date) = text.split_once("Date: ").unwrap();
        format!("{head}{}", date.split_once("\r\n").unwrap().1)
    }

    #[test]
    fn a_head_says_length_and_connection() {
        let check = |reply: &Reply, afterwards, expected: &str| assert_eq!(printed(reply, afterwards), expected);
        let text = Reply::text(200, "hello");
        let start = "HTTP/1.1 200 OK\r\nServer: peernet\r\nContent-Type: text/plain; charset=utf-8\r\n";
        check(&text, Afterwards::Open, &format!("{start}Content-Length: 5\r\n<id>\r\n"));
        check(&text, Afterwards::OpenSaid, &format!("{start}Content-Length: 5\r\n<id>Connection: keep-alive\r\n\r\n"));
        check(&text, Afterwards::Closed, &format!("{start}Content-Length: 5\r\n<id>Connection: close\r\n\r\n"));
        let nothing = Reply { status: 204, content_type: "", headers: Vec::new(), body: Vec::new() };
        check(&nothing, Afterwards::Open, "HTTP/1.1 204 No Content\r\nServer: peernet\r\n<id>\r\n");
    }

    #[test]
    fn a_header_value_cannot_end_its_line() {
        let reply = Reply::text(200, "").with_header("Location", "/a\r\nSet-Cookie: b").with_header("ETag", "\"1\"");
        let head = printed(&reply, Afterwards::Open);
        assert!(!head.contains("Cookie") && head.contains("ETag: \"1\"\r\n"), "{head}");
    }
}
