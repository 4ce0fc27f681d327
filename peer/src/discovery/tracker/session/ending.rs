//! The end of a login: at the tracker, and in the folder.

use std::time::Duration;

use super::{Session, State, is_refusal};
use crate::discovery::tracker::http::{Call, Http};
use crate::discovery::tracker::{TrackerError, local};
use crate::home::Credentials;

/// How long one attempt may take: whoever logs out may be on the way to close the machine.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What the tracker has heard of a login's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtTracker {
    /// The device is ended there: its tokens and certificates are refused.
    Ended,
    /// It was not told, as was asked for.
    NotTold,
    /// The login is no device, and cannot be ended: its token is good until this time (seconds since 1970-01-01 UTC; 0 where unknown)
    /// for whoever has a copy.
    GoodUntil(u64),
    /// It could not be told: the device goes on for whoever has a copy of its tokens.
    Failed(TrackerError),
}

/// A login that is no more.
pub(in crate::discovery::tracker) struct Ended {
    pub(in crate::discovery::tracker) credentials: Credentials,
    pub(in crate::discovery::tracker) at_tracker: AtTracker,
}

impl Session {
    /// Ends the login, in the file in any case; `None` where there is none. What else is of it goes first, by `remove`: as long as the
    /// file is there, another call makes up for one that was cut short.
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
