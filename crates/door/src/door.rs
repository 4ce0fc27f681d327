//! The public HTTP port: accepts, caps, reads one strict request at a time under total deadlines, and answers.
//!
//! tiny_http's own accept loop and parser can be aborted, leaked dry or starved by anybody who can connect, so they face no
//! network. Here a connection that waits for its client is an entry in a table, a few threads serve those that have something
//! to say, a byte is waited for under one deadline for the whole head, body or answer, and everything a client can make grow
//! has a limit in [`DoorLimits`].

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::admission::Admission;
use crate::connections::Serving;
use crate::port::{self, Port};
use crate::stats::Counters;
use crate::{DoorLimits, DoorStats, Security, Service};

/// How long [`Door::drain`] waits for threads whose connection it has cut, and then for those that had none.
const CUT_WAIT: Duration = Duration::from_secs(1);

/// What all of the door's threads share.
pub(crate) struct Shared {
    pub(crate) limits: DoorLimits,
    pub(crate) security: Security,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) admission: Admission,
    pub(crate) counters: Counters,
    /// Set once, before idle connections are closed: every answer from then on is its connection's last.
    pub(crate) draining: AtomicBool,
}

impl Shared {
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}

/// A listening port and the connections behind it. Dropping it cuts whatever [`Door::drain`] has not ended.
pub struct Door {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    /// What runs while the door is open; `None` once it is closed.
    open: Option<(Port, Serving)>,
}

/// What became of the connections that were open when a drain began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections without a request in flight, closed at once.
    pub idle_closed: usize,
    /// Connections with a request in flight.
    pub in_flight: usize,
    /// Connections cut because the grace was over.
    pub cut: usize,
    /// Connections that had not ended a second after that: the service holds their requests.
    pub stuck: usize,
}

impl Door {
    /// Listens on `addr` (the first of its addresses that can be bound; port 0 picks one) and starts answering, in plaintext.
    ///
    /// # Errors
    /// The address cannot be bound, or a thread cannot be started.
    pub fn bind(addr: impl ToSocketAddrs, limits: DoorLimits, service: Arc<dyn Service>) -> io::Result<Self> {
        Self::bind_secured(addr, limits, Security::plaintext(), service)
    }

    /// The same with TLS, or with both.
    ///
    /// # Errors
    /// Those of [`Door::bind`].
    pub fn bind_secured(
        addr: impl ToSocketAddrs,
        limits: DoorLimits,
        security: Security,
        service: Arc<dyn Service>,
    ) -> io::Result<Self> {
        let listener = port::listen(addr)?;
        let local_addr = listener.local_addr()?;
        let admission = Admission::new(&limits);
        let shared = Arc::new(Shared {
            limits,
            security,
            service,
            admission,
            counters: Counters::default(),
            draining: AtomicBool::new(false),
        });
        let serving = Serving::start(&shared)?;
        match Port::open(listener, &shared, serving.connections()) {
            Ok(port) => Ok(Self { shared, local_addr, open: Some((port, serving)) }),
            Err(error) => {
                serving.end(Instant::now());
                Err(error)
            }
        }
    }

    /// The address listened on, with the port that was picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What the door has seen so far.
    pub fn stats(&self) -> DoorStats {
        self.shared.counters.snapshot(&self.shared.admission)
    }

    /// Stops cleanly: the port is closed and idle connections end at once, requests in flight are answered with
    /// `Connection: close`, and what is left after `grace` is cut. Takes at most `grace` and a little more than a second.
    pub fn drain(mut self, grace: Duration) -> DrainReport {
        self.close(grace)
    }

    fn close(&mut self, grace: Duration) -> DrainReport {
        let Some((port, serving)) = self.open.take() else { return DrainReport::default() };
        let admission = &self.shared.admission;
        // Before anybody is told: who hears of it may have ended by the time the port is closed.
        let (idle_closed, in_flight) = admission.idle_and_busy();
        self.shared.draining.store(true, Ordering::SeqCst);
        port.close(&self.shared);
        admission.end_idle();
        admission.wait_until_empty(Instant::now() + grace);
        let cut = admission.cut_all();
        let end = Instant::now() + CUT_WAIT;
        admission.wait_until_empty(end);
        serving.end(end);
        DrainReport { idle_closed, in_flight, cut, stuck: admission.open_count() }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}
