//! The threads of one process or component, joined by name within a deadline.

use std::fmt;
use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

/// The most threads one group holds; the bound of its "done" queue.
const THREADS_MAX: usize = 1_024;

/// The interval at which a join checks again whether a thread has finished.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Threads that were spawned here and not joined yet. Dropping a group without [`Group::join`] leaves them running.
pub struct Group {
    threads: Vec<(String, JoinHandle<()>)>,
    done_sender: Sender<()>,
    done: Receiver<()>,
}

/// The names of threads that were still running at the deadline.
#[derive(Debug, PartialEq, Eq)]
pub struct Stragglers(pub Vec<String>);

impl fmt::Display for Stragglers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "still running at the deadline: {}", self.0.join(", "))
    }
}

impl std::error::Error for Stragglers {}

/// Sends "done" when its thread ends, by return or by panic.
struct SendsDone(Sender<()>);

impl Drop for SendsDone {
    fn drop(&mut self) {
        // The queue has a place for every thread of the group, so it cannot be full. If it is disconnected, nothing
        // joins the group.
        let _ = self.0.try_send(());
    }
}

impl Default for Group {
    fn default() -> Self {
        let (done_sender, done) = bounded(THREADS_MAX);
        Self { threads: Vec::new(), done_sender, done }
    }
}

impl Group {
    /// Spawns a thread under `name` (Linux shows its first 15 bytes). Fails when the system has no more threads.
    pub fn spawn(&mut self, name: impl Into<String>, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.reap();
        if self.threads.len() >= THREADS_MAX {
            return Err(io::Error::other(format!("a group holds at most {THREADS_MAX} threads")));
        }
        let name = name.into();
        let sends_done = SendsDone(self.done_sender.clone());
        let handle = Builder::new().name(name.clone()).spawn(move || {
            let _sends_done = sends_done;
            body();
        })?;
        self.threads.push((name, handle));
        Ok(())
    }

    /// The number of threads that were spawned and not joined.
    pub fn len(&self) -> usize {
        self.threads.len()
    }

    /// Returns whether no thread is left.
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Waits until every thread has ended, at most `timeout`. Stop the threads first. A thread that panicked counts as
    /// ended; use [`Group::spawn_supervised`] to hear of panics.
    pub fn join(mut self, timeout: Duration) -> Result<(), Stragglers> {
        let deadline = Instant::now() + timeout;
        loop {
            self.reap();
            if self.threads.is_empty() {
                return Ok(());
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(self.stragglers());
            }
            // "Done" is sent a moment before the thread has finished, so the loop looks again soon after in any case.
            let _sent_or_not = self.done.recv_timeout(LOOK_EVERY.min(deadline - now));
        }
    }

    fn reap(&mut self) {
        let (ended, running): (Vec<_>, Vec<_>) = self.threads.drain(..).partition(|(_, handle)| handle.is_finished());
        self.threads = running;
        for (_, handle) in ended {
            let _panicked = handle.join();
            // Its message leaves the queue with it, so the queue keeps a place for every thread of the group.
            let _message = self.done.try_recv();
        }
    }

    fn stragglers(&self) -> Stragglers {
        Stragglers(self.threads.iter().map(|(name, _)| name.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop_pair;

    #[test]
    fn an_ended_thread_leaves_no_message_behind() {
        let mut group = Group::default();
        for _ in 0..8 {
            group.spawn("short", || {}).expect("a thread");
            while group.threads.iter().any(|(_, handle)| !handle.is_finished()) {
                std::thread::yield_now();
            }
        }
        group.reap();
        assert_eq!((group.len(), group.done.len()), (0, 0));
    }

    #[test]
    fn join_waits_for_all_and_names_stragglers() {
        let (stopper, signal) = stop_pair();
        let mut group = Group::default();
        for name in ["stays", "goes"] {
            let signal = signal.clone();
            group
                .spawn(name, move || assert!(name == "goes" || signal.wait(Duration::from_secs(30))))
                .expect("threads");
        }
        assert_eq!(group.join(Duration::from_millis(200)), Err(Stragglers(vec!["stays".to_owned()])));
        drop(stopper);
    }

    #[test]
    fn a_panicked_thread_counts_as_ended() {
        let mut group = Group::default();
        group.spawn("panics", || std::panic::resume_unwind(Box::new("quietly"))).expect("a thread");
        assert_eq!(group.join(Duration::from_secs(30)), Ok(()));
    }

    #[test]
    fn ended_threads_are_joined_at_the_next_spawn() {
        let mut group = Group::default();
        for round in 0..50 {
            group.spawn(format!("short-{round}"), || {}).expect("a thread");
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        while group.len() > 1 && Instant::now() < deadline {
            let _sent_or_not = group.done.recv_timeout(LOOK_EVERY);
            group.spawn("probe", || {}).expect("a thread");
        }
        assert!(group.len() <= 2, "{} handles are kept", group.len());
        assert_eq!(group.join(Duration::from_secs(30)), Ok(()));
    }

    #[test]
    fn threads_carry_their_names() {
        let (sender, names) = bounded(1);
        let mut group = Group::default();
        assert!(group.is_empty());
        let body = move || {
            let name = std::thread::current().name().map(str::to_owned);
            sender.send(name).expect("the test listens");
        };
        group.spawn("a-name", body).expect("a thread");
        assert_eq!(names.recv_timeout(Duration::from_secs(30)), Ok(Some("a-name".to_owned())));
        assert_eq!(group.join(Duration::from_secs(30)), Ok(()));
    }

    #[test]
    fn stragglers_are_named_in_the_order_of_their_start() {
        let text = Stragglers(vec!["writer".to_owned(), "log".to_owned()]).to_string();
        assert_eq!(text, "still running at the deadline: writer, log");
        assert_eq!(Group::default().join(Duration::ZERO), Ok(()), "an empty group has none");
    }
}
