//! The threads of a node: all of them start and end here.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peernet_threads::Group;

use super::renewal::{LastReplies, Renewal};
use super::{Node, Settings};
use crate::access::Membership;
use crate::announce::{Announcer, Setup};
use crate::cancel::Cancel;
use crate::discovery::tracker::reports::{self, ReportQueue};
use crate::discovery::tracker::{ReachedAt, TrackerClient, TrackerError};
use crate::grpc::{Listen, PeerServer};
use crate::home::HomeLock;
use crate::log::Log;
use crate::node::NodeError;
use crate::serve::FileCatalog;
use crate::serve::{Calls, Upload};
use peernet_engine::candidate::Transport;

/// The time that a running upload has to end when the node stops.
const UPLOAD_GRACE: Duration = Duration::from_secs(2);
/// The time that the node's threads have to end. They send a last batch of feedback and leave the swarm.
const JOIN_TIMEOUT: Duration = Duration::from_secs(6);
/// The interval at which [`Running::wait_until_idle`] checks for peers that still fetch.
const IDLE_LOOK: Duration = Duration::from_millis(50);
/// The time that the tracker has for an announce, retries included.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Running {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    serving: Option<Serving>,
    renewal: Option<Renewal>,
    reports: Option<ReportQueue>,
    group: Group,
}

struct Serving {
    server: PeerServer,
    announcer: Arc<Announcer>,
    _lock: Option<HomeLock>,
}

impl Running {
    /// Listens, then announces: an announced address has to answer.
    pub(super) fn serve(&self, node: &Node) -> Result<SocketAddr, NodeError> {
        if let Some(address) = self.listen_address() {
            return Ok(address);
        }
        let account = node.tracker.account()?.ok_or(TrackerError::NotLoggedIn)?;
        let membership = node.member(&|| node.tracker.certificate())?;
        let mut state = self.lock();
        if let Some(serving) = &state.serving {
            return Ok(serving.server.local_addr());
        }
        let lock = if node.settings.lasting { Some(HomeLock::take(&node.home)?) } else { None };
        let catalog = Arc::clone(&node.shares) as Arc<dyn FileCatalog>;
        let listen = listen(&node.settings, membership);
        let server = PeerServer::start_among(listen, catalog, node.settings.upload.clone(), &node.throttle)?;
        server.set_rate_max(node.limits().max_upload);
        let local = server.local_addr();
        let address = announced_address(node.settings.address.as_deref(), account.address.as_deref(), local);
        let at = reached_at(address, local, server.plaintext_addr());
        node.log.info(&format!("listening on {local}, announced {}", said_of(&at.address)));
        if let Some(open) = server.plaintext_addr().filter(|open| *open != local) {
            node.log.info(&format!("listening in plaintext on {open}"));
        }
        let client: Arc<TrackerClient> = Arc::clone(&node.tracker);
        let setup = Setup {
            client,
            shares: Arc::clone(&node.shares),
            at,
            site: node.settings.site.clone(),
            log: node.log.clone(),
        };
        let announcer = Arc::new(Announcer::start(setup, &mut state.group).map_err(NodeError::thread)?);
        state.serving = Some(Serving { server, announcer, _lock: lock });
        Ok(local)
    }

    pub(super) fn listen_address(&self) -> Option<SocketAddr> {
        self.lock().serving.as_ref().map(|serving| serving.server.local_addr())
    }

