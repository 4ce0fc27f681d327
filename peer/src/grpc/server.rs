//! The gRPC server: takes calls, has disk threads answer them, and ends in good order.
//!
//! Handlers run on the completion-queue thread, so they only put a job into a bounded queue and return; what answers
//! them there later is a future that waits for the disk threads' result and hands it to gRPC.

mod budget;
mod calls;
mod complaints;
mod disk;
mod flow;
mod guard;
mod handlers;
mod leave;
mod listening;
mod pace;
pub(super) mod stream;
mod upkeep;
mod waiting;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grpcio::{ChannelBuilder, Server, ServerBuilder, ServerCredentials, ServiceBuilder};
use peernet_engine::memory::Use;
use peernet_engine::rate_limit::Rate;
use peernet_engine::serving::BLOCK_BYTES_SMALL;

use self::budget::Budget;
use self::complaints::Complaints;
use self::disk::Disk;
use self::flow::Flow;
use self::guard::Guard;
use self::pace::Pace;
use self::stream::Streams;
use self::waiting::Waiting;
use super::{credentials, environment, marshal};
use crate::cancel::Cancel;
use crate::connect::{AddressError, HostPort, resolve};
use crate::identity::Membership;
use crate::throttle::{Connections, SpeedLimits, Throttle};
use crate::transfers::{Calls, Upload};
use crate::upload::{Shelf, UploadLimits};

/// Largest request: 2,048 ranges of at most 12 bytes each, and the rest of a `FetchRequest`.
const REQUEST_BYTES_MAX: i32 = 64 << 10;
/// Requests the C core may have parsed and not yet handed to a handler; more only makes a stop slower.
const REQUEST_SLOTS: usize = 64;
/// Calls of one connection at once; against abuse, far above what a peer needs.
const CALLS_PER_CONNECTION_MAX: i32 = 128;
/// How often a silent connection is tested, and how long its answer may take.
const KEEPALIVE_TIME: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Clients may test us this often without being taken for abusers.
const PING_INTERVAL_MIN: Duration = Duration::from_millis(500);
/// How long resolving a name to listen on may take.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// After the grace every call is cancelled; C core then needs milliseconds. More than this is a fault of its own.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a server does not start.
#[derive(Debug)]
pub enum ServeError {
    /// The address to listen on is not one.
    Address(AddressError),
    /// It cannot be listened on: in use, not ours, or not allowed.
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why, as far as is known.
        why: String,
    },
    /// The system gives no more threads.
    Threads(std::io::Error),
    /// gRPC refuses.
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

/// What a server has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UploadCounters {
    /// Payload bytes handed to gRPC, over all calls.
    pub bytes_sent: u64,
    /// `DownloadChunk` calls answered with a chunk.
    pub chunk_calls: u64,
    /// Blocks sent in `Fetch` calls.
    pub blocks_sent: u64,
    /// `Fetch` calls begun.
    pub streams_begun: u64,
    /// `Fetch` calls going on now.
    pub streams_now: u64,
    /// Calls and chunks refused, for whatever reason.
    pub refused: u64,
    /// Chunks that callers said came wrong.
    pub complaints: u64,
    /// Chunks that were read again for that.
    pub complaints_checked: u64,
    /// Of these, the ones that were wrong here.
    pub complaints_upheld: u64,
}

/// What all parts of one server share.
struct Core {
    shelf: Arc<dyn Shelf>,
    limits: UploadLimits,
    stopping: AtomicBool,
    /// Memory for `DownloadChunk`, for `Fetch`, and for the small block that every `Fetch` call may have: slow readers of
    /// one kind do not starve another.
    call_budget: Budget,
    stream_budget: Budget,
    small_blocks: Budget,
    streams: Streams,
    waiting: Arc<Waiting>,
    complaints: Complaints,
    pace: Pace,
    /// Shared with the downloads of the same node.
    connections: Connections,
    counters: Counters,
    /// Of `DownloadChunk`.
    calls_flow: Mutex<Flow>,
    /// `None` where all is plaintext.
    membership: Option<Arc<Membership>>,
}

