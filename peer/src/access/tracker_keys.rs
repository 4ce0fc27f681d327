//! The public keys of the swarm's trackers, and the check of a grant's signature against them. No I/O.

use std::collections::BTreeMap;
use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode_header};
use peernet_engine::access::{Grant, GrantError};
use peernet_protos::claims::{GRANT_AUDIENCE, GRANT_TYP, GrantClaims, ISSUER};
use peernet_protos::limits::GRANT_MORE_MAX;
use peernet_protos::tokens::decode;

use super::GRANT_BYTES_MAX;

/// Keys that are read from a key set. A swarm has one for each tracker, and some that are being replaced.
const KEYS_MAX: usize = 256;

/// The keys that sign grants in a swarm, by their ids. An empty set verifies no grant.
#[derive(Default)]
pub struct TrackerKeys {
    by_id: BTreeMap<String, DecodingKey>,
}

/// The error for a text that is not a usable key set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedKeys(String);

impl fmt::Display for MalformedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tracker's key set cannot be read: {}", self.0)
    }
}

impl std::error::Error for MalformedKeys {}

impl fmt::Debug for TrackerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_id.keys()).finish()
    }
}

impl TrackerKeys {
    /// Reads a JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037). Keys of other kinds are ignored.
    pub fn parse(text: &str) -> Result<Self, MalformedKeys> {
        let set: JwkSet = serde_json::from_str(text).map_err(|error| MalformedKeys(error.to_string()))?;
        let keys = set.keys.iter().take(KEYS_MAX).filter(|key| is_ed25519(key));
        let by_id = keys.filter_map(|key| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(key).ok()?)));
        let keys = Self { by_id: by_id.collect() };
        if keys.by_id.is_empty() { Err(MalformedKeys("it has no Ed25519 key".to_owned())) } else { Ok(keys) }
    }

    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Tells whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Verifies the signature of a grant and reads its claims. The caller still has to check their contents:
    /// [`Grant::check`]. Takes some 50 µs.
    pub fn verify(&self, grant: &str) -> Result<Grant, GrantError> {
        let claims = self.claims(grant)?;
        let files = std::iter::once(&claims.file).chain(claims.more.iter().take(GRANT_MORE_MAX));
        Ok(Grant {
            account: claims.sub.parse().ok(),
            files: files.filter_map(|file| file.parse().ok()).collect(),
            expires_at: claims.exp,
            issued_as_public: claims.public,
        })
    }

    fn claims(&self, grant: &str) -> Result<GrantClaims, GrantError> {
        if grant.len() > GRANT_BYTES_MAX {
            return Err(GrantError::Malformed);
        }
        let header = decode_header(grant).map_err(|_| GrantError::Malformed)?;
        // Trackers sign access tokens with the same keys. The type keeps one from being taken for the other.
        if header.typ.as_deref() != Some(GRANT_TYP) || header.alg != Algorithm::EdDSA {
            return Err(GrantError::Malformed);
        }
        let key = header.kid.as_ref().and_then(|id| self.by_id.get(id)).ok_or(GrantError::UnknownKey)?;
        let decoded = decode::<GrantClaims>(grant, key, &validation());
        decoded.map(|decoded| decoded.claims).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => GrantError::Forged,
            _ => GrantError::Malformed,
        })
    }
}

fn is_ed25519(key: &Jwk) -> bool {
    matches!(&key.algorithm, AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519)
}

fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    // The library would read the clock itself. The engine compares the expiry with the time that comes in.
    validation.validate_exp = false;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[GRANT_AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}

#[cfg(test)]
mod tests {
    use peernet_engine::access::{KnownVisibility, Permission};
    use peernet_engine::ids::FileHash;

    use super::*;
    use crate::access::testing::{Tracker, file, peer};

    const NOW: u64 = 1_800_000_000;

    fn claims() -> GrantClaims {
        GrantClaims { more: vec![file(2).to_string()], ..Tracker::claims(peer(1), file(1), NOW + 60) }
    }

