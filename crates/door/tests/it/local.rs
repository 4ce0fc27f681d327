//! Local doors: on a Unix socket or loopback and on nothing else, with the same bounds as a public door.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use peernet_door::{LocalAddress, LocalDoor};

use super::PATIENCE;
use super::client::{Client, get, post};
use super::service::{BURST_BYTES, TestService};

fn bind(address: &LocalAddress) -> std::io::Result<LocalDoor> {
    LocalDoor::bind(address, Arc::new(TestService::default()))
}

fn loopback() -> LocalAddress {
    LocalAddress::Loopback("127.0.0.1:0".parse().unwrap())
}

/// Asks over a Unix socket; everything until the end.
fn ask(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_unix_socket_is_served_from_a_private_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run").join("ops.sock");
    let door = bind(&LocalAddress::Unix(path.clone())).unwrap();
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    let answer = ask(&path, &get("/hello"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert!(ask(&path, &get("/big")).contains("Content-Length: 20971520\r\n"), "never chunked");
    assert!(ask(&path, &get("/panic")).starts_with("HTTP/1.1 500 "));
    let error = bind(&LocalAddress::Unix(path.clone())).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert_eq!(door.drain(PATIENCE).stuck, 0);
    assert!(!path.exists());
}

#[test]
fn a_stream_that_begins_with_a_full_socket_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run").join("ops.sock");
    let _door = bind(&LocalAddress::Unix(path.clone())).unwrap();
    // A Unix socket buffers some 200 KiB. One of these replies leaves less room than the stream needs for its first bytes.
    for len in [100_000, 120_000, 140_000, 160_000, 180_000, 200_000] {
        let mut socket = UnixStream::connect(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(post("/echo", &"x".repeat(len)).as_bytes()).unwrap();
        socket.write_all(get("/burst").as_bytes()).unwrap();
        // The reply has begun when this byte is here, and nothing is read until the stream is blocked or over.
        let mut received = vec![0];
        socket.read_exact(&mut received).unwrap();
        settle(&socket);
        socket.read_to_end(&mut received).unwrap();
        assert_eq!(received.iter().filter(|byte| **byte == b'Y').count(), BURST_BYTES, "after {len} bytes");
        assert!(received.ends_with(b"0\r\n\r\n"), "the stream is complete");
    }
}

/// Waits until no more bytes come in.
fn settle(socket: &UnixStream) {
    let mut before = None;
    let waiting = || rustix::io::ioctl_fionread(socket).unwrap();
    while before != Some(waiting()) {
        before = Some(waiting());
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let stale = folder.path().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    let door = bind(&LocalAddress::Unix(stale.clone())).unwrap();
    assert!(ask(&stale, &get("/hello")).ends_with("hello"));
    door.drain(PATIENCE);
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert_eq!(bind(&LocalAddress::Unix(file.clone())).err().unwrap().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(bind(&LocalAddress::Unix(stale)).err().unwrap().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn loopback_is_served_and_no_other_address() {
    for refused in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let address = LocalAddress::Loopback(refused.parse::<SocketAddr>().unwrap());
        assert_eq!(bind(&address).err().unwrap().kind(), ErrorKind::InvalidInput, "{refused}");
    }
    let door = bind(&loopback()).unwrap();
    let addr = door.local_addr().unwrap();
    let mut client = Client::connect(addr);
    assert_eq!(client.ask(post("/echo", "body")).text(), "body");
    assert_eq!(
        client.get("/head?q").text().split(", headers").next(),
        Some(r#"Head { method: Get, path: "/head", query: "q""#)
    );
    assert_eq!(client.ask(post("/tiny", "fives")).code(), "body_too_large");
    door.drain(PATIENCE);
    assert!(TcpStream::connect(addr).map_or(true, |stream| Client::over(stream).is_closed()));
}

/// tiny_http's own listener allocates the announced length when it drops the body, and aborts the process.
#[test]
fn an_enormous_content_length_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run").join("ops.sock");
    let on_unix = bind(&LocalAddress::Unix(path.clone())).unwrap();
    let on_loopback = bind(&loopback()).unwrap();
    for length in
        ["30000000000", "9000000000000000000", "9223372036854775807", "18446744073709551615", "99999999999999999999"]
    {
        let request = format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\nx");
        let answer = Client::connect(on_loopback.local_addr().unwrap()).ask(&request);
        assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"), "{length}");
        assert!(ask(&path, &request).starts_with("HTTP/1.1 413 "), "{length}");
    }
    assert!(ask(&path, &get("/hello")).ends_with("hello"));
    assert_eq!(Client::connect(on_loopback.local_addr().unwrap()).get("/hello").text(), "hello");
    drop((on_unix, on_loopback));
}

#[test]
fn idle_clients_do_not_hold_the_listener() {
    let door = bind(&loopback()).unwrap();
    let addr = door.local_addr().unwrap();
    let _idle: Vec<_> = (0..20).map(|_| Client::connect(addr)).collect();
    let mut half = Client::connect(addr);
    half.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(Client::connect(addr).get("/hello").text(), "hello");
}
