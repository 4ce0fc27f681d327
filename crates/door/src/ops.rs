//! The operations listener: metrics, health and admin calls for this machine only, on a plain `tiny_http::Server`.
//!
//! That server must not face untrusted clients (one request can abort the process), so it listens on a Unix socket in a
//! folder of mode 0700, or on a loopback address, and nowhere else.

mod convert;
mod socket;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;
use tiny_http::{ListenAddr, Server};

use crate::Service;

/// Threads that answer; an operator and a scraper at the same time, with one to spare.
const WORKERS: usize = 3;
/// How long one write of an answer may block.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// Where operators reach the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpsAddress {
    /// A socket file. Its folder is created with mode 0700, or must have it; a stale socket file is removed.
    Unix(PathBuf),
    /// A loopback address; any other is refused.
    Loopback(SocketAddr),
}

/// The listener and its workers. Dropping it stops it.
pub struct Ops {
    server: Option<Arc<Server>>,
    stopping: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Ops {
    /// Listens and starts answering with `service`.
    ///
    /// # Errors
    /// The address is not loopback, the folder is open to others, another process listens on the socket, or the
    /// address cannot be bound.
    pub fn bind(address: &OpsAddress, service: &Arc<dyn Service>) -> io::Result<Self> {
        let server = Arc::new(listen(address)?);
        let mut ops = Self { server: Some(server), stopping: Arc::default(), workers: Vec::new() };
        for number in 0..WORKERS {
            ops.start_worker(number, Arc::clone(service))?;
        }
        Ok(ops)
    }

    /// The TCP address listened on; `None` for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.server.as_ref()?.server_addr().to_ip()
    }

    /// Answers what is queued, stops, and removes the socket file. A worker that is inside the service is waited for.
    /// tiny_http leaves connections that are open with the client; they are never answered again.
    pub fn stop(mut self) {
        self.end();
    }

    fn start_worker(&mut self, number: usize, service: Arc<dyn Service>) -> io::Result<()> {
        let Some(server) = self.server.clone() else { return Ok(()) };
        let stopping = Arc::clone(&self.stopping);
        let thread = thread::Builder::new().name(format!("ops-{number}"));
        self.workers.push(thread.spawn(move || work(&server, &*service, &stopping))?);
        Ok(())
    }

    fn end(&mut self) {
        let Some(server) = self.server.take() else { return };
        self.stopping.store(true, Ordering::SeqCst);
        // One wake-up ends one worker, after the requests queued before it.
        self.workers.iter().for_each(|_| server.unblock());
        for worker in self.workers.drain(..) {
            // Panics of the service are caught within; a worker that died otherwise leaves nothing to clean up.
            let _ = worker.join();
        }
        drop(server);
    }
}

impl Drop for Ops {
    fn drop(&mut self) {
        self.end();
    }
}

fn work(server: &Server, service: &dyn Service, stopping: &AtomicBool) {
    loop {
        match server.recv() {
            Ok(request) => convert::answer(request, service),
            Err(_) if stopping.load(Ordering::SeqCst) => return,
            // Its accept loop has ended, which it tells one worker once; what is connected is still answered.
            Err(_) => {}
        }
    }
}

fn listen(address: &OpsAddress) -> io::Result<Server> {
    let server = match address {
        OpsAddress::Unix(path) => Server::from_listener(socket::listen(path)?, None),
        OpsAddress::Loopback(addr) => Server::from_listener(listen_loopback(*addr)?, None),
    };
    let server = server.map_err(io::Error::other)?;
    debug_assert!(is_private(&server.server_addr()), "the operations listener faces no network");
    Ok(server)
}

fn is_private(addr: &ListenAddr) -> bool {
    match addr {
        ListenAddr::IP(addr) => addr.ip().is_loopback(),
        ListenAddr::Unix(_) => true,
    }
}

fn listen_loopback(addr: SocketAddr) -> io::Result<TcpListener> {
    if !addr.ip().is_loopback() {
        let why = format!("{addr}: the operations listener only takes a loopback address or a Unix socket");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let listener = TcpListener::bind(addr)?;
    let socket = SockRef::from(&listener);
    // Accepted sockets inherit both. A read timeout must not be set: it would end tiny_http's accept loop.
    socket.set_tcp_nodelay(true)?;
    socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
    Ok(listener)
}