    pub(super) fn plaintext_address(&self) -> Option<SocketAddr> {
        self.lock().serving.as_ref().and_then(|serving| serving.server.plaintext_addr())
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

    /// Waits until no peer waits for a chunk, for at most `longest` and until `cancel`. Calls `begins` if it has to
    /// wait.
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

    /// Applies the node's limits. It holds the lock, so that the later of two calls wins and a server that is just
    /// starting gets the limits too.
    pub(super) fn apply_limits(&self, node: &Node) {
        let state = self.lock();
        let limits = node.limits();
        node.throttle.set(&limits);
        if let Some(serving) = &state.serving {
            serving.server.set_rate_max(limits.max_upload);
        }
    }

    /// Waits until the tracker knows all shares; returns at once if nothing is served.
    pub(super) fn settle(&self) -> Result<(), NodeError> {
        self.settle_as(false)
    }

    /// Announces everything once more and waits, because the tracker may answer differently now.
    pub(super) fn settle_afresh(&self) -> Result<(), NodeError> {
        self.settle_as(true)
    }

    fn settle_as(&self, afresh: bool) -> Result<(), NodeError> {
        let announcer = self.lock().serving.as_ref().map(|serving| Arc::clone(&serving.announcer));
        announcer.map_or(Ok(()), |announcer| Ok(announcer.settle(SETTLE_TIMEOUT, afresh)?))
    }

    /// Returns the queue for feedback. The first call starts its thread.
    pub(super) fn reports(&self, node: &Node) -> Result<ReportQueue, NodeError> {
        let mut state = self.lock();
        if let Some(queue) = &state.reports {
            return Ok(queue.clone());
        }
        let queue =
            reports::start(Arc::clone(&node.tracker), node.log.clone(), &mut state.group).map_err(NodeError::thread)?;
        Ok(state.reports.insert(queue).clone())
    }

    /// Starts the thread that renews a membership.
    pub(super) fn keep_member(&self, node: &Node, membership: &Arc<Membership>) -> Result<(), NodeError> {
        let mut state = self.lock();
        let tracker = Arc::clone(&node.tracker);
        let membership = Arc::clone(membership);
        let last = LastReplies { revocations: tracker.known_revocations(), tracker_keys: tracker.known_tracker_keys() };
        let renewal = Renewal::start(tracker, membership, last, node.log.clone(), &mut state.group)
            .map_err(|error| NodeError::Local { doing: "starting a thread".to_owned(), error })?;
        state.renewal = Some(renewal);
        Ok(())
    }

    pub(super) fn stop(&self, log: &Log) {
        let State { serving, renewal, reports, group } = std::mem::take(&mut *self.lock());
        drop((reports, renewal));
        if let Some(Serving { server, announcer, _lock }) = serving {
            // This leaves the swarm while the last uploads end.
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

/// Chooses where to listen: with TLS for a member, and in plaintext if that is allowed or there is no certificate.
fn listen(settings: &Settings, membership: Option<Arc<Membership>>) -> Listen {
    let Settings { listen, plaintext_listen, .. } = settings;
    match (membership, plaintext_listen) {
        (None, _) => Listen::plaintext(listen),
        (Some(membership), Some(open)) => Listen::tls(listen, membership).and_plaintext(open),
        (Some(membership), None) => Listen::tls(listen, membership),
    }
}

/// Describes how other peers reach this node. The plaintext address has the host of the other one.
fn reached_at(address: String, local: SocketAddr, plaintext: Option<SocketAddr>) -> ReachedAt {
    match plaintext {
        Some(open) if open == local => ReachedAt { address, transport: Transport::Plaintext, plaintext_address: None },
        open => {
            let plaintext_address = open.map(|open| with_port(&address, open.port()));
            ReachedAt { address, transport: Transport::Tls, plaintext_address }
        }
    }
}

pub(super) fn with_port(address: &str, port: u16) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    format!("{host}:{port}")
}

/// Describes the announced address. The tracker replaces an unspecified one.
fn said_of(address: &str) -> String {
    match address.strip_prefix("0.0.0.0:").or_else(|| address.strip_prefix("[::]:")) {
        Some(port) => format!("with the address that the tracker sees and port {port}"),
        None => format!("as {address}"),
    }
}

/// Chooses the address to announce: the configured one, or the registered one if its port is the one listened on, or
/// the one listened on.
fn announced_address(set: Option<&str>, registered: Option<&str>, local: SocketAddr) -> String {
    let same_port = |address: &&str| address.rsplit_once(':').is_some_and(|(_, port)| port == local.port().to_string());
    set.or_else(|| registered.filter(same_port)).map_or_else(|| local.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_are_announced_as_they_are_spoken_to() {
        let tls: SocketAddr = "0.0.0.0:5000".parse().unwrap();
        let open: SocketAddr = "0.0.0.0:5001".parse().unwrap();
        for (address, plaintext, transport, expected) in [
            ("0.0.0.0:5000", None, Transport::Tls, None),
            ("0.0.0.0:5000", Some(open), Transport::Tls, Some("0.0.0.0:5001")),
            ("[::1]:80", Some(open), Transport::Tls, Some("[::1]:5001")),
            ("gate.example:80", Some(tls), Transport::Plaintext, None),
        ] {
            let at = reached_at(address.to_owned(), tls, plaintext);
            assert_eq!((at.transport, at.plaintext_address.as_deref()), (transport, expected), "{address}");
            assert_eq!(at.address, address);
        }
    }

    #[test]
    fn the_registered_address_is_announced_only_with_the_open_port() {
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
