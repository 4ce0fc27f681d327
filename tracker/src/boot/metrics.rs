//! The metrics of all parts of the tracker, as Prometheus families: collected from the parts when they are read.

use std::sync::atomic::Ordering::Relaxed;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use crate::boot::app::App;
use crate::commit::WRITE_JOBS_QUEUED_MAX;
use crate::ops::log;

/// Collects the families of all parts.
pub(super) fn collect(app: &App) -> Vec<MetricFamily> {
    let parts = [tracker(app), door(app), writer(app), accounts(app), swarm(app), reputation(app), logging(app)];
    parts.concat()
}

/// A number of a family, with its label.
struct Sample<'a> {
    label: Option<Label<'a>>,
    value: u64,
}

struct Label<'a> {
    name: &'a str,
    value: &'a str,
}

/// Makes a family of these samples.
fn family(kind: MetricType, name: &str, help: &str, samples: &[Sample<'_>]) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(samples.iter().map(|sample| metric(kind, sample)).collect());
    family
}

// Prometheus has floating-point numbers only; counts are exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn metric(kind: MetricType, sample: &Sample<'_>) -> Metric {
    let labels = sample.label.iter().map(|label| {
        let mut pair = LabelPair::default();
        pair.set_name(label.name.to_owned());
        pair.set_value(label.value.to_owned());
        pair
    });
    let mut metric = Metric::from_label(labels.collect());
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(sample.value as f64);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(sample.value as f64);
        metric.set_gauge(gauge);
    }
    metric
}

fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    family(MetricType::COUNTER, name, help, &[Sample { label: None, value }])
}

fn gauge(name: &str, help: &str, value: u64) -> MetricFamily {
    family(MetricType::GAUGE, name, help, &[Sample { label: None, value }])
}

fn tracker(app: &App) -> Vec<MetricFamily> {
    let version = Label { name: "version", value: env!("CARGO_PKG_VERSION") };
    let build = [Sample { label: Some(version), value: 1 }];
    let uptime = (app.clock)().since(app.started_at).as_secs();
    vec![
        family(MetricType::GAUGE, "peernet_build_info", "Always 1; the version is in the label.", &build),
        gauge("peernet_uptime_seconds", "Since the process started.", uptime),
        gauge("peernet_store_up", "1 while the database answers.", u64::from(app.readiness.store_answers())),
        gauge("peernet_draining", "1 once the process is about to stop.", u64::from(app.readiness.is_draining())),
        gauge("peernet_database_waiting", "Requests that wait for a permit.", app.database.permits.waiting() as u64),
    ]
}

fn door(app: &App) -> Vec<MetricFamily> {
    let door = app.door.stats();
    let classes = ["2xx", "3xx", "4xx", "5xx"];
    let answers = (2..).zip(classes).map(|(class, value)| {
        let label = Some(Label { name: "class", value });
        Sample { label, value: app.counters.answers(class) }
    });
    let answers: Vec<Sample<'_>> = answers.collect();
    let open = door.connections_open as u64;
    let waiting = door.connections_waiting as u64;
    vec![
        family(MetricType::COUNTER, "peernet_answers_total", "Answers of the router by status class.", &answers),
        gauge("peernet_connections_open", "Connections open now.", open),
        gauge("peernet_connections_max", "Connections that may be open.", app.config.connections_max as u64),
        gauge("peernet_connections_waiting", "Waiting for another of their address to end.", waiting),
        counter("peernet_connections_total", "Connections admitted.", door.connections),
        counter("peernet_connections_refused_full_total", "Turned away, door full.", door.turned_away_full),
        counter("peernet_connections_refused_address_total", "Turned away, address full.", door.turned_away_address),
        counter("peernet_accept_errors_total", "Failed accepts.", door.accept_errors),
        counter("peernet_requests_total", "Requests handed to the router.", door.requests),
        counter("peernet_requests_refused_total", "Requests refused unread.", door.refused),
        counter("peernet_request_timeouts_total", "Requests that did not arrive in time.", door.timeouts),
        counter("peernet_write_failures_total", "Answers that could not be written.", door.write_failures),
        counter("peernet_panics_total", "Handlers that panicked.", door.panics),
    ]
}

