//! The swarm's certificate authority: vouches for peers' keys with short-lived certificates that name their account, and for the tracker
//! itself towards them.
//!
//! Its key is made on the first start and never leaves its folder; trackers of one database share that folder. Who knows the authority's
//! certificate, or only its fingerprint, needs no other: neither host names nor public authorities count for anything within a swarm.

mod files;
mod issue;
mod serving;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use data_encoding::HEXLOWER;
use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;
use sha2::{Digest as _, Sha256};

pub use files::{AuthorityError, Stage, exists, rotate};
pub use issue::{CsrError, Issued, check_csr, is_name};
pub use serving::Serving;

use files::{Found, Stamp};

/// The life of the tracker's own certificate, which is made again when half of it is over.
const OWN_LIFETIME: Duration = Duration::from_secs(7 * 86_400);

/// Where the authority's files are, and what the tracker's own certificate says.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The folder of the authority's key; shared by the trackers of one database.
    pub folder: PathBuf,
    /// How long peers' certificates are good.
    pub lifetime: Duration,
    /// Host names and addresses under which browsers and other programs call the tracker.
    pub names: Vec<String>,
    /// A certificate chain and its key for those, given by the operator.
    pub given: Option<(PathBuf, PathBuf)>,
}

/// The authority of a running tracker.
pub struct Authority {
    setup: Setup,
    state: RwLock<Arc<State>>,
    serving: Arc<Serving>,
}

/// What was read from the folder.
struct State {
    found: Found,
    /// All certificates that members should trust, as one PEM text.
    bundle: String,
    fingerprint: String,
    stamp: Stamp,
}

impl State {
    fn read(setup: &Setup) -> Result<Self, AuthorityError> {
        files::make_once(&setup.folder)?;
        // The time first: a change in between is then seen at the next look.
        let stamp = Stamp::of(setup);
        let found = files::read_folder(&setup.folder)?;
        let fingerprint = fingerprint_of(&found.certificate);
        Ok(Self { bundle: found.bundle(), fingerprint, found, stamp })
    }
}

/// The fingerprint of the authority of a folder, which must be there.
pub fn fingerprint(folder: &Path) -> Result<String, AuthorityError> {
    Ok(fingerprint_of(&files::read_folder(folder)?.certificate))
}

/// The certificates that members trust of the authority of a folder, PEM.
pub fn bundle(folder: &Path) -> Result<String, AuthorityError> {
    Ok(files::read_folder(folder)?.bundle())
}

/// A certificate of the tracker's role, for a proxy that ends TLS in its place; with its authority's and its key, PEM.
pub fn issue_for_proxy(folder: &Path, names: &[String], lifetime: Duration) -> Result<String, AuthorityError> {
    let found = files::read_folder(folder)?;
    let (certificate, key) = issue::tracker(&found.issuer, names, lifetime)?;
    Ok(format!("{}{}{}", issue::pem(&certificate), issue::pem(&found.certificate), key.serialize_pem()))
}

/// SHA-256 of a certificate (DER), lower-case hex.
fn fingerprint_of(certificate: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(certificate))
}

impl Authority {
    /// Loads the authority of a folder, or makes it.
    pub fn open(setup: Setup) -> Result<Self, AuthorityError> {
        let state = State::read(&setup)?;
        let serving = Serving::new(&setup, &state.found)?;
        Ok(Self { state: RwLock::new(Arc::new(state)), serving: Arc::new(serving), setup })
    }

    /// The certificates that members trust, PEM: the one that signs first, then one that will, then one that did.
    pub fn bundle(&self) -> String {
        self.state().bundle.clone()
    }

    /// SHA-256 of the signing certificate, lower-case hex.
    pub fn fingerprint(&self) -> String {
        self.state().fingerprint.clone()
    }

    /// Vouches for the key of a certificate signing request (PEM) as `peer`'s, on this device if it is one's. Nothing else in it counts.
    pub fn issue(
        &self,
        now: UnixMillis,
        peer: PeerId,
        device: Option<DeviceId>,
        csr: &str,
    ) -> Result<Issued, CsrError> {
        let state = self.state();
        let issued = issue::peer(&state.found.issuer, now, self.setup.lifetime, issue::Subject { peer, device }, csr)?;
        Ok(Issued { authorities: state.bundle.clone(), ..issued })
    }

    /// What the door encrypts with.
    pub fn serving(&self) -> &Arc<Serving> {
        &self.serving
    }

    /// Reads files again that have changed, and makes the tracker's own certificate anew in time. On an error what was there goes on.
    pub fn refresh(&self) -> Result<bool, AuthorityError> {
        let changed = Stamp::of(&self.setup) != self.state().stamp;
        if !changed && !self.serving.is_stale() {
            return Ok(false);
        }
        let state = State::read(&self.setup)?;
        self.serving.renew(&self.setup, &state.found)?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
        Ok(changed)
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
