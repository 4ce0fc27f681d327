//! A tracker that signs grants, for tests.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::claims::{GRANT_AUDIENCE, GRANT_TYP, GrantClaims, ISSUER};
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::TrackerKeys;

pub(crate) fn peer(number: u8) -> PeerId {
    PeerId::from_random([number; 16])
}

pub(crate) fn file(number: u8) -> FileHash {
    FileHash([number; 32])
}

/// A tracker, as far as grants are concerned: its signing key.
pub(crate) struct Tracker {
    key: KeyPair,
}

impl Tracker {
    pub(crate) fn new() -> Self {
        Self { key: KeyPair::generate_for(&PKCS_ED25519).expect("rcgen supports Ed25519") }
    }

    pub(crate) fn claims(peer: PeerId, file: FileHash, exp: u64) -> GrantClaims {
        GrantClaims {
            iss: ISSUER.to_owned(),
            aud: GRANT_AUDIENCE.to_owned(),
            sub: peer.to_string(),
            exp,
            file: file.to_string(),
            ..GrantClaims::default()
        }
    }

    pub(crate) fn sign(&self, claims: &GrantClaims) -> String {
        self.sign_as(GRANT_TYP, claims)
    }

    pub(crate) fn sign_as(&self, typ: &str, claims: &GrantClaims) -> String {
        let header = Header { typ: Some(typ.to_owned()), kid: Some(self.id()), ..Header::new(Algorithm::EdDSA) };
        let key = EncodingKey::from_ed_der(&self.key.serialize_der());
        peernet_protos::tokens::encode(&header, claims, &key).expect("an Ed25519 key signs any claims")
    }

    fn id(&self) -> String {
        data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(self.key.public_key_raw()))
    }

    fn key_set_named(&self, id: &str) -> String {
        let x = data_encoding::BASE64URL_NOPAD.encode(self.key.public_key_raw());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": id, "use": "sig", "alg": "EdDSA"}]}).to_string()
    }

    pub(crate) fn key_set(&self) -> String {
        self.key_set_named(&self.id())
    }

    pub(crate) fn keys(&self) -> TrackerKeys {
        TrackerKeys::parse(&self.key_set()).expect("key_set prints a valid key set")
    }

    /// Returns a set with this tracker's key under the other tracker's key id.
    pub(crate) fn keys_named(&self, other: &Self) -> TrackerKeys {
        TrackerKeys::parse(&self.key_set_named(&other.id())).expect("key_set_named prints a valid key set")
    }
}
