//! One open connection as the thread that serves it, the admission and a drain see it.

use std::net::{IpAddr, Ipv6Addr, Shutdown};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::Socket;

/// The socket of a connection, and whether a request is in flight on it.
pub(crate) struct Link {
    pub(crate) stream: Socket,
    /// The client's address; `None` on a Unix socket.
    pub(crate) remote: Option<IpAddr>,
    /// No request is in flight: the connection waits for one, or for the client to close.
    idle: AtomicBool,
}

impl Link {
    pub(crate) fn new(stream: Socket, remote: Option<IpAddr>) -> Self {
        Self { stream, remote: remote.map(|remote| remote.to_canonical()), idle: AtomicBool::new(true) }
    }

    /// The client that the limits per address count.
    pub(crate) fn client(&self) -> Client {
        Client::of(self.remote)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::SeqCst)
    }

    pub(crate) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::SeqCst);
    }

    /// Ends the connection in one or both directions. A failure means that it has ended already.
    pub(crate) fn end(&self, how: Shutdown) {
        let _ = self.stream.shutdown(how);
    }
}

/// The unit that limits per address count: an IPv4 address, an IPv6 /64, or all clients of a Unix socket together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client(Option<IpAddr>);

impl Client {
    pub(crate) fn of(remote: Option<IpAddr>) -> Self {
        Self(remote.map(|remote| match remote.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
            address @ IpAddr::V4(_) => address,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_ipv4_addresses_and_ipv6_networks() {
        let client = |text: &str| Client::of(Some(text.parse().expect(text)));
        for (one, other, same) in [
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("10.1.2.3", "::ffff:10.1.2.3", true),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
        ] {
            assert_eq!(client(one) == client(other), same, "{one} {other}");
        }
        assert_ne!(Client::of(None), client("::"));
    }
}
