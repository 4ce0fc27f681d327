//! `daemon --metrics ADDR:PORT`: counters of the daemon in Prometheus' text format, for this machine only.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use peernet_door::{Answer, Head, LocalAddress, LocalDoor, Reply, Request, Service};

use crate::node::Node;
use crate::node::NodeError;

/// The path of the metrics.
const PATH: &str = "/metrics";
/// The content type of Prometheus' text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4";
/// The limit on the time of replies under way when the daemon stops. One reply is made in a few microseconds.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A metric: type, name, help text, value.
type Metric = (&'static str, &'static str, &'static str, u64);

/// The metrics listener. Dropping it stops it.
pub(crate) struct MetricsServer {
    door: Option<LocalDoor>,
    address: SocketAddr,
}

/// Answers `GET /metrics` from the node as it is now.
struct Metrics {
    node: Weak<Node>,
    started: Instant,
}

impl MetricsServer {
    /// Listens on `address`, which must be loopback; port 0 picks a free one.
    pub(crate) fn start(address: &str, node: &Arc<Node>) -> Result<Self, NodeError> {
        let invalid = |why: &str| NodeError::Invalid(format!("metrics: {address}: {why}"));
        let wanted: SocketAddr = address.parse().map_err(|_| invalid("must be ADDR:PORT, like 127.0.0.1:9101"))?;
        if !wanted.ip().is_loopback() {
            return Err(invalid("only a loopback address may serve metrics; put a proxy in front for others"));
        }
        let service = Arc::new(Metrics { node: Arc::downgrade(node), started: Instant::now() });
        let door = LocalDoor::bind(&LocalAddress::Loopback(wanted), service);
        let door = door.map_err(|error| invalid(&error.to_string()))?;
        let address = door.local_addr().unwrap_or(wanted);
        Ok(Self { door: Some(door), address })
    }

    /// The address listened on, with the port that was picked.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        // The process ends in any case, so a client that is cut is not reported.
        let _report = self.door.take().map(|door| door.drain(DRAIN_TIMEOUT));
    }
}

impl Service for Metrics {
    fn body_bytes_max(&self, _: &Head) -> usize {
        0
    }

    fn answer(&self, request: Request) -> Answer {
        let is_read = matches!(request.head.method.as_str(), "GET" | "HEAD");
        let (status, body) = match self.node.upgrade() {
            _ if request.head.path != PATH || !is_read => (404, "GET /metrics\n".to_owned()),
            None => (503, "the node is stopping\n".to_owned()),
            Some(node) => (200, render(&metrics(&node, self.started))),
        };
        Answer::Now(Reply { content_type: CONTENT_TYPE, ..Reply::text(status, body) })
    }
}

fn render(metrics: &[Metric]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        "# HELP peernet_daemon_build_info Always 1; the version is in the label.\n\
         # TYPE peernet_daemon_build_info gauge\npeernet_daemon_build_info{{version=\"{version}\"}} 1\n"
    );
    for (kind, name, help, value) in metrics {
        let name = format!("peernet_daemon_{name}");
        let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    text
}

fn metrics(node: &Node, started: Instant) -> Vec<Metric> {
    let transfers = node.transfers();
    let served = node.upload_counters();
    let memory = node.memory_used();
    let sources: usize = transfers.downloads.iter().map(|download| download.progress.sources.len()).sum();
    let uploads = transfers.uploads.len() + transfers.calls.running;
    vec![
        ("gauge", "uptime_seconds", "Since it began to serve.", started.elapsed().as_secs()),
        ("gauge", "tracker_up", "1 while the last announce was answered.", u64::from(node.tracker_answers())),
        ("gauge", "shares", "Files and directories on offer.", node.shares().len() as u64),
        ("counter", "bytes_sent_total", "Payload bytes sent.", served.bytes_sent),
        ("counter", "bytes_received_total", "Payload bytes received.", node.bytes_received()),
        ("gauge", "uploads", "Calls that are served now, version 1's included.", uploads as u64),
        ("counter", "streams_total", "Fetch calls begun.", served.streams_begun),
        ("counter", "blocks_sent_total", "Blocks sent in them.", served.blocks_sent),
        ("counter", "v1_chunks_total", "Version 1's calls answered with a chunk.", served.chunk_calls),
        ("counter", "refused_total", "Calls and chunks refused.", served.refused),
        ("counter", "complaints_total", "Chunks that callers said came wrong.", served.complaints),
        ("counter", "complaints_checked_total", "Of these, read again.", served.complaints_checked),
        ("counter", "complaints_upheld_total", "Of these, wrong here.", served.complaints_upheld),
        ("gauge", "downloads", "Downloads that run.", transfers.downloads.len() as u64),
        ("gauge", "sources", "Sources in use by them.", sources as u64),
        ("gauge", "connections", "Calls served and sources used.", u64::from(transfers.connections)),
        ("gauge", "memory_bytes", "Bytes of files held in memory.", memory.0 as u64),
        ("gauge", "memory_peak_bytes", "The most that ever were.", memory.1 as u64),
        ("gauge", "memory_max_bytes", "The most that may be.", node.limits().max_memory.bytes() as u64),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_described_and_on_a_line_of_its_own() {
        let text = render(&[("counter", "x_total", "Xs.", 7), ("gauge", "y", "Ys.", 0)]);
        let expected = "# HELP peernet_daemon_x_total Xs.\n# TYPE peernet_daemon_x_total counter\n\
                        peernet_daemon_x_total 7\n";
        assert!(text.contains(expected) && text.ends_with("\npeernet_daemon_y 0\n"), "{text}");
        assert_eq!(text.lines().count(), 9);
    }
}
