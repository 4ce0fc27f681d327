//! The swarm's certificate authority: issues short-lived certificates that name a peer's account, and the tracker's own
//! certificate.
//!
//! The authority's key is made on the first start and never leaves its folder; the trackers of one database share that
//! folder. A peer that knows the authority's certificate or its fingerprint needs no other trust: host names and public
//! authorities do not count within a swarm.

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

/// The lifetime of the tracker's own certificate, which is renewed after half of it.
const OWN_LIFETIME: Duration = Duration::from_secs(7 * 86_400);

/// The location of the authority's files, and the names in the tracker's own certificate.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The folder of the authority's key; shared by the trackers of one database.
    pub folder: PathBuf,
    /// The lifetime of peers' certificates.
    pub lifetime: Duration,
    /// Host names and addresses by which browsers and other programs call the tracker.
    pub names: Vec<String>,
    /// A certificate chain and its key for those names, given by the operator.
    pub given: Option<(PathBuf, PathBuf)>,
}

/// The authority of a running tracker.
pub struct Authority {
    setup: Setup,
    state: RwLock<Arc<State>>,
    serving: Arc<Serving>,
}

/// The contents of the folder.
struct State {
    found: Found,
    /// All certificates that peers should trust, as one PEM text.
    bundle: String,
    fingerprint: String,
    stamp: Stamp,
}

impl State {
    fn read(setup: &Setup) -> Result<Self, AuthorityError> {
        files::make_once(&setup.folder)?;
        // The stamp is taken before the files are read, so that the next refresh notices a change in between.
        let stamp = Stamp::of(setup);
        let found = files::read_folder(&setup.folder)?;
        let fingerprint = fingerprint_of(&found.certificate);
        Ok(Self { bundle: found.bundle(), fingerprint, found, stamp })
    }
}

/// Reads the fingerprint of the authority of a folder, which must exist.
pub fn fingerprint(folder: &Path) -> Result<String, AuthorityError> {
    Ok(fingerprint_of(&files::read_folder(folder)?.certificate))
}

/// Reads the certificates of a folder that peers trust, PEM.
pub fn bundle(folder: &Path) -> Result<String, AuthorityError> {
    Ok(files::read_folder(folder)?.bundle())
}

/// Issues a certificate in the tracker's role, for a proxy that terminates TLS in front of it. Returns it with the
/// authority's certificate and the key, PEM.
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
    /// Loads the authority of a folder, or makes a new one.
    pub fn open(setup: Setup) -> Result<Self, AuthorityError> {
        let state = State::read(&setup)?;
        let serving = Serving::new(&setup, &state.found)?;
        Ok(Self { state: RwLock::new(Arc::new(state)), serving: Arc::new(serving), setup })
    }

    /// The certificates that peers trust, PEM: first the signing one, then the next one, then the previous one.
    pub fn bundle(&self) -> String {
        self.state().bundle.clone()
    }

    /// SHA-256 of the signing certificate, lower-case hex.
    pub fn fingerprint(&self) -> String {
        self.state().fingerprint.clone()
    }

    /// Issues a certificate for the key of a certificate signing request (PEM), in the name of `peer` and its device.
    /// Nothing else in the request counts.
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

    /// The TLS configuration of the door.
    pub fn serving(&self) -> &Arc<Serving> {
        &self.serving
    }

    /// Reloads files that changed, and renews the tracker's own certificate in time. After an error the previous ones
    /// stay in force.
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
