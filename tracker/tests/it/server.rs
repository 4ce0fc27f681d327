//! The real program: port 0, signals, kill -9, bad configuration, health and admin commands.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use peernet_testkit::postgres::fresh_database;
use peernet_testkit::process::Process;
use peernet_tracker::Tracker;
use serde_json::json;

use crate::support::{Client, start};

const PROGRAM: &str = env!("CARGO_BIN_EXE_peernet-tracker");
pub(crate) const SOON: Duration = Duration::from_secs(60);
const SIGINT: i32 = 2;
pub(crate) const SIGTERM: i32 = 15;

pub(crate) fn command(data_dir: &Path, database_url: Option<&str>) -> Command {
    let mut command = Command::new(PROGRAM);
    // Nothing of the machine's own environment and files.
    command.env_clear().env("HOME", data_dir).env("PEERNET_TRACKER_BCRYPT_COST", "4");
    command.env("PEERNET_TRACKER_LISTEN", "127.0.0.1:0").arg("--data-dir").arg(data_dir);
    if let Some(url) = database_url {
        command.env("DATABASE_URL", url);
    }
    command
}

pub(crate) fn serve(data_dir: &Path, database_url: Option<&str>) -> (Process, String) {
    let mut process = Process::start(&mut command(data_dir, database_url)).unwrap();
    let line = process.line_with("peernet-tracker listening on http://", SOON);
    (process, line.rsplit(' ').next().unwrap().to_owned())
}

/// A registration of which the tracker waits for the body.
pub(crate) struct UnderWay<'a> {
    stream: TcpStream,
    body: &'a str,
}

impl<'a> UnderWay<'a> {
    pub(crate) fn begin(url: &str, body: &'a str) -> Self {
        let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let head = "POST /api/v1/peers/register HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length:";
        write!(stream, "{head} {}\r\n\r\n", body.len()).unwrap();
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n", "the request is under way");
        Self { stream, body }
    }

    /// The tracker answers the rest, and closes the connection because it stops.
    pub(crate) fn expect_answer(mut self) {
        self.stream.write_all(self.body.as_bytes()).unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains("Connection: close\r\n"), "{answer}");
    }
}

fn on_both_stores(check: impl Fn(&Path, Option<&str>)) {
    for database in [None, Some(fresh_database())] {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), database.as_deref());
    }
}

pub(crate) fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().expect("exits by itself"), text(stdout), text(stderr))
}

#[test]
fn every_acknowledged_account_survives_kill_9() {
    on_both_stores(|folder, database| {
        let (process, url) = serve(folder, database);
        let register = |number: usize| {
            let client = Client::new(&url);
            let (id, caller) = client.register_at(&format!("h:{number}"), &format!("password-{number}"));
            (number, id, caller.authorization().unwrap().to_owned())
        };
        let registered: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=8).map(|number| scope.spawn(move || register(number))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        process.kill9();
        let (mut process, url) = serve(folder, database);
        let client = Client::new(&url);
        for (number, id, authorization) in registered {
            let login = client.post(
                "/api/v1/peers/login",
                &json!({"address": format!("h:{number}"), "password": format!("password-{number}")}),
            );
            assert_eq!((login.status, login.json()["peer_id"].as_str()), (200, Some(id.as_str())));
            let me = client.with_authorization(&authorization).get("/api/v1/peers/me");
            assert_eq!(me.status, 200, "tokens outlive the process too");
        }
        process.signal(SIGTERM);
        assert!(process.exit_within(SOON).success());
        let (code, out, _) = output(command(folder, database).args(["admin", "ledger", "verify"]));
        assert_eq!((code, out.lines().last()), (0, Some("OK")), "{out}");
    });
}

#[test]
fn a_signal_stops_it_cleanly_and_the_port_is_closed() {
    for signal in [SIGTERM, SIGINT] {
        let folder = tempfile::tempdir().unwrap();
        let (mut process, url) = serve(folder.path(), None);
        let client = Client::new(&url);
        client.register("x");
        process.signal(signal);
        assert_eq!(process.exit_within(SOON).code(), Some(0));
        assert!(process.transcript().contains("stopped"));
        let address: std::net::SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        assert!(TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err());
        assert!(!folder.path().join("ops.sock").exists(), "the socket file is gone");
    }
}

#[test]
fn a_signal_lets_requests_in_flight_finish() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, url) = serve(folder.path(), None);
    let body = json!({"address": "h:1", "password": "x"}).to_string();
    let under_way = UnderWay::begin(&url, &body);
    process.signal(SIGTERM);
    process.line_with("stopping", SOON);
    under_way.expect_answer();
    assert_eq!(process.exit_within(SOON).code(), Some(0));
    assert!(!process.transcript().contains("warn"), "nothing was cut");
    let (_process, url) = serve(folder.path(), None);
    let login = Client::new(&url).post("/api/v1/peers/login", &json!({"address": "h:1", "password": "x"}));
    assert_eq!(login.status, 200, "and it was committed");
}

