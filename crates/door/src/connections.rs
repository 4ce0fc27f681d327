//! The admitted connections: each waits in its slot for its client, is advanced by one thread at a time, and ends in its deadline.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::Reply;
use crate::admission::Link;
use crate::crew::{Crew, Work};
use crate::door::Shared;
use crate::exchange::{Exchange, Next};
use crate::poll::Event;
use crate::slots::Slots;
use crate::wire::Line;

/// The thread that watches the deadlines.
const WATCH_NAME: &str = "door-deadlines";
/// Slots beyond the most connections, because one that ends gives its slot back a moment after its place.
const SLOTS_SPARE: usize = 64;
/// How often they are looked at: so many times within the shortest of them, and no more and no less often than this.
const LOOKS_PER_DEADLINE: u32 = 8;
const LOOK_EVERY: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(250)];

thread_local! {
    static BUFFERS: RefCell<Buffers> = const { RefCell::new(Buffers { read: Vec::new(), out: Vec::new() }) };
}

/// A thread's memory, which every connection uses that it advances.
struct Buffers {
    /// What comes is read into it.
    read: Vec<u8>,
    /// Answers are printed there.
    out: Vec<u8>,
}

/// One connection while it is nobody's, and what it holds.
struct Connection {
    exchange: Exchange<Line>,
    place: Place,
    slot: usize,
    /// The poller has seen its socket.
    is_known: bool,
}

/// All of them, and the threads that serve them.
pub(crate) struct Connections {
    shared: Arc<Shared>,
    crew: Arc<Crew>,
    slots: Slots<Box<Connection>>,
}

impl Connections {
    /// Starts the threads.
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Arc<Self>> {
        let crew = Crew::new(shared.limits.stack_bytes)?;
        let slots = Slots::new(shared.limits.connections() + SLOTS_SPARE);
        let connections = Arc::new(Self { shared: Arc::clone(shared), crew, slots });
        // Weak, because the threads belong to the crew, and the crew to the connections.
        let served = Arc::downgrade(&connections);
        let work: Arc<Work> = Arc::new(move |event| served.upgrade().iter().for_each(|served| served.advance(event)));
        if let Err(error) = connections.crew.start(&work) {
            connections.crew.dismiss(Instant::now());
            return Err(error);
        }
        Ok(connections)
    }

    /// Takes in a connection that has a place.
    pub(crate) fn welcome(&self, id: u64, link: Arc<Link>) {
        let place = Place { id, shared: Arc::clone(&self.shared) };
        match self.slots.reserve() {
            Some(slot) => self.begin(link, place, slot),
            None => self.shared.counters.accept_errors.add_one(),
        }
    }

    fn begin(&self, link: Arc<Link>, place: Place, slot: usize) {
        self.shared.counters.connections.add_one();
        let wire = Line::new(Arc::clone(&link), &self.shared.security);
        let exchange = Exchange::new(wire, link, &self.shared);
        self.wait(Box::new(Connection { exchange, place, slot, is_known: false }), false);
    }

    /// Something has come on a connection. Where somebody has it, he hears that it was called.
    fn advance(self: &Arc<Self>, event: Event) {
        if let Some(connection) = self.slots.take(event.key) {
            self.go_on(connection, |exchange, shared, out| exchange.advance(shared, out, event.ended));
        }
    }

    /// Has the connection do one step, and then what that step ended in.
    fn go_on(
        self: &Arc<Self>,
        mut connection: Box<Connection>,
        step: impl FnOnce(&mut Exchange<Line>, &Shared, &mut Vec<u8>) -> Next,
    ) {
        let slot = connection.slot;
        let step = AssertUnwindSafe(|| {
            let next = BUFFERS.with_borrow_mut(|Buffers { read, out }| {
                connection.exchange.inbox().borrow(read);
                let next = step(&mut connection.exchange, &self.shared, out);
                connection.exchange.inbox().give_back(read);
                next
            });
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
            Next::Later(later) => {
                let connections = Arc::clone(self);
                later(Box::new(move |reply| connections.resume(connection, &reply)));
            }
            Next::End => self.finish(*connection),
        }
    }

    /// The reply is there that the connection waited for.
    fn resume(self: &Arc<Self>, connection: Box<Connection>, reply: &Reply) {
        self.go_on(connection, |exchange, shared, out| exchange.resume(shared, out, reply));
    }

    /// Leaves the connection in its slot until its client or its deadline comes, or, `again`, until a thread is free. So it is too where
    /// something came while it was out: the thread that heard of it found nobody.
    fn wait(&self, connection: Box<Connection>, again: bool) {
        let (slot, poller) = (connection.slot, self.crew.poller());
        let armed = self.slots.put(slot, connection, |connection, called| {
            let was_known = std::mem::replace(&mut connection.is_known, true);
            let stream = &connection.exchange.link().stream;
            match (was_known, again || called) {
                (false, _) => poller.add(stream, slot),
                (true, false) => Ok(()),
                (true, true) => poller.call(stream, slot),
            }
        });
        if let Err(connection) = armed {
            self.shared.counters.accept_errors.add_one();
            self.finish(*connection);
        }
    }

    /// Ends a connection; who waits for its place has it, and its slot.
    fn finish(&self, connection: Connection) {
        let Connection { exchange, place, slot, .. } = connection;
        drop(exchange);
        match self.shared.admission.pass_on(place.id) {
            Some(link) => self.begin(link, place, slot),
            None => self.slots.give_back(slot),
        }
    }

    fn expire(self: &Arc<Self>) {
        let now = Instant::now();
        self.slots.take_due(
            |connection| connection.exchange.until() <= now,
            |connection| self.go_on(connection, |exchange, shared, out| exchange.expire(shared, out)),
        );
    }
}

/// The connections, and the thread that ends those whose deadline has passed.
pub(crate) struct Serving {
    connections: Arc<Connections>,
    deadlines: JoinHandle<()>,
    /// Never sent to: that thread ends when it is dropped.
    stop: Sender<Infallible>,
}

impl Serving {
    /// Starts all of the threads.
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let connections = Connections::start(shared)?;
        let (stop, stopped) = bounded(0);
        match spawn_watch(Arc::clone(&connections), stopped) {
            Ok(deadlines) => Ok(Self { connections, deadlines, stop }),
            Err(error) => {
                connections.crew.dismiss(Instant::now());
                Err(error)
            }
        }
    }

    pub(crate) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Ends them; returns when they have ended, or at the deadline where the service holds some.
    pub(crate) fn end(self, deadline: Instant) {
        drop(self.stop);
        // A panic in it leaves nothing to clean up: the connections are ended either way.
        let _ = self.deadlines.join();
        self.connections.crew.dismiss(deadline);
    }
}

fn spawn_watch(connections: Arc<Connections>, stopped: Receiver<Infallible>) -> io::Result<JoinHandle<()>> {
    let limits = &connections.shared.limits;
    let shortest = limits.head_deadline.min(limits.idle_deadline).min(limits.linger);
    let [least, most] = LOOK_EVERY;
    let every = (shortest / LOOKS_PER_DEADLINE).clamp(least, most);
    let watch = move || {
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            connections.expire();
        }
    };
    thread::Builder::new().name(WATCH_NAME.to_owned()).spawn(watch)
}

/// A connection's place in the admission, given back last, after its socket's other owners.
struct Place {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.admission.leave(self.id);
    }
}
