//! A [`Reply`] as bytes: tiny_http's types and its printer, into memory, so that no client can hold whoever made it.

mod beginning;

use std::io::Cursor;
use std::time::SystemTime;

use tiny_http::{Header, Response, StatusCode};

use crate::Reply;
use crate::id::{self, RequestId};

/// What is said of the program.
const SERVER: &str = "peernet";

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
    beginning::print(out, reply.status, reply.content_type, SystemTime::now());
    for (name, value) in &reply.headers {
        if is_value(value) {
            line(out, name, value.as_bytes());
        }
    }
    // RFC 9110 8.6: it is forbidden with 1xx and 204, and with 304 it would have to be that of the 200.
    if has_body(reply.status) {
        line(out, "Content-Length", reply.body.len().to_string().as_bytes());
    }
    line(out, id::HEADER, id.as_bytes());
    out.extend_from_slice(match afterwards {
        Afterwards::Open => b"\r\n",
        Afterwards::OpenSaid => b"Connection: keep-alive\r\n\r\n",
        Afterwards::Closed => b"Connection: close\r\n\r\n",
    });
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
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
    let fixed = [("Server", SERVER), ("Content-Type", reply.content_type)];
    let further = reply.headers.iter().map(|(name, value)| (*name, value.as_ref()));
    fixed.into_iter().chain(further).filter_map(|(name, value)| header(name, value)).collect()
}

fn header(name: &str, value: &str) -> Option<Header> {
    is_value(value).then(|| Header::from_bytes(name, value).ok()).flatten()
}

/// Whether a header line may have this value: not empty, and nothing that could end the line. Values are ours, but may be made from a
/// client's.
fn is_value(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::{Afterwards, print_head};
    use crate::{Reply, RequestId};

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
        let same = Reply { status: 304, ..nothing }.with_header("ETag", "\"1\"");
        check(&same, Afterwards::Open, "HTTP/1.1 304 Not Modified\r\nServer: peernet\r\nETag: \"1\"\r\n<id>\r\n");
    }

    #[test]
    fn a_header_value_cannot_end_its_line() {
        let reply = Reply::text(200, "").with_header("Location", "/a\r\nSet-Cookie: b").with_header("ETag", "\"1\"");
        let head = printed(&reply, Afterwards::Open);
        assert!(!head.contains("Cookie") && head.contains("ETag: \"1\"\r\n"), "{head}");
    }
}
