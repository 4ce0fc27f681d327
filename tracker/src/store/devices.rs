//! Devices: logins that last. Each has one refresh token at a time, of which only SHA-256 is stored.
//!
//! A refresh token has two halves. The first half names the token family of the device and never changes; the second half is new with each
//! renewal. So a token of a known family whose second half is not the newest one is recognised as replaced, however old it is, without a
//! list of all former tokens.

use std::time::Duration;

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;

use super::Result;
use super::audit_log::{Action, AuditEntry};
use crate::base::scopes::Scopes;

/// The most live devices of one account. One more login ends the device that was not seen for longest.
pub const DEVICES_MAX: usize = 100;
/// The most ended devices that are kept of one account, the newest. So a program that logs in again and again does not fill the table.
pub const ENDED_MAX: usize = 200;
/// The most ended devices that one read returns: 400 kB in the published list.
pub const REVOKED_MAX: usize = 10_000;
/// The time during which a replaced token may be presented again, by a client that did not get the reply.
pub const RETRY_WINDOW: Duration = Duration::from_secs(10);

/// SHA-256 of a token or of its first half.
pub type TokenHash = [u8; 32];

/// A device that logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// The device's id.
    pub id: DeviceId,
    /// The account that logs in.
    pub account: PeerId,
    /// The name that people know the device by.
    pub label: String,
    /// The calls that its tokens may be used for.
    pub scopes: Scopes,
    /// The hash of the first half of its refresh tokens.
    pub family_hash: TokenHash,
    /// The hash of its first refresh token.
    pub refresh_hash: TokenHash,
    /// The time at which that token expires.
    pub expires_at: UnixMillis,
}

/// A device as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device's id.
    pub id: DeviceId,
    /// The account that it belongs to.
    pub account: PeerId,
    /// The name that people know the device by.
    pub label: String,
    /// The calls that its tokens may be used for.
    pub scopes: Scopes,
    /// The time of its login.
    pub created_at: UnixMillis,
    /// The time of its last renewal.
    pub seen_at: UnixMillis,
    /// The time at which its refresh token expires.
    pub expires_at: UnixMillis,
    /// The time at which it was ended, if it was.
    pub revoked_at: Option<UnixMillis>,
}

impl Device {
    /// Returns whether the device is logged in.
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// The exchange of a refresh token for the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The device of the token's family.
    pub device: DeviceId,
    /// The account that the device belongs to.
    pub account: PeerId,
    /// The hash of the presented token.
    pub shown_hash: TokenHash,
    /// The hash of the token that replaces it.
    pub next_hash: TokenHash,
    /// The time at which the new token expires.
    pub expires_at: UnixMillis,
}

/// A device that was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// The device.
    pub id: DeviceId,
    /// The account that it belongs to.
    pub account: PeerId,
    /// The time at which it was ended.
    pub at: UnixMillis,
}

/// The reason why a device was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The device logged out, or another device of the account ended it.
    ByOwner,
    /// A newer login took its place.
    Replaced,
    /// One of its replaced refresh tokens was presented.
    Reused,
}

/// Reads and prunes devices.
pub trait Devices {
    /// Returns the device whose token family has this hash, live or not.
    fn device_of_family(&self, family_hash: &TokenHash) -> Result<Option<Device>>;

    /// Returns the live devices of an account, the newest first, at most [`DEVICES_MAX`].
    fn devices(&self, account: PeerId, now: UnixMillis) -> Result<Vec<Device>>;

    /// Returns devices that were ended after a time, the latest first, at most [`REVOKED_MAX`].
    fn revoked_devices(&self, after: UnixMillis) -> Result<Vec<Revoked>>;

    /// Deletes devices that ended or expired before a time. Returns the number of deleted rows.
    fn prune_devices(&self, before: UnixMillis) -> Result<u64>;
}

/// Creates the audit row of a login.
pub(super) fn added(new: &NewDevice) -> AuditEntry {
    let detail = format!("{} {:?} for {}", new.id, new.label, new.scopes);
    AuditEntry::by_client(Action::DeviceAdded, new.account, &detail)
}

/// Creates the audit row of a device's end.
pub(super) fn ended(account: PeerId, id: DeviceId, why: Ended) -> AuditEntry {
    let (action, why) = match why {
        Ended::ByOwner => (Action::DeviceRevoked, ""),
        Ended::Replaced => (Action::DeviceRevoked, ": one login too many"),
        Ended::Reused => (Action::RefreshTokenReused, ""),
    };
    AuditEntry::by_client(action, account, &format!("{id}{why}"))
}

/// Returns the audit detail that counts the devices that ended with all tokens of their account.
pub(super) fn ended_with_account(devices: usize) -> String {
    if devices == 0 { String::new() } else { format!("devices ended: {devices}") }
}
