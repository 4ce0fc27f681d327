//! The public HTTP port: accepts, caps, reads one strict request at a time under total deadlines, and answers.
//!
//! tiny_http's own accept loop and parser can be aborted, leaked dry or starved by anybody who can connect, so they face no
//! network. Here a connection is a thread with a small stack, a byte is waited for under one deadline for the whole head,
//! body or answer, and everything a client can make grow has a limit in [`DoorLimits`].

mod accept;
mod admission;
mod exchange;
mod inbox;
mod limits;
mod stats;
mod waiting;
mod wire;

use std::convert::Infallible;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::Service;
use admission::Admission;
pub use limits::{DoorLimits, FDS_RESERVED};
use stats::Counters;
pub use stats::DoorStats;

/// Connections the kernel keeps ready while the accept thread is busy.
const BACKLOG: i32 = 1024;
/// How long [`Door::drain`] waits for threads whose connection it has cut.
const CUT_WAIT: Duration = Duration::from_secs(1);
/// How long the wake-up connection to ourselves may take.
const WAKE_DEADLINE: Duration = Duration::from_millis(200);

/// What the accept thread and every connection thread share.
struct Shared {
    limits: DoorLimits,
    service: Arc<dyn Service>,
    admission: Admission,
    counters: Counters,
    /// Set once, before idle connections are closed: every answer from then on is its connection's last.
    draining: AtomicBool,
}

impl Shared {
    fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}

/// A listening port and the connections behind it. Dropping it cuts whatever [`Door::drain`] has not ended.
pub struct Door {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    /// What runs while the port is open; `None` once it is closed.
    open: Option<Open>,
}

/// The accept thread, what it accepts from, and what stops it; and the thread that watches the clock for those who wait.
struct Open {
    listener: Arc<TcpListener>,
    accept: JoinHandle<()>,
    /// Turns away who has waited too long.
    waiting: JoinHandle<()>,
    /// Never sent to: the accept thread stops waiting when it is dropped.
    stop: Sender<Infallible>,
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
    /// Connection threads that had not ended a second after that: the service holds them.
    pub stuck: usize,
}

impl Door {
    /// Listens on `addr` (the first of its addresses that can be bound; port 0 picks one) and starts answering.
    ///
    /// # Errors
    /// The address cannot be bound, or a thread cannot be started.
    pub fn bind(addr: impl ToSocketAddrs, limits: DoorLimits, service: Arc<dyn Service>) -> io::Result<Self> {
        let listener = Arc::new(listen(addr)?);
        let local_addr = listener.local_addr()?;
        let admission = Admission::new(&limits);
        let shared = Arc::new(Shared {
            limits,
            service,
            admission,
            counters: Counters::default(),
            draining: AtomicBool::new(false),
        });
        let (stop, stopped) = bounded(0);
        let waiting = accept::spawn_watch(Arc::clone(&shared))?;
        match accept::spawn(Arc::clone(&listener), Arc::clone(&shared), stopped) {
            Ok(accept) => Ok(Self { shared, local_addr, open: Some(Open { listener, accept, waiting, stop }) }),
            Err(error) => {
                accept::end_waiting(&shared, waiting);
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
        let Some(open) = self.open.take() else { return DrainReport::default() };
        self.shared.draining.store(true, Ordering::SeqCst);
        self.close_port(open);
        let admission = &self.shared.admission;
        let (idle_closed, in_flight) = admission.end_idle();
        admission.wait_until_empty(Instant::now() + grace);
        let cut = admission.cut_all();
        admission.wait_until_empty(Instant::now() + CUT_WAIT);
        DrainReport { idle_closed, in_flight, cut, stuck: admission.open_count() }
    }

    /// Ends the accept thread and the listening socket, and turns away who waits.
    fn close_port(&self, open: Open) {
        let Open { listener, accept, waiting, stop } = open;
        drop(stop);
        // On Linux this ends a blocked accept and refuses new connections; elsewhere a connection to ourselves does.
        if SockRef::from(&*listener).shutdown(Shutdown::Both).is_err() {
            // The outcome does not matter: it is only there to be accepted.
            let _ = TcpStream::connect_timeout(&self.local_addr, WAKE_DEADLINE);
        }
        drop(listener);
        // A panic in it was counted by nobody, but leaves nothing to clean up: the listener is closed either way.
        let _ = accept.join();
        accept::end_waiting(&self.shared, waiting);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

fn listen(addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut error = io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on");
    for addr in addr.to_socket_addrs()? {
        match listen_on(addr) {
            Ok(listener) => return Ok(listener),
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

fn listen_on(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if cfg!(unix) {
        // A restarted tracker gets its port back while old connections are still in TIME_WAIT.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
