//! SIGTERM: the readiness fails first, and running requests are served to the end.

use std::net::TcpStream;
use std::time::Duration;

use peernet_testkit::process::Process;
use serde_json::json;

use crate::server::{SIGTERM, SOON, UnderWay, command, serve};
use crate::support::Client;

#[test]
fn ready_says_draining_while_other_calls_are_answered() {
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
    let bodies: Vec<String> =
        (1..=16).map(|port| json!({"address": format!("h:{port}"), "password": "x"}).to_string()).collect();
    let under_way: Vec<UnderWay<'_>> = bodies.iter().map(|body| UnderWay::begin(&url, body)).collect();
    process.signal(SIGTERM);
    process.line_with("draining", SOON);
    under_way.into_iter().for_each(UnderWay::expect_answer);
    assert_eq!(process.exit_within(SOON).code(), Some(0));
    assert!(!process.transcript().contains("warn"), "nothing was cut");
}
