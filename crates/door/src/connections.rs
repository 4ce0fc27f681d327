//! The admitted connections: each waits in its slot for its client, is advanced by one thread at a time, and ends at
//! its deadline.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use peernet_threads::Group;

use crate::door::Shared;
use crate::exchange::{Exchange, Next};
use crate::link::Link;
use crate::poll::Event;
use crate::slots::Slots;
use crate::wire::Line;
use crate::workers::{Work, WorkerPool};

/// The name of the thread that watches the deadlines.
const WATCH_NAME: &str = "door-deadlines";
/// Slots beyond the most connections, because a connection that ends gives its slot back a moment after its place.
const SLOTS_SPARE: usize = 64;
/// Deadlines are looked at this many times within the shortest of them.
const LOOKS_PER_DEADLINE: u32 = 8;
/// Deadlines are looked at no more often than this, to save the walk over all slots.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(5);
/// Deadlines are looked at no less often than this.
const LOOK_EVERY_MAX: Duration = Duration::from_millis(250);

thread_local! {
    static BUFFERS: RefCell<Buffers> = const { RefCell::new(Buffers { read: Vec::new(), out: Vec::new() }) };
}

/// A thread's buffers, used by every connection that it advances.
#[derive(Default)]
struct Buffers {
    /// Received bytes.
    read: Vec<u8>,
    /// Printed replies.
    out: Vec<u8>,
}

/// One connection and everything it holds.
struct Connection {
    exchange: Exchange<Line>,
    place: Place,
    slot: usize,
    /// Whether the poller has the socket.
    is_registered: bool,
}

/// All connections, and the workers that serve them.
pub(crate) struct Connections {
    shared: Arc<Shared>,
    workers: Arc<WorkerPool>,
    slots: Slots<Box<Connection>>,
}

impl Connections {
    /// Starts the workers.
    fn start(shared: &Arc<Shared>) -> io::Result<Arc<Self>> {
        let workers = WorkerPool::new(shared.limits.stack_bytes)?;
        let slots = Slots::new(shared.limits.connections() + SLOTS_SPARE);
        let connections = Arc::new(Self { shared: Arc::clone(shared), workers, slots });
        // Weak, because the workers belong to the pool, and the pool to the connections.
        let served = Arc::downgrade(&connections);
        let work: Arc<Work> = Arc::new(move |event| served.upgrade().iter().for_each(|served| served.advance(event)));
        if let Err(error) = connections.workers.start(shared.limits.workers, &work) {
            connections.workers.shut_down(Instant::now());
            return Err(error);
        }
        Ok(connections)
    }

    /// Takes in a connection that has a place.
    pub(crate) fn welcome(self: &Arc<Self>, id: u64, link: Arc<Link>) {
        let place = Place { id, shared: Arc::clone(&self.shared) };
        match self.slots.reserve() {
            Some(slot) => self.begin(link, place, slot),
            None => self.shared.counters.accept_errors.add_one(),
        }
    }

    fn begin(self: &Arc<Self>, link: Arc<Link>, place: Place, slot: usize) {
        self.shared.counters.connections.add_one();
        let wire = Line::new(Arc::clone(&link), &self.shared.security);
        let exchange = Exchange::new(wire, link, &self.shared);
        self.wait(Box::new(Connection { exchange, place, slot, is_registered: false }), false);
    }

    /// Handles a readiness event. If another thread has the connection, the slot marks that it was called, and that
    /// thread requests another event before it puts the connection back.
    fn advance(self: &Arc<Self>, event: Event) {
        if let Some(connection) = self.slots.take(event.key) {
            self.step(connection, |exchange, shared, out| exchange.advance(shared, out, event.ended));
        }
    }

    /// Runs one step of a connection, and then does what the connection needs next.
    fn step(
        self: &Arc<Self>,
        mut connection: Box<Connection>,
        step: impl FnOnce(&mut Exchange<Line>, &Shared, &mut Vec<u8>) -> Next,
    ) {
        let slot = connection.slot;
        let step = AssertUnwindSafe(|| {
            // Taken and not borrowed: a handler may deliver the deferred reply of another connection, whose step then
            // runs inside this one.
            let mut buffers = BUFFERS.take();
            connection.exchange.inbox().borrow(&mut buffers.read);
            let next = step(&mut connection.exchange, &self.shared, &mut buffers.out);
            connection.exchange.inbox().give_back(&mut buffers.read);
            BUFFERS.set(buffers);
            (connection, next)
        });
        match catch_unwind(step) {
            Ok((connection, next)) => self.settle(connection, next),
            Err(_) => {
                self.shared.counters.panics.add_one();
                self.slots.give_back(slot);
            }
        }
    }

