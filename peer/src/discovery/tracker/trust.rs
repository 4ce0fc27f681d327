//! The authorities that this node trusts for its swarm: those pinned in its folder, and the first contact with a
//! tracker, which pins them. Before that, no password and no token is sent.

use std::sync::{Mutex, PoisonError};

use peernet_protos::rest::AuthorityReply;

use super::base::{Roots, TrackerProof};
use super::http::{Call, Http};
use super::{TrackerError, TrackerOptions};
use crate::home::TrustFile;
use crate::identity::{Bundle, Fingerprint};
use crate::log::Log;

const AUTHORITY: &str = "/api/v1/authority";

/// The pinned authorities of one swarm.
pub(super) struct Trust {
    file: TrustFile,
    trackers: String,
    /// The authorities in use.
    current: Mutex<Option<Bundle>>,
}

impl Trust {
    /// Loads the pinned authorities.
    pub(super) fn load(file: TrustFile, trackers: String) -> Result<Self, TrackerError> {
        let trust = Self { file, trackers, current: Mutex::new(None) };
        trust.reload()?;
        Ok(trust)
    }

    /// Returns the authorities in use.
    pub(super) fn pinned(&self) -> Option<Bundle> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again: another process may have met the tracker's new authority. Returns the authorities if they
    /// are others.
    pub(super) fn reload(&self) -> Result<Option<Bundle>, TrackerError> {
        let found = self.file.pinned(&self.trackers).map_err(|error| TrackerError::LocalState(error.to_string()))?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == found {
            return Ok(None);
        }
        current.clone_from(&found);
        Ok(found)
    }

    /// Pins and uses these authorities, which are others than those in use.
    pub(super) fn pin(&self, authorities: &Bundle) -> Result<(), TrackerError> {
        let failed = |error: crate::home::HomeError| TrackerError::LocalState(error.to_string());
        self.file.pin(&self.trackers, authorities).map_err(failed)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(authorities.clone());
        Ok(())
    }
}

/// Makes sure that the authority is known before anything secret is sent to a tracker.
pub(super) fn meet(http: &Http, options: &TrackerOptions, log: &Log) -> Result<(), TrackerError> {
    let given = options.ca_fingerprint;
    match (http.ways(), given) {
        (ways, _) if ways.contains(&TrackerProof::Role) => meet_by_role(http, given, log),
        (_, Some(given)) => check(&ask(http)?, given, http.first_url()).map(drop),
        (_, None) => Ok(()),
    }
}

fn meet_by_role(http: &Http, given: Option<Fingerprint>, log: &Log) -> Result<(), TrackerError> {
    match (http.pinned(), given) {
        (Some(_), None) => return Ok(()),
        (Some(pinned), Some(given)) if pinned.fingerprints().contains(&given) => return Ok(()),
        // The user named another authority: the operator has replaced it.
        (Some(_), Some(_)) | (None, _) => {}
    }
    let met = first_contact(http, given)?;
    http.pin(&met)?;
    if given.is_none() {
        let fingerprint = met.fingerprint();
        log.info(&format!(
            "trusting the swarm's authority sha256:{fingerprint} on first use; compare it with the operator's, or give --ca-fingerprint"
        ));
    }
    Ok(())
}

/// Reads the authorities that the server shows, decides which to trust, and connects again to a server that proves one.
///
/// The function uses connections of its own, so that other threads do not talk to an unproven server meanwhile. Of
/// several authorities only the named one is accepted as proof: their certificates are public, and an attacker could
/// show them beside its own.
fn first_contact(http: &Http, given: Option<Fingerprint>) -> Result<Bundle, TrackerError> {
    let apart = http.twin();
    apart.trust(&Roots::Any);
    let shown = ask(&apart)?;
    let proof = match given {
        Some(given) => check(&shown, given, http.first_url())?,
        None => shown,
    };
    apart.trust(&Roots::Of(&proof));
    let proven = ask(&apart)?;
    if let Some(given) = given {
        check(&proven, given, http.first_url())?;
    }
    Ok(proven)
}

fn ask(http: &Http) -> Result<Bundle, TrackerError> {
    match http.json::<AuthorityReply>(&Call::get(AUTHORITY)) {
        Ok(reply) => Bundle::parse(&reply.certificates).map_err(|error| TrackerError::Malformed(error.to_string())),
        Err(TrackerError::Answered { status: 404, .. }) => {
            Err(TrackerError::NoAuthority { url: http.first_url().to_owned() })
        }
        Err(error) => Err(error),
    }
}

fn check(shown: &Bundle, given: Fingerprint, url: &str) -> Result<Bundle, TrackerError> {
    shown.only(given).ok_or_else(|| TrackerError::OtherAuthority {
        url: url.to_owned(),
        given: given.to_string(),
        found: shown.fingerprint().to_string(),
    })
}
