//! Threads that ask a provider and may outlive the question.
//!
//! An HTTP exchange cannot be interrupted, and a cancelled download must not wait for a server that does not answer. So
//! each question runs on a thread of its own, and the download waits for the answer or for its cancellation. A thread
//! whose answer is no longer awaited ends with the time-outs of its exchange.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use peernet_threads::{Group, Stragglers};

/// Questions that may be under way at once in one node, those of cancelled downloads included.
const ASKING_MAX: usize = 256;

/// The threads of one provider.
#[derive(Default)]
pub(crate) struct Askers {
    group: Mutex<Group>,
    asking: Arc<AtomicUsize>,
}

/// The reason that a question was not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotAsked(pub(crate) String);

/// Counts one question while its thread runs.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Askers {
    /// Runs `question` on a thread called `name`. Its answer comes over the channel, which disconnects if it panics.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        name: &str,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Receiver<T>, NotAsked> {
        let counted = self.count().ok_or_else(|| NotAsked("too many calls to it are under way here".to_owned()))?;
        let (answer, answered) = bounded(1);
        let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        let spawned = group.spawn(name, move || {
            let _counted = counted;
            // The caller may have stopped waiting.
            let _ = answer.try_send(question());
        });
        spawned.map_err(|error| NotAsked(format!("there is no thread to ask it on: {error}")))?;
        Ok(answered)
    }

    fn count(&self) -> Option<Counted> {
        let free = |asking: usize| (asking < ASKING_MAX).then_some(asking + 1);
        self.asking.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).ok()?;
        Some(Counted(Arc::clone(&self.asking)))
    }

    /// Waits for the questions under way, at most `timeout`.
    pub(crate) fn join(&self, timeout: Duration) -> Result<(), Stragglers> {
        let group = std::mem::take(&mut *self.group.lock().unwrap_or_else(PoisonError::into_inner));
        group.join(timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn an_answer_comes_from_a_thread_of_that_name() {
        let askers = Askers::default();
        let name = || std::thread::current().name().map(str::to_owned);
        assert_eq!(askers.ask("asks", name).unwrap().recv_timeout(LONG).unwrap().as_deref(), Some("asks"));
        askers.join(LONG).unwrap();
    }

    #[test]
    fn questions_under_way_are_bounded_and_joined() {
        let askers = Askers::default();
        let (go, wait) = bounded::<()>(0);
        let question = || {
            let wait = wait.clone();
            askers.ask("asks", move || wait.recv().is_err())
        };
        let answers: Vec<_> = (0..ASKING_MAX).map(|_| question().unwrap()).collect();
        assert!(question().unwrap_err().0.contains("too many"));
        assert_eq!(askers.join(Duration::ZERO).unwrap_err().0.len(), ASKING_MAX);
        drop(go);
        assert!(answers.iter().all(|answer| answer.recv_timeout(LONG) == Ok(true)));
    }

    #[test]
    fn a_panicked_question_disconnects_and_is_not_counted() {
        let askers = Askers::default();
        for _ in 0..2 * ASKING_MAX {
            let answer = askers.ask("asks", || std::panic::resume_unwind(Box::new("quietly"))).unwrap();
            let answer: Result<(), _> = answer.recv_timeout(LONG);
            assert!(answer.is_err());
            askers.join(LONG).unwrap();
        }
    }
}
