//! Who may call: looked at before each call, on the completion-queue thread, with what the handshake has proven.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use grpcio::{AuthContext, CheckResult, RpcContext, RpcStatus, RpcStatusCode, ServerChecker};
use peernet_engine::ids::{DeviceId, PeerId};
use peernet_protos::identity::{device_of_uri, peer_of_name};

use crate::clock::unix_now;
use crate::identity::Membership;
use crate::transfers::Transport;

/// Names of gRPC's properties of a connection, and the one value of the first that is TLS.
const SECURITY_TYPE: &str = "transport_security_type";
const ALTERNATIVE_NAME: &str = "x509_subject_alternative_name";
const TLS: &[u8] = b"ssl";

/// A caller as far as its connection proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Anybody.
    Plaintext,
    /// This account, by this device of it where the certificate names one.
    Peer(PeerId, Option<DeviceId>),
    /// Somebody whose certificate names no account, or several, or several devices.
    Nameless,
}

impl Caller {
    pub(super) fn of(context: &RpcContext<'_>) -> Self {
        context.auth_context().map_or(Self::Plaintext, |proven| Self::proven(&proven))
    }

    fn proven(proven: &AuthContext) -> Self {
        let (mut is_tls, mut peers, mut devices) = (false, Vec::new(), Vec::new());
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
        if is_tls { Self::named(&peers, &devices).unwrap_or(Self::Nameless) } else { Self::Plaintext }
    }

    /// By what stands in the certificate.
    fn named(peers: &[&str], devices: &[&str]) -> Option<Self> {
        let [peer] = peers else { return None };
        let device = match devices {
            [] => None,
            // What cannot be read could not be looked up either.
            [device] => Some(device.parse().ok()?),
            _ => return None,
        };
        Some(Self::Peer(peer.parse().ok()?, device))
    }

    /// How the two speak.
    pub(super) fn transport(self) -> Transport {
        if self == Self::Plaintext { Transport::Plaintext } else { Transport::Tls }
    }

    /// The account, where it is proven.
    pub(super) fn peer(self) -> Option<PeerId> {
        if let Self::Peer(peer, _) = self { Some(peer) } else { None }
    }

    /// Why it is served no more, where it is one of those who are expelled. For calls that are under way as well.
    pub(super) fn expelled(self, membership: &Membership) -> Option<RpcStatus> {
        match self {
            Self::Peer(peer, _) if membership.is_revoked(peer) => {
                Some(status("the certificate of this account is revoked"))
            }
            Self::Peer(_, Some(device)) if membership.is_revoked_device(device) => {
                Some(status("the certificate of this device is revoked: it was logged out"))
            }
            _ => None,
        }
    }
}

/// Refuses calls; shared by all connections of a server.
#[derive(Clone)]
pub(super) struct Guard {
    /// `None` where all is plaintext.
    membership: Option<Arc<Membership>>,
}

impl Guard {
    pub(super) fn new(membership: Option<Arc<Membership>>) -> Self {
        Self { membership }
    }

    /// Why this caller is not served.
    fn refusal(&self, caller: Caller) -> Option<RpcStatus> {
        let membership = self.membership.as_ref()?;
        if let Some(expelled) = caller.expelled(membership) {
            return Some(expelled);
        }
        match caller {
            // It has come by the port that is there for it.
            Caller::Plaintext => None,
            Caller::Nameless => Some(status("the certificate names no account of this swarm")),
            Caller::Peer(..) if membership.identity().is_expired(unix_now()) => {
                let text = "this peer's own certificate has ended, and it waits for another";
                Some(RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, text.to_owned()))
            }
            Caller::Peer(..) => None,
        }
    }
}

fn status(text: &str) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::UNAUTHENTICATED, text.to_owned())
}

impl ServerChecker for Guard {
    fn check(&mut self, context: &RpcContext<'_>) -> CheckResult {
        // Nothing may unwind into gRPC; who cannot be looked at is not served.
        let looked = catch_unwind(AssertUnwindSafe(|| self.refusal(Caller::of(context))));
        match looked.unwrap_or_else(|_| Some(status("a fault in this peer"))) {
            None => CheckResult::Continue,
            Some(status) => CheckResult::Abort(status),
        }
    }

    fn box_clone(&self) -> Box<dyn ServerChecker> {
        Box::new(self.clone())
    }
}
