//! The log of the real program: its lines, their fields, and that a slow reader delays no request.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Stdio;

use peernet_testkit::process::Process;
use serde_json::{Value, json};

use crate::server::{SIGTERM, SOON, command};
use crate::support::Client;

/// Runs the program with these settings, has `work` done, stops it, and returns what it wrote to standard error.
fn lines(settings: &[&str], work: impl Fn(&Client)) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(command(folder.path(), None).args(settings)).unwrap();
    let line = process.line_with("listening on http://", SOON);
    work(&Client::new(line.rsplit(' ').next().unwrap()));
    process.signal(SIGTERM);
    assert_eq!(process.exit_within(SOON).code(), Some(0));
    process.transcript().lines().filter_map(|line| Some(line.strip_prefix("Err: ")?.to_owned())).collect()
}

fn parsed(lines: &[String]) -> Vec<Value> {
    let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    lines.iter().map(parse).collect()
}

#[test]
fn json_lines_say_when_what_and_which_request() {
    let lines = parsed(&lines(&["--log-format", "json"], |client| {
        assert_eq!(client.get("/health").status, 200);
        assert_eq!(client.get("/api/v1/files/abc?secret=1").status, 401);
        let refused = client.post("/api/v1/peers/login", &json!({"address": "h:1", "password": "s3cret"}));
        assert_eq!(refused.status, 401);
    }));
    let all = Value::from(lines.clone()).to_string();
    assert!(!all.contains("secret") && !all.contains("s3cret") && !all.contains("/health"), "{all}");
    for line in &lines {
        assert_eq!(line["time"].as_str().unwrap().len(), "2027-01-15T08:00:00.123Z".len(), "{line}");
    }
    let messages: Vec<&str> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    let expected = ["restored", "started", "answered", "answered", "stopping", "draining", "stopped"];
    assert_eq!(messages, expected, "{lines:?}");
    let plan = &lines[2];
    let login = &lines[3];
    assert_eq!(plan["fields"]["path"], "/api/v1/files/abc");
    assert_eq!((&plan["level"], &plan["target"]), (&json!("info"), &json!("access")));
    assert_eq!((&login["fields"]["status"], &login["fields"]["code"]), (&json!(401), &json!("invalid_credentials")));
    assert!(login["fields"]["took_ms"].as_f64().unwrap() > 0.0 && login["fields"]["remote"] == "127.0.0.1");
    assert_ne!(plan["request_id"], login["request_id"]);
}

#[test]
fn the_access_log_says_as_much_as_it_is_told_to() {
    let work = |client: &Client| {
        assert_eq!(client.get("/health").status, 200);
        assert_eq!(client.get("/nothing").status, 404);
    };
    let answered = |settings: &[&str]| lines(settings, work).iter().filter(|line| line.contains(" answered ")).count();
    assert_eq!(answered(&["--access-log", "off"]), 0);
    assert_eq!(answered(&[]), 1);
    assert_eq!(answered(&["--access-log", "all"]), 2);
    assert_eq!(answered(&["--log-level", "debug"]), 2);
    assert_eq!(answered(&["--log-level", "warn"]), 0);
}

#[test]
fn a_line_of_the_text_log_names_the_request_of_the_client() {
    let lines = lines(&[], |client| assert_eq!(client.get("/nothing").status, 404));
    let line = lines.iter().find(|line| line.contains(" answered ")).unwrap();
    assert!(line.contains("Z info  access answered method=GET path=/nothing status=404"), "{line}");
    assert!(line.contains(" code=not_found request_id="), "{line}");
}

/// The metric's value, on the operations socket of a tracker in `folder`.
fn metric(folder: &Path, name: &str) -> f64 {
    let text = super::metrics::scrape(folder);
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_stuck_reader_of_standard_error_blocks_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), None);
    command.args(["--access-log", "all"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let client = Client::new(first.trim().rsplit(' ').next().unwrap());
    // The pipe takes 64 KiB, which is some hundred lines, and then the queue what it may.
    for _ in 0..peernet_tracker::ops::log::LINES_QUEUED_MAX + 2_000 {
        assert_eq!(client.get("/health").status, 200);
    }
    assert!(metric(folder.path(), "peernet_log_lines_dropped_total") >= 1.0);
    // A late reader learns of the loss.
    let stderr = child.stderr.take().unwrap();
    let report = BufReader::new(stderr).lines().map(Result::unwrap).find(|line| line.contains("lines were dropped"));
    assert!(report.unwrap().contains("lines="));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_stop_does_not_hang_on_standard_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), None);
    command.args(["--access-log", "all"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    let client = Client::new(first.trim().rsplit(' ').next().unwrap());
    (0..1_000).for_each(|_| assert_eq!(client.get("/health").status, 200));
    let terminate = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(terminate.success());
    let (ended, end) = std::sync::mpsc::channel();
    // Standard output closes with the process.
    std::thread::spawn(move || ended.send(out.read_to_string(&mut String::new()).is_ok()));
    assert_eq!(end.recv_timeout(SOON), Ok(true), "it stopped without a reader");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