#[derive(Default)]
struct Counters {
    bytes_sent: AtomicU64,
    chunk_calls: AtomicU64,
    blocks_sent: AtomicU64,
    streams_begun: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    fn count_block(&self, len: u32) {
        self.blocks_sent.fetch_add(1, Ordering::Relaxed);
        self.bytes_sent.fetch_add(u64::from(len), Ordering::Relaxed);
    }
}

impl Core {
    fn new(
        shelf: Arc<dyn Shelf>,
        limits: UploadLimits,
        throttle: &Throttle,
        membership: Option<Arc<Membership>>,
    ) -> Self {
        let budget = |of| Budget::new(throttle.memory().clone(), of);
        Self {
            shelf,
            stopping: AtomicBool::new(false),
            call_budget: budget(Use::Calls),
            stream_budget: budget(Use::Streams),
            small_blocks: budget(Use::SmallBlocks),
            streams: Streams::new(),
            waiting: Arc::new(Waiting::new(&limits)),
            complaints: Complaints::new(),
            pace: Pace::new(limits.rate_max),
            connections: throttle.connections().clone(),
            counters: Counters::default(),
            calls_flow: Mutex::new(Flow::new()),
            membership,
            limits,
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn calls_flow(&self) -> MutexGuard<'_, Flow> {
        self.calls_flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many `Fetch` calls may be served: each may always have one small block.
    fn streams_max(&self) -> usize {
        self.limits.streams_max.min(self.small_blocks.kept() / BLOCK_BYTES_SMALL as usize)
    }

    fn count_refused(&self) {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Where a server listens, and what is spoken there. Each place is `host:port`, with port 0 for any free one; `[::]` also takes
/// IPv4.
#[derive(Debug, Clone)]
pub struct Listen {
    tls: Option<(String, Arc<Membership>)>,
    plaintext: Option<String>,
}

impl Listen {
    /// Mutual TLS: both sides prove who they are.
    pub fn tls(address: impl Into<String>, membership: Arc<Membership>) -> Self {
        Self { tls: Some((address.into(), membership)), plaintext: None }
    }

    /// In the clear, for anybody: nothing else is spoken.
    pub fn plaintext(address: impl Into<String>) -> Self {
        Self { tls: None, plaintext: Some(address.into()) }
    }

    /// In the clear as well, at another address.
    #[must_use]
    pub fn and_plaintext(self, address: impl Into<String>) -> Self {
        Self { plaintext: Some(address.into()), ..self }
    }
}

/// A running server. Dropping it stops it without grace.
pub struct PeerServer {
    // Taken by the stop, which must happen before the disk threads end.
    // In a lock only because gRPC's type may not be shared between threads, and this one may.
    server: Mutex<Option<Server>>,
    disk: Option<Disk>,
    core: Arc<Core>,
    local_addr: SocketAddr,
    plaintext_addr: Option<SocketAddr>,
}

impl PeerServer {
    /// Listens and serves what is on `shelf`.
    pub fn start(listen: Listen, shelf: Arc<dyn Shelf>, limits: UploadLimits) -> Result<Self, ServeError> {
        Self::start_among(listen, shelf, limits, &Throttle::new(&SpeedLimits::default()))
    }

    /// The same with bounds on connections and memory that others count towards too: a `Fetch` call that has no room is
    /// refused. Its rate is [`PeerServer::set_rate_max`]'s to say.
    pub fn start_among(
        listen: Listen,
        shelf: Arc<dyn Shelf>,
        limits: UploadLimits,
        throttle: &Throttle,
    ) -> Result<Self, ServeError> {
        let tls = listen.tls.as_ref().map(|(address, _)| numeric(address)).transpose()?;
        let plaintext = listen.plaintext.as_deref().map(numeric).transpose()?;
        let membership = listen.tls.map(|(_, membership)| membership);
        let core = Arc::new(Core::new(shelf, limits, throttle, membership.clone()));
        let disk = Disk::start(&core).map_err(ServeError::Threads)?;
        let service = ServiceBuilder::new()
            .add_unary_handler(&marshal::SERVE_CHUNK, handlers::chunk(&core))
            .add_unary_handler(&marshal::GET, handlers::manifest(&core))
            .add_duplex_streaming_handler(&marshal::SERVE_FETCH, handlers::fetch(&core, &disk))
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
        Ok(Self { server: Mutex::new(Some(server)), disk: Some(disk), core, local_addr, plaintext_addr })
    }

    /// Where it listens, with the port it got; for TLS where it speaks both.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where it listens in plaintext, if it does.
    pub fn plaintext_addr(&self) -> Option<SocketAddr> {
        self.plaintext_addr
    }

    /// What it has done so far.
    pub fn counters(&self) -> UploadCounters {
        let counters = &self.core.counters;
        let (complaints, complaints_checked, complaints_upheld) = self.core.complaints.counts();
        UploadCounters {
            bytes_sent: counters.bytes_sent.load(Ordering::Relaxed),
            chunk_calls: counters.chunk_calls.load(Ordering::Relaxed),
            blocks_sent: counters.blocks_sent.load(Ordering::Relaxed),
            streams_begun: counters.streams_begun.load(Ordering::Relaxed),
            streams_now: self.core.streams.count().into(),
            refused: counters.refused.load(Ordering::Relaxed),
            complaints,
            complaints_checked,
            complaints_upheld,
        }
    }

    /// Whether no caller is owed a chunk at the moment.
    pub fn is_idle(&self) -> bool {
        self.core.streams.all().iter().all(|stream| stream.owes_nothing())
    }

    /// The `Fetch` calls that have a file, oldest first, and version 1's calls together.
    pub fn uploads(&self) -> (Vec<Upload>, Calls) {
        let streams = self.core.streams.all();
        let running = self.core.waiting.running();
        let flow = self.core.calls_flow();
        let calls = Calls { running, rate: flow.rate(), bytes: flow.bytes() };
        (streams.iter().filter_map(|stream| stream.upload()).collect(), calls)
    }

    /// Changes the limit on payload bytes a second, over all calls, from now on; `None` lifts it.
    pub fn set_rate_max(&self, rate: Option<Rate>) {
        self.core.pace.set_rate(rate);
    }

    /// Takes no more calls, lets running ones end for up to `grace`, cancels the rest, and ends its threads. `Fetch`
    /// calls are told at once that this peer leaves.
    pub fn stop(mut self, grace: Duration) {
        self.shut_down(grace);
    }

    fn shut_down(&mut self, grace: Duration) {
        let server = self.server.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(mut server) = server.take() else { return };
        self.core.stopping.store(true, Ordering::Release);
        if let Some(disk) = &self.disk {
            disk.end_streams();
        }
        self.core.pace.close();
        let mut shutdown = server.shutdown();
        if environment::wait_for(&mut shutdown, grace).is_none() {
            server.cancel_all_calls();
            // A core that does not end its calls even then is left behind rather than waited for without end.
            let _ = environment::wait_for(&mut shutdown, SHUTDOWN_TIMEOUT);
        }
        drop(server);
        self.core.call_budget.close();
        self.core.stream_budget.close();
        if let Some(disk) = self.disk.take() {
            disk.stop();
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

/// Where it listens then, with the port it got.
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

/// gRPC does not say why it cannot bind, so the system is asked directly.
fn why_not(address: SocketAddr) -> String {
    match std::net::TcpListener::bind(address) {
        Err(error) => error.to_string(),
        Ok(_) => "refused".to_owned(),
    }
}

#[cfg(test)]
mod tests;
