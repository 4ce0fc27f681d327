//! Signing and checking tokens: JSON Web Tokens (RFC 7519) with Ed25519 signatures (RFC 8037), and nothing else.
//!
//! `jsonwebtoken` reads and writes the compact form and validates claims. Its own cryptography supports a dozen
//! algorithms and brings RSA, P-256 and P-384 with it. PeerNet signs with one algorithm, so this module gives
//! `jsonwebtoken` a [`CryptoProvider`] that knows only that one: a token that names any other algorithm, `none` and
//! HMAC included, fails whatever the caller's [`Validation`] allows.
//!
//! `jsonwebtoken` keeps one provider per process. The functions here install ours on first use, unless the program has
//! installed another before. A program that uses `jsonwebtoken` itself with other algorithms therefore calls
//! [`CryptoProvider::install_default`] before it starts a node or a tracker; both of the crate's own providers also
//! know Ed25519.

use std::sync::Once;

use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, TokenData, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Signs claims, in the compact form (RFC 7515). Fails for a header of another algorithm or a key that is not Ed25519.
pub fn encode<T: Serialize>(header: &Header, claims: &T, key: &EncodingKey) -> Result<String> {
    install();
    jsonwebtoken::encode(header, claims, key)
}

/// Checks a token's signature and claims. The token is hostile input; so may be the key, which a key set names.
pub fn decode<T: DeserializeOwned>(token: &str, key: &DecodingKey, validation: &Validation) -> Result<TokenData<T>> {
    install();
    jsonwebtoken::decode(token, key, validation)
}

fn install() {
    static ONCE: Once = Once::new();
    // An error means that the program has installed a provider of its own, which also knows Ed25519.
    ONCE.call_once(|| {
        let _another_is_installed = PROVIDER.install_default();
    });
}

/// Key utilities are for making key sets from private keys, which happens nowhere: the tracker prints its own.
static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory: signer, verifier_factory: verifier, key_utils: KeyUtils::new_unimplemented() };

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    only_ed25519(*algorithm, key.family())?;
    let key = SigningKey::from_pkcs8_der(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
    Ok(Box::new(Ed25519Signer(key)))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    only_ed25519(*algorithm, key.family())?;
    // A key set from the network may hold a key of any length, or 32 bytes that are no point of the curve.
    let bytes = <&[u8; 32]>::try_from(key.try_get_as_bytes()?).map_err(|_| ErrorKind::InvalidEddsaKey)?;
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| ErrorKind::InvalidEddsaKey)?;
    Ok(Box::new(Ed25519Verifier(key)))
}

