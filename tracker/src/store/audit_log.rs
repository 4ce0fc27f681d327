//! The audit log: one row for each change of an account, a device or an invite.

use std::fmt;

use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;

use super::Result;
use super::invites::{CodeHash, Invite, invite_id};

/// The party that changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A client with the account's password or token, or one that tried to get them.
    Client,
    /// An operator at the tracker's machine, by a command.
    Operator,
}

impl Actor {
    /// Returns the word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Operator => "operator",
        }
    }
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// An account was created.
    Registered,
    /// The password was changed.
    PasswordChanged,
    /// Wrong passwords led to a lock-out.
    LoginLocked,
    /// An account was suspended.
    Suspended,
    /// A suspension ended.
    Resumed,
    /// All tokens of an account were ended.
    Revoked,
    /// A device logged in.
    DeviceAdded,
    /// A device was ended.
    DeviceRevoked,
    /// A device was ended because an already replaced refresh token of it was presented: the token had been copied.
    RefreshTokenReused,
    /// An invite was created.
    InviteCreated,
    /// An account was registered with an invite.
    InviteUsed,
    /// An invite was revoked.
    InviteRevoked,
    /// The database was restored from a backup.
    Restored,
}

impl Action {
    /// Returns the word that is stored and shown.
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

/// A row to be written. Its time is that of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The party that acted.
    pub actor: Actor,
    /// The kind of the change.
    pub action: Action,
    /// The account it concerns, if it concerns one.
    pub account: Option<PeerId>,
    /// Further facts for a reader. Never a secret.
    pub detail: String,
}

impl AuditEntry {
    /// Creates the row of a change by a client.
    pub(super) fn by_client(action: Action, id: PeerId, detail: &str) -> Self {
        Self { actor: Actor::Client, action, account: Some(id), detail: detail.to_owned() }
    }

    /// Creates the row of an operator's change of an account.
    pub(super) fn by_operator(action: Action, id: PeerId, detail: &str) -> Self {
        Self { actor: Actor::Operator, ..Self::by_client(action, id, detail) }
    }

    /// Creates the row of a new invite.
    pub(super) fn of_new_invite(invite: &Invite) -> Self {
        let detail = format!("{} uses {} note {:?}", invite.id(), invite.uses, invite.note);
        Self { actor: Actor::Operator, action: Action::InviteCreated, account: None, detail }
    }

    /// Creates the row of a revoked invite.
    pub(super) fn of_revoked_invite(code_hash: &CodeHash) -> Self {
        Self { actor: Actor::Operator, action: Action::InviteRevoked, account: None, detail: invite_id(code_hash) }
    }
}

/// A stored row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// The row's number; greater than that of every earlier row.
    pub id: u64,
    /// The time of the change.
    pub at: UnixMillis,
    /// The party that acted, see [`Actor::as_str`].
    pub actor: String,
    /// The kind of the change, see [`Action::as_str`].
    pub action: String,
    /// The account it concerns, if it concerns one.
    pub account: Option<PeerId>,
    /// Further facts for a reader.
    pub detail: String,
}

/// A selection of the newest rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only rows of this account.
    pub account: Option<PeerId>,
    /// The most rows to return, bounded by [`super::accounts::PAGE_MAX`].
    pub limit: usize,
}

/// Reads and prunes the audit log.
pub trait AuditLog {
    /// Returns the newest rows, newest first.
    fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditRow>>;

    /// Deletes rows that are older than `before`. Returns the number of deleted rows.
    fn prune_audit_log(&self, before: UnixMillis) -> Result<u64>;
}
