//! What is measured while the tracker works, beside plain counters: how long requests, commits and waits for the database take.
//!
//! A request costs one clock reading more and a few additions: its histogram is found by its route's number in the table and
//! not by its name.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

use crate::api::ROUTES;

/// Upper bounds in seconds, from an answer out of memory to a time-out.
pub const BUCKETS: [f64; 15] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Status classes, from 1xx to 5xx.
const CLASSES: usize = 5;
/// The operation of a request that no route takes.
const NO_OPERATION: &str = "none";

/// The histograms, and the registry that they and the process's numbers are read from.
pub struct Metrics {
    registry: Registry,
    requests: HistogramVec,
    /// By route, and one more for none; then by class. Each is looked up by name once.
    by_route: Vec<[OnceLock<Histogram>; CLASSES]>,
    commits: Histogram,
}

impl Metrics {
    /// Nothing measured yet. `permit_waits` is measured elsewhere and read here.
    pub fn new(permit_waits: Histogram) -> Self {
        let help = "Time to answer a request once it is read, by operation and status class.";
        let options = HistogramOpts::new("peernet_request_duration_seconds", help).buckets(BUCKETS.to_vec());
        let requests = HistogramVec::new(options, &["operation", "class"]).expect("the names are well-formed");
        let commits = histogram("peernet_commit_duration_seconds", "Time of one transaction of the writer.");
        let registry = Registry::new();
        register(&registry, requests.clone());
        register(&registry, commits.clone());
        register(&registry, permit_waits);
        register_process(&registry);
        let by_route = (0..=ROUTES.len()).map(|_| Default::default()).collect();
        Self { registry, requests, by_route, commits }
    }

    /// An answer took this long. `route` is its place in [`ROUTES`], `None` where no route took the request.
    pub fn answered(&self, route: Option<usize>, status: u16, took: Duration) {
        let route = route.unwrap_or(ROUTES.len());
        let class = usize::from(status / 100).clamp(1, CLASSES);
        let histogram = self.by_route[route][class - 1].get_or_init(|| {
            let operation = ROUTES.get(route).map_or(NO_OPERATION, |route| route.operation);
            self.requests.with_label_values(&[operation, &format!("{class}xx")])
        });
        histogram.observe(took.as_secs_f64());
    }

    /// How long transactions of the writer take.
    pub fn commits(&self) -> &Histogram {
        &self.commits
    }

    /// Everything that is registered here, as it stands.
    pub fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.registry.gather()
    }
}

/// A histogram of seconds with [`BUCKETS`].
pub fn histogram(name: &str, help: &str) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
    Histogram::with_opts(options).expect("the name is well-formed")
}

fn register(registry: &Registry, collector: impl Collector + 'static) {
    registry.register(Box::new(collector)).expect("every name is registered once");
}

/// Memory, file descriptors, threads and processor time, from /proc.
fn register_process(registry: &Registry) {
    register(registry, prometheus::process_collector::ProcessCollector::for_self());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_under_its_operation_and_class() {
        let metrics = Metrics::new(histogram("waits", "Waits."));
        let plan = ROUTES.iter().position(|route| route.operation == "plan").expect("is in the table");
        for status in [200, 304, 404, 503, 999, 7] {
            metrics.answered(Some(plan), status, Duration::from_millis(3));
        }
        metrics.answered(None, 404, Duration::from_millis(3));
        let text = prometheus::TextEncoder::new().encode_to_string(&metrics.gather()).expect("is text");
        for (class, operation, count) in [
            ("1xx", "plan", 1),
            ("2xx", "plan", 1),
            ("3xx", "plan", 1),
            ("4xx", "plan", 1),
            ("5xx", "plan", 2),
            ("4xx", "none", 1),
        ] {
            let labels = format!("{{class=\"{class}\",operation=\"{operation}\"}}");
            let line = format!("peernet_request_duration_seconds_count{labels} {count}\n");
            assert!(text.contains(&line), "{line} in {text}");
        }
        let below = "peernet_request_duration_seconds_bucket{class=\"2xx\",operation=\"plan\",le=\"0.0025\"} 0\n";
        assert!(text.contains(below), "{text}");
    }
}
