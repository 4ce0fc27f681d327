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
