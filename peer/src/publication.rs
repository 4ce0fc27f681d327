//! Publications: an account signs a file's manifest on its own machine, and downloaders verify the signature.
//!
//! The tracker distributes signatures and vouches for the account that uploaded each. The signature itself proves the
//! key, whatever the tracker says. Signatures are Ed25519 (RFC 8032) with the strict check, which refuses keys and
//! signatures of small order.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use peernet_engine::ids::{ManifestId, PeerId};
use peernet_engine::manifest::publication_message;

/// The prefix of a key's text form.
const KEY_PREFIX: &str = "ed25519:";

/// The public key that a device signs publications with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicationKey([u8; 32]);

impl PublicationKey {
    /// Wraps the key's 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the key's 32 bytes.
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

/// A publisher as a user names it: an account, or one of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publisher {
    /// An account, with any of its keys. The tracker vouches for the account.
    Account(PeerId),
    /// The holder of this key. The account that the tracker names does not matter.
    Key(PublicationKey),
}

/// The error for a text that names no publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownPublisher;

impl fmt::Display for UnknownPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a peer id, or {KEY_PREFIX} and 64 hexadecimal digits")
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

/// A verified publication: the key has signed the manifest for the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// The account, as the tracker vouches.
    pub account: PeerId,
    /// The key of the signature.
    pub key: PublicationKey,
    /// When the tracker received it, in seconds since 1970-01-01 UTC, as the tracker says.
    pub signed_at: u64,
}

impl Publication {
    /// Tells whether the publication is the given publisher's.
    pub fn is_of(&self, publisher: Publisher) -> bool {
        match publisher {
            Publisher::Account(account) => self.account == account,
            Publisher::Key(key) => self.key == key,
        }
    }
}

/// Tells whether this key has signed this manifest for this account.
pub(crate) fn is_signed(account: PeerId, manifest: ManifestId, key: &PublicationKey, signature: &[u8; 64]) -> bool {
    let message = publication_message(account, manifest);
    let key = VerifyingKey::from_bytes(&key.0);
    key.is_ok_and(|key| key.verify_strict(&message, &Signature::from_bytes(signature)).is_ok())
}

/// A machine's own signing key, which is secret.
pub(crate) struct Signer(SigningKey);

impl Signer {
    /// Generates a key. `None` if the system provides no randomness.
    pub(crate) fn generate() -> Option<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).ok()?;
        Some(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads a key in PKCS #8 PEM form.
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

    /// Signs that this account publishes this manifest.
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
    fn a_signature_counts_for_its_key_account_and_manifest() {
        let signer = Signer::generate().unwrap();
        let again = Signer::from_pem(&signer.to_pem()).unwrap();
        let one = ManifestId([1; 32]);
        let two = ManifestId([2; 32]);
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
        // Under the neutral element, one signature would be valid for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&neutral);
        assert!(!is_signed(peer(1), ManifestId([1; 32]), &PublicationKey(neutral), &signature));
    }

    #[test]
    fn a_publisher_parses_from_its_printed_form() {
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

    /// A key that is the same in every run.
    fn signer() -> Signer {
        Signer(SigningKey::from_bytes(&[7; 32]))
    }

    #[test]
    fn every_part_of_a_publication_is_covered_by_its_signature() {
        let signer = signer();
        let manifest = ManifestId([1; 32]);
        let signature = signer.sign(peer(1), manifest);
        assert!(is_signed(peer(1), manifest, &signer.key(), &signature));
        for byte in 0..32 {
            let mut id = manifest;
            id.0[byte] ^= 1;
            assert!(!is_signed(peer(1), id, &signer.key(), &signature), "manifest {byte}");
            let mut key = signer.key();
            key.0[byte] ^= 1;
            assert!(!is_signed(peer(1), manifest, &key, &signature), "key {byte}");
        }
        for number in 2..=64 {
            assert!(!is_signed(peer(number), manifest, &signer.key(), &signature), "account {number}");
        }
        assert_eq!(signature, signer.sign(peer(1), manifest), "RFC 8032 signatures are the same each time");
    }

    #[test]
    fn a_key_in_text_form_is_whole_or_not_read() {
        let signer = signer();
        let pem = signer.to_pem();
        for cut in 0..pem.len() - 1 {
            let read = Signer::from_pem(&pem[..cut]);
            assert!(read.is_none(), "{cut}");
        }
        let text = signer.key().to_string();
        assert_eq!(text.len(), KEY_PREFIX.len() + 64);
        for cut in 0..text.len() {
            assert_eq!(text[..cut].parse::<Publisher>(), Err(UnknownPublisher), "{cut}");
        }
        for place in KEY_PREFIX.len()..text.len() {
            let mut bent = text.clone();
            bent.replace_range(place..=place, "g");
            assert_eq!(bent.parse::<Publisher>(), Err(UnknownPublisher), "{place}");
        }
        assert_eq!(UnknownPublisher.to_string(), "expected a peer id, or ed25519: and 64 hexadecimal digits");
    }

    #[test]
    fn a_publication_is_of_its_account_or_of_its_key() {
        let key = signer().key();
        let other = PublicationKey::new([0; 32]);
        for (account, held, publisher, expected) in [
            (peer(1), key, Publisher::Account(peer(1)), true),
            (peer(2), key, Publisher::Account(peer(1)), false),
            (peer(2), key, Publisher::Key(key), true),
            (peer(1), other, Publisher::Key(key), false),
        ] {
            let publication = Publication { account, key: held, signed_at: 0 };
            assert_eq!(publication.is_of(publisher), expected, "{publication:?} {publisher}");
        }
    }
}
