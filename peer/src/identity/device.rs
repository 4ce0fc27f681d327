//! Which device a certificate of our own is of.

use peernet_engine::ids::DeviceId;
use peernet_protos::identity::{device_of_uri, device_uri};

/// The text of an id has this many bytes.
const ID_BYTES: usize = 36;

/// Reads the URI among the names of a certificate (DER), where it stands as it is (an IA5String, RFC 5280 section 4.2.1.6). The certificate
/// is known to be of our authority, so there is one such text in it or none, and no need to understand the rest.
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
