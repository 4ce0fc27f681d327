//! The end of a login, at the tracker and in the folder.

use std::time::Duration;

use super::{Session, State, is_refusal};
use crate::discovery::tracker::http::{Call, Http};
use crate::discovery::tracker::{TrackerError, local};
use crate::home::Credentials;

/// The longest time of one attempt: a user who logs out may be about to shut the machine down.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The end of a login as far as the tracker knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtTracker {
    /// The device is ended there: its tokens and certificates are refused.
    Ended,
    /// The tracker was not told, as the caller asked.
    NotTold,
    /// The login has no device and cannot be ended. Copies of its token are good until this time, in seconds since
    /// 1970-01-01 UTC; 0 where unknown.
    GoodUntil(u64),
    /// The tracker could not be told. Copies of the device's tokens stay good.
    Failed(TrackerError),
}

/// A login that has ended.
pub(in crate::discovery::tracker) struct Ended {
    pub(in crate::discovery::tracker) credentials: Credentials,
    pub(in crate::discovery::tracker) at_tracker: AtTracker,
}

impl Session {
    /// Ends the login. The file is removed in any case; `None` where there is none. `remove` removes the other files
    /// first: as long as the credentials are there, another call can repeat one that was cut short.
    pub(in crate::discovery::tracker) fn end(
        &self,
        http: &Http,
        tell: bool,
        remove: &dyn Fn() -> Result<(), TrackerError>,
    ) -> Result<Option<Ended>, TrackerError> {
        let mut current = self.lock();
        let _one_at_a_time = self.file.lock().map_err(local)?;
        let Some(credentials) = self.stored()? else {
            *current = State::default();
            return Ok(None);
        };
        let at_tracker = if tell { self.tell(http, &mut current, &credentials) } else { AtTracker::NotTold };
        remove()?;
        self.file.remove().map_err(local)?;
        *current = State::default();
        Ok(Some(Ended { credentials, at_tracker }))
    }

    fn tell(&self, http: &Http, current: &mut State, credentials: &Credentials) -> AtTracker {
        let Some(device) = &credentials.device else { return AtTracker::GoodUntil(credentials.expires_at) };
        let path = format!("/api/v1/devices/{}", device.id);
        let call = Call { timeout: END_TIMEOUT, ..Call::delete(&path) };
        let with = |token: &str| http.answer(&Call { token: Some(token.to_owned()), ..call.clone() });
        let told = match with(&credentials.token) {
            Err(error) if is_refusal(&error) => {
                self.exchanged(http, current, credentials).and_then(|fresh| with(&fresh.token))
            }
            told => told,
        };
        match told {
            Ok(_) | Err(TrackerError::DeviceEnded(_) | TrackerError::Answered { status: 404, .. }) => AtTracker::Ended,
            Err(error) => AtTracker::Failed(error),
        }
    }
}
