//! Which connections are open: the caps, and the handle by which a drain ends each of them.
//!
//! Invariant: a connection is in here from before anything is read of it until after its socket is closed, so an empty
//! admission means that no socket is left and no request is in the service.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::DoorLimits;
use crate::waiting::WaitingRoom;

/// How many times its cap a client may have waiting.
const WAITING_PER_PLACE: usize = 16;

/// Why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnedAway {
    Full,
    Address,
}

/// What becomes of a new connection.
pub(crate) enum Entry {
    /// It has this place. Where none was free, one that waited has to go.
    In {
        id: u64,
        gives_way: Option<Arc<Link>>,
    },
    /// It waits until a connection of the same client ends.
    Waits,
    Not(TurnedAway),
}

/// One open connection, as who serves it and a drain see it.
pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    pub(crate) remote: IpAddr,
    /// No request is in flight: it waits for one, or for the client to close.
    idle: AtomicBool,
}

impl Link {
    pub(crate) fn new(stream: TcpStream, remote: IpAddr) -> Self {
        Self { stream, remote: remote.to_canonical(), idle: AtomicBool::new(true) }
    }

    pub(crate) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::SeqCst);
    }

    /// Ends the connection in both or one direction; that it may be over already does not matter.
    fn end(&self, how: Shutdown) {
        let _ = self.stream.shutdown(how);
    }
}

/// The open connections and their caps.
pub(crate) struct Admission {
    connections_max: usize,
    per_address_max: usize,
    address_wait: Duration,
    open: Mutex<OpenLinks>,
    emptied: Condvar,
    /// Somebody waits, or nobody will any more.
    waiting_changed: Condvar,
    /// How many wait, so that the busiest path need not take the lock to learn that nobody does.
    waiting_count: AtomicUsize,
    /// Bytes announced by large bodies that are being read or handled.
    large_bodies_bytes: AtomicUsize,
    /// Bytes of large answers that are being written.
    large_answers_bytes: AtomicUsize,
}

#[derive(Default)]
struct OpenLinks {
    next_id: u64,
    links: HashMap<u64, Arc<Link>>,
    per_client: HashMap<IpAddr, usize>,
    waiting: WaitingRoom,
    /// Nobody may wait any more.
    closed: bool,
}

impl Admission {
    pub(crate) fn new(limits: &DoorLimits) -> Self {
        Self {
            connections_max: limits.connections(),
            per_address_max: limits.connections_per_address_max,
            address_wait: limits.address_wait,
            open: Mutex::default(),
            emptied: Condvar::new(),
            waiting_changed: Condvar::new(),
            waiting_count: AtomicUsize::new(0),
            large_bodies_bytes: AtomicUsize::new(0),
            large_answers_bytes: AtomicUsize::new(0),
        }
    }

    /// Takes a place for the connection, which [`Admission::leave`] gives back, or lets it wait for one. Who waits takes
    /// no place from anyone: he gives way to a connection that is within its client's cap.
    pub(crate) fn admit(&self, link: &Arc<Link>) -> Entry {
        let client = client_of(link.remote);
        let mut open = self.lock();
        let has_room = open.links.len() + open.waiting.len() < self.connections_max;
        if open.per_client.get(&client).is_some_and(|count| *count >= self.per_address_max) {
            let waits = has_room && self.lets_wait(&mut open, client, link);
            return if waits { Entry::Waits } else { Entry::Not(TurnedAway::Address) };
        }
        if open.links.len() >= self.connections_max {
            return Entry::Not(TurnedAway::Full);
        }
        let gives_way = if has_room { None } else { open.waiting.last() };
        self.count_waiting(&open);
        *open.per_client.entry(client).or_default() += 1;
        let id = open.next_id;
        open.next_id += 1;
        open.links.insert(id, Arc::clone(link));
        Entry::In { id, gives_way }
    }

    fn lets_wait(&self, open: &mut OpenLinks, client: IpAddr, link: &Arc<Link>) -> bool {
        let (until, most) =
            (Instant::now() + self.address_wait, self.per_address_max.saturating_mul(WAITING_PER_PLACE));
        let waits = !open.closed && !self.address_wait.is_zero() && open.waiting.take_in(client, link, until, most);
        if waits {
            self.count_waiting(open);
            self.waiting_changed.notify_all();
        }
        waits
    }

