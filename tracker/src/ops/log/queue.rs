//! The queue between the threads that log and standard error, and the thread that empties it.

use std::io::{self, Write as _};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded, select_biased};
use peernet_threads::Group;

use super::line::{self, Event};
use super::{Level, Value, format};

/// The most lines that wait for standard error, some hundred bytes each. Full: the line is dropped and counted.
pub const LINES_QUEUED_MAX: usize = 4_096;
/// The most lines in one write.
const LINES_PER_WRITE: usize = 64;
/// The longest that the end of a pump waits for a reader that has stopped reading.
const JOIN_MAX: Duration = Duration::from_secs(2);

/// Lines on their way. Process-wide because standard error is.
static QUEUE: LazyLock<(Sender<String>, Receiver<String>)> = LazyLock::new(|| bounded(LINES_QUEUED_MAX));
/// Pumps that run. While there is none, the logging thread writes the line itself.
static PUMPS: AtomicUsize = AtomicUsize::new(0);
static WRITTEN: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);
/// The number of dropped lines that a later line has reported.
static REPORTED: AtomicU64 = AtomicU64::new(0);

/// Counts of the lines of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStats {
    /// Given to standard error.
    pub written: u64,
    /// Dropped because the queue was full.
    pub dropped: u64,
    /// Waiting for standard error.
    pub queued: usize,
}

/// Counts since the start of the process.
pub fn stats() -> LogStats {
    let written = WRITTEN.load(Ordering::Relaxed);
    let dropped = DROPPED.load(Ordering::Relaxed);
    LogStats { written, dropped, queued: QUEUE.1.len() }
}

