//! The worker pool: as many active workers as the machine has cores, and substitutes for those that wait.
//!
//! An *active* worker asks the poller for the next readiness event and advances that connection. Before a worker waits
//! for anything (a database, a commit, a slow client), it hands its active role to an idle or a new worker. So a
//! request that is answered from memory never stands behind one that waits. Idle connections cost no worker, however
//! many there are.
//!
//! Invariant: the number of active workers is constant until the pool is shut down, unless the system has no more
//! threads.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use peernet_threads::{ElasticGroup, before_blocking, lock};

use crate::poll::{Event, Poller};

/// Every worker's name; 15 bytes is what Linux shows.
const NAME: &str = "door-connection";
/// The time for which a worker without the active role stays, in case a role is handed over soon.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// The fewest active workers: a handler that computes for long must not stop all others.
const ACTIVE_MIN: usize = 2;

thread_local! {
    static IS_ACTIVE: Cell<bool> = const { Cell::new(false) };
}

/// The workers and the poller that they wait on.
pub(crate) struct WorkerPool {
    poller: Arc<Poller>,
    stack_bytes: usize,
    threads: Arc<ElasticGroup>,
    state: Mutex<State>,
    /// An active role was handed over, or the pool is shut down.
    handed_over: Condvar,
}

#[derive(Default)]
struct State {
    /// Workers that wait for an active role.
    idle: usize,
    /// Active roles handed to idle workers that have not woken yet.
    handed_over: usize,
    is_shut_down: bool,
}

/// A worker's reaction to a readiness event.
pub(crate) type Work = dyn Fn(Event) + Send + Sync;

impl WorkerPool {
    pub(crate) fn new(stack_bytes: usize) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            poller: Arc::new(Poller::new()?),
            stack_bytes,
            threads: Arc::default(),
            state: Mutex::default(),
            handed_over: Condvar::new(),
        }))
    }

    pub(crate) fn poller(&self) -> &Arc<Poller> {
        &self.poller
    }

    /// Starts the active workers: `count`, or one for each core.
    pub(crate) fn start(self: &Arc<Self>, count: Option<usize>, work: &Arc<Work>) -> io::Result<()> {
        let cores = || std::thread::available_parallelism().map_or(ACTIVE_MIN, usize::from);
        (0..count.unwrap_or_else(cores).max(ACTIVE_MIN)).try_for_each(|_| self.spawn_worker(work))
    }

    /// Stops all workers. A worker inside a handler ends when the handler returns. Waits for them until `deadline`.
    pub(crate) fn shut_down(&self, deadline: Instant) {
        lock(&self.state).is_shut_down = true;
        self.poller.end();
        self.handed_over.notify_all();
        self.threads.wait_until_ended(deadline.saturating_duration_since(Instant::now()));
    }

    /// Starts a worker with the active role.
    fn spawn_worker(self: &Arc<Self>, work: &Arc<Work>) -> io::Result<()> {
        let pool = Arc::clone(self);
        let work = Arc::clone(work);
        self.threads.spawn(NAME, self.stack_bytes, move || pool.run(&work))
    }

    fn run(self: &Arc<Self>, work: &Arc<Work>) {
        IS_ACTIVE.set(true);
        let pool = Arc::clone(self);
        let substitute = Arc::clone(work);
        before_blocking(move || pool.hand_over(&substitute));
        while IS_ACTIVE.get() || self.await_active_role() {
            match self.poller.wait() {
                Some(event) => work(event),
                None => break,
            }
        }
    }

    /// Hands this worker's active role to another. If the system has no thread for that, this worker keeps the role.
    fn hand_over(self: &Arc<Self>, work: &Arc<Work>) {
        if !IS_ACTIVE.get() {
            return;
        }
        let mut state = lock(&self.state);
        if state.idle > 0 {
            state.idle -= 1;
            state.handed_over += 1;
            self.handed_over.notify_one();
            IS_ACTIVE.set(false);
        } else {
            drop(state);
            IS_ACTIVE.set(self.spawn_worker(work).is_err());
        }
    }

    /// Waits for an active role; false if none comes within [`IDLE_MAX`], or the pool is shut down.
    fn await_active_role(&self) -> bool {
        let until = Instant::now() + IDLE_MAX;
        let mut state = lock(&self.state);
        state.idle += 1;
        loop {
            if state.handed_over > 0 {
                state.handed_over -= 1;
                IS_ACTIVE.set(true);
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.is_shut_down || left.is_zero() {
                state.idle -= 1;
                return false;
            }
            state = self.handed_over.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
    use peernet_threads::Blocking;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);
    const STACK_BYTES: usize = 128 * 1024;

    /// A pool with `ACTIVE_MIN` workers, and sockets whose wakes reach them.
    struct Scene {
        pool: Arc<WorkerPool>,
        sockets: Vec<(UnixStream, UnixStream)>,
        events: Receiver<usize>,
        gate: Sender<()>,
    }

    impl Scene {
        /// Events with an even key wait at the gate after they were reported.
        fn start(sockets: usize) -> Self {
            let pool = WorkerPool::new(STACK_BYTES).unwrap();
            let (told, events) = unbounded();
            let (gate, opened) = bounded::<()>(0);
            let work: Arc<Work> = Arc::new(move |event: Event| {
                told.send(event.key).unwrap();
                if event.key.is_multiple_of(2) {
                    let _blocking = Blocking::declare();
                    let _disconnected = opened.recv();
                }
            });
            let sockets: Vec<_> = (0..sockets).map(|_| UnixStream::pair().unwrap()).collect();
            for (key, (_, server)) in sockets.iter().enumerate() {
                pool.poller().add(server, key).unwrap();
            }
            pool.start(Some(ACTIVE_MIN), &work).unwrap();
            Self { pool, sockets, events, gate }
        }

        fn wake(&self, key: usize) {
            self.pool.poller().wake(&self.sockets[key].1, key).unwrap();
        }

        fn next_event(&self) -> usize {
            self.events.recv_timeout(PATIENCE).expect("a worker takes the event")
        }
    }

    #[test]
    fn waiting_workers_are_replaced_by_new_and_idle_ones() {
        let scene = Scene::start(8);
        for key in [0, 2, 4, 6] {
            scene.wake(key);
            assert_eq!(scene.next_event(), key);
        }
        scene.wake(1);
        assert_eq!(scene.next_event(), 1, "more waiting workers than active ones must not stop the pool");
        let threads = scene.pool.threads.running();
        assert!(threads > ACTIVE_MIN, "{threads}");
        drop(scene.gate);
        scene.pool.shut_down(Instant::now() + PATIENCE);
        assert_eq!(scene.pool.threads.running(), 0);
    }

    #[test]
    fn a_shutdown_does_not_outlast_its_deadline() {
        let scene = Scene::start(1);
        scene.wake(0);
        assert_eq!(scene.next_event(), 0);
        scene.pool.shut_down(Instant::now() + Duration::from_millis(50));
        assert_eq!(scene.pool.threads.running(), 1, "the worker at the gate is left");
        drop(scene.gate);
        assert_eq!(scene.pool.threads.wait_until_ended(PATIENCE), 0);
    }
}
