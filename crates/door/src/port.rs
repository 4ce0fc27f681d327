//! The listening socket, and the threads that belong to it: one accepts, one turns away who has waited too long.

use std::convert::Infallible;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::accept;
use crate::connections::Connections;
use crate::door::Shared;

/// Connections the kernel keeps ready while the accept thread is busy.
const BACKLOG: i32 = 1024;
/// How long the wake-up connection to ourselves may take.
const WAKE_DEADLINE: Duration = Duration::from_millis(200);

/// An open port.
pub(crate) struct Port {
    listener: Arc<TcpListener>,
    accept: JoinHandle<()>,
    waiting: JoinHandle<()>,
    /// Never sent to: the accept thread stops waiting when it is dropped.
    stop: Sender<Infallible>,
}

impl Port {
    /// Starts accepting.
    pub(crate) fn open(
        listener: TcpListener,
        shared: &Arc<Shared>,
        connections: &Arc<Connections>,
    ) -> io::Result<Self> {
        let listener = Arc::new(listener);
        let (stop, stopped) = bounded(0);
        let waiting = accept::spawn_watch(Arc::clone(shared))?;
        match accept::spawn(Arc::clone(&listener), Arc::clone(shared), Arc::clone(connections), stopped) {
            Ok(accept) => Ok(Self { listener, accept, waiting, stop }),
            Err(error) => {
                accept::end_waiting(shared, waiting);
                Err(error)
            }
        }
    }

    /// Ends the accept thread and the listening socket, and turns away who waits. The drain has begun.
    pub(crate) fn close(self, shared: &Shared) {
        let Self { listener, accept, waiting, stop } = self;
        drop(stop);
        // This ends a blocked accept and refuses new connections; where it is refused, a connection to ourselves ends the accept.
        if SockRef::from(&*listener).shutdown(Shutdown::Both).is_err()
            && let Ok(address) = listener.local_addr()
        {
            // The outcome does not matter: it is only there to be accepted.
            let _ = TcpStream::connect_timeout(&address, WAKE_DEADLINE);
        }
        drop(listener);
        // A panic in it was counted by nobody, but leaves nothing to clean up: the listener is closed either way.
        let _ = accept.join();
        accept::end_waiting(shared, waiting);
    }
}

/// Listens on the first of the addresses that can be bound.
pub(crate) fn listen(addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
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
    // A restarted tracker gets its port back while old connections are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
