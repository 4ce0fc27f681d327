//! The keys of the other trackers, looked up when a token names one that is not known: at most once a second, whoever asks.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::App;

/// How long nobody looks again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When somebody last looked.
#[derive(Debug, Default)]
pub struct Acquaintances {
    looked_at: Mutex<Option<Instant>>,
}

impl Acquaintances {
    /// Reads the keys from the store, unless somebody did a moment ago. False where nothing was read.
    pub fn look(&self, app: &App) -> bool {
        let Some(exchange) = app.store.exchange() else { return false };
        {
            let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
            if looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
                return false;
            }
            *looked_at = Some(Instant::now());
        }
        let seen_after = (app.clock)().minus(app.keys.lifetime());
        let Ok(trackers) = app.permits.with(|| exchange.trackers(seen_after)) else { return false };
        let own = app.keys.public();
        app.keys.trust(trackers.into_iter().map(|tracker| tracker.public_key).filter(|key| *key != own));
        true
    }
}