    /// Ends a connection and gives its place to the next one that waits at the same client; `None`, and the place is given
    /// back, where there is none. The caller has dropped its own share of the link.
    pub(crate) fn pass_on(&self, id: u64) -> Option<Arc<Link>> {
        let mut open = self.lock();
        let client = open.links.get(&id).map(|link| client_of(link.remote))?;
        let Some(next) = open.waiting.next_of(client) else {
            drop(open);
            self.leave(id);
            return None;
        };
        self.count_waiting(&open);
        let ended = open.links.insert(id, Arc::clone(&next));
        drop((open, ended));
        Some(next)
    }

    /// Whether somebody waits for a place of this connection's client.
    pub(crate) fn is_wanted(&self, link: &Link) -> bool {
        self.waiting_count() > 0 && self.lock().waiting.has(client_of(link.remote))
    }

    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting_count.load(Ordering::Relaxed)
    }

    /// Has those turned away who have waited too long, until [`Admission::end_waiting`].
    pub(crate) fn watch_waiting(&self, turn_away: impl Fn(&Link)) {
        let mut open = self.lock();
        while !open.closed {
            let left = open.waiting.first_until().map(|until| until.saturating_duration_since(Instant::now()));
            open = match left {
                None => self.waiting_changed.wait(open).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    let overdue = open.waiting.first();
                    self.count_waiting(&open);
                    drop(open);
                    overdue.iter().for_each(|link| turn_away(link));
                    self.lock()
                }
                Some(left) => {
                    let waited = self.waiting_changed.wait_timeout(open, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Nobody waits any more; returns who did.
    pub(crate) fn end_waiting(&self) -> WaitingRoom {
        let mut open = self.lock();
        open.closed = true;
        let waiting = std::mem::take(&mut open.waiting);
        self.count_waiting(&open);
        self.waiting_changed.notify_all();
        waiting
    }

    fn count_waiting(&self, open: &OpenLinks) {
        self.waiting_count.store(open.waiting.len(), Ordering::Relaxed);
    }

    /// Gives a place back. The caller has dropped its own share of the link, so the socket closes here.
    pub(crate) fn leave(&self, id: u64) {
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

    pub(crate) fn open_count(&self) -> usize {
        self.lock().links.len()
    }

    /// How many connections are idle, and how many are not.
    pub(crate) fn idle_and_busy(&self) -> (usize, usize) {
        let open = self.lock();
        let idle_count = open.links.values().filter(|link| link.idle.load(Ordering::SeqCst)).count();
        (idle_count, open.links.len() - idle_count)
    }

    /// Ends the reading side of every idle connection.
    pub(crate) fn end_idle(&self) {
        let open = self.lock();
        let idle = open.links.values().filter(|link| link.idle.load(Ordering::SeqCst));
        idle.for_each(|link| link.end(Shutdown::Read));
    }

    /// Cuts every connection; how many there were.
    pub(crate) fn cut_all(&self) -> usize {
        let open = self.lock();
        open.links.values().for_each(|link| link.end(Shutdown::Both));
        open.links.len()
    }

    /// Returns when no connection is open, or at the deadline.
    pub(crate) fn wait_until_empty(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.emptied.wait_timeout_while(self.lock(), left, |open| !open.links.is_empty());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes `bytes` of the budget that large bodies share; `None` where it is used up.
    pub(crate) fn large_body(&self, bytes: usize, bytes_max: usize) -> Option<LargeBody<'_>> {
        LargeBody::take(&self.large_bodies_bytes, bytes, bytes_max)
    }

    /// The same for answers: clients that read slowly must not fill the memory with what waits for them.
    pub(crate) fn large_answer(&self, bytes: usize, bytes_max: usize) -> Option<LargeBody<'_>> {
        LargeBody::take(&self.large_answers_bytes, bytes, bytes_max)
    }

    /// No invariant can be broken half-way by a panic in here, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, OpenLinks> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share of a budget for large bodies, given back on drop.
pub(crate) struct LargeBody<'a> {
    budget: &'a AtomicUsize,
    bytes: usize,
}

impl<'a> LargeBody<'a> {
    fn take(budget: &'a AtomicUsize, bytes: usize, bytes_max: usize) -> Option<Self> {
        let taken = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= bytes_max);
        budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).ok()?;
        Some(Self { budget, bytes })
    }
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
mod tests;
