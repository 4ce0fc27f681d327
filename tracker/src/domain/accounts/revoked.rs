//! The devices that were revoked lately, in memory, so that no request reads the store for them. Revocations of other
//! trackers are read every few seconds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;

use crate::store::devices::{REVOKED_MAX, Revoked};

/// The revoked devices. While there is none, asking takes no lock.
#[derive(Debug, Default)]
pub(super) struct RevokedDevices {
    count: AtomicUsize,
    known: RwLock<BTreeMap<DeviceId, (PeerId, UnixMillis)>>,
}

impl RevokedDevices {
    pub(super) fn contains(&self, id: DeviceId) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && self.known.read().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// The revoked devices of accounts that pass, in ascending order.
    pub(super) fn of(&self, passes: impl Fn(PeerId) -> bool) -> Vec<DeviceId> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|(_, (account, _))| passes(*account)).map(|(id, _)| *id).collect()
    }

    /// Adds revoked devices. A revocation is final, so a read that was slow cannot undo a newer one.
    pub(super) fn add(&self, more: impl IntoIterator<Item = Revoked>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(more.into_iter().map(|device| (device.id, (device.account, device.at))));
        trim(&mut known);
        self.count.store(known.len(), Ordering::Release);
    }

    /// Forgets devices that were revoked before `before`: no certificate or token of them is still valid.
    pub(super) fn forget(&self, before: UnixMillis) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, at)| *at >= before);
        self.count.store(known.len(), Ordering::Release);
    }
}

/// Removes the oldest devices past the bound.
fn trim(known: &mut BTreeMap<DeviceId, (PeerId, UnixMillis)>) {
    let excess = known.len().saturating_sub(REVOKED_MAX);
    if excess > 0 {
        let mut oldest: Vec<(UnixMillis, DeviceId)> = known.iter().map(|(id, (_, at))| (*at, *id)).collect();
        oldest.sort_unstable();
        for (_, id) in &oldest[..excess] {
            known.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoked(n: u32, at: i64) -> Revoked {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        Revoked { id: DeviceId(id), account: PeerId([(n % 2) as u8; 16]), at: UnixMillis(at) }
    }

    #[test]
    fn a_revoked_device_stays_until_it_is_old() {
        let devices = RevokedDevices::default();
        assert!(!devices.contains(revoked(1, 0).id));
        devices.add([revoked(1, 10), revoked(2, 20)]);
        devices.add([]);
        assert!(devices.contains(revoked(1, 0).id) && devices.contains(revoked(2, 0).id));
        assert_eq!(devices.of(|_| true), [revoked(1, 0).id, revoked(2, 0).id]);
        assert_eq!(devices.of(|account| account == PeerId([0; 16])), [revoked(2, 0).id]);
        devices.forget(UnixMillis(11));
        assert!(!devices.contains(revoked(1, 0).id) && devices.contains(revoked(2, 0).id));
    }

    #[test]
    fn past_the_bound_the_oldest_go() {
        let devices = RevokedDevices::default();
        let most = u32::try_from(REVOKED_MAX).expect("is small");
        devices.add((0..most).map(|n| revoked(n, i64::from(n))));
        devices.add([revoked(most, 5)]);
        assert_eq!(devices.of(|_| true).len(), REVOKED_MAX);
        assert!(!devices.contains(revoked(0, 0).id) && devices.contains(revoked(most, 0).id));
    }
}
