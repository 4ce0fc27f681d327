//! Accounts: the members of the swarm, and what operators see of them.
//!
//! Each change writes its own row of the audit log in the same transaction. A change that had nothing to change writes none.

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;

use super::Result;
use super::audit_log::AuditEntry;
use super::devices::{NewDevice, Renewal};
use super::invites::{CodeHash, Invite};

/// The most accounts, invites or audit rows that one read returns.
pub const PAGE_MAX: usize = 1_000;
/// The longest reason, note or detail that is stored, in bytes. The commands refuse longer ones.
pub const TEXT_BYTES_MAX: usize = 1_000;

/// An account as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The peer id of the account.
    pub id: PeerId,
    /// The address that it was registered with, if any. A login name, unique among accounts.
    pub address: Option<String>,
    /// The password's hash in bcrypt's text form.
    pub password_hash: String,
    /// The token generation. Tokens of earlier generations are refused.
    pub generation: u32,
    /// The time of registration.
    pub created_at: UnixMillis,
}

/// The time and the reason of a suspension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The time from which on the account may not take part.
    pub at: UnixMillis,
    /// The operator's reason.
    pub reason: String,
}

/// An account with the facts that operators need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountEntry {
    /// The account.
    pub account: Account,
    /// The suspension, if the account is suspended.
    pub suspended: Option<Suspension>,
    /// Bytes of metadata that the account has stored.
    pub metadata_bytes: u64,
}

/// A change of a password, as both stores apply it.
pub(super) struct PasswordChange<'a> {
    pub(super) id: PeerId,
    /// The generation that the caller read.
    pub(super) generation: u32,
    pub(super) password_hash: &'a str,
    /// The device that changed the password, logged in anew.
    pub(super) device: Option<&'a NewDevice>,
}

/// A page of accounts, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountQuery {
    /// A text that the address must contain, case-insensitively.
    pub matching: Option<String>,
    /// Only ids greater than this one.
    pub after: Option<PeerId>,
    /// The most accounts to return, bounded by [`PAGE_MAX`].
    pub limit: usize,
}

/// A change of an account, a device or an invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountWrite {
    /// Suspends: Done, Unchanged when it is suspended already, Stale for an unknown account.
    Suspend {
        /// The account to suspend.
        id: PeerId,
        /// The operator's reason.
        reason: String,
    },
    /// Ends a suspension: Done, Unchanged when there is none, Stale for an unknown account.
    Resume {
        /// The suspended account.
        id: PeerId,
    },
    /// Raises the token generation, so that every token stops working, and ends every device: Done, Stale for an unknown account.
    Revoke {
        /// The account whose tokens end.
        id: PeerId,
    },
    /// Adds a device: Done; [`super::Written::Replaced`] where the account already had the most devices; Stale where the account's
    /// generation has changed or the account is unknown.
    AddDevice {
        /// The device.
        device: NewDevice,
        /// The generation that the caller read.
        generation: u32,
    },
    /// Exchanges a refresh token: Done; [`super::Written::Reused`] where the token had been replaced already, which ends the device;
    /// Stale where the device has ended or is unknown. A renewal writes no audit row, because it comes every few minutes.
    RenewDevice(Renewal),
    /// Ends a device: Done, Unchanged when it has ended already, Stale when the account has no such device.
    RevokeDevice {
        /// The account that the device belongs to.
        account: PeerId,
        /// The device.
        id: DeviceId,
    },
    /// Stores an invite: Done, Unchanged when it exists.
    PutInvite(Invite),
    /// Revokes an invite: Done, Unchanged when it was revoked already, Stale when there is none.
    RevokeInvite {
        /// The hash of the invite's code.
        code_hash: CodeHash,
    },
    /// Writes an audit row and nothing else.
    Note(AuditEntry),
}

impl AccountWrite {
    /// Returns the account whose rows change, if it is one account's.
    pub fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Suspend { id, .. } | Self::Resume { id } | Self::Revoke { id } => Some(*id),
            Self::AddDevice { device, .. } => Some(device.account),
            Self::RenewDevice(renewal) => Some(renewal.account),
            Self::RevokeDevice { account, .. } => Some(*account),
            Self::PutInvite(_) | Self::RevokeInvite { .. } | Self::Note(_) => None,
        }
    }
}

/// Reads accounts.
pub trait Accounts {
    /// Returns an account by its id.
    fn account(&self, id: PeerId) -> Result<Option<Account>>;

    /// Returns an account by the address it was registered with.
    fn account_by_address(&self, address: &str) -> Result<Option<Account>>;

    /// Returns a page of accounts.
    fn accounts(&self, query: &AccountQuery) -> Result<Vec<AccountEntry>>;

    /// Returns one account with the facts that operators need.
    fn account_entry(&self, id: PeerId) -> Result<Option<AccountEntry>>;

    /// Returns the ids of all suspended accounts.
    fn suspended(&self) -> Result<Vec<PeerId>>;

    /// Returns the bytes of metadata that an account has stored; 0 for an unknown account.
    fn metadata_bytes(&self, account: PeerId) -> Result<u64>;
}
