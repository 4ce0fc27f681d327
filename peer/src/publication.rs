//! Who publishes a file: an account's signature of its manifest, made on the account's own machine and checked on the downloader's.
//!
//! The tracker passes signatures on and vouches for which account has put them; the signature itself says which key made it, whatever
//! the tracker says. Ed25519 (RFC 8032), with the strict check: a key or a signature of small order is none.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use peernet_engine::ids::{ManifestId, PeerId};
use peernet_engine::manifest::publication_message;

/// What stands before a key where people read and type it.
const KEY_PREFIX: &str = "ed25519:";

/// The key that a device signs with, as others know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicationKey([u8; 32]);

impl PublicationKey {
    /// Of its 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KEY_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a user names a publisher by: an account, or one of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publisher {
    /// This account, with whatever key: the tracker vouches for whose that is.
    Account(PeerId),
    /// Whoever has this key, whatever the tracker says.
    Key(PublicationKey),
}

/// A text that names no publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownPublisher;

impl fmt::Display for UnknownPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a peer id is wanted, or {KEY_PREFIX} and 64 hexadecimal digits")
    }
}

impl std::error::Error for UnknownPublisher {}

impl FromStr for Publisher {
    type Err = UnknownPublisher;

    fn from_str(text: &str) -> Result<Self, UnknownPublisher> {
        match text.strip_prefix(KEY_PREFIX) {
            Some(digits) => {
                let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok();
                let bytes = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(UnknownPublisher)?;
                Ok(Self::Key(PublicationKey(bytes)))
            }
            None => text.parse().map(Self::Account).map_err(|_| UnknownPublisher),
        }
    }
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(peer) => write!(f, "{peer}"),
            Self::Key(key) => write!(f, "{key}"),
        }
    }
}

/// A publication that was checked: this key has signed the manifest in the name of this account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// The account, for which the tracker vouches.
    pub account: PeerId,
    /// The key that has signed.
    pub key: PublicationKey,
    /// When the tracker got it, seconds since 1970-01-01 UTC, as it says.
    pub signed_at: u64,
}

impl Publication {
    /// Whether this is who was asked for.
    pub fn is_of(&self, publisher: Publisher) -> bool {
        match publisher {
            Publisher::Account(account) => self.account == account,
            Publisher::Key(key) => self.key == key,
        }
    }
}

/// Whether this key has signed this manifest for this account.
pub fn is_signed(account: PeerId, manifest: ManifestId, key: &PublicationKey, signature: &[u8; 64]) -> bool {
    let message = publication_message(account, manifest);
    let key = VerifyingKey::from_bytes(&key.0);
    key.is_ok_and(|key| key.verify_strict(&message, &Signature::from_bytes(signature)).is_ok())
}

/// This machine's own key. A secret.
pub(crate) struct Signer(SigningKey);

impl Signer {
    /// Another one; `None` where the system gives no randomness.
    pub(crate) fn generate() -> Option<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).ok()?;
        Some(Self(SigningKey::from_bytes(&seed)))
    }

    /// Of PKCS #8 in PEM form.
    pub(crate) fn from_pem(text: &str) -> Option<Self> {
        SigningKey::from_pkcs8_pem(text).ok().map(Self)
    }

    pub(crate) fn to_pem(&self) -> String {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF).expect("an Ed25519 key has a PKCS #8 form");
        pem.to_string()
    }

    pub(crate) fn key(&self) -> PublicationKey {
        PublicationKey(self.0.verifying_key().to_bytes())
    }

    /// Says that this account publishes this manifest.
    pub(crate) fn sign(&self, account: PeerId, manifest: ManifestId) -> [u8; 64] {
        self.0.sign(&publication_message(account, manifest)).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId::from_random([number; 16])
    }

    #[test]
    fn a_signature_is_of_its_key_its_account_and_its_manifest() {
        let signer = Signer::generate().unwrap();
        let again = Signer::from_pem(&signer.to_pem()).unwrap();
        let (one, two) = (ManifestId([1; 32]), ManifestId([2; 32]));
        let signature = signer.sign(peer(1), one);
        assert_eq!((again.key(), again.sign(peer(1), one)), (signer.key(), signature));
        assert!(is_signed(peer(1), one, &signer.key(), &signature));
        assert!(!is_signed(peer(2), one, &signer.key(), &signature));
        assert!(!is_signed(peer(1), two, &signer.key(), &signature));
        assert!(!is_signed(peer(1), one, &Signer::generate().unwrap().key(), &signature));
        for byte in 0..64 {
            let mut bent = signature;
            bent[byte] ^= 1;
            assert!(!is_signed(peer(1), one, &signer.key(), &bent), "{byte}");
        }
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        // The neutral element, under which one signature would be good for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&neutral);
        assert!(!is_signed(peer(1), ManifestId([1; 32]), &PublicationKey(neutral), &signature));
    }

    #[test]
    fn a_publisher_is_an_account_or_a_key_as_they_are_shown() {
        let key = Signer::generate().unwrap().key();
        for publisher in [Publisher::Account(peer(1)), Publisher::Key(key)] {
            assert_eq!(publisher.to_string().parse(), Ok(publisher));
        }
        assert_eq!(key.to_string().to_uppercase().replace("ED25519", "ed25519").parse(), Ok(Publisher::Key(key)));
        for text in ["", "alice", "ed25519:", "ed25519:00", &format!("{key}00")] {
            assert_eq!(text.parse::<Publisher>(), Err(UnknownPublisher), "{text}");
        }
        let publication = Publication { account: peer(1), key, signed_at: 0 };
        assert!(publication.is_of(Publisher::Account(peer(1))) && publication.is_of(Publisher::Key(key)));
        assert!(!publication.is_of(Publisher::Account(peer(2))));
    }
}
