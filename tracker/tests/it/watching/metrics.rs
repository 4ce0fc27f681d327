//! `/metrics`: what is there, and that it is what happened.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::server::SOON;
use crate::support::{Client, start};

/// Returns the reply of the operations socket in `folder`.
pub(crate) fn scrape(folder: &Path) -> String {
    let mut stream = std::os::unix::net::UnixStream::connect(folder.join("ops.sock")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
    body.to_owned()
}

/// Samples by name and labels.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let sample = |line| -> Option<(&str, f64)> {
        let (name, value) = str::rsplit_once(line, ' ')?;
        Some((name, value.parse().ok()?))
    };
    lines.map(|line| sample(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

#[test]
fn what_happened_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(folder.path(), None);
    let client = Client::new(&tracker.url());
    let (_, caller) = client.register("x");
    assert_eq!(caller.get("/api/v1/peers/me").status, 200);
    assert_eq!(client.get("/api/v1/peers/me").status, 401);
    assert_eq!(client.get("/nothing").status, 404);
    let text = scrape(folder.path());
    let samples = samples(&text);
    let at = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no {name} in {text}"));
    let count = |class: &str, operation: &str| {
        at(&format!("peernet_request_duration_seconds_count{{class=\"{class}\",operation=\"{operation}\"}}"))
    };
    assert_eq!((count("2xx", "register"), count("2xx", "me")), (1.0, 1.0));
    assert_eq!((count("4xx", "me"), count("4xx", "none")), (1.0, 1.0));
    assert_eq!((at("peernet_registrations_total"), at("peernet_answers_total{class=\"4xx\"}")), (1.0, 2.0));
    assert_eq!(at("peernet_commit_duration_seconds_count"), at("peernet_commits_total"));
    assert!(at("peernet_database_wait_seconds_count") >= 1.0);
    assert_eq!((at("peernet_store_up"), at("peernet_draining")), (1.0, 0.0));
    assert!(at(concat!("peernet_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}")) == 1.0);
    for process in ["resident_memory_bytes", "open_fds", "max_fds", "threads", "cpu_seconds_total"] {
        assert!(at(&format!("process_{process}")) >= 0.0);
    }
    assert!(tracker.stop());
}

#[test]
fn every_metric_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(folder.path(), None);
    let text = scrape(folder.path());
    let mut described = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# ")) {
        let mut words = line.splitn(3, ' ');
        let kind = words.next().unwrap();
        let name = words.next().unwrap();
        let rest = words.next().unwrap_or_default();
        assert!(!rest.is_empty(), "{line}");
        *described.entry(name).or_insert(0) += 1;
        assert!(kind != "TYPE" || (rest == "counter") == name.ends_with("_total"), "{line}");
    }
    assert!(described.len() > 40 && described.values().all(|lines| *lines == 2), "once each: {described:?}");
    assert!(tracker.stop());
}