/// Never waits while a pump runs.
pub(super) fn submit(line: String) {
    if PUMPS.load(Ordering::Relaxed) == 0 {
        write(&line, 1);
    } else if QUEUE.0.try_send(line).is_err() {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// A thread that writes what is logged. Several in one process share the work. Dropping it writes what is queued and ends it.
pub struct Pump {
    thread: Option<Group>,
    /// Never sent to: its end is the message.
    stop: Option<Sender<()>>,
}

impl Pump {
    /// Starts the thread `log`.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start() -> io::Result<Self> {
        let (stop, stopped) = bounded(1);
        let mut thread = Group::default();
        thread.spawn("log", move || run(&stopped))?;
        PUMPS.fetch_add(1, Ordering::SeqCst);
        Ok(Self { thread: Some(thread), stop: Some(stop) })
    }
}

impl Drop for Pump {
    /// Takes two seconds at most, also when no process reads standard error.
    fn drop(&mut self) {
        PUMPS.fetch_sub(1, Ordering::SeqCst);
        self.stop.take();
        let ended = self.thread.take().is_none_or(|thread| thread.join(JOIN_MAX).is_ok());
        if ended {
            // What came between the thread's last look and its end.
            drain();
        }
    }
}

fn run(stopped: &Receiver<()>) {
    loop {
        select_biased! {
            recv(QUEUE.1) -> line => line.iter().for_each(|first| write_with_company(first)),
            recv(stopped) -> _ => return drain(),
        }
    }
}

fn drain() {
    while let Ok(line) = QUEUE.1.try_recv() {
        write_with_company(&line);
    }
}

/// Writes a line and those queued behind it at once, and then how many were dropped meanwhile.
fn write_with_company(first: &str) {
    let mut text = first.to_owned();
    let further = QUEUE.1.try_iter().take(LINES_PER_WRITE - 1);
    let count = 1 + further.map(|line| text.push_str(&line)).count();
    write(&text, count);
    tell_dropped();
}

fn tell_dropped() {
    let dropped = DROPPED.load(Ordering::Relaxed);
    let reported = REPORTED.swap(dropped, Ordering::Relaxed);
    if dropped > reported {
        let fields = [("lines", Value::Count(dropped - reported))];
        let message = "lines were dropped because standard error is slow";
        let level = Level::Warn;
        let at = SystemTime::now();
        let event = Event { at, level, target: "log", message, request: None, fields: &fields };
        write(&line::render(&event, format()), 1);
    }
}

/// One write, so that lines of several threads do not mix. A closed standard error is not our problem.
fn write(text: &str, lines: usize) {
    let _closed = io::stderr().write_all(text.as_bytes());
    WRITTEN.fetch_add(lines as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;

    /// Keeps tests that change the process-wide counts apart.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts as a pump that does not run, so that lines stay queued.
    struct Stuck;

    impl Stuck {
        fn new() -> Self {
            PUMPS.fetch_add(1, Ordering::SeqCst);
            Self
        }
    }

    impl Drop for Stuck {
        fn drop(&mut self) {
            PUMPS.fetch_sub(1, Ordering::SeqCst);
            drain();
        }
    }

    /// Submits empty lines, which leave no trace on standard error.
    fn submit_lines(count: usize) {
        (0..count).for_each(|_| submit(String::new()));
    }

    #[test]
    fn without_a_pump_the_caller_writes_the_line_itself() {
        let _alone = alone();
        let before = stats();
        submit_lines(3);
        let after = stats();
        assert!(after.written >= before.written + 3, "{before:?} {after:?}");
        assert_eq!(after.queued, 0);
    }

    #[test]
    fn dropping_the_pump_writes_what_is_queued() {
        let _alone = alone();
        for lines in [0, 1, LINES_PER_WRITE, 10 * LINES_PER_WRITE + 1] {
            let before = stats();
            let pump = Pump::start().expect("a thread");
            submit_lines(lines);
            drop(pump);
            let after = stats();
            assert!(after.written >= before.written + lines as u64, "{lines}: {before:?} {after:?}");
            assert_eq!((after.queued, after.dropped), (0, before.dropped), "{lines}");
        }
    }

    #[test]
    fn several_pumps_share_the_queue_and_end_apart() {
        let _alone = alone();
        let before = stats();
        let first = Pump::start().expect("a thread");
        let second = Pump::start().expect("a thread");
        submit_lines(100);
        drop(first);
        assert!(PUMPS.load(Ordering::SeqCst) >= 1, "the second pump still counts");
        submit_lines(100);
        drop(second);
        assert!(stats().written >= before.written + 200);
        assert_eq!(stats().queued, 0);
    }

    #[test]
    fn a_stopped_loop_writes_the_queue_before_it_ends() {
        let _alone = alone();
        let _stuck = Stuck::new();
        submit_lines(3 * LINES_PER_WRITE);
        assert!(stats().queued >= 3 * LINES_PER_WRITE);
        let (stop, stopped) = bounded(1);
        drop(stop);
        run(&stopped);
        assert_eq!(stats().queued, 0);
    }

    #[test]
    fn one_write_takes_a_bounded_number_of_lines() {
        let _alone = alone();
        let _stuck = Stuck::new();
        submit_lines(LINES_PER_WRITE + 5);
        let before = stats();
        write_with_company("");
        let after = stats();
        assert_eq!(before.queued - after.queued, LINES_PER_WRITE - 1);
        assert!(after.written >= before.written + LINES_PER_WRITE as u64);
    }

    #[test]
    fn lines_past_the_bound_are_dropped_and_reported_once() {
        let _alone = alone();
        let _stuck = Stuck::new();
        let before = stats();
        submit_lines(LINES_QUEUED_MAX + 7);
        let full = stats();
        assert_eq!(full.queued, LINES_QUEUED_MAX);
        assert!(full.dropped >= before.dropped + 7, "{before:?} {full:?}");
        assert_ne!(REPORTED.load(Ordering::Relaxed), full.dropped);
        drain();
        assert_eq!(REPORTED.load(Ordering::Relaxed), stats().dropped);
        let written = stats().written;
        tell_dropped();
        assert_eq!(stats().written, written, "nothing new was dropped");
    }
}
