//! The gRPC server: takes calls, hands them to `crate::serve`, and ends in good order.
//!
//! Handlers run on the completion-queue thread, so they only put a job into a bounded queue and return. A future waits
//! for the result of the disk threads and hands it to gRPC.

mod guard;
mod handlers;
mod listening;
mod send_timeouts;
mod status;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grpcio::{ChannelBuilder, Server, ServerBuilder, ServerCredentials, ServiceBuilder};
use peernet_engine::rate_limit::Rate;

use self::guard::Guard;
use self::handlers::Service;
use self::send_timeouts::SendTimeouts;
use super::{credentials, environment, marshal};
use crate::access::Membership;
use crate::cancel::Cancel;
use crate::connect::{AddressError, HostPort, resolve};
use crate::serve::{Calls, Upload};
use crate::serve::{Core, UploadCounters, Workers};
use crate::serve::{FileCatalog, UploadLimits};
use crate::throttle::{SpeedLimits, Throttle};

/// Largest request: 2,048 ranges of at most 12 bytes each, and the rest of a `FetchRequest`.
const REQUEST_BYTES_MAX: i32 = 64 << 10;
/// Requests the C core may have parsed and not yet handed to a handler; more only makes a stop slower.
const REQUEST_SLOTS: usize = 64;
/// Calls of one connection at once: a bound against abuse, far above the needs of a peer.
const CALLS_PER_CONNECTION_MAX: i32 = 128;
/// The interval at which a silent connection is tested, and the time-out of the answer.
const KEEPALIVE_TIME: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Clients may ping this often without being treated as abusers.
const PING_INTERVAL_MIN: Duration = Duration::from_millis(500);
/// The time-out of resolving a name to listen on.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// After the grace every call is cancelled, and C core needs milliseconds to end. More than this is a fault of its own.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// The reason that a server does not start.
#[derive(Debug)]
pub enum ServeError {
    /// The address to listen on is malformed.
    Address(AddressError),
    /// The address cannot be listened on: it is in use, not ours, or not allowed.
    Bind {
        /// The address.
        address: SocketAddr,
        /// The reason, as far as it is known.
        why: String,
    },
    /// The system gives no more threads.
    Threads(std::io::Error),
    /// gRPC refuses to start.
    Grpc(String),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => write!(f, "{error}"),
            Self::Bind { address, why } => write!(f, "cannot listen on {address}: {why}"),
            Self::Threads(error) => write!(f, "cannot start a thread: {error}"),
            Self::Grpc(why) => write!(f, "gRPC: {why}"),
        }
    }
}

impl std::error::Error for ServeError {}

/// The addresses that a server listens on, and the protection of each. An address is `host:port`, with port 0 for any
/// free port; `[::]` also takes IPv4.
#[derive(Debug, Clone)]
pub struct Listen {
    tls: Option<(String, Arc<Membership>)>,
    plaintext: Option<String>,
}

impl Listen {
    /// Listens with mutual TLS: both sides prove their identity.
    pub fn tls(address: impl Into<String>, membership: Arc<Membership>) -> Self {
        Self { tls: Some((address.into(), membership)), plaintext: None }
    }

    /// Listens without encryption, for any caller, and nowhere else.
    pub fn plaintext(address: impl Into<String>) -> Self {
        Self { tls: None, plaintext: Some(address.into()) }
    }

    /// Listens without encryption at another address as well.
    #[must_use]
    pub fn and_plaintext(self, address: impl Into<String>) -> Self {
        Self { plaintext: Some(address.into()), ..self }
    }
}

/// A running server. Dropping it stops it without grace.
pub struct PeerServer {
    // Stopping takes it, which must happen before the disk threads end. The lock is there because gRPC's type may not
    // be shared between threads, and this one may.
    server: Mutex<Option<Server>>,
    workers: Option<Workers>,
    core: Arc<Core>,
    local_addr: SocketAddr,
    plaintext_addr: Option<SocketAddr>,
}

impl PeerServer {
    /// Listens and serves the files on `catalog`.
    pub fn start(listen: Listen, catalog: Arc<dyn FileCatalog>, limits: UploadLimits) -> Result<Self, ServeError> {
        Self::start_among(listen, catalog, limits, &Throttle::new(&SpeedLimits::default()))
    }

