//! The signature of an account that publishes a manifest: parsed, and verified before it is stored.

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, VerifyingKey};
use peernet_engine::ids::{ManifestId, PeerId};
use peernet_engine::manifest::publication_message;
use peernet_protos::rest::SignatureRequest;

use crate::api::ApiError;

/// Returns the key and its signature, verified for `peer` and this manifest; 422 `invalid_signature`.
pub fn signature(
    peer: PeerId,
    manifest_id: ManifestId,
    body: &SignatureRequest,
) -> Result<([u8; 32], [u8; 64]), ApiError> {
    let invalid = |message: &str| ApiError::unprocessable("invalid_signature", message);
    let key = bytes(&body.key).ok_or_else(|| invalid("key must be 32 bytes in base64url without padding"))?;
    let signature =
        bytes(&body.signature).ok_or_else(|| invalid("signature must be 64 bytes in base64url without padding"))?;
    // With a key of small order one signature is valid for every message, so it would prove nothing about this
    // manifest.
    let verifying = VerifyingKey::from_bytes(&key).ok().filter(|key| !key.is_weak());
    let verifying = verifying.ok_or_else(|| invalid("key is not a sound Ed25519 key"))?;
    // Verified as strictly as peers do: a signature that they reject must not be stored.
    let message = publication_message(peer, manifest_id);
    match verifying.verify_strict(&message, &Signature::from_bytes(&signature)) {
        Ok(()) => Ok((key, signature)),
        Err(_) => Err(invalid("the key has not signed this manifest for the caller's account")),
    }
}

/// Parses a key in a query; 400 `invalid_key`.
pub fn publication_key(text: &str) -> Result<[u8; 32], ApiError> {
    bytes(text).ok_or_else(|| ApiError::bad_request("invalid_key", "key must be 32 bytes in base64url without padding"))
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId([7; 16]);
    const MANIFEST: ManifestId = ManifestId([9; 32]);
    /// Made with another implementation of Ed25519; the private key is the bytes 0 to 31.
    const KEY: &str = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
    const SIGNATURE: &str = "EZTv3l8sHOFetG8GxpybL65wgN3MTr8f1eH_KP9-evhF8nqbIoLkRJ2he2HygkSOe3SjKoI7AGHq7joAV622Bg";

    fn check(peer: PeerId, manifest_id: ManifestId, key: &str, signature: &str) -> Result<[u8; 64], ApiError> {
        let body = SignatureRequest { key: key.to_owned(), signature: signature.to_owned() };
        super::signature(peer, manifest_id, &body).map(|(_, signature)| signature)
    }

    #[test]
    fn a_signature_is_valid_for_one_account_and_manifest() {
        let good = check(PEER, MANIFEST, KEY, SIGNATURE).expect("it verifies");
        assert_eq!(BASE64URL_NOPAD.encode(&good), SIGNATURE);
        for (peer, manifest_id) in [(PeerId([8; 16]), MANIFEST), (PEER, ManifestId([8; 32]))] {
            let error = check(peer, manifest_id, KEY, SIGNATURE).expect_err("signed for another");
            assert_eq!((error.status, error.code), (422, "invalid_signature"));
        }
    }

    #[test]
    fn every_bit_of_key_and_signature_counts() {
        let flipped = |text: &str, bit: usize| {
            let mut bytes = BASE64URL_NOPAD.decode(text.as_bytes()).expect("well-formed");
            bytes[bit / 8] ^= 1 << (bit % 8);
            BASE64URL_NOPAD.encode(&bytes)
        };
        assert!((0..256).all(|bit| check(PEER, MANIFEST, &flipped(KEY, bit), SIGNATURE).is_err()));
        assert!((0..512).all(|bit| check(PEER, MANIFEST, KEY, &flipped(SIGNATURE, bit)).is_err()));
    }

    #[test]
    fn other_encodings_and_lengths_are_refused() {
        let padded = |text: &str| format!("{text}=");
        let standard = |text: &str| text.replace('_', "/").replace('-', "+");
        let of_length = |length| BASE64URL_NOPAD.encode(&vec![1; length]);
        for key in [String::new(), "é".into(), padded(KEY), standard(KEY), of_length(31), of_length(33), of_length(64)]
        {
            assert!(check(PEER, MANIFEST, &key, SIGNATURE).is_err(), "{key}");
        }
        let cut = SIGNATURE[..80].to_owned();
        for signature in [String::new(), padded(SIGNATURE), standard(SIGNATURE), cut, of_length(63), of_length(65)] {
            assert!(check(PEER, MANIFEST, KEY, &signature).is_err(), "{signature}");
        }
    }

    #[test]
    fn a_key_of_small_order_is_no_key() {
        // The neutral element: with it, itself as R and 0 as S are a signature of every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let forged = [neutral, [0; 32]].concat();
        let error = check(PEER, MANIFEST, &BASE64URL_NOPAD.encode(&neutral), &BASE64URL_NOPAD.encode(&forged));
        assert_eq!(error.expect_err("it is good for all").message, "key is not a sound Ed25519 key");
    }
}
