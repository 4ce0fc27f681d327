//! Accounts as operators see them: who there is, who is suspended, invites, and the audit log of what was done to accounts.
//!
//! Changes are [`AccountWrite`]s, which travel as [`super::Write::Account`]; each writes its own row of the audit log in the same
//! transaction. Questions are the trait [`Registry`].

use std::fmt;

use peernet_engine::ids::{DeviceId, PeerId};
use peernet_engine::time::UnixMillis;

use super::devices::{Device, NewDevice, Renewal, Revoked, TokenHash};
use super::{Account, Result};

/// The most rows that one question is answered with.
pub const PAGE_MAX: usize = 1_000;
/// The longest reason, note or detail that is kept, in bytes; the commands refuse longer ones.
pub const TEXT_BYTES_MAX: usize = 1_000;

/// SHA-256 of an invite's code.
pub type CodeHash = [u8; 32];

/// Why an account may not take part, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Since when.
    pub at: UnixMillis,
    /// What the operator said.
    pub reason: String,
}

/// An account with what operators want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountEntry {
    /// The account.
    pub account: Account,
    /// Whether it is suspended.
    pub suspended: Option<Suspension>,
    /// Bytes of metadata that it has stored.
    pub metadata_bytes: u64,
}

/// A page of accounts, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountQuery {
    /// In the address, case-insensitively.
    pub matching: Option<String>,
    /// Only ids after this one.
    pub after: Option<PeerId>,
    /// At most so many; [`PAGE_MAX`] at most.
    pub limit: usize,
}

/// Leave to register, for as many as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// SHA-256 of its code, which is kept nowhere.
    pub code_hash: CodeHash,
    /// How often it could be used.
    pub uses: u32,
    /// How often it still can.
    pub uses_left: u32,
    /// For whom it is, or what for.
    pub note: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// From when on it is worth nothing.
    pub expires_at: UnixMillis,
    /// When an operator took it back.
    pub revoked_at: Option<UnixMillis>,
}

impl Invite {
    /// Whether someone may register with it now.
    pub fn is_good(&self, now: UnixMillis) -> bool {
        self.uses_left > 0 && self.revoked_at.is_none() && now < self.expires_at
    }

    /// What it is called in lists and in the audit log: enough of its hash.
    pub fn id(&self) -> String {
        invite_id(&self.code_hash)
    }
}

/// See [`Invite::id`].
pub fn invite_id(code_hash: &CodeHash) -> String {
    data_encoding::HEXLOWER.encode(&code_hash[..6])
}

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Someone with the account's password or token, or who wanted to have it.
    Client,
    /// Someone at the tracker's machine, by a command.
    Operator,
}

impl Actor {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Operator => "operator",
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// An account was made.
    Registered,
    /// Its password was changed.
    PasswordChanged,
    /// Wrong passwords led to a wait.
    LoginLocked,
    /// An account was suspended.
    Suspended,
    /// It may take part again.
    Resumed,
    /// All its tokens were ended.
    Revoked,
    /// A device logged in.
    DeviceAdded,
    /// A device was ended.
    DeviceRevoked,
    /// A device was ended because a refresh token of it was shown that had been replaced: somebody had copied it.
    RefreshTokenReused,
    /// An invite was made.
    InviteCreated,
    /// Someone registered with it.
    InviteUsed,
    /// It was taken back.
    InviteRevoked,
    /// The database was restored from a backup.
    Restored,
}

impl Action {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::PasswordChanged => "password_changed",
            Self::LoginLocked => "login_locked",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
            Self::Revoked => "revoked",
            Self::DeviceAdded => "device_added",
            Self::DeviceRevoked => "device_revoked",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::InviteCreated => "invite_created",
            Self::InviteUsed => "invite_used",
            Self::InviteRevoked => "invite_revoked",
            Self::Restored => "restored",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A row for the audit log. Its time is the transaction's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// To which account, if to one.
    pub account: Option<PeerId>,
    /// What else is to be known. Never a secret.
    pub detail: String,
}

impl AuditEntry {
    /// What somebody did with an account's password or token.
    pub(super) fn by_client(action: Action, id: PeerId, detail: &str) -> Self {
        Self { actor: Actor::Client, action, account: Some(id), detail: detail.to_owned() }
    }

    /// What an operator did to an account.
    pub(super) fn by_operator(action: Action, id: PeerId, detail: &str) -> Self {
        Self { actor: Actor::Operator, ..Self::by_client(action, id, detail) }
    }

    /// That an operator made an invite.
    pub(super) fn of_new_invite(invite: &Invite) -> Self {
        let detail = format!("{} uses {} note {:?}", invite.id(), invite.uses, invite.note);
        Self { actor: Actor::Operator, action: Action::InviteCreated, account: None, detail }
    }

    /// That an operator took one back.
    pub(super) fn of_revoked_invite(code_hash: &CodeHash) -> Self {
        Self { actor: Actor::Operator, action: Action::InviteRevoked, account: None, detail: invite_id(code_hash) }
    }
}

/// A row of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Grows with each row.
    pub id: u64,
    /// When.
    pub at: UnixMillis,
    /// Who, see [`Actor::as_str`].
    pub actor: String,
    /// What, see [`Action::as_str`].
    pub action: String,
    /// To which account, if to one.
    pub account: Option<PeerId>,
    /// What else is to be known.
    pub detail: String,
}

