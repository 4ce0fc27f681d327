//! Threads whose panic is noticed: reported, and then restarted or given up.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Group;

/// A panic of a supervised thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked {
    /// The thread's name.
    pub thread: String,
    /// The panic's message, where it was text.
    pub message: String,
    /// Panics of this thread so far, this one included.
    pub count: u32,
}

/// The action after a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterPanic {
    /// The body runs again on the same thread.
    Restart,
    /// The thread ends. Stop the process in order if it cannot do without the thread.
    GiveUp,
}

impl Group {
    /// Spawns a thread that runs `body` until it returns. When `body` panics, `on_panic` logs and counts it, and
    /// decides what follows.
    ///
    /// A body that is restarted must rebuild what it may have left half-changed. `on_panic` must not panic.
    pub fn spawn_supervised(
        &mut self,
        name: impl Into<String>,
        mut body: impl FnMut() + Send + 'static,
        mut on_panic: impl FnMut(&Panicked) -> AfterPanic + Send + 'static,
    ) -> io::Result<()> {
        let name = name.into();
        let mut panicked = Panicked { thread: name.clone(), message: String::new(), count: 0 };
        self.spawn(name, move || {
            // The body answers for its own state, as the contract above says.
            while let Err(payload) = catch_unwind(AssertUnwindSafe(&mut body)) {
                panicked.message = message_of(&*payload);
                panicked.count += 1;
                if on_panic(&panicked) == AfterPanic::GiveUp {
                    break;
                }
            }
        })
    }
}

/// The text that `panic!` was given.
fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without text").to_owned()
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Runs a body that panics `panics` times, restarted `restarts` times at most. Returns the reports and the number
    /// of runs.
    fn supervise(panics: u32, restarts: u32) -> (Vec<Panicked>, usize) {
        let (report, reports) = channel();
        let (started, starts) = channel();
        let mut group = Group::default();
        let mut runs = 0;
        let body = move || {
            runs += 1;
            started.send(()).expect("the test listens");
            if runs <= panics {
                resume_unwind(Box::new(format!("run {runs}")));
            }
        };
        let on_panic = move |panicked: &Panicked| {
            report.send(panicked.clone()).expect("the test listens");
            if panicked.count <= restarts { AfterPanic::Restart } else { AfterPanic::GiveUp }
        };
        group.spawn_supervised("watched", body, on_panic).expect("a thread");
        assert_eq!(group.join(PATIENCE), Ok(()));
        (reports.iter().collect(), starts.iter().count())
    }

    #[test]
    fn a_body_that_returns_runs_once() {
        assert_eq!(supervise(0, 9), (Vec::new(), 1));
    }

    #[test]
    fn a_panicking_body_is_reported_and_restarted() {
        let (reports, runs) = supervise(2, 9);
        let expected = [(1, "run 1"), (2, "run 2")];
        assert_eq!(reports.iter().map(|report| (report.count, report.message.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!((reports[0].thread.as_str(), runs), ("watched", 3));
    }

    #[test]
    fn a_thread_that_is_given_up_ends() {
        let (reports, runs) = supervise(5, 1);
        assert_eq!((reports.len(), runs), (2, 2));
    }

    #[test]
    fn the_message_of_a_panic_is_its_text() {
        assert_eq!(message_of(&"text"), "text");
        assert_eq!(message_of(&"owned".to_owned()), "owned");
        assert_eq!(message_of(&7), "a panic without text");
    }
}