/// The family of the key is compared as well: a public key must never be used as the secret of an HMAC.
fn only_ed25519(algorithm: Algorithm, family: AlgorithmFamily) -> Result<()> {
    match (algorithm, family) {
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => Ok(()),
        (Algorithm::EdDSA, _) => Err(ErrorKind::InvalidKeyFormat.into()),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

struct Ed25519Signer(SigningKey);

impl Signer<Vec<u8>> for Ed25519Signer {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

impl JwtSigner for Ed25519Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct Ed25519Verifier(VerifyingKey);

impl Verifier<Vec<u8>> for Ed25519Verifier {
    /// Uses the strict check: with a key of small order, one signature would be good for many messages.
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), SignatureError> {
        self.0.verify_strict(message, &Signature::from_slice(signature)?)
    }
}

impl JwtVerifier for Ed25519Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    // The vectors of RFC 8037, and tokens that must be refused.
    use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
    use ed25519_dalek::pkcs8::EncodePrivateKey as _;
    use jsonwebtoken::jwk::Jwk;
    use serde_json::{Value, json};
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// RFC 8037, appendix A.1: the private key and the public key.
    const SECRET: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    /// RFC 8037, appendix A.4: the signed text `Example of Ed25519 signing`, in parts.
    const HEADER: &str = "eyJhbGciOiJFZERTQSJ9";
    const PAYLOAD: &str = "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const SIGNATURE: &str = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    fn decoded(text: &str) -> Vec<u8> {
        BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url")
    }

    fn encoded(bytes: impl AsRef<[u8]>) -> String {
        BASE64URL_NOPAD.encode(bytes.as_ref())
    }

    fn private_key() -> SigningKey {
        SigningKey::from_bytes(&decoded(SECRET).try_into().expect("32 bytes"))
    }

    fn signing() -> EncodingKey {
        EncodingKey::from_ed_der(private_key().to_pkcs8_der().expect("PKCS#8").as_bytes())
    }

    fn checking() -> DecodingKey {
        DecodingKey::from_ed_der(&decoded(PUBLIC))
    }

    /// Accepts any claims, so that only the signature decides.
    fn any_claims(algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = false;
        validation.set_required_spec_claims::<&str>(&[]);
        validation
    }

    fn check(token: &str, key: &DecodingKey) -> Result<Value> {
        decode::<Value>(token, key, &any_claims(Algorithm::EdDSA)).map(|data| data.claims)
    }

    fn signed(header: &str, payload: &str) -> String {
        let message = format!("{header}.{payload}");
        let signature = private_key().sign(message.as_bytes()).to_bytes();
        format!("{message}.{}", encoded(signature))
    }

    /// HMAC-SHA-256 (RFC 2104), with which a forger signs when it takes a public key for a secret.
    fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
        assert!(key.len() <= 64, "longer keys would be hashed first");
        let pad = |byte: u8| (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ byte).collect::<Vec<u8>>();
        let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
        Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
    }

    #[test]
    fn the_vectors_of_rfc_8037_are_met() {
        let signer = signer(&Algorithm::EdDSA, &signing()).expect("a signer");
        let message = format!("{HEADER}.{PAYLOAD}");
        assert_eq!(encoded(signer.try_sign(message.as_bytes()).expect("signs")), SIGNATURE);
        let verifier = verifier(&Algorithm::EdDSA, &checking()).expect("a verifier");
        assert!(verifier.verify(message.as_bytes(), &decoded(SIGNATURE)).is_ok());
        assert!(verifier.verify(b"another message", &decoded(SIGNATURE)).is_err());
        let key: Jwk = serde_json::from_value(json!({"kty": "OKP", "crv": "Ed25519", "x": PUBLIC})).expect("a key");
        let named = DecodingKey::from_jwk(&key).expect("a key");
        assert_eq!(named.try_get_as_bytes().expect("bytes"), decoded(PUBLIC));
    }

    #[test]
    fn claims_come_back_as_they_were_signed() {
        let claims = json!({"sub": "x", "n": 1});
        let token = encode(&Header::new(Algorithm::EdDSA), &claims, &signing()).expect("signs");
        assert_eq!(check(&token, &checking()).expect("is good"), claims);
        // Ed25519 is deterministic, so the token is the one that any other implementation makes.
        let (message, _) = token.rsplit_once('.').expect("three parts");
        let (header, payload) = message.split_once('.').expect("three parts");
        assert_eq!(signed(header, payload), token);
    }

    #[test]
    fn only_ed25519_is_accepted_whatever_a_token_names() {
        let payload = encoded(r#"{"sub":"x"}"#);
        let header = |algorithm: &str| encoded(format!(r#"{{"alg":"{algorithm}"}}"#));
        for algorithm in
            ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "ES384", "x"]
        {
            let header = header(algorithm);
            for token in [signed(&header, &payload), format!("{header}.{payload}.")] {
                assert!(check(&token, &checking()).is_err(), "{algorithm}");
            }
        }
        assert!(check(&signed(&header("EdDSA"), &payload), &checking()).is_ok(), "only the algorithm was wrong");
    }

    #[test]
    fn the_public_key_is_no_hmac_secret() {
        let message = format!("{}.{}", encoded(r#"{"alg":"HS256"}"#), encoded(r#"{"sub":"x"}"#));
        for secret in [decoded(PUBLIC), PUBLIC.as_bytes().to_vec()] {
            let token = format!("{message}.{}", encoded(hmac_sha256(&secret, message.as_bytes())));
            for algorithm in [Algorithm::EdDSA, Algorithm::HS256] {
                for key in [checking(), DecodingKey::from_secret(&secret)] {
                    assert!(decode::<Value>(&token, &key, &any_claims(algorithm)).is_err(), "{algorithm:?}");
                }
            }
        }
        assert!(encode(&Header::new(Algorithm::HS256), &json!({}), &EncodingKey::from_secret(b"x")).is_err());
        assert!(encode(&Header::new(Algorithm::EdDSA), &json!({}), &EncodingKey::from_secret(b"x")).is_err());
    }

    #[test]
    fn hmac_of_the_tests_meets_rfc_4231() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(HEXLOWER.encode(&mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn changed_tokens_are_refused() {
        let payload = encoded(r#"{"sub":"x"}"#);
        let good = signed(HEADER, &payload);
        let signature = good.rsplit('.').next().expect("a signature").to_owned();
        let long = encoded([decoded(&signature), vec![0]].concat());
        let short = encoded(&decoded(&signature)[..63]);
        let message = format!("{HEADER}.{payload}");
        for bad in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "a.b.c".to_owned(),
            format!("{message}."),
            format!("{message}.{long}"),
            format!("{message}.{short}"),
            format!("{message}.{}", encoded([0; 64])),
            format!("{message}.{signature}="),
            format!("{HEADER}.{}.{signature}", encoded(r#"{"sub":"y"}"#)),
            format!(" {good}"),
            format!("{good}\n"),
            good.replacen('.', "..", 1),
        ] {
            assert!(check(&bad, &checking()).is_err(), "{bad}");
        }
        for at in 0..good.len() {
            let mut bent = good.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            let bent = String::from_utf8(bent).expect("ASCII");
            assert!(bent == good || check(&bent, &checking()).is_err(), "byte {at}: {bent}");
        }
        assert!(check(&good, &checking()).is_ok());
    }

    #[test]
    fn keys_of_another_length_or_off_the_curve_are_errors() {
        let token = signed(HEADER, &encoded("{}"));
        let off_the_curve = (0..=u8::MAX).map(|byte| [byte; 32]).find(|bytes| VerifyingKey::from_bytes(bytes).is_err());
        let keys = [vec![], vec![1], vec![0; 31], vec![0; 33], vec![0; 1 << 16]];
        for key in keys.into_iter().chain(off_the_curve.map(Vec::from)) {
            assert!(check(&token, &DecodingKey::from_ed_der(&key)).is_err(), "{} bytes", key.len());
        }
        assert!(encode(&Header::new(Algorithm::EdDSA), &json!({}), &EncodingKey::from_ed_der(b"not a key")).is_err());
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        // The neutral element as key and as R, with S = 0: the equation of the lax check holds for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let message = format!("{HEADER}.{}", encoded("{}"));
        let token = format!("{message}.{}", encoded(signature));
        assert!(check(&token, &DecodingKey::from_ed_der(&neutral)).is_err());
        // Without the strict check it would pass, so the test has something to guard.
        use ed25519_dalek::Verifier as _;
        let lax = VerifyingKey::from_bytes(&neutral).expect("is a point");
        assert!(lax.verify(message.as_bytes(), &Signature::from_bytes(&signature)).is_ok());
    }
}
