//! Names that certificates of a swarm's own authority carry. The authority vouches for a role and an account, never for
//! a host: a peer keeps its identity at every address.

/// The DNS name in the certificate of every tracker of a swarm.
pub const TRACKER_NAME: &str = "tracker.peernet";

/// The suffix of a peer id in the DNS name of that peer's certificate.
const PEER_SUFFIX: &str = ".peer.peernet";

/// The longest certificate signing request, in bytes of PEM; one of a P-256 key has about 400.
pub const CSR_BYTES_MAX: usize = 4 << 10;

/// The DNS name in a peer's certificate. `peer_id` is a UUID in its hyphenated lower-case form.
pub fn peer_name(peer_id: &str) -> String {
    format!("{peer_id}{PEER_SUFFIX}")
}

/// The peer id in such a name, as text that is yet to be parsed.
pub fn peer_of_name(name: &str) -> Option<&str> {
    name.strip_suffix(PEER_SUFFIX)
}

/// The prefix of a device id in the URI of that device's certificate (RFC 9562 section 4).
const DEVICE_PREFIX: &str = "urn:uuid:";

/// The URI in the certificate of a device, beside the DNS name of its account. `device_id` is a UUID like a peer id.
pub fn device_uri(device_id: &str) -> String {
    format!("{DEVICE_PREFIX}{device_id}")
}

/// The device id in such a URI, as text that is yet to be parsed.
pub fn device_of_uri(uri: &str) -> Option<&str> {
    uri.strip_prefix(DEVICE_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_found_in_its_name_and_nobody_in_others() {
        let id = "0b0e9f4c-2f1e-4e4e-9d6e-6a2f6c1c9b11";
        assert_eq!(peer_of_name(&peer_name(id)), Some(id));
        for other in [TRACKER_NAME, "localhost", "peer.peernet", id] {
            assert_eq!(peer_of_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_device_is_found_in_its_uri_alone() {
        let id = "0b0e9f4c-2f1e-4e4e-9d6e-6a2f6c1c9b11";
        assert_eq!(device_of_uri(&device_uri(id)), Some(id));
        for other in [id, "uuid:x", "https://example.org"] {
            assert_eq!(device_of_uri(other), None, "{other}");
        }
    }
}
