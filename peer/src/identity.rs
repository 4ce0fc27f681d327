//! The identity of a node to other peers: a key that never leaves its folder, a short-lived certificate of the swarm's
//! authority that names its account, and the authorities that it trusts.
//!
//! Certificates from the tracker are checked here before they are used. gRPC's C core takes them as text, and would
//! report a wrong one only when another peer calls.

mod bundle;
mod device;
mod key;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_protos::identity::peer_name;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;

#[cfg(test)]
use crate::access::Membership;
pub use bundle::{Bundle, Fingerprint};
pub(crate) use device::Revocations;
pub use device::Scope;
pub(crate) use key::{new_key, request};

/// The reason that a certificate cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityError {
    /// The text holds no certificates, or something else.
    Malformed(&'static str),
    /// The node's key cannot be read.
    Key,
    /// The certificate does not fit the key, the account, the authorities or the time.
    NotOurs(String),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => f.write_str(what),
            Self::Key => f.write_str("the key of this node cannot be read"),
            Self::NotOurs(why) => write!(f, "the certificate is not this node's ({why}); is the clock right?"),
        }
    }
}

impl std::error::Error for IdentityError {}

/// A certificate, its key and the trusted authorities, which have been checked to fit together.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    peer: PeerId,
    device: Option<DeviceId>,
    certificate: String,
    // A secret: it is not part of Debug, and only gRPC gets it.
    key: String,
    authorities: Bundle,
    obtained_at: u64,
    expires_at: u64,
}

/// The parts of an [`Identity`].
pub struct IdentityParts {
    /// The account.
    pub peer: PeerId,
    /// The account's key on this device, PKCS #8 in PEM form.
    pub key: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// The certificates of the trusted authorities, PEM.
    pub authorities: String,
    /// When the certificate was issued, seconds since 1970-01-01 UTC.
    pub obtained_at: u64,
    /// When the certificate expires, in the same unit.
    pub expires_at: u64,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("peer", &self.peer)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Checks that the certificate fits the key, names the account, and was valid when it was issued.
    pub fn new(parts: IdentityParts) -> Result<Self, IdentityError> {
        let IdentityParts { peer, key, certificate, authorities, obtained_at, expires_at } = parts;
        let chain = Bundle::parse(&certificate)?;
        let authorities = Bundle::parse(&authorities)?;
        let secret = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| IdentityError::Key)?;
        let not_ours = |error: rustls::Error| IdentityError::NotOurs(error.to_string());
        CertifiedKey::from_der(chain.certificates().to_vec(), secret, &ring::default_provider()).map_err(not_ours)?;
        let name = ServerName::try_from(peer_name(&peer.to_string())).expect("a UUID and letters are a DNS name");
        let then = UnixTime::since_unix_epoch(Duration::from_secs(obtained_at));
        let [leaf, rest @ ..] = chain.certificates() else { return Err(IdentityError::Malformed("no certificate")) };
        verifier(&authorities)?.verify_server_cert(leaf, rest, &name, &[], then).map_err(not_ours)?;
        let device = device::of_certificate(leaf);
        Ok(Self { peer, device, certificate: chain.pem(), key, authorities, obtained_at, expires_at })
    }

    /// Returns the account.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// Returns the device, if the certificate names one.
    pub fn device(&self) -> Option<DeviceId> {
        self.device
    }

    /// Returns the trusted authorities.
    pub fn authorities(&self) -> &Bundle {
        &self.authorities
    }

    /// Returns when the certificate was issued, in seconds since 1970-01-01 UTC.
    pub fn obtained_at(&self) -> u64 {
        self.obtained_at
    }

    /// Returns when the certificate expires, in seconds since 1970-01-01 UTC.
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// Reports whether half of the certificate's life is over at `now`, so that it is to be renewed.
    pub fn is_stale(&self, now: u64) -> bool {
        now >= self.renew_at()
    }

    /// Returns when half of the certificate's life is over.
    pub(crate) fn renew_at(&self) -> u64 {
        self.obtained_at + self.expires_at.saturating_sub(self.obtained_at) / 2
    }

    /// Reports whether the certificate has expired at `now`.
    pub fn is_expired(&self, now: u64) -> bool {
        now >= self.expires_at
    }

    /// Returns the certificate, PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Returns the key, a secret.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

