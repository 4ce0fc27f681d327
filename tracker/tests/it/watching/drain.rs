//! SIGTERM: a load balancer is told first, and whoever is being served is served to the end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use peernet_testkit::process::Process;
use serde_json::json;

use crate::server::{SIGTERM, SOON, command, serve};
use crate::support::Client;

#[test]
fn ready_says_draining_and_everything_else_is_answered_until_the_delay_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(command(folder.path(), None).args(["--drain-delay-seconds", "3"])).unwrap();
    let line = process.line_with("listening on http://", SOON);
    let url = line.rsplit(' ').next().unwrap();
    let client = Client::new(url);
    assert_eq!(client.get("/ready").status, 200);
    process.signal(SIGTERM);
    process.line_with("draining", SOON);
    let answer = client.get("/ready");
    assert_eq!(answer.error(), (503, "draining".to_owned()));
    assert!(answer.header("Retry-After").is_some());
    assert_eq!(Client::new(url).get("/health").json(), json!({"status": "UP"}), "new connections are taken");
    client.register("x");
    assert_eq!(process.exit_within(SOON).code(), Some(0));
    let address: std::net::SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    assert!(TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err());
}

#[test]
fn all_requests_in_flight_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, url) = serve(folder.path(), None);
    let address = url.strip_prefix("http://").unwrap();
    let bodies: Vec<String> =
        (1..=16).map(|port| json!({"address": format!("h:{port}"), "password": "x"}).to_string()).collect();
    let under_way: Vec<TcpStream> = bodies.iter().map(|body| begin(address, body.len())).collect();
    process.signal(SIGTERM);
    process.line_with("draining", SOON);
    for (mut stream, body) in under_way.into_iter().zip(&bodies) {
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains("Connection: close\r\n"), "{answer}");
    }
    assert_eq!(process.exit_within(SOON).code(), Some(0));
    assert!(!process.transcript().contains("warn"), "nothing was cut");
}

/// A registration of which the tracker waits for the body.
fn begin(address: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let head = "POST /api/v1/peers/register HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length:";
    write!(stream, "{head} {length}\r\n\r\n").unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}