#[test]
fn secrets_stay_out_of_output_and_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(
        command(folder.path(), None).env("PEERNET_TRACKER_LOG_LEVEL", "debug").env("JWT_SECRET", "jwt-s3cret"),
    )
    .unwrap();
    process.line_with("JWT_SECRET is ignored", SOON);
    let line = process.line_with("listening on http://", SOON);
    let client = Client::new(line.rsplit(' ').next().unwrap());
    let (_, caller) = client.register_at("h:1", "pass-s3cret");
    assert_eq!(caller.get("/api/v1/peers/me").status, 200);
    process.signal(SIGTERM);
    process.exit_within(SOON);
    let log = process.transcript();
    let token = caller.authorization().unwrap().rsplit(' ').next().unwrap().to_owned();
    assert!(log.contains("/api/v1/peers/me"), "requests are logged at this level");
    for secret in ["s3cret", &token] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn wrong_configuration_and_usage_exit_with_2_and_say_what() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "lissen = \"x\"\n").unwrap();
    let file = file.to_str().unwrap();
    for (args, expected) in [
        (vec!["--config", file], "unknown key \"lissen\""),
        (vec!["--config", "/nowhere.toml"], "/nowhere.toml"),
        (vec!["--bcrypt-cost", "99"], "bcrypt_cost: must be 4 to 16"),
        (vec!["--database-url", "postgres://u:p@h/d"], "--database-url-file"),
        (vec!["--nonsense"], "--nonsense"),
        (vec!["dance"], "dance"),
    ] {
        let (code, out, error) = output(command(folder.path(), None).args(&args));
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_stops_a_start_exits_with_3_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let (code, _, error) = output(command(folder.path(), None).args(["--listen", &listen]));
    assert!(code == 3 && error.contains(&listen), "{error}");
    std::fs::write(folder.path().join("token-key.pem"), "not a key").unwrap();
    private(&folder.path().join("token-key.pem"));
    let (code, _, error) = output(&mut command(folder.path(), None));
    assert!(code == 3 && error.contains("token-key.pem"), "{error}");
    let nowhere = "postgres://nobody@/nothing?host=/nowhere";
    let (code, _, error) = output(&mut command(tempfile::tempdir().unwrap().path(), Some(nowhere)));
    assert!(code == 3 && error.contains("store unavailable"), "{error}");
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_data_folder_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a/b");
    assert!(start(&data, None).stop());
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn health_asks_the_running_tracker() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(folder.path(), None);
    let listen = tracker.address().to_string();
    let health = || output(Command::new(PROGRAM).env_clear().args(["health", "--listen", &listen]));
    assert_eq!(health(), (0, "UP\n".to_owned(), String::new()));
    assert!(tracker.stop());
    assert_eq!(health().0, 1);
}

#[test]
fn health_uses_tls_and_checks_which_tracker_answers() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let tracker = Tracker::builder().listen("0.0.0.0:0").data_dir(folder.path()).bcrypt_cost(4).start().unwrap();
    assert!(start(other.path(), None).stop());
    let listen = format!("0.0.0.0:{}", tracker.address().port());
    let health = |folder: &std::path::Path| output(command(folder, None).args(["health", "--listen", &listen]));
    assert_eq!(health(folder.path()), (0, "UP\n".to_owned(), String::new()));
    let (code, _, why) = health(other.path());
    assert!(code == 1 && why.contains("invalid peer certificate"), "{why}");
    assert!(tracker.stop());
}

#[test]
fn the_configuration_in_force_is_printed_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text, _) = output(command(folder.path(), Some("postgres://u:s3cret@h/d")).args(["config"]));
    assert_eq!(code, 0);
    assert!(
        text.contains("listen = \"127.0.0.1:0\"") && text.contains("(hidden)") && !text.contains("s3cret"),
        "{text}"
    );
    let (code, text, _) = output(Command::new(PROGRAM).env_clear().args(["config", "--default"]));
    assert!(code == 0 && text.contains("listen = \"127.0.0.1:8080\""), "{text}");
    let (code, text, _) = output(Command::new(PROGRAM).env_clear().arg("--help"));
    assert!(
        code == 0 && text.contains("admin") && text.contains("--bcrypt-cost") && text.contains("Example"),
        "{text}"
    );
}

#[test]
fn metrics_are_served_on_the_operations_socket_only() {
    use std::io::{Read as _, Write as _};
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(folder.path(), None);
    Client::new(&tracker.url()).register("x");
    let mut stream = std::os::unix::net::UnixStream::connect(folder.path().join("ops.sock")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("peernet_registrations_total 1"), "{text}");
    assert_eq!(Client::new(&tracker.url()).get("/metrics").status, 404);
    assert!(tracker.stop());
}

#[test]
fn damaged_books_are_found() {
    let folder = tempfile::tempdir().unwrap();
    assert!(start(folder.path(), None).stop());
    let verify = || output(command(folder.path(), None).args(["admin", "ledger", "verify", "--json"]));
    let (code, text, error) = verify();
    assert_eq!(code, 0, "{text} {error}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((report["ok"].as_bool(), report["supply_mt"].as_i64()), (Some(true), Some(1_000_000_000_000)));
    let database = rusqlite::Connection::open(folder.path().join("tracker.sqlite")).unwrap();
    database.execute("UPDATE treasury SET balance_mt = balance_mt + 1", []).unwrap();
    drop(database);
    let (code, text, _) = verify();
    assert!(code == 1 && text.contains("\"ok\":false") && text.contains("I1"), "{text}");
}

#[test]
fn a_start_that_fails_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let builder = || peernet_tracker::Tracker::builder().data_dir(folder.path()).bcrypt_cost(4);
    assert!(builder().listen(listen).start().is_err());
    assert!(!folder.path().join("ops.sock").exists());
    // The folder, its database and its socket are free again.
    assert!(builder().listen("127.0.0.1:0").start().unwrap().stop());
}
