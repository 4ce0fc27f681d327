//! A tracker's signing key, for tests.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::claims::{GRANT_AUDIENCE, GRANT_TYP, GrantClaims, ISSUER};
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Signers;

pub(crate) fn peer(number: u8) -> PeerId {
    PeerId::from_random([number; 16])
}

pub(crate) fn file(number: u8) -> FileHash {
    FileHash([number; 32])
}

pub(crate) struct Tracker {
    key: KeyPair,
}

impl Tracker {
    pub(crate) fn new() -> Self {
        Self { key: KeyPair::generate_for(&PKCS_ED25519).expect("what rcgen is asked for is sound") }
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
        peernet_protos::tokens::encode(&header, claims, &key).expect("our own key signs our own claims")
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

    pub(crate) fn signers(&self) -> Signers {
        Signers::parse(&self.key_set()).expect("as it is written here")
    }

    /// This one's key under the other's name.
    pub(crate) fn signers_named(&self, other: &Self) -> Signers {
        Signers::parse(&self.key_set_named(&other.id())).expect("as it is written here")
    }
}
