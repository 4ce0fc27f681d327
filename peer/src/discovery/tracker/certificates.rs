//! Certificates from the tracker: this node's own, the revoked ones, and the keys with which the trackers sign.

use std::time::Duration;

use peernet_engine::ids::PeerId;
use peernet_protos::rest::{CertificateBody, CertificateRequest, RevocationsReply};

use super::http::Call;
use super::{LISTING_ANSWER, TrackerClient, TrackerError, local};
use crate::access::TrackerKeys;
use crate::clock::unix_now;
use crate::identity::{Identity, IdentityParts, Revocations, request};

/// The shortest time between two questions for revocations,
const ASK_AGAIN_MIN: Duration = Duration::from_secs(1);
/// and the longest.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(3_600);
/// The longest list of keys, in bytes: a few hundred.
const KEYS_ANSWER: u64 = 256 << 10;

impl TrackerClient {
    /// Gets another certificate for the account in use, and keeps it in the folder.
    pub(crate) fn certificate(&self) -> Result<Identity, TrackerError> {
        // Reads the file anew: a node that another process has logged out must not make a new key.
        let account = self.session.reload()?.ok_or(TrackerError::NotLoggedIn)?;
        let asked = CertificateRequest { csr: self.csr()? };
        let call = Call { repeatable: true, ..Call::post("/api/v1/peers/certificate", &asked) };
        match self.authorised::<CertificateBody>(call) {
            Err(TrackerError::Answered { status: 404 | 405, .. }) => {
                Err(TrackerError::NoCertificate { url: self.http.first_url().to_owned() })
            }
            body => self.keep_certificate(account.peer_id, &body?),
        }
    }

    /// Returns the identity in the folder, if it is of the account in use. It may have expired.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, TrackerError> {
        let Some(account) = self.account()? else { return Ok(None) };
        self.identity.load(&self.urls, account.peer_id).map_err(local)
    }

    /// Asks for the revoked certificates; `None` where they are unchanged since `known`. A tracker without this call
    /// revokes none.
    pub(crate) fn revocations(&self, known: Option<&str>) -> Result<Option<Revocations>, TrackerError> {
        let call =
            Call { known: known.map(str::to_owned), answer_max: LISTING_ANSWER, ..Call::get("/api/v1/revocations") };
        let answer = match self.session.ask(&self.http, call) {
            Err(TrackerError::Answered { status: 404, .. }) => return Ok(Some(none())),
            answer => answer?,
        };
        if answer.status == 304 {
            return Ok(None);
        }
        let reply: RevocationsReply = answer.parse()?;
        // An entry that cannot be read does not invalidate the others.
        let accounts = reply.accounts.iter().filter_map(|account| account.parse().ok()).collect();
        let devices = reply.devices.iter().filter_map(|device| device.parse().ok()).collect();
        let ask_again = Duration::from_secs(reply.ask_again_seconds).clamp(ASK_AGAIN_MIN, ASK_AGAIN_MAX);
        let revocations = Revocations { accounts, devices, etag: answer.etag, ask_again };
        self.identity.save_revocations(&self.urls, &revocations).map_err(local)?;
        Ok(Some(revocations))
    }

    /// Returns the revocations that a process of this folder read last.
    pub(crate) fn known_revocations(&self) -> Option<Revocations> {
        self.identity.load_revocations(&self.urls)
    }

    /// Asks for the keys with which the trackers of the swarm sign grants, and keeps them for the next start.
    pub(crate) fn tracker_keys(&self) -> Result<TrackerKeys, TrackerError> {
        let call = Call { answer_max: KEYS_ANSWER, ..Call::get("/.well-known/jwks.json") };
        let set: serde_json::Value = self.http.json(&call)?;
        let text = set.to_string();
        let tracker_keys = TrackerKeys::parse(&text).map_err(|error| TrackerError::Malformed(error.to_string()))?;
        if self.identity.load_tracker_keys(&self.urls).as_ref() != Some(&text) {
            self.identity.save_tracker_keys(&self.urls, &set).map_err(local)?;
        }
        Ok(tracker_keys)
    }

    /// Returns the keys that a process of this folder read last.
    pub(crate) fn known_tracker_keys(&self) -> Option<TrackerKeys> {
        TrackerKeys::parse(&self.identity.load_tracker_keys(&self.urls)?).ok()
    }

    pub(super) fn csr(&self) -> Result<String, TrackerError> {
        let key = self.identity.key().map_err(local)?;
        request(&key).map_err(|_| {
            let path = self.identity.key_path();
            TrackerError::LocalState(format!("{} is damaged: remove it and run `peernet login`", path.display()))
        })
    }

    /// Checks the certificate first, because a tracker may send anything. The authorities with it come from a proven
    /// tracker, so they are the swarm's from now on.
    pub(super) fn keep_certificate(&self, peer: PeerId, body: &CertificateBody) -> Result<Identity, TrackerError> {
        let CertificateBody { certificate, authorities, expires_at } = body.clone();
        let key = self.identity.key().map_err(local)?;
        let obtained_at = unix_now();
        let parts = IdentityParts { peer, key, certificate, authorities, obtained_at, expires_at };
        let identity = Identity::new(parts).map_err(|error| TrackerError::Malformed(error.to_string()))?;
        self.http.learn(identity.authorities())?;
        self.identity.save(&self.urls, &identity).map_err(local)?;
        Ok(identity)
    }
}

fn none() -> Revocations {
    Revocations { accounts: Default::default(), devices: Default::default(), etag: None, ask_again: ASK_AGAIN_MAX }
}
