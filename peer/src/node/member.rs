//! The membership of a node in its swarm: with the certificate in its folder, or another from the tracker.

use std::sync::{Arc, PoisonError};

use super::Node;
use super::renewal::Issuer;
use crate::access::Membership;
use crate::access::TrackerKeys;
use crate::clock::unix_now;
use crate::connect::Dial;
use crate::discovery::tracker::{TrackerClient, TrackerError};
use crate::identity::{Fingerprint, Identity, Revocations};
use crate::node::NodeError;

/// Gets another certificate.
pub(super) type Ask<'a> = &'a dyn Fn() -> Result<Identity, TrackerError>;

/// The membership of a node, as far as it has tried.
#[derive(Debug, Default)]
pub(super) enum MemberState {
    /// Not tried yet.
    #[default]
    Unknown,
    /// A member.
    Member(Arc<Membership>),
    /// No certificate: the node goes on in plaintext.
    PlaintextOnly,
}

impl Node {
    /// The authority that vouches for this node's account, which is the one others should compare; `None` while there
    /// is none.
    pub fn ca_fingerprint(&self) -> Result<Option<Fingerprint>, NodeError> {
        Ok(self.tracker.identity()?.map(|identity| identity.authorities().fingerprint()))
    }

    /// The same without an error, and for members without a look at the disk: for links, of which there may be many.
    pub(super) fn authority(&self) -> Option<Fingerprint> {
        if let MemberState::Member(membership) = &*self.membership_state.lock().unwrap_or_else(PoisonError::into_inner)
        {
            return Some(membership.identity().authorities().fingerprint());
        }
        let mut known = self.authority.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = self.ca_fingerprint().ok().flatten();
        }
        *known
    }

    /// Returns the membership; `None` where the node speaks plaintext only, because plaintext was allowed and no
    /// certificate can be had. From the first membership on, a thread renews it. `ask` gets another certificate where
    /// there is no good one.
    pub(super) fn member(&self, ask: Ask<'_>) -> Result<Option<Arc<Membership>>, NodeError> {
        let mut membership_state = self.membership_state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match &*membership_state {
            MemberState::PlaintextOnly => return Ok(None),
            MemberState::Unknown => None,
            MemberState::Member(membership) => Some(Arc::clone(membership)),
        };
        let account = self.tracker.account()?.ok_or(TrackerError::NotLoggedIn)?;
        let device = account.device.as_ref().map(|device| device.id);
        let is_good = |identity: &Identity| {
            // One of an earlier login may be revoked by now.
            let is_of_login = device.is_none() || identity.device() == device;
            identity.peer() == account.peer_id && is_of_login && !identity.is_expired(unix_now())
        };
        if known.as_ref().is_some_and(|membership| is_good(&membership.identity())) {
            return Ok(known);
        }
        let identity = match self.tracker.identity()?.filter(is_good) {
            Some(identity) => Ok(identity),
            None => ask(),
        };
        let identity = match identity {
            Ok(identity) => identity,
            Err(error) if self.settings.plaintext_listen.is_some() => {
                self.log.warn(&format!("serving in plaintext only, without a certificate: {error}"));
                *membership_state = MemberState::PlaintextOnly;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(membership) = known {
            membership.replace(identity);
            return Ok(Some(membership));
        }
        let membership = Membership::new(identity);
        self.running.keep_member(self, &membership)?;
        *membership_state = MemberState::Member(Arc::clone(&membership));
        Ok(Some(membership))
    }

    /// The tracker may give another account a certificate.
    pub(super) fn forget_refusal(&self) {
        let mut membership_state = self.membership_state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*membership_state, MemberState::PlaintextOnly) {
            *membership_state = MemberState::Unknown;
        }
    }

    /// The transports that a download may use. `ask` gets another certificate where there is none that is good.
    pub(super) fn dial(&self, ask: Ask<'_>) -> Result<Dial, NodeError> {
        let allowed = self.settings.plaintext_listen.is_some();
        Ok(match self.member(ask)? {
            Some(membership) if allowed => Dial::tls(membership).and_plaintext(),
            Some(membership) => Dial::tls(membership),
            None => Dial::plaintext(),
        })
    }
}

impl Issuer for Arc<TrackerClient> {
    fn certificate(&self) -> Result<Identity, TrackerError> {
        TrackerClient::certificate(self)
    }

    fn stored(&self) -> Option<Identity> {
        self.identity().ok().flatten()
    }

    fn revocations(&self, known: Option<&str>) -> Result<Option<Revocations>, TrackerError> {
        TrackerClient::revocations(self, known)
    }

    fn tracker_keys(&self) -> Result<TrackerKeys, TrackerError> {
        TrackerClient::tracker_keys(self)
    }
}
