//! `daemon --metrics ADDR:PORT`: what the daemon transfers, in Prometheus' text format, for this machine only.
//!
//! tiny_http's own server answers, which must not face a network: so nothing but a loopback address is taken.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use peernet_threads::Group;
use tiny_http::{Header, Method, Request, Response, Server};

use crate::error::NodeError;
use crate::node::Node;

/// How long the thread may take to end; one answer is a few microseconds.
const JOIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A metric: type, name, what it counts, value.
type Metric = (&'static str, &'static str, &'static str, u64);

/// The listener and its thread, `metrics`. Dropping it ends both.
pub(super) struct MetricsServer {
    server: Arc<Server>,
    address: SocketAddr,
    thread: Option<Group>,
}

impl MetricsServer {
    /// Listens on `address`, which must be loopback; port 0 picks a free one.
    pub(super) fn start(address: &str, node: &Arc<Node>) -> Result<Self, NodeError> {
        let invalid = |why: &str| NodeError::Invalid(format!("metrics: {address}: {why}"));
        let wanted: SocketAddr = address.parse().map_err(|_| invalid("must be ADDR:PORT, like 127.0.0.1:9101"))?;
        if !wanted.ip().is_loopback() {
            return Err(invalid("only a loopback address may serve metrics; put a proxy in front for others"));
        }
        let server = Arc::new(Server::http(wanted).map_err(|error| invalid(&error.to_string()))?);
        let address = server.server_addr().to_ip().unwrap_or(wanted);
        let (asked, node, started) = (Arc::clone(&server), Arc::downgrade(node), Instant::now());
        let mut thread = Group::default();
        thread
            .spawn("metrics", move || serve(&asked, &node, started))
            .map_err(|error| NodeError::Local { doing: "starting a thread".to_owned(), error })?;
        Ok(Self { server, address, thread: Some(thread) })
    }

    /// Where it listens, with the port that was picked.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.server.unblock();
        // Whoever holds the one thread is on this machine; the process ends all the same.
        let _held = self.thread.take().map(|thread| thread.join(JOIN_TIMEOUT));
    }
}

/// Until the server is unblocked, or the node is gone.
fn serve(server: &Server, node: &Weak<Node>, started: Instant) {
    while let Ok(request) = server.recv() {
        let Some(node) = node.upgrade() else { return };
        answer(request, &render(&metrics(&node, started)));
    }
}

fn answer(request: Request, text: &str) {
    let path = request.url().split('?').next().unwrap_or_default();
    let found = path == "/metrics" && matches!(request.method(), Method::Get | Method::Head);
    let (status, body) = if found { (200, text) } else { (404, "GET /metrics\n") };
    let kind = Header::from_bytes("Content-Type", "text/plain; version=0.0.4").expect("is a header");
    // It fails where the client is gone, and then there is nobody to tell.
    let _gone = request.respond(Response::from_string(body).with_status_code(status).with_header(kind));
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
    let (transfers, served, memory) = (node.transfers(), node.upload_counters(), node.memory_used());
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