/// The newest rows of the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only of this account.
    pub account: Option<PeerId>,
    /// At most so many; [`PAGE_MAX`] at most.
    pub limit: usize,
}

/// A change of accounts, devices or invites. Each writes the audit log; what changed nothing writes nothing, nor does a renewal, which comes
/// every few minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountWrite {
    /// Like [`super::Write::CreateAccount`], using up one use of an invite: [`super::Written::InviteRefused`] when it is not good.
    CreateInvited {
        /// The account.
        account: Account,
        /// The invite.
        code_hash: CodeHash,
    },
    /// Suspends: Done, Known when it is suspended already, Stale for an unknown account.
    Suspend {
        /// Whom.
        id: PeerId,
        /// Why.
        reason: String,
    },
    /// Ends a suspension: Done, Known when there is none, Stale for an unknown account.
    Resume {
        /// Whose.
        id: PeerId,
    },
    /// Raises the token generation, so that every token stops working, and ends every device: Done, Stale for an unknown account.
    Revoke {
        /// Whose.
        id: PeerId,
    },
    /// Makes a device: Done, or [`super::Written::Replaced`] where the account had as many as it may; Stale when the account's generation is
    /// another by now or the account is unknown.
    AddDevice {
        /// The device.
        device: NewDevice,
        /// What the caller read.
        generation: u32,
    },
    /// Exchanges a refresh token: Done; [`super::Written::Reused`] when it had been replaced already, with which the device ends; Stale when
    /// the device has ended or is unknown.
    RenewDevice(Renewal),
    /// Ends a device: Done, Known when it has ended already, Stale when the account has no such device.
    RevokeDevice {
        /// Whose.
        account: PeerId,
        /// Which.
        id: DeviceId,
    },
    /// Makes an invite: Done, Known when it is there.
    PutInvite(Invite),
    /// Takes it back: Done, Known when it was taken back already, Stale when there is none.
    RevokeInvite {
        /// Which.
        code_hash: CodeHash,
    },
    /// Writes the audit log and nothing else.
    Note(AuditEntry),
}

impl AccountWrite {
    /// Whose rows it changes.
    pub fn peer(&self) -> Option<PeerId> {
        match self {
            Self::CreateInvited { account, .. } => Some(account.id),
            Self::Suspend { id, .. } | Self::Resume { id } | Self::Revoke { id } => Some(*id),
            Self::AddDevice { device, .. } => Some(device.account),
            Self::RenewDevice(renewal) => Some(renewal.account),
            Self::RevokeDevice { account, .. } => Some(*account),
            Self::PutInvite(_) | Self::RevokeInvite { .. } | Self::Note(_) => None,
        }
    }
}

/// How a database server's connections stand, and the one that asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// As many as it takes.
    pub max: u64,
    /// Of which it keeps so many for its administrators.
    pub reserved: u64,
    /// As many as clients have open.
    pub open: u64,
    /// Whether the server says that this one is encrypted.
    pub encrypted: bool,
}

/// What an operator's check wants to know of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The version of its tables; `None` where there are none.
    pub schema_version: Option<i64>,
    /// The newest time that was written down.
    pub newest_at: Option<UnixMillis>,
    /// Of a database server.
    pub connections: Option<ConnectionFacts>,
}

/// The version of the tables that this program makes and works with.
pub const SCHEMA_VERSION: i64 = super::steps::VERSION;

/// Questions about accounts.
pub trait Registry {
    /// A page of accounts.
    fn accounts(&self, query: &AccountQuery) -> Result<Vec<AccountEntry>>;

    /// One account.
    fn account_entry(&self, id: PeerId) -> Result<Option<AccountEntry>>;

    /// The ids of all suspended accounts.
    fn suspended(&self) -> Result<Vec<PeerId>>;

    /// The device whose refresh tokens begin with what hashes to this, live or not.
    fn device_of_family(&self, family_hash: &TokenHash) -> Result<Option<Device>>;

    /// The live devices of an account, the newest first, [`super::devices::DEVICES_MAX`] at most.
    fn devices(&self, account: PeerId, now: UnixMillis) -> Result<Vec<Device>>;

    /// Devices that were ended after a time, the latest first, [`super::devices::REVOKED_MAX`] at most.
    fn revoked_devices(&self, after: UnixMillis) -> Result<Vec<Revoked>>;

    /// Deletes devices that ended or expired before a time. Returns how many.
    fn prune_devices(&self, before: UnixMillis) -> Result<u64>;

    /// Bytes of metadata that an account has stored; 0 for an unknown one.
    fn metadata_bytes(&self, account: PeerId) -> Result<u64>;

    /// An invite.
    fn invite(&self, code_hash: &CodeHash) -> Result<Option<Invite>>;

    /// The newest invites, [`PAGE_MAX`] at most.
    fn invites(&self) -> Result<Vec<Invite>>;

    /// The newest rows of the audit log, newest first.
    fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditRow>>;

    /// Deletes rows of the audit log that are older than `before`. Returns how many.
    fn prune_audit_log(&self, before: UnixMillis) -> Result<u64>;

    /// What a check wants to know. Works on a database of any version.
    fn facts(&self) -> Result<Facts>;
}
