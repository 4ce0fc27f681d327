//! The tracker's own Ed25519 key: signs access tokens and grants, checks tokens, and publishes its public half.
//!
//! The key is made on the first start and kept in the data folder, readable by its owner only. Peers check tokens
//! offline against the published key set (RFC 7517, 8037). The tracker itself remembers valid tokens, because a check
//! costs 50 µs.

mod cache;
mod file;
pub mod tracker_keys;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use peernet_engine::ids::{DeviceId, FileHash, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::claims::{ACCESS_TYP, AccessClaims, GRANT_AUDIENCE, GRANT_TYP, GrantClaims, ISSUER};
use peernet_protos::tokens;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::base::scopes::Scopes;
use cache::{Remembered, TokenCache};
pub use file::KeyError;

/// The file name of the key in the data folder: PKCS#8, PEM.
pub const KEY_FILE: &str = "token-key.pem";

/// The longest token that is parsed; the tracker's own are under 400 bytes.
const TOKEN_BYTES_MAX: usize = 2_048;

/// The caller in whose name a token was issued, and the scopes of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub peer: PeerId,
    /// The account's token generation when the token was issued.
    pub generation: u32,
    /// The device that it was issued to, if any.
    pub device: Option<DeviceId>,
    /// The scopes of the token.
    pub scopes: Scopes,
}

impl Caller {
    /// A caller with every scope and no device.
    pub fn account(peer: PeerId, generation: u32) -> Self {
        Self { peer, generation, device: None, scopes: Scopes::ALL }
    }
}

/// The contents of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// The account that may fetch.
    pub peer: PeerId,
    /// The file.
    pub file: FileHash,
    /// More files under the same grant.
    pub more: Vec<FileHash>,
    /// Whether all these files are public.
    pub public: bool,
    /// A random id.
    pub id: [u8; 16],
}

/// The lifetimes of access tokens and grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Tokens of an account, which end by themselves or all at once.
    pub account: Duration,
    /// Tokens of a device, which are renewed.
    pub device: Duration,
    /// Grants, which are renewed too.
    pub grant: Duration,
}

impl Lifetimes {
    fn longest(self) -> Duration {
        // Grants count too: peers check them against the published keys, so a key must stay published that long.
        self.account.max(self.device).max(self.grant)
    }
}

/// The signing key and everything derived from it.
pub struct Keys {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    header: Header,
    grant_header: Header,
    public: [u8; 32],
    lifetimes: Lifetimes,
    cache: TokenCache,
    /// The keys of the other trackers of one database, by key id.
    trusted: RwLock<HashMap<String, ([u8; 32], DecodingKey)>>,
}

/// A signed token and the end of its validity.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The compact form (RFC 7515).
    pub text: String,
    /// The end, in seconds since 1970-01-01 UTC.
    pub expires_at: u64,
}

impl fmt::Debug for Token {
    /// Without the token itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl Keys {
    /// Loads the key of a data folder, or makes one.
    pub fn open(data_dir: &Path, lifetimes: Lifetimes) -> Result<Self, KeyError> {
        let pair = file::load_or_create(&data_dir.join(KEY_FILE))?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        // The end of a token is compared with the `now` that comes in, for remembered tokens as well.
        validation.validate_exp = false;
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        let header = |typ: &str| {
            let typ = Some(typ.to_owned());
            let kid = Some(thumbprint(&pair.public));
            Header { typ, kid, ..Header::new(Algorithm::EdDSA) }
        };
        Ok(Self {
            signing: EncodingKey::from_ed_der(&pair.private_der),
            checking: DecodingKey::from_ed_der(&pair.public),
            validation,
            header: header(ACCESS_TYP),
            grant_header: header(GRANT_TYP),
            public: pair.public,
            lifetimes,
            cache: TokenCache::default(),
            trusted: RwLock::default(),
        })
    }

    /// The longest lifetime of a token or grant.
    pub fn lifetime(&self) -> Duration {
        self.lifetimes.longest()
    }

    /// The lifetime of devices' tokens.
    pub fn device_lifetime(&self) -> Duration {
        self.lifetimes.device
    }

    /// The public half of the key.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Accepts tokens of these keys as well, and of no others beside this tracker's own. The trackers of one database
    /// each sign with their own key, so no secret leaves its machine.
    pub fn trust(&self, others: impl IntoIterator<Item = [u8; 32]>) {
        let trusted =
            others.into_iter().map(|public| (thumbprint(&public), (public, DecodingKey::from_ed_der(&public))));
        let trusted: HashMap<_, _> = trusted.collect();
        let mut known = self.trusted.write().unwrap_or_else(PoisonError::into_inner);
        let forgotten = known.keys().any(|kid| !trusted.contains_key(kid));
        *known = trusted;
        drop(known);
        if forgotten {
            self.cache.forget();
        }
    }

