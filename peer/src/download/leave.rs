//! The grant of one download: asked for before the first source is called, renewed on the way, and shown to every source.
//!
//! Without one a download goes on: what is public is served to every member, and what is not is refused by who serves it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peernet_engine::ids::FileHash;

use crate::clock::unix_now;
use crate::discovery::{DiscoveryError, GrantProvider};
use crate::grants::Grant;

/// How long to wait after the tracker gave none before it is asked again, in seconds.
const PAUSE_S: u64 = 30;

/// Shared by the threads of one download.
#[derive(Clone, Default)]
pub(crate) struct Leave(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// One more with each grant; 0 while there was none.
    number: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    grant: Option<Arc<Grant>>,
    /// When to ask for another one, seconds since 1970-01-01 UTC; `None` where nobody is asked: not yet, or because the directory gives none.
    due_at: Option<u64>,
    /// Not before, whoever refuses the one there is.
    not_before: u64,
}

impl Leave {
    /// The grant to show, if there is one, and its number.
    pub(crate) fn current(&self) -> (u64, Option<Arc<Grant>>) {
        let state = self.lock();
        // One that has ended would be refused where showing none is not.
        let good = state.grant.as_ref().filter(|grant| grant.expires_at > unix_now());
        (self.number(), good.cloned())
    }

    /// A source has come that may ask to see it: one is asked for, unless that was done before.
    pub(crate) fn want(&self) {
        let mut state = self.lock();
        if state.not_before == 0 && state.due_at.is_none() {
            state.due_at = Some(0);
        }
    }

    /// Another number when there is another grant. Asking takes no lock.
    pub(crate) fn number(&self) -> u64 {
        self.0.number.load(Ordering::Acquire)
    }

    /// A source refused the grant with this number: perhaps the next one is better.
    pub(crate) fn doubt(&self, number: u64) {
        let mut state = self.lock();
        if number == self.number() {
            state.due_at = state.due_at.map(|at| at.min(state.not_before));
        }
    }

    /// Whether it is time to ask for another one.
    pub(crate) fn is_due(&self) -> bool {
        self.lock().due_at.is_some_and(|at| at <= unix_now())
    }

    /// Asks for the first grant, or another one. An error leaves the old one.
    pub(crate) fn ask(&self, provider: &dyn GrantProvider, file: FileHash) -> Result<(), DiscoveryError> {
        let asked = provider.grant(file);
        let mut state = self.lock();
        state.take(asked, unix_now()).map(|is_new| {
            if is_new {
                self.0.number.fetch_add(1, Ordering::AcqRel);
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there is another grant than before.
    fn take(&mut self, asked: Result<Option<Grant>, DiscoveryError>, now: u64) -> Result<bool, DiscoveryError> {
        self.not_before = now + PAUSE_S;
        match asked {
            Ok(Some(grant)) => {
                self.due_at = Some(grant.renew_at.max(self.not_before));
                self.grant = Some(Arc::new(grant));
                Ok(true)
            }
            Ok(None) => {
                self.due_at = None;
                Ok(false)
            }
            Err(error) => {
                self.due_at = Some(self.not_before);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(renew_at: u64) -> Grant {
        Grant { text: renew_at.to_string(), expires_at: 9_999, renew_at }
    }

    #[test]
    fn a_grant_is_renewed_when_it_is_time_and_not_all_the_time() {
        let mut state = State::default();
        assert_eq!(state.due_at, None);
        assert_eq!(state.take(Ok(Some(grant(500))), 100), Ok(true));
        assert_eq!(state.due_at, Some(500));
        assert_eq!(state.take(Ok(Some(grant(0))), 500), Ok(true));
        assert_eq!(state.due_at, Some(500 + PAUSE_S));
        let away = DiscoveryError::Unreachable("away".to_owned());
        assert_eq!(state.take(Err(away.clone()), 600), Err(away));
        assert_eq!((state.due_at, state.grant.is_some()), (Some(600 + PAUSE_S), true));
        assert_eq!(state.take(Ok(None), 700), Ok(false));
        assert_eq!(state.due_at, None);
    }

    #[test]
    fn only_a_refusal_of_the_newest_one_brings_the_next_question_forward() {
        let leave = Leave::default();
        leave.doubt(0);
        assert!(!leave.is_due());
        leave.lock().take(Ok(Some(grant(u64::MAX))), 0).unwrap();
        leave.0.number.store(2, Ordering::Release);
        leave.doubt(1);
        assert!(!leave.is_due());
        leave.doubt(2);
        assert!(leave.is_due());
    }
}
