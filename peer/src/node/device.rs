//! A node's login as one of its account's devices.

use peernet_engine::ids::DeviceId;

use super::Node;
use crate::discovery::tracker::{Device, LoggedOut};
use crate::node::NodeError;

impl Node {
    /// Lists the devices that are logged in to the account, newest first, at most 100.
    #[doc(hidden)]
    pub fn devices(&self) -> Result<Vec<Device>, NodeError> {
        Ok(self.tracker.devices()?)
    }

    /// Logs out a device of the account. Its tokens are refused from then on, at other trackers of the swarm within
    /// seconds, and its certificates as soon as other peers have asked the tracker. Repeating the call succeeds.
    ///
    /// [`NodeError::NotFound`] if the account has no such device. [`NodeError::Refused`] for another device than this
    /// one if this login lacks the scope `admin`.
    #[doc(hidden)]
    pub fn revoke_device(&self, id: DeviceId) -> Result<(), NodeError> {
        Ok(self.tracker.revoke_device(id)?)
    }

    /// Ends this folder's login at the tracker, and removes its tokens, certificate and key. The list of shares and the
    /// trusted authorities stay for the next login. `None` if there is no login at this tracker.
    ///
    /// A tracker that cannot be reached is no error: the folder is logged out all the same, and
    /// [`LoggedOut::at_tracker`] says so. Call [`Node::stop`] first if this node serves. Another process that serves
    /// from this folder is refused from then on.
    #[doc(hidden)]
    pub fn logout(&self) -> Result<Option<LoggedOut>, NodeError> {
        Ok(self.tracker.logout(true)?)
    }

    /// Does the same without telling the tracker. There the device stays logged in until it is revoked or has not been
    /// used for long.
    #[doc(hidden)]
    pub fn logout_here(&self) -> Result<Option<LoggedOut>, NodeError> {
        Ok(self.tracker.logout(false)?)
    }
}
