//! Which connections are open: the caps, and the handle by which a drain ends each of them.
//!
//! Invariant: a connection is in here from before its thread starts until after its socket is closed, so an empty
//! admission means no thread and no socket is left. Connection threads are counted here instead of being joined: a
//! finished thread that waits to be joined keeps its stack.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TurnedAway {
    Full,
    Address,
}

/// One open connection, as its own thread and a drain see it.
pub(super) struct Link {
    pub(super) stream: TcpStream,
    pub(super) remote: IpAddr,
    /// No request is in flight: the thread waits for one, or for the client to close.
    idle: AtomicBool,
}

impl Link {
    pub(super) fn new(stream: TcpStream, remote: IpAddr) -> Self {
        Self { stream, remote: remote.to_canonical(), idle: AtomicBool::new(true) }
    }

    pub(super) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::SeqCst);
    }

    /// Ends the connection in both or one direction; that it may be over already does not matter.
    fn end(&self, how: Shutdown) {
        let _ = self.stream.shutdown(how);
    }
}

/// The open connections and their caps.
pub(super) struct Admission {
    connections_max: usize,
    per_address_max: usize,
    open: Mutex<OpenLinks>,
    emptied: Condvar,
    /// Bytes announced by large bodies that are being read or handled.
    large_bodies_bytes: AtomicUsize,
}

#[derive(Default)]
struct OpenLinks {
    next_id: u64,
    links: HashMap<u64, Arc<Link>>,
    per_client: HashMap<IpAddr, usize>,
}

impl Admission {
    pub(super) fn new(connections_max: usize, per_address_max: usize) -> Self {
        Self {
            connections_max,
            per_address_max,
            open: Mutex::default(),
            emptied: Condvar::new(),
            large_bodies_bytes: AtomicUsize::new(0),
        }
    }

    /// Takes a place for the connection; [`Admission::leave`] gives it back.
    pub(super) fn admit(&self, link: &Arc<Link>) -> Result<u64, TurnedAway> {
        let client = client_of(link.remote);
        let mut open = self.lock();
        if open.links.len() >= self.connections_max {
            return Err(TurnedAway::Full);
        }
        let from_client = open.per_client.entry(client).or_default();
        if *from_client >= self.per_address_max {
            return Err(TurnedAway::Address);
        }
        *from_client += 1;
        let id = open.next_id;
        open.next_id += 1;
        open.links.insert(id, Arc::clone(link));
        Ok(id)
    }

    /// Gives a place back. The caller has dropped its own share of the link, so the socket closes here.
    pub(super) fn leave(&self, id: u64) {
        let mut open = self.lock();
        let Some(link) = open.links.remove(&id) else { return };
        let client = client_of(link.remote);
        if let Some(from_client) = open.per_client.get_mut(&client) {
            *from_client -= 1;
            if *from_client == 0 {
                open.per_client.remove(&client);
            }
        }
        drop(link);
        if open.links.is_empty() {
            self.emptied.notify_all();
        }
    }

    pub(super) fn open_count(&self) -> usize {
        self.lock().links.len()
    }

    /// Ends the reading side of every idle connection; how many were idle, and how many were not.
    pub(super) fn end_idle(&self) -> (usize, usize) {
        let open = self.lock();
        let idle = open.links.values().filter(|link| link.idle.load(Ordering::SeqCst));
        let idle_count = idle.inspect(|link| link.end(Shutdown::Read)).count();
        (idle_count, open.links.len() - idle_count)
    }

    /// Cuts every connection; how many there were.
    pub(super) fn cut_all(&self) -> usize {
        let open = self.lock();
        open.links.values().for_each(|link| link.end(Shutdown::Both));
        open.links.len()
    }

    /// Returns when no connection is open, or at the deadline.
    pub(super) fn wait_until_empty(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.emptied.wait_timeout_while(self.lock(), left, |open| !open.links.is_empty());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes `bytes` of the budget that large bodies share; `None` where it is used up.
    pub(super) fn large_body(&self, bytes: usize, bytes_max: usize) -> Option<LargeBody<'_>> {
        let taken = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= bytes_max);
        self.large_bodies_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).ok()?;
        Some(LargeBody { budget: &self.large_bodies_bytes, bytes })
    }

    /// No invariant can be broken half-way by a panic in here, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, OpenLinks> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share of the budget for large bodies, given back on drop.
pub(super) struct LargeBody<'a> {
    budget: &'a AtomicUsize,
    bytes: usize,
}

impl Drop for LargeBody<'_> {
    fn drop(&mut self) {
        self.budget.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the cap per address counts: an IPv4 address, or an IPv6 /64.
fn client_of(remote: IpAddr) -> IpAddr {
    match remote {
        IpAddr::V4(_) => remote,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, TcpListener, TcpStream};
    use std::sync::Arc;

    use super::{Admission, Link, TurnedAway, client_of};

    fn links(remotes: &[&str]) -> Vec<Arc<Link>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let link = |remote: &&str| Arc::new(Link::new(TcpStream::connect(addr).unwrap(), remote.parse().unwrap()));
        remotes.iter().map(link).collect()
    }

    #[test]
    fn caps_count_per_client_and_in_all() {
        let admission = Admission::new(4, 2);
        let links = links(&["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1", "2001:db8::1", "2001:db8::2", "2001:db8::3"]);
        let admitted: Vec<_> = links.iter().map(|link| admission.admit(link)).collect();
        let full = Err(TurnedAway::Full);
        assert_eq!(admitted, [Ok(0), Ok(1), Err(TurnedAway::Address), Ok(2), Ok(3), full]);
        admission.leave(0);
        admission.leave(0);
        assert_eq!(admission.open_count(), 3);
        assert_eq!(admission.admit(&links[2]), Ok(4));
        (1..5).for_each(|id| admission.leave(id));
        assert!(admission.lock().per_client.is_empty());
    }

    #[test]
    fn an_ipv6_client_is_its_64() {
        let client = |text: &str| client_of(text.parse::<IpAddr>().unwrap()).to_string();
        assert_eq!(client("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(client("10.1.2.3"), "10.1.2.3");
    }

    #[test]
    fn large_bodies_share_a_budget() {
        let admission = Admission::new(1, 1);
        let first = admission.large_body(60, 100).unwrap();
        assert!(admission.large_body(41, 100).is_none());
        assert!(admission.large_body(usize::MAX, 100).is_none());
        drop(first);
        assert!(admission.large_body(100, 100).is_some());
    }
}
