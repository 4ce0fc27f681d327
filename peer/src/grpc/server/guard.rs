//! Refuses callers that are not members. Runs before each call, on the completion-queue thread, with the identity that
//! the handshake has proven.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use grpcio::{AuthContext, CheckResult, RpcContext, RpcStatus, ServerChecker};
use peernet_protos::identity::{device_of_uri, peer_of_name};

use super::status::status;
use crate::access::Membership;
use crate::clock::unix_now;
use crate::serve::caller::Caller;
use crate::serve::{Refusal, RefusalCode};

/// Names of gRPC's properties of a connection, and the one value of the first that is TLS.
const SECURITY_TYPE: &str = "transport_security_type";
const ALTERNATIVE_NAME: &str = "x509_subject_alternative_name";
const TLS: &[u8] = b"ssl";

/// Returns the caller of a call, as far as its connection proves the identity.
pub(super) fn caller(context: &RpcContext<'_>) -> Caller {
    context.auth_context().map_or(Caller::Plaintext, |proven| proven_caller(&proven))
}

fn proven_caller(proven: &AuthContext) -> Caller {
    let mut is_tls = false;
    let mut peers = Vec::new();
    let mut devices = Vec::new();
    for property in proven {
        match property.name() {
            SECURITY_TYPE => is_tls = property.value() == TLS,
            ALTERNATIVE_NAME => {
                let name = property.value_str().unwrap_or_default();
                peers.extend(peer_of_name(name));
                devices.extend(device_of_uri(name));
            }
            _ => {}
        }
    }
    if is_tls { named_caller(&peers, &devices).unwrap_or(Caller::Nameless) } else { Caller::Plaintext }
}

/// Returns the caller that a certificate names.
fn named_caller(peers: &[&str], devices: &[&str]) -> Option<Caller> {
    let [peer] = peers else { return None };
    let device = match devices {
        [] => None,
        // A device that cannot be parsed could not be looked up either.
        [device] => Some(device.parse().ok()?),
        _ => return None,
    };
    Some(Caller::Peer(peer.parse().ok()?, device))
}

/// Refuses calls. All connections of a server share it.
#[derive(Clone)]
pub(super) struct Guard {
    /// `None` where everything is plaintext.
    membership: Option<Arc<Membership>>,
}

impl Guard {
    pub(super) fn new(membership: Option<Arc<Membership>>) -> Self {
        Self { membership }
    }

    /// Returns why this caller is not served.
    fn refusal(&self, caller: Caller) -> Option<RpcStatus> {
        let membership = self.membership.as_ref()?;
        if let Some(expelled) = caller.expelled(membership) {
            return Some(status(&expelled));
        }
        match caller {
            // It came by the plaintext port, which is open only where its owner wants it.
            Caller::Plaintext => None,
            Caller::Nameless => Some(unauthenticated("the certificate names no account of this swarm")),
            Caller::Peer(..) if membership.identity().is_expired(unix_now()) => {
                let text = "this peer's own certificate has ended, and it waits for another";
                Some(status(&Refusal::new(RefusalCode::Unavailable, text)))
            }
            Caller::Peer(..) => None,
        }
    }
}

fn unauthenticated(text: &'static str) -> RpcStatus {
    status(&Refusal::new(RefusalCode::Unauthenticated, text))
}

impl ServerChecker for Guard {
    fn check(&mut self, context: &RpcContext<'_>) -> CheckResult {
        // Nothing may unwind into gRPC. A caller that cannot be checked is not served.
        let refusal = catch_unwind(AssertUnwindSafe(|| self.refusal(caller(context))));
        match refusal.unwrap_or_else(|_| Some(unauthenticated("a fault in this peer"))) {
            None => CheckResult::Continue,
            Some(status) => CheckResult::Abort(status),
        }
    }

    fn box_clone(&self) -> Box<dyn ServerChecker> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_one_account_and_at_most_one_device() {
        const PEER: &str = "123e4567-e89b-42d3-a456-426614174000";
        const DEVICE: &str = "123e4567-e89b-42d3-a456-426614174001";
        let peer = PEER.parse().unwrap();
        for (peers, devices, expected) in [
            (&[PEER][..], &[][..], Some(Caller::Peer(peer, None))),
            (&[PEER], &[DEVICE], Some(Caller::Peer(peer, Some(DEVICE.parse().unwrap())))),
            (&[], &[], None),
            (&[], &[DEVICE], None),
            (&[PEER, PEER], &[], None),
            (&[PEER], &[DEVICE, DEVICE], None),
            (&[PEER], &["no device"], None),
            (&["no account"], &[], None),
        ] {
            assert_eq!(named_caller(peers, devices), expected, "{peers:?} {devices:?}");
        }
    }

    use grpcio::RpcStatusCode;

    use crate::access::testing::peer;
    use crate::identity::testing::{Authority, Life};

    /// The code and text with which a caller is refused; `None` where it is served.
    fn refused(membership: Option<&Arc<Membership>>, caller: Caller) -> Option<(RpcStatusCode, String)> {
        let status = Guard::new(membership.cloned()).refusal(caller)?;
        Some((status.code(), status.message().to_owned()))
    }

    #[test]
    fn only_members_in_good_standing_are_served_over_tls() {
        let member = Authority::new().member(9);
        member.revoke([peer(1)].into(), Default::default());
        let unauthenticated = |text: &str| Some((RpcStatusCode::UNAUTHENTICATED, text.to_owned()));
        for (caller, expected) in [
            (Caller::Plaintext, None),
            (Caller::Nameless, unauthenticated("the certificate names no account of this swarm")),
            (Caller::Peer(peer(1), None), unauthenticated("the certificate of this account is revoked")),
            (Caller::Peer(peer(2), None), None),
        ] {
            assert_eq!(refused(Some(&member), caller), expected, "{caller:?}");
            assert_eq!(refused(None, caller), None, "a server in plaintext knows no members");
        }
    }

    #[test]
    fn a_server_with_an_ended_certificate_says_so_to_members() {
        let life = Life { obtained_at: 1_000, expires_at: 2_000 };
        let member = Membership::new(Authority::new().identity_for(peer(9), life));
        let text = "this peer's own certificate has ended, and it waits for another".to_owned();
        assert_eq!(refused(Some(&member), Caller::Peer(peer(2), None)), Some((RpcStatusCode::UNAVAILABLE, text)));
        assert_eq!(refused(Some(&member), Caller::Plaintext), None);
        member.revoke([peer(2)].into(), Default::default());
        let refusal = refused(Some(&member), Caller::Peer(peer(2), None)).map(|(code, _)| code);
        assert_eq!(refusal, Some(RpcStatusCode::UNAUTHENTICATED), "a revocation weighs more");
    }
}
