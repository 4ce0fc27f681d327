//! The tokens in use: taken from the credentials file, renewed before they end, read again when another process has logged in
//! meanwhile.

mod ending;
mod renewal;

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crossbeam_channel::after;
use peernet_protos::rest::{DeviceRequest, TokenReply};
use serde::de::DeserializeOwned;

use self::renewal::Refused;
use super::http::{Answer, Call, Http};
use super::url::same_swarm;
use super::{TrackerError, local};
use crate::clock::unix_now;
use crate::home::{Credentials, CredentialsFile, DeviceLogin};

pub use ending::AtTracker;
pub(super) use ending::Ended;

/// How often who waits for a renewal looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(super) struct Session {
    url: String,
    file: CredentialsFile,
    // Held over no network call but the renewal, which one thread does for all.
    current: Mutex<State>,
}

/// What this process knows of the file.
#[derive(Default)]
struct State {
    credentials: Option<Credentials>,
    /// What the tracker takes no more; it is not asked again until the file has something else.
    refused: Option<Refused>,
}

impl Session {
    pub(super) fn new(url: String, file: CredentialsFile) -> Self {
        Self { url, file, current: Mutex::default() }
    }

    /// The account at this tracker, if there is one.
    pub(super) fn current(&self) -> Result<Option<Credentials>, TrackerError> {
        let mut current = self.lock();
        if current.credentials.is_none() {
            current.credentials = self.stored()?;
        }
        Ok(current.credentials.clone())
    }

    /// The same as it is in the file now.
    pub(super) fn reload(&self) -> Result<Option<Credentials>, TrackerError> {
        let fresh = self.stored()?;
        self.lock().credentials.clone_from(&fresh);
        Ok(fresh)
    }

    /// Takes what a login gave into use and into the file. `introduced` is as what the login asked for it.
    pub(super) fn keep(
        &self,
        reply: &TokenReply,
        address: Option<&str>,
        introduced: &DeviceRequest,
    ) -> Result<Credentials, TrackerError> {
        let device = device_of(reply, &introduced.label, &introduced.scopes)?;
        let credentials = self.credentials(reply, address.map(str::to_owned), device)?;
        let mut current = self.lock();
        let _one_at_a_time = self.file.lock().map_err(local)?;
        self.save(&credentials)?;
        *current = State { credentials: Some(credentials.clone()), refused: None };
        Ok(credentials)
    }

    /// Makes a call in the account's name. A token that is refused is replaced once: by that in the file, if it is another (the
    /// password may have been changed by another process of this user), or by one from the tracker.
    pub(super) fn run<T: DeserializeOwned>(&self, http: &Http, call: Call<'_>) -> Result<T, TrackerError> {
        self.ask(http, call)?.parse()
    }

    /// The same for callers who look at more than the body.
    pub(super) fn ask(&self, http: &Http, mut call: Call<'_>) -> Result<Answer, TrackerError> {
        let token = self.token(http)?;
        call.token = Some(token.clone());
        match http.answer(&call) {
            Err(error) if is_refusal(&error) => {
                call.token = Some(self.renewed(http, &|it| it.token == token)?.token);
                match http.answer(&call) {
                    Err(error) if is_refusal(&error) => Err(TrackerError::NotLoggedIn),
                    answer => answer,
                }
            }
            answer => answer,
        }
    }

    /// Waits until nobody renews, at most `longest`.
    pub(super) fn settle(&self, longest: Duration) {
        let deadline = Instant::now() + longest;
        while matches!(self.current.try_lock(), Err(TryLockError::WouldBlock)) && Instant::now() < deadline {
            let _time_has_come = after(LOOK_EVERY).recv();
        }
    }

    /// One that is good now, as far as is known.
    fn token(&self, http: &Http) -> Result<String, TrackerError> {
        let known = self.lock().credentials.clone();
        if let Some(known) = known.filter(|known| !known.is_stale(unix_now())) {
            return Ok(known.token);
        }
        match self.renewed(http, &|it| it.is_stale(unix_now())) {
            Ok(fresh) => Ok(fresh.token),
            Err(error @ (TrackerError::NotLoggedIn | TrackerError::DeviceEnded(_))) => Err(error),
            // What cannot be renewed at this moment goes on while it works: also while the node stops, for its last feedback and
            // its good-bye.
            Err(error) => {
                let old = self.lock().credentials.clone().filter(|old| !old.is_expired(unix_now()));
                old.map(|old| old.token).ok_or(error)
            }
        }
    }

    fn credentials(
        &self,
        reply: &TokenReply,
        address: Option<String>,
        device: Option<DeviceLogin>,
    ) -> Result<Credentials, TrackerError> {
        let (peer_id, obtained_at) = (reply.peer_id.parse().map_err(|e| malformed("peer_id", e))?, unix_now());
        // Where that is past already, one of the clocks is wrong: then the tracker's refusal says when it is time.
        let expires_at = if reply.expires_at > obtained_at { reply.expires_at } else { 0 };
        let (tracker, token) = (self.url.clone(), reply.token.clone());
        Ok(Credentials { tracker, peer_id, address, token, obtained_at, expires_at, device })
    }

    fn stored(&self) -> Result<Option<Credentials>, TrackerError> {
        let found = self.file.load().map_err(local)?;
        Ok(found.filter(|credentials| same_swarm(&credentials.tracker, &self.url)))
    }

    fn save(&self, credentials: &Credentials) -> Result<(), TrackerError> {
        self.file.save(credentials).map_err(local)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a tracker that knows devices tells of one. Older ones tell nothing.
fn device_of(reply: &TokenReply, label: &str, scopes: &[String]) -> Result<Option<DeviceLogin>, TrackerError> {
    let (Some(id), Some(refresh_token)) = (&reply.device_id, &reply.refresh_token) else { return Ok(None) };
    Ok(Some(DeviceLogin {
        id: id.parse().map_err(|e| malformed("device_id", e))?,
        label: label.to_owned(),
        scopes: scopes.iter().filter_map(|word| word.parse().ok()).collect(),
        refresh_token: refresh_token.clone(),
        refresh_expires_at: reply.refresh_expires_at.unwrap_or(0),
    }))
}

/// Of the token, and not of a password that is in the call.
fn is_refusal(error: &TrackerError) -> bool {
    matches!(error, TrackerError::Answered { status: 401, code, .. } if code != "invalid_credentials")
}

fn malformed(what: &str, error: impl std::fmt::Display) -> TrackerError {
    TrackerError::Malformed(format!("{what}: {error}"))
}
