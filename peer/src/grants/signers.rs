//! The trackers' public keys, and the check of a grant against them. No I/O.

use std::collections::BTreeMap;
use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode_header};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::claims::{GRANT_AUDIENCE, GRANT_TYP, GrantClaims, ISSUER};
use peernet_protos::limits::GRANT_MORE_MAX;
use peernet_protos::tokens::decode;

use super::{GRANT_BYTES_MAX, GrantError, Leave};

/// Keys that are looked at: one for each tracker of the swarm, and some that are on their way out.
const KEYS_MAX: usize = 256;

/// The keys that sign for a swarm. With none, no grant is good.
#[derive(Default)]
pub struct Signers {
    by_id: BTreeMap<String, DecodingKey>,
}

/// What a tracker sent is no key set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedKeys(String);

impl fmt::Display for MalformedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tracker's key set makes no sense: {}", self.0)
    }
}

impl std::error::Error for MalformedKeys {}

impl fmt::Debug for Signers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_id.keys()).finish()
    }
}

impl Signers {
    /// Reads a JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037); keys of other kinds are passed over.
    pub fn parse(text: &str) -> Result<Self, MalformedKeys> {
        let set: JwkSet = serde_json::from_str(text).map_err(|error| MalformedKeys(error.to_string()))?;
        let keys = set.keys.iter().take(KEYS_MAX).filter(|key| is_ed25519(key));
        let by_id = keys.filter_map(|key| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(key).ok()?)));
        let signers = Self { by_id: by_id.collect() };
        if signers.by_id.is_empty() { Err(MalformedKeys("it has no key".to_owned())) } else { Ok(signers) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What this grant allows `caller` to do with `file` at `now`, seconds since 1970-01-01 UTC. `restricted`: the file is known not to
    /// be public any more.
    pub fn check(
        &self,
        now: u64,
        grant: &str,
        caller: PeerId,
        (file, restricted): (FileHash, bool),
    ) -> Result<Leave, GrantError> {
        let claims = self.claims(grant)?;
        if claims.sub.parse() != Ok(caller) {
            return Err(GrantError::OtherAccount);
        }
        let mut covered = std::iter::once(&claims.file).chain(claims.more.iter().take(GRANT_MORE_MAX));
        if !covered.any(|covered| covered.parse() == Ok(file)) {
            return Err(GrantError::OtherFile);
        }
        let leave = Leave { expires_at: claims.exp, public: claims.public };
        leave.holds(now, restricted).map(|()| leave)
    }

    fn claims(&self, grant: &str) -> Result<GrantClaims, GrantError> {
        if grant.len() > GRANT_BYTES_MAX {
            return Err(GrantError::Malformed);
        }
        let header = decode_header(grant).map_err(|_| GrantError::Malformed)?;
        // Trackers sign access tokens with the same keys.
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
    // The end is compared with the clock that comes in.
    validation.validate_exp = false;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[GRANT_AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tracker, file, peer};
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn claims() -> GrantClaims {
        GrantClaims { more: vec![file(2).to_string()], ..Tracker::claims(peer(1), file(1), NOW + 60) }
    }

    /// What becomes of a grant with these claims that this account shows for this file.
    fn check(claims: &GrantClaims, caller: u8, asked: u8, restricted: bool) -> Result<u64, GrantError> {
        let tracker = Tracker::new();
        let checked = tracker.signers().check(NOW, &tracker.sign(claims), peer(caller), (file(asked), restricted));
        checked.map(|leave| leave.expires_at)
    }

    #[test]
    fn a_grant_is_good_for_its_account_its_files_and_its_time() {
        use GrantError::{BeforeRestriction, Expired, Malformed, OtherAccount, OtherFile};
        let good = Ok(NOW + 60);
        let public = GrantClaims { public: true, ..claims() };
        for (claims, caller, asked, restricted, expected) in [
            (claims(), 1, 1, true, good),
            (claims(), 1, 2, true, good),
            (claims(), 1, 1, false, good),
            (claims(), 2, 1, true, Err(OtherAccount)),
            (claims(), 1, 3, true, Err(OtherFile)),
            (GrantClaims { exp: NOW, ..claims() }, 1, 1, true, Err(Expired)),
            (public.clone(), 1, 1, false, good),
            (public, 1, 1, true, Err(BeforeRestriction)),
            (GrantClaims { iss: "somebody".to_owned(), ..claims() }, 1, 1, true, Err(Malformed)),
            (GrantClaims { aud: "peernet-tracker".to_owned(), ..claims() }, 1, 1, true, Err(Malformed)),
            (GrantClaims { sub: "nobody".to_owned(), ..claims() }, 1, 1, true, Err(OtherAccount)),
            (GrantClaims { more: vec![file(9).to_string(); 5], ..claims() }, 1, 1, true, good),
        ] {
            assert_eq!(check(&claims, caller, asked, restricted), expected, "{claims:?} {caller} {asked}");
        }
        // No more are covered than a tracker may name.
        let mut many = claims();
        many.more = vec![file(9).to_string(); GRANT_MORE_MAX];
        many.more.push(file(5).to_string());
        assert_eq!(check(&many, 1, 5, true), Err(OtherFile));
    }

    #[test]
    fn only_a_grant_of_a_known_key_counts() {
        let (tracker, other) = (Tracker::new(), Tracker::new());
        let grant = tracker.sign(&claims());
        let check = |signers: &Signers, grant: &str| signers.check(NOW, grant, peer(1), (file(1), true)).err();
        assert_eq!(check(&tracker.signers(), &grant), None);
        assert_eq!(check(&other.signers(), &grant), Some(GrantError::UnknownKey));
        assert_eq!(check(&Signers::default(), &grant), Some(GrantError::UnknownKey));
        // The right name of a key and the wrong key behind it; then one byte of the signature, and claims of another grant.
        assert_eq!(check(&other.signers_named(&tracker), &grant), Some(GrantError::Forged));
        let mut bent = grant.clone().into_bytes();
        let place = bent.len() - 10;
        bent[place] = if bent[place] == b'A' { b'B' } else { b'A' };
        assert_eq!(check(&tracker.signers(), std::str::from_utf8(&bent).unwrap()), Some(GrantError::Forged));
        let theirs = tracker.sign(&GrantClaims { sub: peer(2).to_string(), ..claims() });
        let parts = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let mixed = [parts(&grant)[0].clone(), parts(&theirs)[1].clone(), parts(&grant)[2].clone()].join(".");
        assert_eq!(check(&tracker.signers(), &mixed), Some(GrantError::Forged));
    }

    #[test]
    fn what_is_no_grant_is_refused_and_so_is_an_access_token() {
        let tracker = Tracker::new();
        let access = tracker.sign_as(peernet_protos::claims::ACCESS_TYP, &claims());
        let long = "x".repeat(GRANT_BYTES_MAX + 1);
        for text in ["", "a.b.c", access.as_str(), long.as_str(), "\u{0}"] {
            let refused = tracker.signers().check(NOW, text, peer(1), (file(1), false));
            assert_eq!(refused, Err(GrantError::Malformed), "{text:.40}");
        }
    }

    #[test]
    fn a_key_set_is_read_and_keys_of_other_kinds_are_passed_over() {
        let text = Tracker::new().key_set();
        assert_eq!(Signers::parse(&text).unwrap().len(), 1);
        let foreign = r#"{"kty":"oct","k":"AAAA","kid":"x"}"#;
        let both = text.replacen("[", &format!("[{foreign},"), 1);
        assert_eq!(Signers::parse(&both).unwrap().len(), 1);
        for text in ["", "{}", r#"{"keys":[]}"#, "[]"] {
            assert!(Signers::parse(text).is_err(), "{text}");
        }
    }
}
