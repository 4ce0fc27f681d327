//! Devices as they are stored: logins that last, each with one refresh token at a time, of which only SHA-256 is kept.
//!
//! A refresh token has two halves. The first names the login's family and stays the same, the second is new each time. So whoever shows any
//! token of a family that is not its newest is known to have had a genuine one, however long ago, without a list of all that ever were.

use std::time::Duration;

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;

use super::registry::{Action, AuditEntry};
use crate::base::scopes::Scopes;

/// Live devices of one account at most: one more login ends the one that was not seen for longest.
pub const DEVICES_MAX: usize = 100;
/// Ended devices of one account that are kept at most, the newest: a program that logs in again and again fills no table.
pub const ENDED_MAX: usize = 200;
/// Ended devices of all accounts that one question is answered with: 400 kB where they are published.
pub const REVOKED_MAX: usize = 10_000;
/// How long a token that was replaced may be shown again by who did not get the answer.
pub const RETRY_WINDOW: Duration = Duration::from_secs(10);

/// SHA-256 of a token or of its first half.
pub type TokenHash = [u8; 32];

/// A device that logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// Its id.
    pub id: DeviceId,
    /// Whose it is.
    pub account: PeerId,
    /// What people know it by.
    pub label: String,
    /// What its tokens may be used for.
    pub scopes: Scopes,
    /// Of the first half of its refresh tokens.
    pub family_hash: TokenHash,
    /// Of its first refresh token.
    pub refresh_hash: TokenHash,
    /// When that ends.
    pub expires_at: UnixMillis,
}

/// A device as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Whose it is.
    pub account: PeerId,
    /// What people know it by.
    pub label: String,
    /// What its tokens may be used for.
    pub scopes: Scopes,
    /// When it logged in.
    pub created_at: UnixMillis,
    /// When its token was last renewed.
    pub seen_at: UnixMillis,
    /// When its refresh token ends.
    pub expires_at: UnixMillis,
    /// When it was ended, if it was.
    pub revoked_at: Option<UnixMillis>,
}

impl Device {
    /// Whether it is logged in.
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// A refresh token in exchange for the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Which device, as its family says.
    pub device: DeviceId,
    /// Whose it is.
    pub account: PeerId,
    /// Of the token that is shown.
    pub shown_hash: TokenHash,
    /// Of the one that takes its place.
    pub next_hash: TokenHash,
    /// When that ends.
    pub expires_at: UnixMillis,
}

/// A device that was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Which.
    pub id: DeviceId,
    /// Whose.
    pub account: PeerId,
    /// When.
    pub at: UnixMillis,
}

/// Why a device is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It logged out, or another login of the account ended it.
    ByOwner,
    /// A newer login took its place.
    Replaced,
    /// A refresh token of it was shown that had been replaced.
    Reused,
}

/// For the audit log: that a device logged in.
pub(super) fn added(new: &NewDevice) -> AuditEntry {
    let detail = format!("{} {:?} for {}", new.id, new.label, new.scopes);
    AuditEntry::by_client(Action::DeviceAdded, new.account, &detail)
}

/// For the audit log: that a device was ended.
pub(super) fn ended(account: PeerId, id: DeviceId, why: Ended) -> AuditEntry {
    let (action, why) = match why {
        Ended::ByOwner => (Action::DeviceRevoked, ""),
        Ended::Replaced => (Action::DeviceRevoked, ": one login too many"),
        Ended::Reused => (Action::RefreshTokenReused, ""),
    };
    AuditEntry::by_client(action, account, &format!("{id}{why}"))
}

/// For the audit log: how many devices ended with all tokens of their account.
pub(super) fn ended_with_account(devices: usize) -> String {
    if devices == 0 { String::new() } else { format!("devices ended: {devices}") }
}