    fn settle(self: &Arc<Self>, connection: Box<Connection>, next: Next) {
        match next {
            Next::Wait => self.wait(connection, false),
            Next::Again => self.wait(connection, true),
            Next::Deferred(deferred) => {
                let connections = Arc::clone(self);
                deferred.then(move |reply| {
                    connections.step(connection, |exchange, shared, out| exchange.resume(shared, out, reply));
                });
            }
            Next::Streamed => self.begin_stream(connection),
            Next::End => self.finish(*connection),
        }
    }

    /// Lets pushes wake a worker for this connection, and sends the head and the bytes pushed so far.
    fn begin_stream(self: &Arc<Self>, connection: Box<Connection>) {
        let poller = Arc::clone(self.workers.poller());
        let link = Arc::clone(connection.exchange.link());
        let slot = connection.slot;
        // A failure means that the socket is broken, which its own event reports.
        connection.exchange.attach_stream(&self.shared, move || drop(poller.wake(&link.stream, slot)));
        self.step(connection, |exchange, shared, out| exchange.advance(shared, out, false));
    }

    /// Leaves the connection in its slot until its client or its deadline comes, or, with `again`, until a worker is
    /// free. A worker is also called if an event arrived while the connection was out, because the thread that took
    /// that event found nothing.
    fn wait(self: &Arc<Self>, connection: Box<Connection>, again: bool) {
        let slot = connection.slot;
        let poller = self.workers.poller();
        let registered = self.slots.put(slot, connection, |connection, called| {
            let was_registered = std::mem::replace(&mut connection.is_registered, true);
            // A stream that went on while the drain ended the others would be missed without this.
            let must_end = self.shared.draining() && connection.exchange.is_streaming();
            let stream = &connection.exchange.link().stream;
            match (was_registered, again || called || must_end) {
                (false, _) => poller.add(stream, slot),
                (true, false) => Ok(()),
                (true, true) => poller.wake(stream, slot),
            }
        });
        if let Err(connection) = registered {
            self.shared.counters.accept_errors.add_one();
            self.finish(*connection);
        }
    }

    /// Ends a connection. A connection that waits for its place gets the place and the slot.
    fn finish(self: &Arc<Self>, connection: Connection) {
        let Connection { exchange, place, slot, .. } = connection;
        drop(exchange);
        match self.shared.admission.pass_on(place.id) {
            Some(link) => self.begin(link, place, slot),
            None => self.slots.give_back(slot),
        }
    }

    /// Ends what has passed its deadline.
    fn expire(self: &Arc<Self>) {
        let now = Instant::now();
        self.slots.take_due(
            |connection| connection.exchange.deadline(&self.shared) <= now,
            |connection| self.step(connection, |exchange, shared, out| exchange.expire(shared, out, now)),
        );
    }

    /// Ends every streamed reply in order. The drain has begun, so a stream that another thread has ends when it is put
    /// back.
    fn end_streams(self: &Arc<Self>) {
        self.slots.take_due(
            |connection| connection.exchange.is_streaming(),
            |connection| self.step(connection, |exchange, shared, out| exchange.advance(shared, out, false)),
        );
    }
}

/// The connections, and the thread that ends those whose deadline has passed.
pub(crate) struct Serving {
    connections: Arc<Connections>,
    deadlines: Group,
    /// Never sent to. Dropping it ends that thread.
    stop: Sender<Infallible>,
}

impl Serving {
    /// Starts all of the threads.
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let connections = Connections::start(shared)?;
        let (stop, stopped) = bounded(0);
        let mut deadlines = Group::default();
        let watched = Arc::clone(&connections);
        match deadlines.spawn(WATCH_NAME, move || watch_deadlines(&watched, &stopped)) {
            Ok(()) => Ok(Self { connections, deadlines, stop }),
            Err(error) => {
                connections.workers.shut_down(Instant::now());
                Err(error)
            }
        }
    }

    pub(crate) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    pub(crate) fn end_streams(&self) {
        self.connections.end_streams();
    }

    /// Ends all threads. Returns when they have ended, or at `deadline` if handlers hold some.
    pub(crate) fn end(self, deadline: Instant) {
        drop(self.stop);
        // It never waits for a client, so it ends within one look.
        let _ended = self.deadlines.join(2 * LOOK_EVERY_MAX);
        self.connections.workers.shut_down(deadline);
    }
}

fn watch_deadlines(connections: &Arc<Connections>, stopped: &Receiver<Infallible>) {
    let shortest = connections.shared.limits.shortest_deadline();
    let every = (shortest / LOOKS_PER_DEADLINE).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
    while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        connections.expire();
    }
}

/// A connection's place in the admission, given back last, after its socket's other handles.
struct Place {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.admission.leave(self.id);
    }
}
