//! A door for this machine only: metrics, health and administration, on a Unix socket or a loopback address.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::door::Core;
use crate::{DoorLimits, DrainReport, Security, Service, listener, socket_file};

/// An address that only programs on this machine can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalAddress {
    /// A socket file. Its folder is created with mode 0700, or must have it; a stale socket file is removed.
    Unix(PathBuf),
    /// A loopback address; any other is refused.
    Loopback(SocketAddr),
}

/// An HTTP server for this machine. It has the bounds of [`DoorLimits::local`], because a web page in a browser on the same machine
/// can send requests to loopback. Dropping it cuts all that [`LocalDoor::drain`] has not ended.
pub struct LocalDoor {
    core: Core,
    local_addr: Option<SocketAddr>,
    /// Removed when the door closes.
    _socket_file: Option<SocketFile>,
}

/// A socket file that is removed on drop.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A failure means that it was removed already.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl LocalDoor {
    /// Listens and starts answering.
    ///
    /// # Errors
    /// The address is not loopback, the folder is open to others, another process listens on the socket, or the address cannot be
    /// bound.
    pub fn bind(address: &LocalAddress, service: Arc<dyn Service>) -> io::Result<Self> {
        match address {
            LocalAddress::Unix(path) => Self::bind_unix(path, service),
            LocalAddress::Loopback(addr) => Self::bind_loopback(*addr, service),
        }
    }

    fn bind_unix(path: &Path, service: Arc<dyn Service>) -> io::Result<Self> {
        let socket = listener::unix(socket_file::listen(path)?);
        let socket_file = Some(SocketFile(path.to_owned()));
        let core = Core::start(socket, DoorLimits::local(), Security::plaintext(), service)?;
        Ok(Self { core, local_addr: None, _socket_file: socket_file })
    }

    fn bind_loopback(addr: SocketAddr, service: Arc<dyn Service>) -> io::Result<Self> {
        if !addr.ip().is_loopback() {
            let why = format!("{addr} is not a loopback address; use 127.0.0.1, [::1] or a Unix socket");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let socket = listener::listen(addr)?;
        let local_addr = socket.local_addr()?.as_socket();
        let core = Core::start(socket, DoorLimits::local(), Security::plaintext(), service)?;
        Ok(Self { core, local_addr, _socket_file: None })
    }

    /// The TCP address listened on, with the port that was picked; `None` for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// Stops in order, as [`crate::Door::drain`] does, and removes the socket file.
    pub fn drain(mut self, grace: Duration) -> DrainReport {
        self.core.close(grace)
    }
}
