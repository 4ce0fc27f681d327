//! Attacks on the operations listener of the real program. Each of them ended or blocked a bare `tiny_http` server.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::server::{SIGTERM, SOON, serve};

fn connect(folder: &Path) -> UnixStream {
    let stream = UnixStream::connect(folder.join("ops.sock")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Sends a request and returns the status of the reply; `None` if the connection was closed without one.
fn status(folder: &Path, request: &[u8]) -> Option<u16> {
    let mut stream = connect(folder);
    // The server may refuse and close before it has read everything.
    let _ = stream.write_all(request);
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).split(' ').nth(1).and_then(|code| code.parse().ok())
}

#[test]
fn no_request_ends_the_tracker() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = serve(folder.path(), None);
    let health = b"GET /health HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    // The first aborted the process: an allocation of the announced size failed. The second panicked on its capacity.
    for length in ["30000000000", "18446744073709551615", "9223372036854775807", "+5", "-1", "5, 6"] {
        let request = format!("POST /metrics HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n");
        let code = status(folder.path(), request.as_bytes());
        assert!(code.is_some_and(|code| (400..500).contains(&code)), "{length}: {code:?}");
        assert_eq!(status(folder.path(), health), Some(200), "after a length of {length}");
    }
    process.signal(SIGTERM);
    assert!(process.exit_within(SOON).success());
}

#[test]
fn half_sent_requests_hold_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (_process, _) = serve(folder.path(), None);
    let mut silent = Vec::new();
    for _ in 0..16 {
        let mut stream = connect(folder.path());
        stream.write_all(b"POST /health HTTP/1.1\r\nHost: t\r\nContent-Length: 2000\r\n\r\n").unwrap();
        silent.push(stream);
    }
    let health = b"GET /health HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    assert_eq!(status(folder.path(), health), Some(200));
}
