//! The durable state of the tracker: one trait, two implementations (PostgreSQL and SQLite), one conformance suite.
//!
//! [`Store`] consists of one supertrait per subject. The file of a subject has the same name here and in both implementations:
//! `store/invites.rs`, `store/postgres/invites.rs` and `store/sqlite/invites.rs` belong together. Replication is
//! PostgreSQL's alone.
//!
//! Writes come in batches that are one transaction each. SQL exists only below this module and in `schema.sql`.

pub mod accounts;
pub mod audit_log;
pub mod devices;
pub mod files;
pub mod invites;
pub mod ledger;
pub mod policies;
pub mod postgres;
pub mod replication;
pub mod signatures;
pub mod sqlite;

mod columns;
mod migrations;
mod text;

use std::fmt;

use peernet_engine::ids::{DeviceId, FileHash, PeerId};
use peernet_engine::time::UnixMillis;

use devices::NewDevice;
use policies::{PolicyWrite, Refusal};
use signatures::StoredSignature;

pub use accounts::{Account, AccountWrite, Accounts};
pub use audit_log::AuditLog;
pub use devices::Devices;
pub use files::{FileMeta, Files, MANIFESTS_MAX, SEARCH_LIMIT_MAX, SearchQuery, StoredManifest, V1Listing};
pub use invites::{CodeHash, Invites};
pub use ledger::Ledger;
pub use policies::Policies;
pub use replication::Replication;
pub use signatures::Signatures;

/// The version of the tables that this program creates and works with.
pub const SCHEMA_VERSION: i64 = migrations::VERSION;

/// The reason why the store did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// A bounded queue in front of the database is full, or the tracker is stopping; the text says which. The same call
    /// works a moment later.
    Busy(&'static str),
    /// The database cannot be reached or did not answer in time: the same call may succeed later.
    Unavailable(String),
    /// The database refused: a defect of this program, or a damaged database.
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(what) => f.write_str(what),
            Self::Unavailable(what) => write!(f, "store unavailable: {what}"),
            Self::Failed(what) => write!(f, "store failed: {what}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// The result of the store's calls.
pub type Result<T> = std::result::Result<T, StoreError>;

/// One durable change. A batch of them is one transaction; each has its own [`Written`].
#[derive(Debug, Clone)]
pub enum Write {
    /// Creates an account with the registration grant that the economy allows at this moment. Idempotent by id.
    CreateAccount {
        /// The account.
        account: Account,
        /// The invite that the registration uses up once, where one is required: [`Written::InviteRefused`] when it is not good.
        invite: Option<CodeHash>,
    },
    /// Sets the password, raises the generation and ends every device, if the generation still is `generation`.
    SetPassword {
        /// The account.
        id: PeerId,
        /// The generation that the caller read.
        generation: u32,
        /// The new password's hash in bcrypt's text form.
        password_hash: String,
        /// The device that changed the password, logged in anew.
        device: Option<NewDevice>,
    },
    /// Stores a manifest unless its id is known.
    PutManifest(StoredManifest),
    /// Stores an account's signature of a manifest. It replaces an earlier one of that account, whose time stays.
    PutSignature(StoredSignature),
    /// Ends a peer's version 1 listings: of some files, or of all.
    Leave {
        /// The peer.
        peer: PeerId,
        /// The files; `None` for all.
        files: Option<Vec<FileHash>>,
    },
    /// Lists a version 1 file whose every chunk was announced, or renews the listing.
    SealV1(V1Listing),
    /// Changes accounts, devices or invites, with a row of the audit log.
    Account(AccountWrite),
    /// Changes a file's access policy or a group.
    Policy(PolicyWrite),
}

impl Write {
    /// Creates an account without an invite.
    pub fn create_account(account: Account) -> Self {
        Self::CreateAccount { account, invite: None }
    }
}

/// The outcome of a [`Write`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The change was made.
    Done,
    /// The state was there already; nothing changed.
    Unchanged,
    /// [`Write::CreateAccount`]: the address belongs to this account.
    AddressTaken(Box<Account>),
    /// [`Write::SetPassword`]: the generation has changed, or the account is unknown. [`AccountWrite`] names further cases.
    Stale,
    /// [`AccountWrite::AddDevice`]: the device was added, and these devices were ended to make room.
    Replaced(Vec<DeviceId>),
    /// [`AccountWrite::RenewDevice`]: the token had been replaced, and the device was ended.
    Reused,
    /// [`Write::CreateAccount`]: the invite is unknown, used up, expired or revoked.
    InviteRefused,
    /// [`Write::Policy`]: nothing was changed, for this reason.
    Refused(Refusal),
}

/// The failures that a commit survives. The stronger one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// `kill -9` of this process. A crash of the database may lose the last fraction of a second. A later [`Durability::Synced`] batch
    /// makes everything before it durable.
    Relaxed,
    /// A power cut of the database's machine (PostgreSQL: synchronous_commit on; SQLite: synchronous FULL).
    Synced,
}

/// The connections of a database server, as the server reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// The most connections that the server accepts.
    pub max: u64,
    /// The part of them that is reserved for administrators.
    pub reserved: u64,
    /// The connections that clients have open.
    pub open: u64,
    /// Whether the server reports that this connection is encrypted.
    pub encrypted: bool,
}

/// The state of a database, for an operator's check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The version of its tables; `None` where there are none.
    pub schema_version: Option<i64>,
    /// The newest time that is stored anywhere.
    pub newest_at: Option<UnixMillis>,
    /// The connections, where there is a database server.
    pub connections: Option<ConnectionFacts>,
}

/// The tracker's durable state: the parts by subject, and what concerns all of them.
pub trait Store:
    Accounts + Devices + Invites + AuditLog + Files + Policies + Signatures + Ledger + Send + Sync + 'static
{
    /// Creates or upgrades the tables. Several trackers may call it at the same time.
    fn migrate(&self, now: UnixMillis) -> Result<()>;

    /// Fails unless the database answers within a few seconds.
    fn ping(&self) -> Result<()>;

    /// Returns facts for an operator's check. Works on tables of any version.
    fn facts(&self) -> Result<Facts>;

    /// Applies a batch as one transaction, in order, and commits it. Returns one outcome per write.
    fn write(&self, now: UnixMillis, batch: &[Write], durability: Durability) -> Result<Vec<Written>>;

    /// Returns the part through which trackers replicate; `None` where no other tracker can use this database.
    fn replication(&self) -> Option<&dyn Replication> {
        None
    }
}
