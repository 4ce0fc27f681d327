//! A node's login as one of its account's devices.

use peernet_engine::ids::DeviceId;

use super::Node;
use crate::discovery::tracker::{Device, LoggedOut};
use crate::error::NodeError;

impl Node {
    /// Who is logged in to the account, the newest first, at most 100.
    pub fn devices(&self) -> Result<Vec<Device>, NodeError> {
        Ok(self.tracker.devices()?)
    }

    /// Logs a device of the account out: its tokens are refused from then on (at other trackers of the swarm within seconds), and its
    /// certificates as soon as others have asked the tracker. Again is as good. [`NodeError::NotFound`] where the account has no such device,
    /// [`NodeError::Refused`] for another than this one where this login lacks [`Scope::Admin`](crate::Scope::Admin).
    pub fn revoke_device(&self, id: DeviceId) -> Result<(), NodeError> {
        Ok(self.tracker.revoke_device(id)?)
    }

    /// Ends this folder's login, at the tracker too, and removes its tokens, its certificate and the key of that. What is shared and who is
    /// trusted stays noted down for the next login. `None` where nobody is logged in at this tracker.
    ///
    /// That the tracker could not be told is no error: the folder is logged out all the same, and [`LoggedOut::at_tracker`] has it. Call
    /// [`Node::stop`] first where this node serves; another process that serves from this folder is refused everything from then on.
    pub fn logout(&self) -> Result<Option<LoggedOut>, NodeError> {
        Ok(self.tracker.logout(true)?)
    }

    /// The same without a word to the tracker, where the device goes on until it was not used for long or is revoked.
    pub fn logout_here(&self) -> Result<Option<LoggedOut>, NodeError> {
        Ok(self.tracker.logout(false)?)
    }
}
