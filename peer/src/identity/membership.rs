//! What a node is in its swarm at this moment: shared by everything that serves or calls, changed by the thread that renews.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::ids::{DeviceId, PeerId};

use super::Identity;
use crate::grants::Signers;

/// The identity in use, the accounts and devices whose certificates count no more, and whose grants count. Locks are held for a copy of a pointer only, so that
/// gRPC's own threads may ask.
#[derive(Debug)]
pub struct Membership {
    identity: RwLock<Arc<Identity>>,
    revoked: RwLock<Arc<Revoked>>,
    /// One more with each change of `revoked`.
    version: AtomicU64,
    signers: RwLock<Arc<Signers>>,
    /// Somebody has shown a grant of a key that is not among them. One place, for one wish is as good as many.
    wish: Sender<()>,
    wishes: Receiver<()>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Revoked {
    accounts: BTreeSet<PeerId>,
    devices: BTreeSet<DeviceId>,
}

impl Membership {
    /// With nobody revoked, and no key of a tracker, as far as is known.
    pub fn new(identity: Identity) -> Arc<Self> {
        let (wish, wishes) = bounded(1);
        Arc::new(Self {
            identity: RwLock::new(Arc::new(identity)),
            revoked: RwLock::default(),
            version: AtomicU64::new(0),
            signers: RwLock::default(),
            wish,
            wishes,
        })
    }

    /// Whose grants are taken.
    pub fn signers(&self) -> Arc<Signers> {
        Arc::clone(&self.signers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on exactly these trackers' grants are taken.
    pub fn take_signers(&self, signers: Signers) {
        *self.signers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(signers);
    }

    /// Has the thread that keeps it ask for the trackers' keys soon.
    pub(crate) fn wish_for_signers(&self) {
        let _wished_already = self.wish.try_send(());
    }

    /// Whether somebody has, and nobody has heard it yet.
    #[cfg(test)]
    pub(crate) fn is_wished_for(&self) -> bool {
        !self.wishes.is_empty()
    }

    /// Becomes ready when somebody has wished for them.
    pub(super) fn wishes(&self) -> &Receiver<()> {
        &self.wishes
    }

    /// As it is now. It may have expired: [`Identity::is_expired`].
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on new connections, both ways, are made with this one. Those that are there go on.
    pub fn replace(&self, identity: Identity) {
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
    }

    /// Exactly these accounts, and these devices of others, are served no more; the accounts are not fetched from either.
    pub fn revoke(&self, accounts: BTreeSet<PeerId>, devices: BTreeSet<DeviceId>) {
        let new = Revoked { accounts, devices };
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        if **revoked != new {
            *revoked = Arc::new(new);
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether this account is one of them.
    pub fn is_revoked(&self, peer: PeerId) -> bool {
        self.revoked().accounts.contains(&peer)
    }

    /// Whether this device is one of them.
    pub fn is_revoked_device(&self, device: DeviceId) -> bool {
        self.revoked().devices.contains(&device)
    }

    /// Whether the identity in use is of such a device: then others serve it no more, and it needs another one.
    pub(crate) fn is_ended(&self) -> bool {
        self.identity().device().is_some_and(|device| self.is_revoked_device(device))
    }

    fn revoked(&self) -> Arc<Revoked> {
        Arc::clone(&self.revoked.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another number when others are revoked.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}
