//! The tracker's side of TLS (RFC 8446, and 1.2): its own certificate for peers, and the operator's certificate for
//! other clients.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use peernet_protos::identity::TRACKER_NAME;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::files::{self, AuthorityError, Found};
use super::{OWN_LIFETIME, Setup, issue};

/// The certificates in use. New connections get a new certificate at once; open connections keep theirs.
pub struct Serving {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
}

#[derive(Debug)]
struct Certificates(RwLock<Current>);

#[derive(Debug)]
struct Current {
    own: Arc<CertifiedKey>,
    given: Option<Arc<CertifiedKey>>,
    made_at: Instant,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}

impl Serving {
    pub(super) fn new(setup: &Setup, found: &Found) -> Result<Self, AuthorityError> {
        let certificates = Arc::new(Certificates(RwLock::new(Current::make(setup, found)?)));
        let failed = |error: rustls::Error| AuthorityError::Failed(error.to_string());
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Certificates>::clone(&certificates);
        let mut config = config.map_err(failed)?.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Without resumption each connection is a full handshake, and the tracker keeps no session state.
        config.ticketer = ring::Ticketer::new().map_err(failed)?;
        Ok(Self { config: Arc::new(config), certificates })
    }

    /// The TLS configuration of new connections.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Returns whether half of the own certificate's lifetime is over.
    pub(super) fn is_stale(&self) -> bool {
        self.certificates.read(|current| current.made_at.elapsed() > OWN_LIFETIME / 2)
    }

    pub(super) fn renew(&self, setup: &Setup, found: &Found) -> Result<(), AuthorityError> {
        let current = Current::make(setup, found)?;
        *self.certificates.0.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }
}

impl Current {
    fn make(setup: &Setup, found: &Found) -> Result<Self, AuthorityError> {
        let (certificate, key) = issue::tracker(&found.issuer, &setup.names, OWN_LIFETIME)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|why| AuthorityError::Failed(why.to_owned()))?;
        let own = certified(vec![certificate, found.certificate.clone()], &key);
        let own = own.map_err(|error| AuthorityError::Failed(error.to_string()))?;
        let given = setup.given.as_ref().map(|(chain, key)| load(chain, key)).transpose()?;
        Ok(Self { own: Arc::new(own), given: given.map(Arc::new), made_at: Instant::now() })
    }
}

impl Certificates {
    fn read<T>(&self, look: impl FnOnce(&Current) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Certificates {
    /// Peers ask for the tracker by its role. Other clients ask for a host name, or for nothing if they connect by
    /// address.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let by_role = hello.server_name() == Some(TRACKER_NAME);
        self.read(|current| match &current.given {
            Some(given) if !by_role => Some(Arc::clone(given)),
            _ => Some(Arc::clone(&current.own)),
        })
    }
}

fn certified(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Result<CertifiedKey, rustls::Error> {
    let certified = CertifiedKey::new(chain, ring::sign::any_supported_type(key)?);
    // A key type that cannot be compared is accepted: if it does not match, handshakes fail.
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) | Ok(()) => Ok(certified),
        Err(error) => Err(error),
    }
}

/// Loads an operator's certificate chain and key, PEM.
fn load(chain: &Path, key: &Path) -> Result<CertifiedKey, AuthorityError> {
    let unreadable = |path: &Path, why: &dyn fmt::Display| AuthorityError::Unreadable(path.to_owned(), why.to_string());
    let text = files::read_bounded(chain)?;
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|error| unreadable(chain, &error))?;
    if certificates.is_empty() {
        return Err(unreadable(chain, &"there is no certificate in it"));
    }
    let private = PrivateKeyDer::from_pem_slice(&files::read_private(key)?).map_err(|error| unreadable(key, &error))?;
    certified(certificates, &private).map_err(|error| unreadable(key, &error))
}
