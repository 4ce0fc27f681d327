//! The listening socket and its two threads: one accepts, one turns away connections that have waited too long.

use std::convert::Infallible;
use std::io;
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use peernet_threads::Group;
use socket2::{Domain, Protocol, Socket, Type};

use crate::accept;
use crate::connections::Connections;
use crate::door::Shared;

/// The accept thread's name.
const ACCEPT_NAME: &str = "door-accept";
/// The name of the thread that watches the deadlines of waiting connections.
const WATCH_NAME: &str = "door-waiting";
/// Connections the kernel keeps ready while the accept thread is busy.
const BACKLOG: i32 = 1024;
/// The time limit of the wake-up connection to ourselves.
const WAKE_DEADLINE: Duration = Duration::from_millis(200);
/// The time limit for the end of the two threads. They wait for no client, so they end at once.
const JOIN_DEADLINE: Duration = Duration::from_secs(2);

/// An open listening socket.
pub(crate) struct Listener {
    socket: Arc<Socket>,
    threads: Group,
    /// Never sent to. Dropping it ends the accept thread's pauses.
    stop: Sender<Infallible>,
}

impl Listener {
    /// Starts accepting.
    pub(crate) fn start(socket: Socket, shared: &Arc<Shared>, connections: &Arc<Connections>) -> io::Result<Self> {
        let socket = Arc::new(socket);
        let (stop, stopped) = bounded(0);
        let mut threads = Group::default();
        let watched = Arc::clone(shared);
        threads.spawn(WATCH_NAME, move || accept::watch_waiting(&watched))?;
        let accepting = (Arc::clone(&socket), Arc::clone(shared), Arc::clone(connections));
        let spawned = threads.spawn(ACCEPT_NAME, move || {
            let (socket, shared, connections) = accepting;
            accept::run(&socket, &shared, &connections, &stopped);
        });
        if let Err(error) = spawned {
            accept::end_waiting(shared);
            let _ended = threads.join(JOIN_DEADLINE);
            return Err(error);
        }
        Ok(Self { socket, threads, stop })
    }

    /// Ends the accept thread and the listening socket, and turns away waiting connections. The drain has begun.
    pub(crate) fn close(self, shared: &Shared) {
        let Self { socket, threads, stop } = self;
        drop(stop);
        // This ends a blocked accept and refuses new connections. If the system refuses it, a connection to ourselves
        // ends the accept.
        if socket.shutdown(Shutdown::Both).is_err() {
            let _ = wake(&socket);
        }
        drop(socket);
        accept::end_waiting(shared);
        // A thread that is left holds a socket that listens no more.
        let _ended = threads.join(JOIN_DEADLINE);
    }
}

/// Connects to a listening socket, so that its accept returns.
fn wake(socket: &Socket) -> io::Result<()> {
    let address = socket.local_addr()?;
    Socket::new(address.domain(), Type::STREAM, None)?.connect_timeout(&address, WAKE_DEADLINE)
}

/// Listens on the first of the addresses that can be bound.
pub(crate) fn listen(addr: impl ToSocketAddrs) -> io::Result<Socket> {
    let mut error = io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on");
    for addr in addr.to_socket_addrs()? {
        match listen_on(addr) {
            Ok(listener) => return Ok(listener),
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

fn listen_on(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server gets its port back while old connections are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// The socket of a Unix listener.
pub(crate) fn unix(listener: UnixListener) -> Socket {
    Socket::from(OwnedFd::from(listener))
}
