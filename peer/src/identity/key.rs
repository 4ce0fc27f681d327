//! The device key. It is P-256, because gRPC's TLS does not support Ed25519.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};

use super::IdentityError;

/// Makes a key, PKCS #8 in PEM form. A secret.
pub(crate) fn new_key() -> Result<String, IdentityError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(|key| key.serialize_pem()).map_err(|_| IdentityError::Key)
}

/// Makes a certificate signing request (PKCS #10, PEM). It names no account, because the tracker decides whose
/// certificate it becomes.
pub(crate) fn request(key: &str) -> Result<String, IdentityError> {
    let key = KeyPair::from_pem(key).map_err(|_| IdentityError::Key)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let made = params.serialize_request(&key).and_then(|request| request.pem());
    made.map_err(|_| IdentityError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_of_its_key_and_short_and_keeps_the_secret() {
        let key = new_key().unwrap();
        let text = request(&key).unwrap();
        let read = rcgen::CertificateSigningRequestParams::from_pem(&text).unwrap();
        let pair = KeyPair::from_pem(&key).unwrap();
        assert_eq!(rcgen::PublicKeyData::der_bytes(&read.public_key), pair.public_key_raw());
        assert!(text.len() < peernet_protos::identity::CSR_BYTES_MAX && !text.contains("PRIVATE"));
        assert_eq!(request("no key"), Err(IdentityError::Key));
    }
}
