//! The current membership of a node in its swarm. Everything that serves or calls reads it; the thread that renews it
//! changes it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::ids::{DeviceId, PeerId};

use super::TrackerKeys;
use crate::identity::Identity;

/// The identity in use, the revoked accounts and devices, and the keys that sign grants.
///
/// Locks are held only for copying a pointer, so that gRPC's own threads may read it.
#[derive(Debug)]
pub struct Membership {
    identity: RwLock<Arc<Identity>>,
    revoked: RwLock<Arc<Revoked>>,
    /// Counts the changes of `revoked`.
    version: AtomicU64,
    tracker_keys: RwLock<Arc<TrackerKeys>>,
    /// Requests for the trackers' keys, after a grant of an unknown key. It has room for one, because one is as good as
    /// many.
    request_keys: Sender<()>,
    key_requests: Receiver<()>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Revoked {
    accounts: BTreeSet<PeerId>,
    devices: BTreeSet<DeviceId>,
}

impl Membership {
    /// Makes a membership without revocations and without keys of trackers.
    pub fn new(identity: Identity) -> Arc<Self> {
        let (request_keys, key_requests) = bounded(1);
        Arc::new(Self {
            identity: RwLock::new(Arc::new(identity)),
            revoked: RwLock::default(),
            version: AtomicU64::new(0),
            tracker_keys: RwLock::default(),
            request_keys,
            key_requests,
        })
    }

    /// Returns the keys that sign grants.
    pub fn tracker_keys(&self) -> Arc<TrackerKeys> {
        Arc::clone(&self.tracker_keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the keys that sign grants.
    pub fn replace_tracker_keys(&self, tracker_keys: TrackerKeys) {
        *self.tracker_keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tracker_keys);
    }

    /// Asks the thread that renews the membership to request the trackers' keys soon.
    pub(crate) fn request_tracker_keys(&self) {
        let _requested_already = self.request_keys.try_send(());
    }

    /// Reports whether such a request waits.
    #[cfg(test)]
    pub(crate) fn is_key_request_pending(&self) -> bool {
        !self.key_requests.is_empty()
    }

    /// Returns the channel that becomes ready with a request for the trackers' keys.
    pub(crate) fn key_requests(&self) -> &Receiver<()> {
        &self.key_requests
    }

    /// Returns the identity in use. It may have expired: [`Identity::is_expired`].
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the identity for new connections in both directions. Existing connections go on.
    pub fn replace(&self, identity: Identity) {
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
    }

    /// Replaces the revoked accounts and devices. They are not served any more, and the accounts are not used as
    /// sources.
    pub fn revoke(&self, accounts: BTreeSet<PeerId>, devices: BTreeSet<DeviceId>) {
        let new = Revoked { accounts, devices };
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        if **revoked != new {
            *revoked = Arc::new(new);
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Reports whether this account is revoked.
    pub fn is_revoked(&self, peer: PeerId) -> bool {
        self.revoked().accounts.contains(&peer)
    }

    /// Reports whether this device is revoked.
    pub fn is_revoked_device(&self, device: DeviceId) -> bool {
        self.revoked().devices.contains(&device)
    }

    /// Reports whether the identity in use is of a revoked device. Other peers do not serve it then, and the node needs
    /// another one.
    pub(crate) fn is_ended(&self) -> bool {
        self.identity().device().is_some_and(|device| self.is_revoked_device(device))
    }

    fn revoked(&self) -> Arc<Revoked> {
        Arc::clone(&self.revoked.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns a number that changes with the set of revoked accounts and devices.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::identity::testing::{Authority, Life};

    fn peer(number: u8) -> PeerId {
        PeerId::from_random([number; 16])
    }

    fn device(number: u8) -> DeviceId {
        DeviceId::from_random([number; 16])
    }

    #[test]
    fn the_version_changes_with_the_revoked_and_only_then() {
        let member = Authority::new().member(1);
        let steps: [(&[u8], &[u8], u64); 6] =
            [(&[], &[], 0), (&[2], &[], 1), (&[2], &[], 1), (&[2], &[3], 2), (&[3], &[2], 3), (&[], &[], 4)];
        for (accounts, devices, version) in steps {
            member
                .revoke(accounts.iter().map(|it| peer(*it)).collect(), devices.iter().map(|it| device(*it)).collect());
            assert_eq!(member.version(), version, "{accounts:?} {devices:?}");
            for number in 1..5 {
                assert_eq!(member.is_revoked(peer(number)), accounts.contains(&number));
                assert_eq!(member.is_revoked_device(device(number)), devices.contains(&number));
            }
        }
    }

    #[test]
    fn an_identity_ends_with_its_own_device_only() {
        let authority = Authority::new();
        let member = Membership::new(authority.device_of(peer(1), device(5)));
        member.revoke([peer(1)].into(), [device(6)].into());
        assert!(!member.is_ended(), "its account is revoked, and its device is not");
        member.revoke(BTreeSet::new(), [device(5)].into());
        assert!(member.is_ended());
        member.replace(authority.device_of(peer(1), device(7)));
        assert!(!member.is_ended());
        member.replace(authority.identity_for(peer(1), Life::day()));
        assert!(!member.is_ended(), "a certificate from before devices names none");
    }

    #[test]
    fn many_requests_for_keys_are_one() {
        let member = Authority::new().member(1);
        assert!(!member.is_key_request_pending());
        std::thread::scope(|scope| {
            (0..8).for_each(|_| drop(scope.spawn(|| member.request_tracker_keys())));
        });
        assert_eq!(member.key_requests().try_iter().count(), 1);
        member.request_tracker_keys();
        assert!(member.is_key_request_pending(), "a later one is another request");
    }

    #[test]
    fn readers_keep_the_keys_they_have_while_new_ones_come() {
        let member = Authority::new().member(1);
        let before = member.tracker_keys();
        assert!(before.is_empty());
        member.replace_tracker_keys(crate::access::testing::Tracker::new().keys());
        assert_eq!((before.len(), member.tracker_keys().len()), (0, 1));
    }
}