fn writer(app: &App) -> Vec<MetricFamily> {
    let counters = app.database.writer.counters();
    let log = app.lease_log.counters();
    vec![
        counter("peernet_log_commits_total", "Commits of announces.", log.commits),
        counter("peernet_log_news_total", "Announces and departures in them.", log.updates),
        counter("peernet_commits_total", "Transactions of the writer.", counters.groups.load(Relaxed)),
        counter("peernet_writes_total", "Writes in them.", counters.items.load(Relaxed)),
        counter("peernet_writes_refused_total", "Refused, queue full.", counters.refused.load(Relaxed)),
        gauge("peernet_writes_queued", "Requests waiting for a commit.", app.database.writer.queued() as u64),
        gauge("peernet_writes_queued_max", "Requests that may wait for one.", WRITE_JOBS_QUEUED_MAX as u64),
    ]
}

fn accounts(app: &App) -> Vec<MetricFamily> {
    let counters = &app.counters;
    vec![
        counter("peernet_registrations_total", "Accounts made.", counters.registered.load(Relaxed)),
        counter("peernet_logins_total", "Successful logins.", counters.logged_in.load(Relaxed)),
        counter("peernet_login_failures_total", "Wrong passwords.", counters.login_failed.load(Relaxed)),
        gauge("peernet_passwords_queued", "Passwords waiting to be checked.", app.passwords.queued() as u64),
        gauge("peernet_tokens_remembered", "Checked tokens in memory.", app.keys.remembered() as u64),
        gauge("peernet_accounts_remembered", "Accounts in memory.", app.accounts.remembered() as u64),
    ]
}

fn swarm(app: &App) -> Vec<MetricFamily> {
    let (leases, bytes) = app.swarm.usage();
    let limits = app.swarm.limits();
    vec![
        gauge("peernet_leases", "Leases, listings and unfinished announces.", leases as u64),
        gauge("peernet_leases_max", "Past it announces are refused.", limits.leases_max as u64),
        gauge("peernet_leases_bytes", "Memory they take, roughly.", bytes as u64),
        gauge("peernet_leases_bytes_max", "Past it announces are refused.", limits.bytes_max as u64),
    ]
}

fn reputation(app: &App) -> Vec<MetricFamily> {
    let counters = app.reputation.counters();
    vec![
        counter("peernet_reputation_batches_total", "Batches committed.", counters.groups.load(Relaxed)),
        counter("peernet_reputation_events_total", "Events in them.", counters.items.load(Relaxed)),
        counter("peernet_reputation_ignored_total", "Events that moved nothing.", app.reputation.ignored()),
        counter("peernet_reputation_failed_total", "Batches not applied.", counters.failed.load(Relaxed)),
        counter("peernet_reputation_refused_total", "Refused, queue full.", counters.refused.load(Relaxed)),
        gauge("peernet_reputation_queued", "Requests waiting for the thread.", app.reputation.queued() as u64),
    ]
}

fn logging(app: &App) -> Vec<MetricFamily> {
    let stats = log::stats();
    vec![
        counter("peernet_log_lines_total", "Lines given to standard error.", stats.written),
        counter("peernet_log_lines_dropped_total", "Dropped, standard error too slow.", stats.dropped),
        gauge("peernet_log_lines_queued", "Waiting for standard error.", stats.queued as u64),
        counter("peernet_access_lines_skipped_total", "Left out, too many a second.", app.access_log.skipped()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_the_kind_and_the_label_of_its_family() {
        let label = Some(Label { name: "class", value: "2xx" });
        let samples = [Sample { label, value: 7 }, Sample { label: None, value: 8 }];
        let counters = family(MetricType::COUNTER, "a_total", "Help.", &samples);
        let values: Vec<f64> = counters.get_metric().iter().map(|metric| metric.get_counter().get_value()).collect();
        assert_eq!((counters.name(), counters.help(), values), ("a_total", "Help.", vec![7.0, 8.0]));
        let labels: Vec<usize> = counters.get_metric().iter().map(|metric| metric.get_label().len()).collect();
        assert_eq!(labels, [1, 0]);
        assert_eq!(counters.get_metric()[0].get_label()[0].value(), "2xx");
        let level = gauge("a", "Help.", 9);
        assert_eq!((level.get_field_type(), level.get_metric()[0].get_gauge().get_value()), (MetricType::GAUGE, 9.0));
    }
}
