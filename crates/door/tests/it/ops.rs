//! The operations listener: the same service on a Unix socket or loopback, and on nothing else.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use peernet_door::{Ops, OpsAddress, Service};

use super::PATIENCE;
use super::client::{Client, get, post};
use super::service::TestService;

fn bind(address: &OpsAddress) -> std::io::Result<Ops> {
    let service: Arc<dyn Service> = Arc::new(TestService::default());
    Ops::bind(address, &service)
}

fn loopback() -> OpsAddress {
    OpsAddress::Loopback("127.0.0.1:0".parse().unwrap())
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
    let ops = bind(&OpsAddress::Unix(path.clone())).unwrap();
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    let answer = ask(&path, &get("/hello"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert!(ask(&path, &get("/big")).contains("Content-Length: 20971520\r\n"), "never chunked");
    assert!(ask(&path, &get("/panic")).starts_with("HTTP/1.1 500 "));
    let error = bind(&OpsAddress::Unix(path.clone())).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    ops.stop();
    assert!(!path.exists());
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let stale = folder.path().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    let ops = bind(&OpsAddress::Unix(stale.clone())).unwrap();
    assert!(ask(&stale, &get("/hello")).ends_with("hello"));
    ops.stop();
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert_eq!(bind(&OpsAddress::Unix(file.clone())).err().unwrap().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(bind(&OpsAddress::Unix(stale)).err().unwrap().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn loopback_is_served_and_no_other_address() {
    for refused in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let address = OpsAddress::Loopback(refused.parse::<SocketAddr>().unwrap());
        assert_eq!(bind(&address).err().unwrap().kind(), ErrorKind::InvalidInput, "{refused}");
    }
    let ops = bind(&loopback()).unwrap();
    let addr = ops.local_addr().unwrap();
    let mut client = Client::connect(addr);
    assert_eq!(client.ask(post("/echo", "body")).text(), "body");
    assert_eq!(
        client.get("/head?q").text().split(", headers").next(),
        Some(r#"Head { method: Get, path: "/head", query: "q""#)
    );
    assert_eq!(client.ask(post("/tiny", "fives")).code(), "body_too_large");
    ops.stop();
    assert!(TcpStream::connect(addr).map_or(true, |stream| Client::over(stream).is_closed()));
}
