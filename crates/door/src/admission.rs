//! The places of open connections: the caps, and the handle by which a drain ends each connection.
//!
//! Invariant: a connection has its place from before its first read until after its socket is closed. So an empty
//! admission means that no socket is left and no request is in a handler.

use std::collections::HashMap;
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peernet_threads::lock;

use crate::budget::ByteBudget;
use crate::limits::DoorLimits;
use crate::link::{Client, Link};
use crate::waiting::WaitingRoom;

/// Connections of one client that may wait, for each one it may have open.
const WAITING_PER_PLACE: usize = 16;

/// The reason why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnedAway {
    /// The door has no place left.
    Full,
    /// The client has its share.
    Address,
}

/// The decision about a new connection.
pub(crate) enum Entry {
    /// The connection has place `id`. If no place was free, the waiting connection `gives_way` must be turned away.
    In {
        id: u64,
        gives_way: Option<Arc<Link>>,
    },
    /// The connection waits until another of the same client ends.
    Waits,
    Not(TurnedAway),
}

/// The open connections and their caps.
pub(crate) struct Admission {
    connections_max: usize,
    per_address_max: usize,
    address_wait: Duration,
    open: Mutex<OpenLinks>,
    emptied: Condvar,
    /// A connection began to wait, or waiting has ended for good.
    waiting_changed: Condvar,
    /// The number of waiting connections, for the hot path, which must not take the lock to learn that it is zero.
    waiting_count: AtomicUsize,
    /// Bytes announced by large bodies that are being read or handled.
    pub(crate) large_bodies: ByteBudget,
    /// Bytes of large replies that are being written.
    pub(crate) large_replies: ByteBudget,
}

#[derive(Default)]
struct OpenLinks {
    next_id: u64,
    links: HashMap<u64, Arc<Link>>,
    per_client: HashMap<Client, usize>,
    waiting: WaitingRoom,
    /// No connection may wait any more.
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
            large_bodies: ByteBudget::default(),
            large_replies: ByteBudget::default(),
        }
    }

    /// Takes a place for the connection, which [`Admission::leave`] gives back, or lets it wait for one. A waiting
    /// connection keeps no other out: it gives way to a connection that is within its client's cap.
    pub(crate) fn admit(&self, link: &Arc<Link>) -> Entry {
        let client = link.client();
        let mut open = self.lock();
        let has_room = open.links.len() + open.waiting.len() < self.connections_max;
        if open.per_client.get(&client).is_some_and(|count| *count >= self.per_address_max) {
            let waits = has_room && self.lets_wait(&mut open, link);
            return if waits { Entry::Waits } else { Entry::Not(TurnedAway::Address) };
        }
        if open.links.len() >= self.connections_max {
            return Entry::Not(TurnedAway::Full);
        }
        let gives_way = if has_room { None } else { open.waiting.pop_last() };
        self.count_waiting(&open);
        *open.per_client.entry(client).or_default() += 1;
        let id = open.next_id;
        open.next_id += 1;
        open.links.insert(id, Arc::clone(link));
        Entry::In { id, gives_way }
    }

    fn lets_wait(&self, open: &mut OpenLinks, link: &Arc<Link>) -> bool {
        let until = Instant::now() + self.address_wait;
        let per_client_max = self.per_address_max.saturating_mul(WAITING_PER_PLACE);
        let waits = !open.closed && !self.address_wait.is_zero() && open.waiting.push(link, until, per_client_max);
        if waits {
            self.count_waiting(open);
            self.waiting_changed.notify_all();
        }
        waits
    }

    /// Ends a connection and gives its place to the next waiting connection of the same client. If there is none, gives
    /// the place back and returns `None`. The caller has dropped its own handle of the link.
    pub(crate) fn pass_on(&self, id: u64) -> Option<Arc<Link>> {
        let mut open = self.lock();
        let client = open.links.get(&id).map(|link| link.client())?;
        let Some(next) = open.waiting.pop_of(client) else {
            drop(open);
            self.leave(id);
            return None;
        };
        self.count_waiting(&open);
        let ended = open.links.insert(id, Arc::clone(&next));
        drop(open);
        drop(ended);
        Some(next)
    }

    /// Returns whether another connection of this link's client waits for a place.
    pub(crate) fn is_wanted(&self, link: &Link) -> bool {
        self.waiting_count() > 0 && self.lock().waiting.has(link.client())
    }

    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting_count.load(Ordering::Relaxed)
    }

    /// Calls `turn_away` for each connection that has waited too long, until [`Admission::end_waiting`].
    pub(crate) fn watch_waiting(&self, turn_away: impl Fn(&Link)) {
        let mut open = self.lock();
        while !open.closed {
            let left = open.waiting.first_deadline().map(|until| until.saturating_duration_since(Instant::now()));
            open = match left {
                None => self.waiting_changed.wait(open).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    let overdue = open.waiting.pop_first();
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

    /// Ends waiting for good. Returns the connections that waited.
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

    /// Gives a place back. The caller has dropped its own handle of the link, so the socket closes here.
    pub(crate) fn leave(&self, id: u64) {
        let mut open = self.lock();
        let Some(link) = open.links.remove(&id) else { return };
        let client = link.client();
        if let Some(of_client) = open.per_client.get_mut(&client) {
            *of_client -= 1;
            if *of_client == 0 {
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

    /// The numbers of connections without and with a request in flight.
    pub(crate) fn idle_and_busy(&self) -> (usize, usize) {
        let open = self.lock();
        let idle_count = open.links.values().filter(|link| link.is_idle()).count();
        (idle_count, open.links.len() - idle_count)
    }

    /// Ends the reading side of every idle connection.
    pub(crate) fn end_idle(&self) {
        let open = self.lock();
        open.links.values().filter(|link| link.is_idle()).for_each(|link| link.end(Shutdown::Read));
    }

    /// Cuts every connection. Returns the number of connections there were.
    pub(crate) fn cut_all(&self) -> usize {
        let open = self.lock();
        open.links.values().for_each(|link| link.end(Shutdown::Both));
        open.links.len()
    }

    /// Waits until no connection is open, at most until `deadline`.
    pub(crate) fn wait_until_empty(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.emptied.wait_timeout_while(self.lock(), left, |open| !open.links.is_empty());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, OpenLinks> {
        lock(&self.open)
    }
}

#[cfg(test)]
mod tests;
