//! The renewal of tokens, by one process of the folder at a time.
//!
//! A refresh token is good once. The tracker treats a replaced one as stolen and ends its device, except for some
//! seconds in which the reply may have been lost. So no process may use a token that another has used, and the new one
//! is on the disk before it is used.

use std::time::Duration;

use peernet_protos::rest::{TokenRefreshRequest, TokenReply};

use super::{Session, State, device_of, is_refusal, malformed};
use crate::clock::unix_now;
use crate::discovery::tracker::http::{Call, Http};
use crate::discovery::tracker::{DeviceEnd, TrackerError, local};
use crate::home::{Credentials, DeviceLogin};

/// The error for a login without a device.
const REFRESH_PLAIN: &str = "/api/v1/peers/refresh";
const REFRESH: &str = "/api/v1/tokens/refresh";

/// The time of one attempt, and the window in which attempts begin: within 10 s of the first, the tracker repeats a
/// reply that was lost.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(6);
const REFRESH_WINDOW: Duration = Duration::from_secs(8);

/// A refresh token that the tracker refuses, and the reason.
pub(super) struct Refused {
    token: String,
    why: DeviceEnd,
}

impl Session {
    /// Returns credentials for the next call in place of those that `is_bad` rejects: the ones in the file, or new ones
    /// from the tracker.
    pub(super) fn renewed(
        &self,
        http: &Http,
        is_bad: &dyn Fn(&Credentials) -> bool,
    ) -> Result<Credentials, TrackerError> {
        let mut current = self.lock();
        // Usually another process has renewed the token, or logged in.
        current.credentials = self.stored()?;
        let known = current.credentials.clone().ok_or(TrackerError::NotLoggedIn)?;
        if !is_bad(&known) {
            return Ok(known);
        }
        if http.is_stopping() {
            return Err(TrackerError::Cancelled);
        }
        let _one_at_a_time = self.file.lock().map_err(local)?;
        current.credentials = self.stored()?;
        let stored = current.credentials.clone().ok_or(TrackerError::NotLoggedIn)?;
        if !is_bad(&stored) {
            return Ok(stored);
        }
        self.exchanged(http, &mut current, &stored)
    }

    /// Renews the token. The caller holds both locks.
    pub(super) fn exchanged(
        &self,
        http: &Http,
        current: &mut State,
        old: &Credentials,
    ) -> Result<Credentials, TrackerError> {
        let fresh = match &old.device {
            Some(device) => {
                // A disk that cannot be written is noticed here, while the old token is still good.
                self.save(old)?;
                self.of_device(http, current, old, device)?
            }
            None => self.of_plain(http, old)?,
        };
        self.save(&fresh)?;
        current.credentials = Some(fresh.clone());
        Ok(fresh)
    }

    fn of_device(
        &self,
        http: &Http,
        current: &mut State,
        old: &Credentials,
        device: &DeviceLogin,
    ) -> Result<Credentials, TrackerError> {
        if let Some(refused) = current.refused.as_ref().filter(|refused| refused.token == device.refresh_token) {
            return Err(TrackerError::DeviceEnded(refused.why));
        }
        let request = TokenRefreshRequest { refresh_token: device.refresh_token.clone(), ..Default::default() };
        let call = Call::post(REFRESH, &request).repeatable_within(REFRESH_TIMEOUT, REFRESH_WINDOW);
        match http.json::<TokenReply>(&call) {
            Ok(reply) => {
                let scopes: Vec<String> = device.scopes.iter().map(ToString::to_string).collect();
                let next = device_of(&reply, &device.label, &scopes)?;
                let next = next.ok_or_else(|| malformed("refresh_token", "it is absent"))?;
                self.credentials(&reply, old.address.clone(), Some(next))
            }
            Err(TrackerError::Answered { status: 401, code, .. }) => {
                let reused = code == "refresh_token_reused";
                let why = if reused { DeviceEnd::Reused } else { DeviceEnd::LoggedOut };
                current.refused = Some(Refused { token: device.refresh_token.clone(), why });
                Err(TrackerError::DeviceEnded(why))
            }
            Err(error) => Err(error),
        }
    }

    /// Exchanges an access token, which proves the account and therefore has to be good still.
    fn of_plain(&self, http: &Http, old: &Credentials) -> Result<Credentials, TrackerError> {
        if old.is_expired(unix_now()) || !old.is_stale(unix_now()) {
            return Err(TrackerError::NotLoggedIn);
        }
        let mut call = Call::post(REFRESH_PLAIN, &serde_json::Map::new());
        (call.token, call.repeatable) = (Some(old.token.clone()), true);
        match http.json::<TokenReply>(&call) {
            Ok(reply) => self.credentials(&reply, old.address.clone(), None),
            Err(error) if is_refusal(&error) => Err(TrackerError::NotLoggedIn),
            Err(error) => Err(error),
        }
    }
}
