//! The revocation list: suspended accounts and revoked devices, whose certificates are no longer valid.

use data_encoding::HEXLOWER;
use peernet_engine::ids::{DeviceId, PeerId};
use sha2::{Digest as _, Sha256};

use super::revoked::RevokedDevices;
use super::suspended::Suspended;

/// The list as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocations {
    /// The suspended accounts, in ascending order.
    pub accounts: Vec<PeerId>,
    /// The revoked devices of other accounts, in ascending order.
    pub devices: Vec<DeviceId>,
    /// SHA-256 over both lists in hex; it changes whenever they change.
    pub tag: String,
}

impl Revocations {
    pub(super) fn of(suspended: &Suspended, revoked: &RevokedDevices) -> Self {
        let accounts = suspended.all();
        let devices = revoked.of(|account| accounts.binary_search(&account).is_err());
        let mut digest = Sha256::new();
        // The count marks where the first list ends.
        digest.update((accounts.len() as u64).to_be_bytes());
        accounts.iter().for_each(|id| digest.update(id.0));
        devices.iter().for_each(|id| digest.update(id.0));
        Self { accounts, devices, tag: HEXLOWER.encode(&digest.finalize()) }
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::time::UnixMillis;

    use super::*;
    use crate::store::devices::Revoked;

    #[test]
    fn the_list_omits_devices_of_suspended_accounts() {
        let suspended = Suspended::default();
        let revoked = RevokedDevices::default();
        let device =
            |n: u8, account: u8| Revoked { id: DeviceId([n; 16]), account: PeerId([account; 16]), at: UnixMillis(1) };
        revoked.add([device(9, 1), device(3, 1), device(5, 2)]);
        let open = Revocations::of(&suspended, &revoked);
        assert_eq!((open.accounts.len(), &open.devices[..]), (0, &[3, 5, 9].map(|n| DeviceId([n; 16]))[..]));
        suspended.replace([PeerId([1; 16])]);
        let closed = Revocations::of(&suspended, &revoked);
        assert_eq!((&closed.accounts[..], &closed.devices[..]), (&[PeerId([1; 16])][..], &[DeviceId([5; 16])][..]));
        let none = RevokedDevices::default();
        let one = RevokedDevices::default();
        one.add([device(1, 7)]);
        let tags = [Revocations::of(&suspended, &none).tag, Revocations::of(&Suspended::default(), &one).tag];
        assert_ne!(tags[0], tags[1], "the same id in the other list is another list");
    }
}
