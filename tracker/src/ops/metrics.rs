//! Histograms of how long requests, commits and waits for the database take, and the text of all metrics.
//!
//! A request costs one more clock reading and a few additions: its histogram is found by the index of its route, not by name.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry, TextEncoder};

/// Upper bounds in seconds, from an answer out of memory to a time-out.
pub const BUCKETS: [f64; 15] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Status classes, from 1xx to 5xx.
const CLASSES: usize = 5;
/// The operation of a request without a route.
const NO_OPERATION: &str = "none";

/// Collects the metrics of parts that count for themselves.
pub type Collect = Box<dyn Fn() -> Vec<MetricFamily> + Send + Sync>;

/// The histograms, and the registry that they and the process's metrics are read from.
pub struct Metrics {
    registry: Registry,
    /// The operations of the route table, by the index of their route.
    operations: Vec<&'static str>,
    parts: OnceLock<Collect>,
    requests: HistogramVec,
    /// By route, with one more for none, then by class. Each is looked up by name once.
    by_route: Vec<[OnceLock<Histogram>; CLASSES]>,
    commits: Histogram,
}

impl Metrics {
    /// Empty histograms for these operations. `permit_waits` is measured elsewhere and read here.
    pub fn new(operations: Vec<&'static str>, permit_waits: Histogram) -> Self {
        let help = "Time to answer a request once it is read, by operation and status class.";
        let options = HistogramOpts::new("peernet_request_duration_seconds", help).buckets(BUCKETS.to_vec());
        let requests = HistogramVec::new(options, &["operation", "class"]).expect("the names are well-formed");
        let commits = histogram("peernet_commit_duration_seconds", "Time of one transaction of the writer.");
        let registry = Registry::new();
        register(&registry, requests.clone());
        register(&registry, commits.clone());
        register(&registry, permit_waits);
        register_process(&registry);
        let by_route = (0..=operations.len()).map(|_| Default::default()).collect();
        Self { registry, operations, parts: OnceLock::new(), requests, by_route, commits }
    }

    /// Adds the metrics of the parts; only the first call counts.
    pub fn collect_with(&self, parts: Collect) {
        let _second = self.parts.set(parts);
    }

    /// Notes how long an answer took. `route` is the index of its operation, `None` for a request without a route.
    pub fn answered(&self, route: Option<usize>, status: u16, took: Duration) {
        let route = route.unwrap_or(self.operations.len());
        let class = usize::from(status / 100).clamp(1, CLASSES);
        let histogram = self.by_route[route][class - 1].get_or_init(|| {
            let operation = self.operations.get(route).copied().unwrap_or(NO_OPERATION);
            self.requests.with_label_values(&[operation, &format!("{class}xx")])
        });
        histogram.observe(took.as_secs_f64());
    }

    /// The durations of the writer's transactions.
    pub fn commits(&self) -> &Histogram {
        &self.commits
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut families = self.parts.get().map(|collect| collect()).unwrap_or_default();
        families.extend(self.registry.gather());
        // Names and labels are constants and well-formed; the tests would find one that the encoder refuses.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
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

/// Registers memory, file descriptors, threads and processor time, from /proc.
fn register_process(registry: &Registry) {
    register(registry, prometheus::process_collector::ProcessCollector::for_self());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_under_its_operation_and_class() {
        let metrics = Metrics::new(vec!["health", "plan"], histogram("waits", "Waits."));
        let plan = 1;
        for status in [200, 304, 404, 503, 999, 7] {
            metrics.answered(Some(plan), status, Duration::from_millis(3));
        }
        metrics.answered(None, 404, Duration::from_millis(3));
        let text = metrics.render();
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

    #[test]
    fn the_text_has_every_registered_family_with_its_type() {
        let waits = histogram("waits_seconds", "Waits.");
        let metrics = Metrics::new(vec!["health"], waits.clone());
        waits.observe(0.003);
        metrics.commits().observe(9.0);
        let text = metrics.render();
        for line in [
            "# HELP waits_seconds Waits.",
            "# TYPE waits_seconds histogram",
            "waits_seconds_bucket{le=\"0.0025\"} 0",
            "waits_seconds_bucket{le=\"0.005\"} 1",
            "peernet_commit_duration_seconds_bucket{le=\"5\"} 0",
            "peernet_commit_duration_seconds_bucket{le=\"+Inf\"} 1",
            "peernet_commit_duration_seconds_sum 9",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(text.contains("\nprocess_open_fds ") && BUCKETS.is_sorted());
    }

    #[test]
    fn only_the_first_collection_of_parts_counts() {
        let metrics = Metrics::new(Vec::new(), histogram("waits_seconds", "Waits."));
        let named = |name: &'static str| -> Collect {
            Box::new(move || {
                let gauge = prometheus::IntGauge::new(name, "Help.").expect("is well-formed");
                gauge.set(7);
                gauge.collect()
            })
        };
        metrics.collect_with(named("first"));
        metrics.collect_with(named("second"));
        let text = metrics.render();
        let has = |line: &str| text.lines().any(|found| found == line);
        assert!(has("first 7") && !has("second 7"), "{text}");
    }
}
