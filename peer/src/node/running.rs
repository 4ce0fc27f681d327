//! A node's threads: all are started here, and all end here.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peernet_threads::Group;

use super::Node;
use crate::announce::{Announcer, Setup};
use crate::cancel::Cancel;
use crate::error::NodeError;
use crate::grpc::PeerServer;
use crate::home::HomeLock;
use crate::log::Log;
use crate::reports::{self, ReportQueue};
use crate::tracker::TrackerError;
use crate::transfers::{Calls, Upload};
use crate::upload::Shelf;

/// How long a running upload may take to end when the node stops.
const UPLOAD_GRACE: Duration = Duration::from_secs(2);
/// How long the node's threads may take to end: a last batch of feedback, a last good-bye.
const JOIN_TIMEOUT: Duration = Duration::from_secs(6);
/// How often it is looked whether anyone still fetches something.
const IDLE_LOOK: Duration = Duration::from_millis(50);
/// How long the tracker may take for an announce, retries included.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Running {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    serving: Option<Serving>,
    reports: Option<ReportQueue>,
    group: Group,
}

struct Serving {
    server: PeerServer,
    announcer: Arc<Announcer>,
    _lock: Option<HomeLock>,
}

impl Running {
    /// Listens first and announces then: nobody is told of an address that does not answer yet.
    pub(super) fn serve(&self, node: &Node) -> Result<SocketAddr, NodeError> {
        let mut state = self.lock();
        if let Some(serving) = &state.serving {
            return Ok(serving.server.local_addr());
        }
        let account = node.tracker.account()?.ok_or(TrackerError::NotLoggedIn)?;
        let lock = if node.settings.lasting { Some(HomeLock::take(&node.home)?) } else { None };
        let shelf = Arc::clone(&node.shares) as Arc<dyn Shelf>;
        let server =
            PeerServer::start_among(&node.settings.listen, shelf, node.settings.upload.clone(), &node.throttle)?;
        server.set_rate_max(node.limits().max_upload);
        let local = server.local_addr();
        let address = announced_address(node.settings.address.as_deref(), account.address.as_deref(), local);
        node.log.info(&format!("listening on {local}, announced {}", said_of(&address)));
        let setup = Setup {
            client: Arc::clone(&node.tracker),
            shares: Arc::clone(&node.shares),
            address,
            site: node.settings.site.clone(),
            log: node.log.clone(),
        };
        let announcer = Arc::new(Announcer::start(setup, &mut state.group)?);
        state.serving = Some(Serving { server, announcer, _lock: lock });
        Ok(local)
    }

    pub(super) fn listen_address(&self) -> Option<SocketAddr> {
        self.lock().serving.as_ref().map(|serving| serving.server.local_addr())
    }

    pub(super) fn bytes_sent(&self) -> u64 {
        self.lock().serving.as_ref().map_or(0, |serving| serving.server.counters().bytes_sent)
    }

    #[cfg(feature = "cli")]
    pub(super) fn upload_counters(&self) -> crate::grpc::UploadCounters {
        self.lock().serving.as_ref().map(|serving| serving.server.counters()).unwrap_or_default()
    }

    #[cfg(feature = "cli")]
    pub(super) fn tracker_answers(&self) -> bool {
        self.lock().serving.as_ref().is_some_and(|serving| serving.announcer.is_answered())
    }

    /// Waits until nobody is owed a chunk; for at most `longest`, and until `cancel`. Calls `begins` where that is not so
    /// at once.
    pub(super) fn wait_until_idle(&self, longest: Duration, cancel: &Cancel, begins: &mut dyn FnMut()) {
        let deadline = Instant::now() + longest;
        let is_idle = || self.lock().serving.as_ref().is_none_or(|serving| serving.server.is_idle());
        if is_idle() {
            return;
        }
        begins();
        while !is_idle() && Instant::now() < deadline && !cancel.is_cancelled() {
            let _cancelled_meanwhile = cancel.channel().recv_timeout(IDLE_LOOK);
        }
    }

    pub(super) fn uploads(&self) -> (Vec<Upload>, Calls) {
        self.lock().serving.as_ref().map(|serving| serving.server.uploads()).unwrap_or_default()
    }

    /// Under the lock, so that of two callers the later one's limits stand, and a server that just starts gets them.
    pub(super) fn apply_limits(&self, node: &Node) {
        let state = self.lock();
        let limits = node.limits();
        node.throttle.set(&limits);
        if let Some(serving) = &state.serving {
            serving.server.set_rate_max(limits.max_upload);
        }
    }

    /// Waits until the tracker knows what is shared; at once where nothing is served.
    pub(super) fn settle(&self) -> Result<(), NodeError> {
        let announcer = self.lock().serving.as_ref().map(|serving| Arc::clone(&serving.announcer));
        announcer.map_or(Ok(()), |announcer| announcer.settle(SETTLE_TIMEOUT))
    }

    /// Where feedback goes; its thread is started with the first download.
    pub(super) fn reports(&self, node: &Node) -> Result<ReportQueue, NodeError> {
        let mut state = self.lock();
        if let Some(queue) = &state.reports {
            return Ok(queue.clone());
        }
        let queue = reports::start(Arc::clone(&node.tracker), node.log.clone(), &mut state.group)?;
        Ok(state.reports.insert(queue).clone())
    }

    pub(super) fn stop(&self, log: &Log) {
        let State { serving, reports, group } = std::mem::take(&mut *self.lock());
        drop(reports);
        if let Some(Serving { server, announcer, _lock }) = serving {
            // Leaves the swarm while the last uploads end.
            drop(announcer);
            server.stop(UPLOAD_GRACE);
        }
        if let Err(stragglers) = group.join(JOIN_TIMEOUT) {
            log.warn(&format!("stopping: {stragglers}"));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An unspecified address is replaced by the tracker.
fn said_of(address: &str) -> String {
    match address.strip_prefix("0.0.0.0:").or_else(|| address.strip_prefix("[::]:")) {
        Some(port) => format!("with the address that the tracker sees and port {port}"),
        None => format!("as {address}"),
    }
}

/// What was set, or the registered address where its port is the one listened on, or what is listened on (for `0.0.0.0`
/// the tracker puts the address it sees).
fn announced_address(set: Option<&str>, registered: Option<&str>, local: SocketAddr) -> String {
    let same_port = |address: &&str| address.rsplit_once(':').is_some_and(|(_, port)| port == local.port().to_string());
    set.or_else(|| registered.filter(same_port)).map_or_else(|| local.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registered_address_is_announced_only_with_the_port_that_is_listened_on() {
        let local: SocketAddr = "0.0.0.0:5000".parse().unwrap();
        for (set, registered, expected) in [
            (None, None, "0.0.0.0:5000"),
            (None, Some("peer.example:5000"), "peer.example:5000"),
            (None, Some("peer.example:5001"), "0.0.0.0:5000"),
            (None, Some("peer.example:15000"), "0.0.0.0:5000"),
            (Some("gate.example:80"), Some("peer.example:5000"), "gate.example:80"),
        ] {
            assert_eq!(announced_address(set, registered, local), expected);
        }
    }
}
