//! A [`Reply`]'s head as bytes, printed to memory with tiny_http's types and printer.

mod beginning;

use std::time::SystemTime;

use tiny_http::Header;

use crate::Reply;
use crate::id::{self, RequestId};

/// The value of the Server header.
const SERVER: &str = "peernet";

/// The head's statement about the connection after this reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// The connection stays open, which is HTTP/1.1's default, so the head omits it.
    Open,
    /// The connection stays open, which an HTTP/1.0 client must be told.
    OpenSaid,
    /// The connection ends after this reply.
    Closed,
}

/// The mark of a streamed body's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By a last chunk (RFC 9112, section 7.1).
    Chunked,
    /// By the end of the connection, for HTTP/1.0.
    UntilClose,
}

/// Appends the reply's head to `out`. Its Content-Length is the body's, even if the body is not sent (HEAD).
pub(crate) fn print_head(out: &mut Vec<u8>, reply: &Reply, id: &RequestId, afterwards: Afterwards) {
    print_headers(out, reply);
    // RFC 9110 8.6: it is forbidden with 1xx and 204, and with 304 it would have to be that of the 200.
    if has_body(reply.status) {
        line(out, "Content-Length", reply.body.len().to_string().as_bytes());
    }
    print_end(out, id, afterwards);
}

/// Appends the head of a streamed reply to `out`.
pub(crate) fn print_stream_head(
    out: &mut Vec<u8>,
    reply: &Reply,
    id: &RequestId,
    framing: Framing,
    afterwards: Afterwards,
) {
    print_headers(out, reply);
    if framing == Framing::Chunked {
        line(out, "Transfer-Encoding", b"chunked");
    }
    print_end(out, id, afterwards);
}

fn print_headers(out: &mut Vec<u8>, reply: &Reply) {
    beginning::print(out, reply.status, reply.content_type, SystemTime::now());
    for (name, value) in &reply.headers {
        if is_value(value) {
            line(out, name, value.as_bytes());
        }
    }
}

fn print_end(out: &mut Vec<u8>, id: &RequestId, afterwards: Afterwards) {
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

/// Returns whether a reply with this status carries a body (RFC 9110 6.4.1).
pub(crate) fn has_body(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 304)
}

fn header(name: &str, value: &str) -> Option<Header> {
    is_value(value).then(|| Header::from_bytes(name, value).ok()).flatten()
}

/// Returns whether a header line may have this value: not empty, and without bytes that could end the line. The
/// service's values may contain a client's text.
fn is_value(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::{Afterwards, Framing, print_head, print_stream_head};
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
    fn a_head_states_length_and_connection() {
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

    #[test]
    fn a_stream_head_states_chunks_or_nothing() {
        let printed = |framing, afterwards| {
            let mut out = Vec::new();
            print_stream_head(&mut out, &Reply::text(200, ""), &RequestId::fresh(), framing, afterwards);
            String::from_utf8(out).unwrap()
        };
        let chunked = printed(Framing::Chunked, Afterwards::Closed);
        assert!(chunked.contains("\r\nTransfer-Encoding: chunked\r\n"), "{chunked}");
        assert!(chunked.ends_with("\r\nConnection: close\r\n\r\n") && !chunked.contains("Content-Length"), "{chunked}");
        let until_close = printed(Framing::UntilClose, Afterwards::Closed);
        assert!(!until_close.contains("Transfer-Encoding") && !until_close.contains("Content-Length"), "{until_close}");
    }
}
