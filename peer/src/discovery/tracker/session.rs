//! The tokens in use. They are read from the credentials file, renewed before they expire, and read again when another
//! process has logged in.

mod ending;
mod renewal;

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crossbeam_channel::after;
use peernet_protos::rest::{DeviceRequest, TokenReply};
use serde::de::DeserializeOwned;

use self::renewal::Refused;
use super::http::{Call, Http, HttpReply};
use super::{TrackerError, local};
use crate::clock::unix_now;
use crate::home::{Credentials, CredentialsFile, DeviceLogin, same_swarm};

pub use ending::AtTracker;
pub(super) use ending::Ended;

/// The interval at which a thread that waits for a renewal checks its state.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(super) struct Session {
    url: String,
    file: CredentialsFile,
    // Not held during network calls, except by the renewal, which one thread makes for all.
    current: Mutex<State>,
}

/// The credentials file as this process knows it.
#[derive(Default)]
struct State {
    credentials: Option<Credentials>,
    /// The refresh token that the tracker refuses. It is not tried again until the file has another one.
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

    /// The account as it is in the file now.
    pub(super) fn reload(&self) -> Result<Option<Credentials>, TrackerError> {
        let fresh = self.stored()?;
        self.lock().credentials.clone_from(&fresh);
        Ok(fresh)
    }

    /// Takes the tokens of a login into use and writes them to the file. `introduced` is the device that the login
    /// named.
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

    /// Makes a call in the account's name. A refused token is replaced once: by the one in the file, if another process
    /// has changed it, or by one from the tracker.
    pub(super) fn run<T: DeserializeOwned>(&self, http: &Http, call: Call<'_>) -> Result<T, TrackerError> {
        self.ask(http, call)?.parse()
    }

    /// Makes a call, and returns status and headers with the body.
    pub(super) fn ask(&self, http: &Http, mut call: Call<'_>) -> Result<HttpReply, TrackerError> {
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

    /// Waits until no renewal is under way, at most `longest`.
    pub(super) fn settle(&self, longest: Duration) {
        let deadline = Instant::now() + longest;
        while matches!(self.current.try_lock(), Err(TryLockError::WouldBlock)) && Instant::now() < deadline {
            let _time_has_come = after(LOOK_EVERY).recv();
        }
    }

    /// Returns a token that is good now, as far as is known.
    fn token(&self, http: &Http) -> Result<String, TrackerError> {
        let known = self.lock().credentials.clone();
        if let Some(known) = known.filter(|known| !known.is_stale(unix_now())) {
            return Ok(known.token);
        }
        match self.renewed(http, &|it| it.is_stale(unix_now())) {
            Ok(fresh) => Ok(fresh.token),
            Err(error @ (TrackerError::NotLoggedIn | TrackerError::DeviceEnded(_))) => Err(error),
            // A token that cannot be renewed at this moment is used while it is good, also while the node stops: its
            // last feedback and the end of its leases need one.
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
        let peer_id = reply.peer_id.parse().map_err(|e| malformed("peer_id", e))?;
        let obtained_at = unix_now();
        // If that is past already, one of the clocks is wrong. The tracker's refusal then says when it is time to
        // renew.
        let expires_at = if reply.expires_at > obtained_at { reply.expires_at } else { 0 };
        let tracker = self.url.clone();
        let token = reply.token.clone();
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

/// The device that a tracker names in its reply. Trackers without devices name none.
fn device_of(reply: &TokenReply, label: &str, scopes: &[String]) -> Result<Option<DeviceLogin>, TrackerError> {
    let Some(id) = &reply.device_id else { return Ok(None) };
    let Some(refresh_token) = &reply.refresh_token else { return Ok(None) };
    Ok(Some(DeviceLogin {
        id: id.parse().map_err(|e| malformed("device_id", e))?,
        label: label.to_owned(),
        scopes: scopes.iter().filter_map(|word| word.parse().ok()).collect(),
        refresh_token: refresh_token.clone(),
        refresh_expires_at: reply.refresh_expires_at.unwrap_or(0),
    }))
}

/// Returns true if the tracker refused the token, and not a password in the call.
fn is_refusal(error: &TrackerError) -> bool {
    matches!(error, TrackerError::Answered { status: 401, code, .. } if code != "invalid_credentials")
}

fn malformed(what: &str, error: impl std::fmt::Display) -> TrackerError {
    TrackerError::Malformed(format!("{what}: {error}"))
}
