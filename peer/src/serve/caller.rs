//! The caller of a call, as far as its connection proves the identity.

use peernet_engine::ids::{DeviceId, PeerId};

use super::{Refusal, RefusalCode};
use crate::access::Membership;
use peernet_engine::candidate::Transport;

/// The proven identity of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// None: the connection is not encrypted.
    Plaintext,
    /// An account, and its device where the certificate names one.
    Peer(PeerId, Option<DeviceId>),
    /// A certificate that names no account, or several accounts or devices.
    Nameless,
}

impl Caller {
    /// The protection of the connection.
    pub(crate) fn transport(self) -> Transport {
        if self == Self::Plaintext { Transport::Plaintext } else { Transport::Tls }
    }

    /// The account, where it is proven.
    pub(crate) fn peer(self) -> Option<PeerId> {
        if let Self::Peer(peer, _) = self { Some(peer) } else { None }
    }

    /// Returns why the caller is no longer served, where its account or device was expelled. Running calls end too.
    pub(crate) fn expelled(self, membership: &Membership) -> Option<Refusal> {
        let refusal = |text| Some(Refusal::new(RefusalCode::Unauthenticated, text));
        match self {
            Self::Peer(peer, _) if membership.is_revoked(peer) => refusal("the certificate of this account is revoked"),
            Self::Peer(_, Some(device)) if membership.is_revoked_device(device) => {
                refusal("the certificate of this device is revoked: it was logged out")
            }
            _ => None,
        }
    }
}

/// Returns a caller's address in the usual form. gRPC names a caller `ipv4:1.2.3.4:567` or `ipv6:%5B::1%5D:567`.
pub(crate) fn readable(peer: &str) -> String {
    let address = peer.split_once(':').map_or(peer, |(_, address)| address);
    address.replace("%5B", "[").replace("%5D", "]")
}

/// Returns a caller's address without its port.
pub(crate) fn without_port(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_in_the_usual_form() {
        for (peer, without, shown) in [
            ("ipv4:1.2.3.4:567", "ipv4:1.2.3.4", "1.2.3.4:567"),
            ("ipv6:%5B::1%5D:567", "ipv6:%5B::1%5D", "[::1]:567"),
            ("", "", ""),
        ] {
            assert_eq!((without_port(peer), readable(peer).as_str()), (without, shown));
        }
    }

    use crate::access::testing::peer;
    use crate::identity::testing::Authority;

    #[test]
    fn only_the_revoked_account_or_device_is_expelled() {
        let membership = Authority::new().member(9);
        let device = |number: u8| DeviceId::from_random([number; 16]);
        membership.revoke([peer(1)].into(), [device(5)].into());
        let account = Some("the certificate of this account is revoked");
        let logged_out = Some("the certificate of this device is revoked: it was logged out");
        for (caller, expected) in [
            (Caller::Plaintext, None),
            (Caller::Nameless, None),
            (Caller::Peer(peer(1), None), account),
            (Caller::Peer(peer(1), Some(device(5))), account),
            (Caller::Peer(peer(2), None), None),
            (Caller::Peer(peer(2), Some(device(5))), logged_out),
            (Caller::Peer(peer(2), Some(device(6))), None),
        ] {
            let found = caller.expelled(&membership);
            assert_eq!(found, expected.map(|text| Refusal::new(RefusalCode::Unauthenticated, text)), "{caller:?}");
        }
    }

    #[test]
    fn a_caller_is_encrypted_and_known_as_far_as_that_is_proven() {
        for (caller, transport, account) in [
            (Caller::Plaintext, Transport::Plaintext, None),
            (Caller::Nameless, Transport::Tls, None),
            (Caller::Peer(peer(1), None), Transport::Tls, Some(peer(1))),
            (Caller::Peer(peer(1), Some(DeviceId::from_random([2; 16]))), Transport::Tls, Some(peer(1))),
        ] {
            assert_eq!((caller.transport(), caller.peer()), (transport, account), "{caller:?}");
        }
        for (peer, shown) in
            [("unix:/run/x", "/run/x"), ("nonsense", "nonsense"), ("ipv6:%5Bfe80::1%5D:1", "[fe80::1]:1")]
        {
            assert_eq!(readable(peer), shown);
        }
    }
}
