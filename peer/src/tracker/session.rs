//! The access token in use: taken from the credentials file, renewed before it ends, read again when another process has
//! logged in meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};

use peernet_protos::rest::TokenReply;
use serde::de::DeserializeOwned;

use super::TrackerError;
use super::http::{Answer, Call, Http};
use super::url::same_swarm;
use crate::clock::unix_now;
use crate::home::{Credentials, CredentialsFile};

const REFRESH: &str = "/api/v1/peers/refresh";

pub(super) struct Session {
    url: String,
    file: CredentialsFile,
    // Held over no network call but the refresh, which one thread does for all.
    current: Mutex<Option<Credentials>>,
}

impl Session {
    pub(super) fn new(url: String, file: CredentialsFile) -> Self {
        Self { url, file, current: Mutex::new(None) }
    }

    /// The account at this tracker, if there is one.
    pub(super) fn current(&self) -> Result<Option<Credentials>, TrackerError> {
        let mut current = self.lock();
        if current.is_none() {
            *current = self.stored()?;
        }
        Ok(current.clone())
    }

    /// Takes a new token into use and into the file.
    pub(super) fn keep(&self, reply: &TokenReply, address: Option<&str>) -> Result<Credentials, TrackerError> {
        let credentials = self.credentials(reply, address.map(str::to_owned))?;
        self.save(&credentials)?;
        *self.lock() = Some(credentials.clone());
        Ok(credentials)
    }

    /// Makes a call in the account's name. A token that is refused is looked up again in the file, once: the password may
    /// have been changed by another process of this user.
    pub(super) fn run<T: DeserializeOwned>(&self, http: &Http, call: Call<'_>) -> Result<T, TrackerError> {
        self.ask(http, call)?.parse()
    }

    /// The same for callers who look at more than the body.
    pub(super) fn ask(&self, http: &Http, mut call: Call<'_>) -> Result<Answer, TrackerError> {
        let token = self.token(http)?;
        call.token = Some(token.clone());
        match http.answer(&call) {
            Err(TrackerError::Answered { status: 401, .. }) => {
                let fresh = self.reload()?.filter(|fresh| fresh.token != token).ok_or(TrackerError::NotLoggedIn)?;
                call.token = Some(fresh.token);
                match http.answer(&call) {
                    Err(TrackerError::Answered { status: 401, .. }) => Err(TrackerError::NotLoggedIn),
                    answer => answer,
                }
            }
            answer => answer,
        }
    }

    fn token(&self, http: &Http) -> Result<String, TrackerError> {
        let mut current = self.lock();
        if current.as_ref().is_none_or(|credentials| credentials.is_stale(unix_now())) {
            *current = self.stored()?;
        }
        let credentials = current.as_ref().ok_or(TrackerError::NotLoggedIn)?;
        if !credentials.is_stale(unix_now()) {
            return Ok(credentials.token.clone());
        }
        if credentials.is_expired(unix_now()) {
            return Err(TrackerError::NotLoggedIn);
        }
        let fresh = self.refreshed(http, credentials)?;
        Ok(current.insert(fresh).token.clone())
    }

    /// A new token for an old one that still works. Where that cannot be had now, the old one goes on.
    fn refreshed(&self, http: &Http, old: &Credentials) -> Result<Credentials, TrackerError> {
        let mut call = Call::post(REFRESH, &serde_json::Map::new());
        call.token = Some(old.token.clone());
        call.repeatable = true;
        match http.json::<TokenReply>(&call) {
            Ok(reply) => {
                let fresh = self.credentials(&reply, old.address.clone())?;
                self.save(&fresh)?;
                Ok(fresh)
            }
            Err(TrackerError::Answered { status: 401, .. }) => Err(TrackerError::NotLoggedIn),
            // Also while the node stops: its last feedback and its good-bye go out with the old one.
            Err(_) => Ok(old.clone()),
        }
    }

    fn credentials(&self, reply: &TokenReply, address: Option<String>) -> Result<Credentials, TrackerError> {
        let peer_id = reply.peer_id.parse().map_err(|e| TrackerError::Malformed(format!("peer_id: {e}")))?;
        Ok(Credentials {
            tracker: self.url.clone(),
            peer_id,
            address,
            token: reply.token.clone(),
            obtained_at: unix_now(),
            expires_at: reply.expires_at,
        })
    }

    fn reload(&self) -> Result<Option<Credentials>, TrackerError> {
        let fresh = self.stored()?;
        self.lock().clone_from(&fresh);
        Ok(fresh)
    }

    fn stored(&self) -> Result<Option<Credentials>, TrackerError> {
        let found = self.file.load().map_err(|e| TrackerError::LocalState(e.to_string()))?;
        Ok(found.filter(|credentials| same_swarm(&credentials.tracker, &self.url)))
    }

    fn save(&self, credentials: &Credentials) -> Result<(), TrackerError> {
        self.file.save(credentials).map_err(|e| TrackerError::LocalState(e.to_string()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Credentials>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