    /// Returns whether a token names a key that is neither this tracker's own nor trusted. Another tracker may have started
    /// just now.
    pub fn is_of_unknown_key(&self, token: &str) -> bool {
        let kid = (token.len() <= TOKEN_BYTES_MAX).then(|| jsonwebtoken::decode_header(token).ok()?.kid).flatten();
        let is_trusted = |kid: &String| self.trusted.read().unwrap_or_else(PoisonError::into_inner).contains_key(kid);
        kid.is_some_and(|kid| Some(&kid) != self.header.kid.as_ref() && !is_trusted(&kid))
    }

    /// Signs an access token.
    pub fn issue(&self, now: UnixMillis, caller: &Caller) -> Token {
        let lifetime = if caller.device.is_some() { self.lifetimes.device } else { self.lifetimes.account };
        let claims = AccessClaims {
            iss: ISSUER.to_owned(),
            sub: caller.peer.to_string(),
            iat: now.as_secs(),
            exp: now.plus(lifetime).as_secs(),
            generation: caller.generation,
            device: caller.device.map(|id| id.to_string()),
            // Only tokens of devices have this claim: version 1's tokens stay as short as they were, and have every
            // scope.
            scope: caller.device.map(|_| caller.scopes.to_string()),
        };
        let text = tokens::encode(&self.header, &claims, &self.signing).expect("our own key signs our own claims");
        Token { text, expires_at: claims.exp }
    }

    /// Signs a grant.
    pub fn issue_grant(&self, now: UnixMillis, request: &NewGrant) -> Token {
        let claims = GrantClaims {
            iss: ISSUER.to_owned(),
            aud: GRANT_AUDIENCE.to_owned(),
            sub: request.peer.to_string(),
            iat: now.as_secs(),
            exp: now.plus(self.lifetimes.grant).as_secs(),
            jti: PeerId::from_random(request.id).to_string(),
            file: request.file.to_string(),
            more: request.more.iter().map(ToString::to_string).collect(),
            public: request.public,
        };
        let text =
            tokens::encode(&self.grant_header, &claims, &self.signing).expect("our own key signs our own claims");
        Token { text, expires_at: claims.exp }
    }

    /// Verifies a token and returns its caller; `None` unless this key or a trusted one signed it and it has not
    /// expired.
    pub fn verify(&self, now: UnixMillis, token: &str) -> Option<Caller> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let remembered = self.cache.find(token).or_else(|| {
            let checked = self.check(token)?;
            self.cache.remember(token, checked);
            Some(checked)
        })?;
        (now.as_secs() < remembered.expires_at).then_some(remembered.caller)
    }

    fn check(&self, token: &str) -> Option<Remembered> {
        let Header { kid, typ, .. } = jsonwebtoken::decode_header(token).ok()?;
        // The same key signs grants. A grant must not pass for an access token.
        if typ.as_deref() != Some(ACCESS_TYP) {
            return None;
        }
        let claims = if kid.is_none() || kid == self.header.kid {
            tokens::decode::<AccessClaims>(token, &self.checking, &self.validation).ok()?.claims
        } else {
            let trusted = self.trusted.read().unwrap_or_else(PoisonError::into_inner);
            let (_, key) = trusted.get(&kid?)?;
            tokens::decode::<AccessClaims>(token, key, &self.validation).ok()?.claims
        };
        Some(Remembered { caller: caller_of(&claims)?, expires_at: claims.exp })
    }

    /// The number of remembered tokens.
    pub fn remembered(&self) -> usize {
        self.cache.len()
    }

    /// The public keys as a JSON Web Key Set, this tracker's own first.
    pub fn key_set(&self) -> Value {
        let trusted = self.trusted.read().unwrap_or_else(PoisonError::into_inner);
        let mut others: Vec<[u8; 32]> = trusted.values().map(|(public, _)| *public).collect();
        others.sort_unstable();
        let keys: Vec<Value> = std::iter::once(self.public).chain(others).map(|public| web_key(&public)).collect();
        json!({"keys": keys})
    }
}

fn caller_of(claims: &AccessClaims) -> Option<Caller> {
    let device = claims.device.as_ref().map(|id| id.parse()).transpose().ok()?;
    let scopes = claims.scope.as_deref().map_or(Scopes::ALL, Scopes::of_text);
    Some(Caller { peer: claims.sub.parse().ok()?, generation: claims.generation, device, scopes })
}

fn web_key(public: &[u8; 32]) -> Value {
    let x = BASE64URL_NOPAD.encode(public);
    let kid = thumbprint(public);
    json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"})
}

/// Computes the key id of RFC 7638: SHA-256 over the key's required members, in lexicographic order, without white
/// space.
fn thumbprint(public: &[u8; 32]) -> String {
    let x = BASE64URL_NOPAD.encode(public);
    BASE64URL_NOPAD.encode(&Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

#[cfg(test)]
mod tests;
