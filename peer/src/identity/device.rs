//! The device that a certificate names.

use peernet_engine::ids::DeviceId;
use peernet_protos::identity::{device_of_uri, device_uri};

/// The length of an id's text, in bytes.
const ID_BYTES: usize = 36;

/// Finds the device's URI in a certificate (DER). It stands there as plain text (an IA5String, RFC 5280 section 4.2.1.6).
///
/// The certificate has been checked to be of our authority, so it has at most one such text, and the rest need not be parsed.
pub(super) fn of_certificate(der: &[u8]) -> Option<DeviceId> {
    let (prefix, len) = (device_uri(""), device_uri("").len() + ID_BYTES);
    let uris = der.windows(len).filter(|window| window.starts_with(prefix.as_bytes()));
    uris.filter_map(|uri| device_of_uri(std::str::from_utf8(uri).ok()?)?.parse().ok()).next()
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::PeerId;

    use super::super::testing::{Authority, Life};
    use super::*;

    #[test]
    fn a_device_is_found_in_its_certificate_only() {
        let (authority, peer) = (Authority::new(), PeerId::from_random([1; 16]));
        let device = DeviceId::from_random([2; 16]);
        assert_eq!(authority.identity_for(peer, Life::day()).device(), None);
        assert_eq!(authority.device_of(peer, device).device(), Some(device));
    }
}
