//! Certificate authorities for tests. They sign anything.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_protos::identity::{device_uri, peer_name};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};

use super::{Identity, IdentityParts, Membership};

/// The validity of a certificate, in seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) obtained_at: u64,
    pub(crate) expires_at: u64,
}

impl Life {
    /// A day, from now on.
    pub(crate) fn day() -> Self {
        let now = unix_now();
        Self { obtained_at: now - 60, expires_at: now + 86_400 }
    }
}

/// A certificate authority with its key.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("the parameters of the test are valid");
        let mut params = CertificateParams::default();
        params.distinguished_name = called("an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).expect("the parameters of the test are valid").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Returns the certificate, as PEM.
    pub(crate) fn pem(&self) -> String {
        self.pem.clone()
    }

    /// A certificate with these names for a key (PEM).
    pub(crate) fn issue(&self, names: &[String], key: &str, life: Life) -> String {
        self.issue_with(names, &[], key, life)
    }

    /// The same with URIs beside the names.
    fn issue_with(&self, names: &[String], uris: &[String], key: &str, life: Life) -> String {
        let at = |seconds: u64| (UNIX_EPOCH + Duration::from_secs(seconds)).into();
        let mut params = CertificateParams::new(names).expect("the parameters of the test are valid");
        let uris = uris.iter().map(|uri| uri.as_str().try_into().expect("the parameters of the test are valid"));
        params.subject_alt_names.extend(uris.map(SanType::URI));
        // One whose subject is its issuer passes for a root.
        params.distinguished_name = called("a member");
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (at(life.obtained_at), at(life.expires_at));
        params
            .signed_by(&KeyPair::from_pem(key).expect("the parameters of the test are valid"), &self.issuer)
            .expect("the parameters of the test are valid")
            .pem()
    }

    pub(crate) fn parts(&self, peer: PeerId, Life { obtained_at, expires_at }: Life) -> IdentityParts {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .expect("the parameters of the test are valid")
            .serialize_pem();
        let certificate = self.issue(&[peer_name(&peer.to_string())], &key, Life { obtained_at, expires_at });
        IdentityParts { peer, key, certificate, authorities: self.pem(), obtained_at, expires_at }
    }

    pub(crate) fn identity_for(&self, peer: PeerId, life: Life) -> Identity {
        Identity::new(self.parts(peer, life)).expect("its parts fit together")
    }

    /// A device of an account for a day.
    #[allow(dead_code, reason = "not every user of this file needs it")]
    pub(crate) fn device_of(&self, peer: PeerId, device: DeviceId) -> Identity {
        let life = Life::day();
        let parts = self.parts(peer, Life::day());
        let names = [peer_name(&peer.to_string())];
        let certificate = self.issue_with(&names, &[device_uri(&device.to_string())], &parts.key, life);
        Identity::new(IdentityParts { certificate, ..parts }).expect("its parts fit together")
    }

    /// A member for a day.
    pub(crate) fn member(&self, number: u8) -> Arc<Membership> {
        Membership::new(self.identity_for(PeerId::from_random([number; 16]), Life::day()))
    }
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs()
}

fn called(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
