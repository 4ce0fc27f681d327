//! The process's numbers in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use crate::app::App;

/// One metric: type, name, what it counts, and its samples as (labels, value).
type Metric<'a> = (&'a str, &'a str, &'a str, Vec<(String, u64)>);

pub(super) fn render(app: &App) -> String {
    let mut text = String::new();
    for (kind, name, help, samples) in metrics(app) {
        let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            let _infallible = writeln!(text, "{name}{labels} {value}");
        }
    }
    text
}

fn metrics(app: &App) -> Vec<Metric<'static>> {
    [door(app), writer(app), accounts(app), swarm(app), reputation(app)].concat()
}

fn one(kind: &'static str, name: &'static str, help: &'static str, value: u64) -> Metric<'static> {
    (kind, name, help, vec![(String::new(), value)])
}

fn door(app: &App) -> Vec<Metric<'static>> {
    let door = app.door_stats();
    let classes = (2..=5).map(|class| (format!("{{class=\"{class}xx\"}}"), app.counters.answers(class))).collect();
    let (open, waiting) = (door.connections_open as u64, door.connections_waiting as u64);
    vec![
        ("counter", "peernet_answers_total", "Answers of the router by status class.", classes),
        one("gauge", "peernet_connections_open", "Connections open now.", open),
        one("gauge", "peernet_connections_waiting", "Waiting for another of their address to end.", waiting),
        one("counter", "peernet_connections_total", "Connections admitted.", door.connections),
        one("counter", "peernet_connections_refused_full_total", "Turned away, door full.", door.turned_away_full),
        one(
            "counter",
            "peernet_connections_refused_address_total",
            "Turned away, address full.",
            door.turned_away_address,
        ),
        one("counter", "peernet_accept_errors_total", "Failed accepts.", door.accept_errors),
        one("counter", "peernet_requests_total", "Requests handed to the router.", door.requests),
        one("counter", "peernet_requests_refused_total", "Requests refused unread.", door.refused),
        one("counter", "peernet_request_timeouts_total", "Requests that did not arrive in time.", door.timeouts),
        one("counter", "peernet_write_failures_total", "Answers that could not be written.", door.write_failures),
        one("counter", "peernet_panics_total", "Handlers that panicked.", door.panics),
    ]
}

fn writer(app: &App) -> Vec<Metric<'static>> {
    let counters = app.writer.counters();
    vec![
        one("counter", "peernet_commits_total", "Transactions of the writer.", counters.batches.load(Relaxed)),
        one("counter", "peernet_writes_total", "Writes in them.", counters.writes.load(Relaxed)),
        one("counter", "peernet_writes_refused_total", "Refused, queue full.", counters.refused.load(Relaxed)),
        one("gauge", "peernet_writes_queued", "Requests waiting for a commit.", app.writer.queued() as u64),
    ]
}

fn accounts(app: &App) -> Vec<Metric<'static>> {
    let counters = &app.counters;
    vec![
        one("counter", "peernet_registrations_total", "Accounts made.", counters.registered.load(Relaxed)),
        one("counter", "peernet_logins_total", "Successful logins.", counters.logged_in.load(Relaxed)),
        one("counter", "peernet_login_failures_total", "Wrong passwords.", counters.login_failed.load(Relaxed)),
        one("gauge", "peernet_passwords_queued", "Passwords waiting to be checked.", app.passwords.queued() as u64),
        one("gauge", "peernet_tokens_remembered", "Checked tokens in memory.", app.keys.remembered() as u64),
        one("gauge", "peernet_accounts_remembered", "Accounts in memory.", app.accounts.remembered() as u64),
    ]
}

fn swarm(app: &App) -> Vec<Metric<'static>> {
    let (leases, bytes) = app.swarm.usage();
    vec![
        one("gauge", "peernet_leases", "Leases, listings and unfinished announces.", leases as u64),
        one("gauge", "peernet_leases_bytes", "Memory they take, roughly.", bytes as u64),
    ]
}

fn reputation(app: &App) -> Vec<Metric<'static>> {
    let counters = app.reputation.counters();
    vec![
        one("counter", "peernet_reputation_batches_total", "Batches committed.", counters.batches.load(Relaxed)),
        one("counter", "peernet_reputation_events_total", "Events in them.", counters.events.load(Relaxed)),
        one(
            "counter",
            "peernet_reputation_ignored_total",
            "Events that moved nothing.",
            counters.ignored.load(Relaxed),
        ),
        one("counter", "peernet_reputation_failed_total", "Batches not applied.", counters.failed.load(Relaxed)),
        one("counter", "peernet_reputation_refused_total", "Refused, queue full.", counters.refused.load(Relaxed)),
        one("gauge", "peernet_reputation_queued", "Requests waiting for the thread.", app.reputation.queued() as u64),
    ]
}
