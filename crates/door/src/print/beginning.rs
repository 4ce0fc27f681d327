//! The first lines of a head. They are the same in all replies of one status and one type within a second, so tiny_http prints them
//! once per second and thread.

use std::cell::RefCell;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use tiny_http::{HTTPVersion, Response, StatusCode};

use super::{SERVER, header};

/// More kinds of replies than a thread has in a second. Beyond it, the thread starts over.
const KINDS_MAX: usize = 32;

thread_local! {
    static PRINTED: RefCell<Printed> = const { RefCell::new(Printed { second: 0, kinds: Vec::new() }) };
}

/// The lines that a thread has printed in a second.
struct Printed {
    /// Seconds since 1970-01-01 UTC.
    second: u64,
    kinds: Vec<Kind>,
}

struct Kind {
    status: u16,
    content_type: &'static str,
    lines: Vec<u8>,
}

/// Appends the status line, `Date`, `Server` and, unless it is empty, `Content-Type`.
pub(super) fn print(out: &mut Vec<u8>, status: u16, content_type: &'static str, now: SystemTime) {
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    PRINTED.with_borrow_mut(|printed| {
        if printed.second != second || printed.kinds.len() >= KINDS_MAX {
            printed.kinds.clear();
            printed.second = second;
        }
        let is_same = |kind: &Kind| kind.status == status && kind.content_type == content_type;
        if let Some(kind) = printed.kinds.iter().find(|kind| is_same(kind)) {
            out.extend_from_slice(&kind.lines);
            return;
        }
        let lines = lines(status, content_type);
        out.extend_from_slice(&lines);
        printed.kinds.push(Kind { status, content_type, lines });
    });
}

/// tiny_http's lines, without the `Content-Length` that it adds and without the empty line.
fn lines(status: u16, content_type: &str) -> Vec<u8> {
    let headers = [("Server", SERVER), ("Content-Type", content_type)];
    let headers = headers.into_iter().filter_map(|(name, value)| header(name, value)).collect();
    let mut lines = Vec::new();
    Response::new(StatusCode(status), headers, io::empty(), Some(0), None)
        .with_chunked_threshold(usize::MAX)
        .raw_print(&mut lines, HTTPVersion(1, 1), &[], true, None)
        .expect("writing to memory cannot fail");
    for end in [&b"\r\n"[..], b"Content-Length: 0\r\n"] {
        if lines.ends_with(end) {
            lines.truncate(lines.len() - end.len());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn printed(status: u16, content_type: &'static str, second: u64) -> Vec<u8> {
        let mut out = Vec::new();
        print(&mut out, status, content_type, UNIX_EPOCH + Duration::from_secs(second));
        out
    }

    #[test]
    fn each_kind_has_its_own_lines_and_a_new_second_new_ones() {
        for status in 200..260 {
            for content_type in ["text/plain", "application/json", ""] {
                let text = String::from_utf8(printed(status, content_type, 1)).unwrap();
                assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
                assert_eq!(text.contains(&format!("Content-Type: {content_type}\r\n")), !content_type.is_empty());
                assert!(text.ends_with("\r\n") && !text.contains("Content-Length") && text.contains("Date: "));
            }
        }
        let count = || PRINTED.with_borrow(|printed| (printed.second, printed.kinds.len()));
        assert!(count().1 <= KINDS_MAX, "{:?}", count());
        let first = printed(200, "text/plain", 7);
        assert_eq!((count(), printed(200, "text/plain", 7)), ((7, 1), first));
        printed(200, "text/plain", 8);
        assert_eq!(count(), (8, 1));
    }
}
