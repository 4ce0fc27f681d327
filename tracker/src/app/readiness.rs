//! Whether the database answers, looked at once a second at most however many ask.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::App;

/// How long an answer is passed on.
const KEPT: Duration = Duration::from_secs(1);

/// The last answer and when it was got, by a clock that nobody can set back.
#[derive(Debug, Default)]
pub struct Readiness {
    last: Mutex<Option<(Instant, bool)>>,
}

impl Readiness {
    /// Whether the store answered within the last second, asking it if nobody has. Those who ask meanwhile wait for the answer.
    pub fn check(&self, app: &App) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, ready)) if at.elapsed() < KEPT => ready,
            _ => {
                let ready = app.store.ping().is_ok();
                *last = Some((Instant::now(), ready));
                ready
            }
        }
    }
}
