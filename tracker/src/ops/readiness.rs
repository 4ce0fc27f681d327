//! Readiness: whether the database answers, and whether the process is about to stop.
//!
//! One thread asks the database; requests read its last result. So no request waits, however slow the database is, and
//! a frozen database is noticed as well.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::ops::log;

/// The interval at which the database is queried.
const PERIOD: Duration = Duration::from_secs(1);
/// The longest time for an answer. A database that falls silent is noticed within three seconds.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// The last result of the thread.
#[derive(Debug)]
pub struct Readiness {
    state: Mutex<State>,
    draining: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// The time since which an answer is awaited, by the monotonic clock.
    asked: Option<Instant>,
    answers: bool,
}

impl Default for Readiness {
    /// Starts as ready: a tracker has just read its tables when it starts.
    fn default() -> Self {
        Self { state: Mutex::new(State { asked: None, answers: true }), draining: AtomicBool::new(false) }
    }
}

impl Readiness {
    /// Returns whether the database answered when it was last asked, at most a second ago, and is not taking too long now.
    pub fn store_answers(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).answers_at(Instant::now())
    }

    /// Returns whether the process is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Marks the process as about to stop.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Runs the thread "readiness" until `stopped` is disconnected: asks again and again. A frozen database blocks this
    /// thread and no other.
    pub fn watch<E: Display>(&self, ping: impl Fn() -> Result<(), E>, stopped: &Receiver<()>) {
        while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            self.set(|state| state.asked = Some(Instant::now()));
            let answer = ping();
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
    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn the_thread_notes_each_result_until_it_is_stopped() {
        for expected in [true, false] {
            let readiness = Readiness::default();
            let (asked_sender, asked) = bounded(1);
            let (stop, stopped) = bounded(0);
            let ping = || {
                let _noted = asked_sender.try_send(());
                if expected { Ok(()) } else { Err("away") }
            };
            std::thread::scope(|scope| {
                scope.spawn(|| readiness.watch(ping, &stopped));
                assert_eq!(asked.recv_timeout(Duration::from_secs(30)), Ok(()));
                drop(stop);
            });
            assert_eq!(readiness.store_answers(), expected);
        }
    }

    #[test]
    fn a_tracker_is_ready_until_it_drains() {
        let readiness = Readiness::default();
        assert!(readiness.store_answers() && !readiness.is_draining());
        readiness.drain();
        assert!(readiness.is_draining());
    }

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

    #[test]
    fn a_tracker_is_ready_from_its_start_until_it_drains() {
        let readiness = Readiness::default();
        assert!(readiness.store_answers() && !readiness.is_draining());
        readiness.drain();
        readiness.drain();
        assert!(readiness.is_draining() && readiness.store_answers(), "draining says nothing about the database");
    }

    #[test]
    fn the_watch_notices_both_changes_and_ends_with_its_channel() {
        let readiness = Readiness::default();
        let (stopper, stopped) = crossbeam_channel::bounded::<()>(1);
        let (results, answers) = crossbeam_channel::bounded::<Result<(), String>>(0);
        let (seen_sender, seen) = crossbeam_channel::bounded(1);
        std::thread::scope(|scope| {
            let watched = &readiness;
            scope.spawn(move || watched.watch(|| answers.recv().unwrap_or(Ok(())), &stopped));
            for (result, expected) in [(Err("away".to_owned()), false), (Ok(()), true)] {
                results.send(result).expect("the watch asks once a second");
                // The state changes right after the answer was taken.
                let deadline = Instant::now() + Duration::from_secs(30);
                while readiness.store_answers() != expected && Instant::now() < deadline {
                    std::thread::yield_now();
                }
                seen_sender.send(readiness.store_answers()).expect("the channel has room");
                assert_eq!(seen.recv(), Ok(expected));
            }
            drop(results);
            drop(stopper);
        });
    }
}