    /// Verifies a grant with these claims and reads it.
    fn verified(claims: &GrantClaims) -> Result<Grant, GrantError> {
        let tracker = Tracker::new();
        tracker.keys().verify(&tracker.sign(claims))
    }

    /// Checks a grant with these claims that account 1 presents for this file.
    fn check(claims: &GrantClaims, file: FileHash) -> Result<Permission, GrantError> {
        verified(claims)?.check(NOW, peer(1), file, KnownVisibility::Restricted)
    }

    #[test]
    fn the_claims_of_a_grant_are_read() {
        let expected = Grant {
            account: Some(peer(1)),
            files: vec![file(1), file(2)],
            expires_at: NOW + 60,
            issued_as_public: false,
        };
        assert_eq!(verified(&claims()), Ok(expected.clone()));
        let public = GrantClaims { public: true, ..claims() };
        assert_eq!(verified(&public), Ok(Grant { issued_as_public: true, ..expected }));
    }

    #[test]
    fn a_grant_counts_for_its_account_its_files_and_its_time() {
        use GrantError::{BeforeRestriction, Expired, Malformed, OtherAccount, OtherFile};
        let good = Ok(());
        for (claims, asked, expected) in [
            (claims(), 1, good),
            (claims(), 2, good),
            (claims(), 3, Err(OtherFile)),
            (GrantClaims { sub: peer(2).to_string(), ..claims() }, 1, Err(OtherAccount)),
            (GrantClaims { sub: "nobody".to_owned(), ..claims() }, 1, Err(OtherAccount)),
            (GrantClaims { exp: NOW, ..claims() }, 1, Err(Expired)),
            (GrantClaims { public: true, ..claims() }, 1, Err(BeforeRestriction)),
            (GrantClaims { iss: "somebody".to_owned(), ..claims() }, 1, Err(Malformed)),
            (GrantClaims { aud: "peernet-tracker".to_owned(), ..claims() }, 1, Err(Malformed)),
            (GrantClaims { file: "no hash".to_owned(), ..claims() }, 1, Err(OtherFile)),
            (GrantClaims { file: "no hash".to_owned(), ..claims() }, 2, good),
            (GrantClaims { more: vec![file(9).to_string(); 5], ..claims() }, 1, good),
        ] {
            assert_eq!(check(&claims, file(asked)).map(drop), expected, "{claims:?} {asked}");
        }
    }

    #[test]
    fn a_grant_covers_no_more_files_than_a_tracker_may_name() {
        let mut many = claims();
        many.more = vec![file(9).to_string(); GRANT_MORE_MAX];
        many.more.push(file(5).to_string());
        assert_eq!(check(&many, file(9)).map(drop), Ok(()));
        assert_eq!(check(&many, file(5)), Err(GrantError::OtherFile));
    }

    #[test]
    fn only_a_known_key_verifies_a_grant() {
        let tracker = Tracker::new();
        let other = Tracker::new();
        let grant = tracker.sign(&claims());
        assert!(tracker.keys().verify(&grant).is_ok());
        assert_eq!(other.keys().verify(&grant), Err(GrantError::UnknownKey));
        assert_eq!(TrackerKeys::default().verify(&grant), Err(GrantError::UnknownKey));
        // The right key id with another key behind it.
        assert_eq!(other.keys_named(&tracker).verify(&grant), Err(GrantError::Forged));
    }

    #[test]
    fn a_changed_byte_or_changed_claims_are_a_forgery() {
        let tracker = Tracker::new();
        let grant = tracker.sign(&claims());
        let mut bent = grant.clone().into_bytes();
        let place = bent.len() - 10;
        bent[place] = if bent[place] == b'A' { b'B' } else { b'A' };
        assert_eq!(tracker.keys().verify(std::str::from_utf8(&bent).unwrap()), Err(GrantError::Forged));
        let theirs = tracker.sign(&GrantClaims { sub: peer(2).to_string(), ..claims() });
        let parts = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let mixed = [parts(&grant)[0].clone(), parts(&theirs)[1].clone(), parts(&grant)[2].clone()].join(".");
        assert_eq!(tracker.keys().verify(&mixed), Err(GrantError::Forged));
    }

