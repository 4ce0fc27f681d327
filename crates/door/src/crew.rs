//! The threads that serve connections: as many at work as the machine has cores, and stand-ins for those that wait.
//!
//! A thread at work has a *seat*: it asks the poller for the next connection with something to say, and answers it. Before it
//! waits for anything (a database, a commit, a slow client) it gives its seat to another, parked or new, so that what can be
//! answered from memory never stands behind what cannot. However many connections are idle, they cost no thread.
//!
//! Invariant: every seat is taken until the crew is dismissed.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use peernet_threads::before_blocking;

use crate::poll::{Event, Poller};
use peernet_threads::lock;

/// Every thread's name; 15 bytes is what Linux shows.
const NAME: &str = "door-connection";
/// How long a thread without a seat stays, in case one is given away soon.
const PARKED_FOR: Duration = Duration::from_secs(10);
/// The fewest seats: one thread that computes for long must not be all there is.
const SEATS_MIN: usize = 2;

thread_local! {
    static SEATED: Cell<bool> = const { Cell::new(false) };
}

/// The threads and what they wait on.
pub(crate) struct Crew {
    poller: Poller,
    stack_bytes: usize,
    state: Mutex<State>,
    /// A seat is free for who is parked, or the crew is dismissed.
    seat_given: Condvar,
    gone: Condvar,
}

#[derive(Default)]
struct State {
    threads: usize,
    parked: usize,
    /// Seats given to parked threads that have not woken yet.
    given: usize,
    dismissed: bool,
}

/// What a thread does when something came on a connection.
pub(crate) type Work = dyn Fn(Event) + Send + Sync;

impl Crew {
    pub(crate) fn new(stack_bytes: usize) -> io::Result<Arc<Self>> {
        let (state, seat_given, gone) = (Mutex::default(), Condvar::new(), Condvar::new());
        Ok(Arc::new(Self { poller: Poller::new()?, stack_bytes, state, seat_given, gone }))
    }

    pub(crate) fn poller(&self) -> &Poller {
        &self.poller
    }

    /// Fills the seats.
    pub(crate) fn start(self: &Arc<Self>, work: &Arc<Work>) -> io::Result<()> {
        let cores = thread::available_parallelism().map_or(SEATS_MIN, usize::from);
        (0..cores.max(SEATS_MIN)).try_for_each(|_| self.hire(work))
    }

    /// Sends everybody home; who is in the service goes when it comes back. Returns when all are gone, or at the deadline.
    pub(crate) fn dismiss(&self, deadline: Instant) {
        let mut state = lock(&self.state);
        state.dismissed = true;
        self.poller.end();
        self.seat_given.notify_all();
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.gone.wait_timeout_while(state, left, |state| state.threads > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Starts a thread that has a seat.
    fn hire(self: &Arc<Self>, work: &Arc<Work>) -> io::Result<()> {
        let (crew, work) = (Arc::clone(self), Arc::clone(work));
        let thread = thread::Builder::new().name(NAME.to_owned()).stack_size(self.stack_bytes);
        lock(&self.state).threads += 1;
        // The handle is let go: the thread is counted, and a finished one that waits to be joined keeps its stack.
        match thread.spawn(move || crew.serve(&work)) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.leave();
                Err(error)
            }
        }
    }

    fn serve(self: &Arc<Self>, work: &Arc<Work>) {
        SEATED.set(true);
        let (crew, substitute) = (Arc::clone(self), Arc::clone(work));
        before_blocking(move || crew.give_seat_away(&substitute));
        while SEATED.get() || self.await_seat() {
            match self.poller.wait() {
                Some(event) => work(event),
                None => break,
            }
        }
        self.leave();
    }

    /// Has another thread go on in this one's seat. Where none can be had, this one keeps it.
    fn give_seat_away(self: &Arc<Self>, work: &Arc<Work>) {
        if !SEATED.get() {
            return;
        }
        let mut state = lock(&self.state);
        if state.parked > 0 {
            state.parked -= 1;
            state.given += 1;
            self.seat_given.notify_one();
            SEATED.set(false);
        } else {
            drop(state);
            SEATED.set(self.hire(work).is_err());
        }
    }

    /// Waits for somebody's seat; false where there is none for long, or never again.
    fn await_seat(&self) -> bool {
        let until = Instant::now() + PARKED_FOR;
        let mut state = lock(&self.state);
        state.parked += 1;
        loop {
            if state.given > 0 {
                state.given -= 1;
                SEATED.set(true);
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.dismissed || left.is_zero() {
                state.parked -= 1;
                return false;
            }
            state = self.seat_given.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn leave(&self) {
        let mut state = lock(&self.state);
        state.threads -= 1;
        if state.threads == 0 {
            self.gone.notify_all();
        }
    }
}
