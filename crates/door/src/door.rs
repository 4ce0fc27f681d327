//! A listening socket and the connections behind it, from the first accept to the end of the drain.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::admission::Admission;
use crate::budget::StreamPlaces;
use crate::connections::Serving;
use crate::listener::{self, Listener};
use crate::stats::Counters;
use crate::{DoorLimits, DoorStats, Security, Service};

/// The time for which [`Door::drain`] waits for workers whose connection it has cut.
const CUT_WAIT: Duration = Duration::from_secs(1);

/// State that all of the door's threads share.
pub(crate) struct Shared {
    pub(crate) limits: DoorLimits,
    pub(crate) security: Security,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) admission: Admission,
    pub(crate) streams: Arc<StreamPlaces>,
    pub(crate) counters: Counters,
    /// Set once, before idle connections are closed. Every reply from then on is its connection's last.
    draining: AtomicBool,
}

impl Shared {
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}

/// An HTTP server on one TCP address. Dropping it cuts all that [`Door::drain`] has not ended.
pub struct Door {
    core: Core,
    local_addr: SocketAddr,
}

/// A door on any kind of listening socket.
pub(crate) struct Core {
    shared: Arc<Shared>,
    /// The threads of an open door; `None` once it is closed.
    open: Option<(Listener, Serving)>,
}

/// The fate of the connections that were open when a drain began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections without a request in flight, closed at once.
    pub idle_closed: usize,
    /// Connections with a request in flight, streamed replies included.
    pub in_flight: usize,
    /// Connections cut because the grace was over.
    pub cut: usize,
    /// Connections that had not ended a second after that: the service holds their requests.
    pub stuck: usize,
}

impl Door {
    /// Listens on `addr` (the first of its addresses that can be bound; port 0 picks one) and starts answering, in
    /// plaintext.
    ///
    /// # Errors
    /// The address cannot be bound, or a thread cannot be started.
    pub fn bind(addr: impl ToSocketAddrs, limits: DoorLimits, service: Arc<dyn Service>) -> io::Result<Self> {
        Self::bind_secured(addr, limits, Security::plaintext(), service)
    }

    /// Does the same with TLS, or with both TLS and plaintext.
    ///
    /// # Errors
    /// Those of [`Door::bind`].
    pub fn bind_secured(
        addr: impl ToSocketAddrs,
        limits: DoorLimits,
        security: Security,
        service: Arc<dyn Service>,
    ) -> io::Result<Self> {
        let socket = listener::listen(addr)?;
        let bound = socket.local_addr()?.as_socket();
        let local_addr = bound.ok_or_else(|| io::Error::other("the listening socket has no IP address"))?;
        Ok(Self { core: Core::start(socket, limits, security, service)?, local_addr })
    }

    /// The address listened on, with the port that was picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The door's counters.
    pub fn stats(&self) -> DoorStats {
        self.core.shared.stats()
    }

    /// Stops in order. The listening socket and idle connections are closed at once, and streamed replies are finished.
    /// Requests in flight are answered with `Connection: close`, and those that are left after `grace` are cut. Takes
    /// at most `grace` and a little more than a second.
    pub fn drain(mut self, grace: Duration) -> DrainReport {
        self.core.close(grace)
    }
}

impl Core {
    /// Starts answering on a listening socket.
    pub(crate) fn start(
        socket: Socket,
        limits: DoorLimits,
        security: Security,
        service: Arc<dyn Service>,
    ) -> io::Result<Self> {
        let admission = Admission::new(&limits);
        let streams = Arc::new(StreamPlaces::new(limits.streams.total_max, limits.streams.per_address_max));
        let shared = Arc::new(Shared {
            limits,
            security,
            service,
            admission,
            streams,
            counters: Counters::default(),
            draining: AtomicBool::new(false),
        });
        let serving = Serving::start(&shared)?;
        match Listener::start(socket, &shared, serving.connections()) {
            Ok(listener) => Ok(Self { shared, open: Some((listener, serving)) }),
            Err(error) => {
                serving.end(Instant::now());
                Err(error)
            }
        }
    }

    pub(crate) fn close(&mut self, grace: Duration) -> DrainReport {
        let Some((listener, serving)) = self.open.take() else { return DrainReport::default() };
        let admission = &self.shared.admission;
        // Counted before the drain is visible: a connection that sees it may have ended by the time the socket is
        // closed.
        let (idle_closed, in_flight) = admission.idle_and_busy();
        self.shared.draining.store(true, Ordering::SeqCst);
        listener.close(&self.shared);
        admission.end_idle();
        serving.end_streams();
        admission.wait_until_empty(Instant::now() + grace);
        let cut = admission.cut_all();
        let end = Instant::now() + CUT_WAIT;
        admission.wait_until_empty(end);
        serving.end(end);
        DrainReport { idle_closed, in_flight, cut, stuck: admission.open_count() }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}