fn verifier(authorities: &Bundle) -> Result<Arc<WebPkiServerVerifier>, IdentityError> {
    let mut roots = RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(authorities.certificates().iter().cloned());
    if unusable > 0 {
        return Err(IdentityError::Malformed("one of the authorities is not a certificate"));
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
        .build()
        .map_err(|_| IdentityError::Malformed("no authorities"))
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::testing::{Authority, Life};
    use super::*;

    #[test]
    fn only_a_certificate_of_this_key_account_and_authority_fits() {
        let authority = Authority::new();
        let other = Authority::new();
        let alice = PeerId::from_random([1; 16]);
        let bob = PeerId::from_random([2; 16]);
        let parts = || authority.parts(alice, Life::day());
        assert_eq!(Identity::new(parts()).unwrap().peer(), alice);
        let wrong = [
            ("another account", IdentityParts { peer: bob, ..parts() }),
            ("another key", IdentityParts { key: new_key().unwrap(), ..parts() }),
            ("another authority", IdentityParts { authorities: other.pem(), ..parts() }),
            ("another time", IdentityParts { obtained_at: 0, ..parts() }),
            ("no authority", IdentityParts { authorities: String::new(), ..parts() }),
            ("no certificate", IdentityParts { certificate: "-----BEGIN".to_owned(), ..parts() }),
            ("a key that is none", IdentityParts { key: "\0".to_owned(), ..parts() }),
        ];
        for (what, parts) in wrong {
            assert!(Identity::new(parts).is_err(), "{what}");
        }
    }

    #[test]
    fn an_identity_is_stale_after_half_its_life_and_hides_its_key() {
        let life = Life { obtained_at: 1_000, expires_at: 3_000 };
        let identity = Authority::new().identity_for(PeerId::from_random([1; 16]), life);
        assert_eq!([1_999, 2_000].map(|now| identity.is_stale(now)), [false, true]);
        assert_eq!([2_999, 3_000].map(|now| identity.is_expired(now)), [false, true]);
        assert!(!format!("{identity:?}").contains("KEY"));
    }

    #[test]
    fn the_part_that_does_not_fit_is_named() {
        let authority = Authority::new();
        let alice = PeerId::from_random([1; 16]);
        let parts = || authority.parts(alice, Life::day());
        for (parts, expected) in [
            (IdentityParts { authorities: String::new(), ..parts() }, "there is no certificate"),
            (IdentityParts { certificate: String::new(), ..parts() }, "there is no certificate"),
            (IdentityParts { key: String::new(), ..parts() }, "the key of this node cannot be read"),
            (IdentityParts { key: parts().certificate, ..parts() }, "the key of this node cannot be read"),
        ] {
            assert_eq!(Identity::new(parts).unwrap_err().to_string(), expected);
        }
        for parts in [
            IdentityParts { obtained_at: 0, ..parts() },
            IdentityParts { obtained_at: Life::day().expires_at + 100, ..parts() },
            IdentityParts { peer: PeerId::from_random([2; 16]), ..parts() },
        ] {
            let text = Identity::new(parts).unwrap_err().to_string();
            assert!(text.starts_with("the certificate is not this node's ("), "{text}");
            assert!(text.ends_with("); is the clock right?"), "{text}");
        }
    }

    #[test]
    fn a_certificate_is_valid_from_its_first_to_its_last_second() {
        let authority = Authority::new();
        let life = Life { obtained_at: 1_000, expires_at: 3_000 };
        let parts = || authority.parts(PeerId::from_random([1; 16]), life);
        for (obtained_at, expected) in [(999, false), (1_000, true), (3_000, true), (3_001, false)] {
            assert_eq!(Identity::new(IdentityParts { obtained_at, ..parts() }).is_ok(), expected, "{obtained_at}");
        }
        for (expires_at, renew_at) in [(1_000, 1_000), (1_001, 1_000), (1_003, 1_001), (0, 1_000)] {
            let identity = Identity::new(IdentityParts { expires_at, ..parts() }).unwrap();
            assert_eq!(identity.renew_at(), renew_at, "{expires_at}");
        }
    }

    #[test]
    fn one_of_several_authorities_is_enough() {
        let authority = Authority::new();
        let other = Authority::new();
        let parts = authority.parts(PeerId::from_random([1; 16]), Life::day());
        let authorities = format!("{}{}", other.pem(), authority.pem());
        let identity = Identity::new(IdentityParts { authorities, ..parts }).unwrap();
        assert_eq!(identity.authorities().fingerprints().len(), 2);
    }
}
