//! Whether requests should be sent here: the database answers, and the process is not about to stop.
//!
//! One thread asks the database; who wants to know reads what it found. So however many ask, and however long the database
//! takes, nobody waits, and a database that is frozen is told from one that answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::log;
use crate::store::Store;

/// How often the database is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// How long its answer may take. So a database that falls silent is known within three seconds.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What the thread found last.
#[derive(Debug)]
pub struct Readiness {
    state: Mutex<State>,
    draining: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// Since when an answer is waited for, by a clock that nobody can set back.
    asked: Option<Instant>,
    answers: bool,
}

impl Default for Readiness {
    /// The database has just answered: a tracker starts by looking at its tables.
    fn default() -> Self {
        Self { state: Mutex::new(State { asked: None, answers: true }), draining: AtomicBool::new(false) }
    }
}

impl Readiness {
    /// Whether the database answered when it was last asked, at most a second ago, and does not take too long now.
    pub fn store_answers(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).answers_at(Instant::now())
    }

    /// Whether the process is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// From now on it is.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The thread `readiness`: asks until `stopped` ends. A frozen database holds this thread and no other.
    pub fn watch(&self, store: &dyn Store, stopped: &Receiver<()>) {
        while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            self.set(|state| state.asked = Some(Instant::now()));
            let answer = store.ping();
            let before = self.store_answers();
            self.set(|state| *state = State { asked: None, answers: answer.is_ok() });
            match answer {
                Ok(()) if !before => log::info("readiness", "the database answers again", &[]),
                Err(why) if before => log::warn("readiness", "the database does not answer", &[("why", &why)]),
                _ => {}
            }
        }
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl State {
    fn answers_at(&self, now: Instant) -> bool {
        self.answers && self.asked.is_none_or(|asked| now.saturating_duration_since(asked) <= ANSWER_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_until_the_next_one_takes_too_long() {
        let now = Instant::now();
        let check = |asked: Option<Duration>, answers, expected| {
            let state = State { asked: asked.map(|ago| now - ago), answers };
            assert_eq!(state.answers_at(now), expected, "{state:?}");
        };
        check(None, true, true);
        check(None, false, false);
        check(Some(ANSWER_MAX), true, true);
        check(Some(ANSWER_MAX + Duration::from_millis(1)), true, false);
        check(Some(Duration::ZERO), false, false);
    }
}
