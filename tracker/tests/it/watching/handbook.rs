//! The dashboard and the alert rules in docs/ against what is served: a metric that was renamed must not leave a blank panel.

use std::collections::BTreeSet;

use serde_json::Value;

use super::metrics::scrape;
use crate::support::{Client, start};

fn read(name: &str) -> String {
    std::fs::read_to_string(format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The names in an expression that are the tracker's: words that start like a metric and are not the daemon's.
fn metrics_in(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| word.starts_with("peernet_") || word.starts_with("process_");
    words.filter(ours).filter(|word| !word.starts_with("peernet_daemon_"))
}

/// Returns the metrics that a tracker serves, histograms with the names of their series.
fn served() -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let tracker = start(folder.path(), None);
    Client::new(&tracker.url()).register("x");
    let text = scrape(folder.path());
    assert!(tracker.stop());
    let sample = |line: &str| line.split(['{', ' ']).next().unwrap().to_owned();
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn check(name: &str, expressions: &[String], at_least: usize) {
    let served = served();
    let named: BTreeSet<&str> = expressions.iter().flat_map(|expression| metrics_in(expression)).collect();
    let unknown: Vec<&&str> = named.iter().filter(|metric| !served.contains(**metric)).collect();
    assert!(unknown.is_empty(), "docs/{name} names what is not served: {unknown:?}");
    assert!(named.len() >= at_least, "docs/{name} names only {named:?}");
}

/// Every text under a key `expr`.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| expressions(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_what_is_served() {
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).unwrap();
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    check("grafana-dashboard.json", &found, 35);
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "panels have ids of their own");
    assert!(panels.iter().all(|panel| panel["gridPos"]["w"].as_u64().is_some_and(|width| width <= 24)));
}

#[test]
fn the_alerts_watch_what_is_served() {
    let mut documents = yaml_rust2::YamlLoader::load_from_str(&read("alerts.yml")).unwrap();
    let document = documents.remove(0);
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for group in document["groups"].as_vec().unwrap() {
        for rule in group["rules"].as_vec().unwrap() {
            found.push(rule["expr"].as_str().unwrap().to_owned());
            assert!(names.insert(rule["alert"].as_str().unwrap().to_owned()), "{rule:?} is there twice");
            assert!(matches!(rule["labels"]["severity"].as_str(), Some("critical" | "warning")), "{rule:?}");
            for text in ["summary", "description"] {
                assert!(rule["annotations"][text].as_str().is_some_and(|text| !text.is_empty()), "{rule:?}");
            }
        }
    }
    assert!(names.len() >= 12, "{names:?}");
    check("alerts.yml", &found, 15);
}

#[test]
fn the_handbook_explains_what_the_alerts_watch() {
    let handbook = read("OPERATING.md");
    let served = served();
    for metric in handbook.split('`').filter(|word| word.starts_with("peernet_")).flat_map(metrics_in) {
        let known = served.iter().any(|name| name == metric || name.strip_suffix("_count") == Some(metric));
        assert!(known, "docs/OPERATING.md names {metric}, which is not served");
    }
}