    /// Does the same within limits on connections and memory that it shares with downloads. A `Fetch` call without room
    /// is refused. The upload rate is set by [`PeerServer::set_rate_max`].
    pub fn start_among(
        listen: Listen,
        catalog: Arc<dyn FileCatalog>,
        limits: UploadLimits,
        throttle: &Throttle,
    ) -> Result<Self, ServeError> {
        let tls = listen.tls.as_ref().map(|(address, _)| numeric(address)).transpose()?;
        let plaintext = listen.plaintext.as_deref().map(numeric).transpose()?;
        let membership = listen.tls.map(|(_, membership)| membership);
        let core = Arc::new(Core::new(catalog, limits, throttle, membership.clone()));
        let timeouts = SendTimeouts::default();
        let overdue = timeouts.clone();
        let workers = Workers::start(&core, Box::new(move |now| overdue.end_overdue(now)));
        let workers = workers.map_err(ServeError::Threads)?;
        let service = Service { core: Arc::clone(&core), pump: workers.pump(), timeouts };
        let service = ServiceBuilder::new()
            .add_unary_handler(&marshal::SERVE_CHUNK, handlers::chunk(service.clone()))
            .add_unary_handler(&marshal::GET, handlers::manifest(service.clone()))
            .add_duplex_streaming_handler(&marshal::SERVE_FETCH, handlers::fetch(service))
            .build();
        let builder = builder().register_service(service).add_checker(Guard::new(membership.clone()));
        let mut server = builder.build().map_err(|error| ServeError::Grpc(error.to_string()))?;
        let secret = tls.zip(membership).map(|(address, membership)| (address, credentials::of_server(membership)));
        let tls_addr = secret.map(|(address, credentials)| bind(&mut server, address, credentials)).transpose()?;
        let open = plaintext.map(|address| bind(&mut server, address, ServerCredentials::insecure()));
        let plaintext_addr = open.transpose()?;
        server.start();
        let nowhere = || ServeError::Address(AddressError::Malformed);
        let local_addr = tls_addr.or(plaintext_addr).ok_or_else(nowhere)?;
        Ok(Self { server: Mutex::new(Some(server)), workers: Some(workers), core, local_addr, plaintext_addr })
    }

    /// The address it listens on, with the port it got. The one for TLS where it has both.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address it listens on without encryption, if any.
    pub fn plaintext_addr(&self) -> Option<SocketAddr> {
        self.plaintext_addr
    }

    /// The counters so far.
    pub fn counters(&self) -> UploadCounters {
        self.core.counters()
    }

    /// Returns true if no caller is owed a chunk at the moment.
    pub fn is_idle(&self) -> bool {
        self.core.is_idle()
    }

    /// The `Fetch` calls that have a file, oldest first, and version 1's calls together.
    pub fn uploads(&self) -> (Vec<Upload>, Calls) {
        self.core.uploads()
    }

    /// Changes the limit on payload bytes a second, over all calls, from now on; `None` lifts it.
    pub fn set_rate_max(&self, rate: Option<Rate>) {
        self.core.set_rate_max(rate);
    }

    /// Takes no more calls, lets running ones end for up to `grace`, cancels the rest, and joins its threads. Callers
    /// of `Fetch` are told at once that this peer leaves.
    pub fn stop(mut self, grace: Duration) {
        self.shut_down(grace);
    }

    fn shut_down(&mut self, grace: Duration) {
        let server = self.server.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(mut server) = server.take() else { return };
        self.core.begin_to_stop();
        let mut shutdown = server.shutdown();
        if environment::wait_for(&mut shutdown, grace).is_none() {
            server.cancel_all_calls();
            // A core that does not end its calls even then is left behind, because a wait for it might not end.
            let _ = environment::wait_for(&mut shutdown, SHUTDOWN_TIMEOUT);
        }
        drop(server);
        self.core.close_memory();
        if let Some(workers) = self.workers.take() {
            workers.stop();
        }
    }
}

impl Drop for PeerServer {
    fn drop(&mut self) {
        self.shut_down(Duration::ZERO);
    }
}

fn builder() -> ServerBuilder {
    let environment = environment::server();
    let arguments = ChannelBuilder::new(Arc::clone(&environment))
        .reuse_port(false)
        .max_receive_message_len(REQUEST_BYTES_MAX)
        .max_concurrent_stream(CALLS_PER_CONNECTION_MAX)
        .keepalive_time(KEEPALIVE_TIME)
        .keepalive_timeout(KEEPALIVE_TIMEOUT)
        .keepalive_permit_without_calls(true)
        .http2_min_recv_ping_interval_without_data(PING_INTERVAL_MIN)
        .build_args();
    ServerBuilder::new(environment).channel_args(arguments).requests_slot_per_cq(REQUEST_SLOTS)
}

/// Returns the address, with the port it got.
fn bind(server: &mut Server, address: SocketAddr, credentials: ServerCredentials) -> Result<SocketAddr, ServeError> {
    let port = server
        .add_listening_port(address.to_string(), credentials)
        .map_err(|_| ServeError::Bind { address, why: why_not(address) })?;
    listening::keep_queues_short(port);
    Ok(SocketAddr::new(address.ip(), port))
}

fn numeric(listen: &str) -> Result<SocketAddr, ServeError> {
    let parsed: HostPort = listen.parse().map_err(|error| ServeError::Address(AddressError::from(error)))?;
    let found = resolve(&parsed, RESOLVE_TIMEOUT, &Cancel::new()).map_err(ServeError::Address)?;
    found.first().copied().ok_or_else(|| ServeError::Address(AddressError::Unresolved(listen.to_owned())))
}

/// Asks the system why an address cannot be bound, because gRPC does not say.
fn why_not(address: SocketAddr) -> String {
    match std::net::TcpListener::bind(address) {
        Err(error) => error.to_string(),
        Ok(_) => "refused".to_owned(),
    }
}

#[cfg(test)]
mod tests;