    #[test]
    fn other_texts_and_access_tokens_are_no_grants() {
        let tracker = Tracker::new();
        let access = tracker.sign_as(peernet_protos::claims::ACCESS_TYP, &claims());
        let long = "x".repeat(GRANT_BYTES_MAX + 1);
        for text in ["", "a.b.c", access.as_str(), long.as_str(), "\u{0}"] {
            assert_eq!(tracker.keys().verify(text), Err(GrantError::Malformed), "{text:.40}");
        }
    }

    #[test]
    fn keys_of_other_kinds_are_ignored() {
        let text = Tracker::new().key_set();
        assert_eq!(TrackerKeys::parse(&text).unwrap().len(), 1);
        let foreign = r#"{"kty":"oct","k":"AAAA","kid":"x"}"#;
        let both = text.replacen("[", &format!("[{foreign},"), 1);
        assert_eq!(TrackerKeys::parse(&both).unwrap().len(), 1);
        for text in ["", "{}", r#"{"keys":[]}"#, "[]", &format!(r#"{{"keys":[{foreign}]}}"#)] {
            assert!(TrackerKeys::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_flipped_byte_leaves_a_grant_good() {
        let tracker = Tracker::new();
        let keys = tracker.keys();
        let grant = tracker.sign(&claims());
        for place in 0..grant.len() {
            let mut bent = grant.clone().into_bytes();
            bent[place] ^= 1;
            let Ok(text) = std::str::from_utf8(&bent) else { continue };
            let found = keys.verify(text);
            // Unused bits at the end of a base64 text are refused by the decoder, so every byte counts.
            assert!(found.is_err(), "{place}: {found:?}");
        }
        for cut in 0..grant.len() {
            assert!(keys.verify(&grant[..cut]).is_err(), "{cut}");
        }
        assert!(keys.verify(&format!("{grant}A")).is_err() && keys.verify(&format!(" {grant}")).is_err());
    }

    #[test]
    fn a_key_set_cut_off_anywhere_is_not_read() {
        let text = Tracker::new().key_set();
        for cut in 0..text.len() {
            let error = TrackerKeys::parse(&text[..cut]).unwrap_err().to_string();
            assert!(error.starts_with("the tracker's key set cannot be read: "), "{cut}: {error}");
        }
        let empty = TrackerKeys::parse(r#"{"keys":[]}"#).unwrap_err().to_string();
        assert_eq!(empty, "the tracker's key set cannot be read: it has no Ed25519 key");
    }

    #[test]
    fn only_so_many_keys_are_read_from_a_set() {
        let text = Tracker::new().key_set();
        let key: serde_json::Value = serde_json::from_str::<serde_json::Value>(&text).unwrap()["keys"][0].take();
        let named = |id: usize| {
            let mut key = key.clone();
            key["kid"] = serde_json::json!(id.to_string());
            key
        };
        for (count, expected) in [(1, 1), (KEYS_MAX, KEYS_MAX), (KEYS_MAX + 1, KEYS_MAX)] {
            let set = serde_json::json!({"keys": (0..count).map(named).collect::<Vec<_>>()});
            assert_eq!(TrackerKeys::parse(&set.to_string()).unwrap().len(), expected);
        }
        // Two keys under one id are one, and a key without an id verifies nothing.
        let mut nameless = named(1);
        nameless.as_object_mut().unwrap().remove("kid");
        let set = serde_json::json!({"keys": [named(0), named(0), nameless]});
        assert_eq!(TrackerKeys::parse(&set.to_string()).unwrap().len(), 1);
        assert_eq!(format!("{:?}", TrackerKeys::parse(&set.to_string()).unwrap()), "{\"0\"}");
        assert!(TrackerKeys::default().is_empty());
    }
}
