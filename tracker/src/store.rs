//! What the tracker keeps: one trait, two implementations (PostgreSQL and embedded SQLite), one conformance suite.
//!
//! Writes come in batches that are one transaction each, so that throughput grows with load; an answer goes to a client
//! only after its batch has committed. SQL lives only below this module and in `schema.sql`.

pub mod devices;
pub mod embedded;
pub mod exchange;
pub mod policies;
pub mod postgres;
pub mod registry;
pub mod signatures;
pub mod swarm_log;

mod columns;
mod steps;
mod text;

use std::fmt;

use peernet_engine::bitmap::Bitmap;
use peernet_engine::economy::{Changes, LedgerRow, Needs, Totals, Violation, WorkingSet};
use peernet_engine::ids::{ChunkHash, DeviceId, FileHash, ManifestId, PeerId};
use peernet_engine::manifest::Manifest;
use peernet_engine::time::UnixMillis;

use crate::base::reach::Reach;
use devices::NewDevice;
use exchange::Exchange;
use policies::{PolicyReader, PolicyWrite, Refusal};
use registry::{AccountWrite, Registry};
use signatures::{SignatureReader, StoredSignature};

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// A bounded queue in front of the database is full, or the tracker is stopping; the text says which. The same call
    /// works a moment later.
    Busy(&'static str),
    /// The database cannot be reached or did not answer in time: answer 503, try again.
    Unavailable(String),
    /// The database refused: a defect of ours or a damaged database. Answer 500.
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

/// The most manifests of a file that a store tells of.
pub const MANIFESTS_MAX: usize = 64;
/// The most files a page of a search has.
pub const SEARCH_LIMIT_MAX: usize = 100;

/// What a manifest takes beside its hashes, roughly; the steps from version 1 count the same.
pub const MANIFEST_ROW_BYTES: u64 = 256;

/// Shorthand of this module.
pub type Result<T> = std::result::Result<T, StoreError>;

/// An account as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: PeerId,
    /// What it was registered with, if anything; a login name, unique.
    pub address: Option<String>,
    /// bcrypt's text form.
    pub password_hash: String,
    /// Tokens of earlier generations are refused.
    pub generation: u32,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// What a file is called and how large it is, for plans and search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMeta {
    /// SHA-256 of the file.
    pub file_hash: FileHash,
    /// As its first announcer called it.
    pub file_name: String,
    /// The manifest, size in bytes and chunk size of a version 2 file; `None` where only version 1 peers announced it.
    pub manifest: Option<(ManifestId, u64, u32)>,
    /// When it was first announced.
    pub created_at: UnixMillis,
}

/// A stored manifest and the name it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// Chunk hashes and sizes.
    pub manifest: Manifest,
    /// As its first announcer called it.
    pub file_name: String,
    /// Who announced it first.
    pub announced_by: PeerId,
    /// When.
    pub created_at: UnixMillis,
}

impl StoredManifest {
    /// What it counts for in its announcer's metadata: its hashes, and a row with a name.
    pub fn metadata_bytes(&self) -> u64 {
        self.manifest.chunk_hashes().len() as u64 * 32 + MANIFEST_ROW_BYTES
    }
}

/// A lease as the log keeps it: `peer` holds `have` of a manifest until `expires_at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// Who holds it.
    pub peer: PeerId,
    /// Of which file.
    pub file_hash: FileHash,
    /// Of which manifest of it.
    pub manifest_id: ManifestId,
    /// Where the announcer answers.
    pub reach: Reach,
    /// The announcer's site label.
    pub site: Option<String>,
    /// Which chunks.
    pub have: Bitmap,
    /// Until when.
    pub expires_at: UnixMillis,
}

/// One chunk of a version 1 announce, kept until the file is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1Chunk {
    /// Who announces.
    pub peer: PeerId,
    /// Which file.
    pub file_hash: FileHash,
    /// How many chunks its announcer says it has; at most 16,384.
    pub total_chunks: u32,
    /// Below `total_chunks`.
    pub index: u32,
    /// What the chunk hashes to.
    pub chunk_hash: ChunkHash,
    /// The name it came with.
    pub file_name: String,
    /// The listing's lease.
    pub expires_at: UnixMillis,
}

/// A file whose every chunk one version 1 peer has announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1Listing {
    /// Who announced it.
    pub peer: PeerId,
    /// Which file.
    pub file_hash: FileHash,
    /// The name it came with.
    pub file_name: String,
    /// All of them, in order; chunks are 1 MiB, the last one of unknown length.
    pub chunk_hashes: Vec<ChunkHash>,
    /// The lease.
    pub expires_at: UnixMillis,
    /// When it was first announced.
    pub created_at: UnixMillis,
}

/// One durable change. A batch of them is one transaction; each has its own [`Written`].
#[derive(Debug, Clone)]
pub enum Write {
    /// Makes an account with the registration grant that `economy` allows at this moment. Idempotent by id.
    CreateAccount(Account),
    /// Sets the password, raises the generation and ends every device, if the generation still is `generation`.
    SetPassword {
        /// Whose.
        id: PeerId,
        /// What the caller read.
        generation: u32,
        /// bcrypt's text form.
        password_hash: String,
        /// Who did that, and is logged in anew.
        device: Option<NewDevice>,
    },
    /// Stores a manifest unless its id is known.
    PutManifest(StoredManifest),
    /// Stores an account's signature of a manifest, in the place of its earlier one, whose time stays.
    PutSignature(StoredSignature),
    /// Ends a peer's version 1 listings: of some files, or of all.
    Leave {
        /// Whose.
        peer: PeerId,
        /// Which; `None` for all.
        files: Option<Vec<FileHash>>,
    },
    /// Lists a version 1 file whose every chunk was announced, or renews the listing.
    SealV1(V1Listing),
    /// Changes accounts or invites, and says so in the audit log.
    Account(AccountWrite),
    /// Changes who may have a file, or a group.
    Policy(PolicyWrite),
}

/// What became of a [`Write`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Done.
    Done,
    /// Was there already; nothing changed.
    Known,
    /// [`Write::CreateAccount`]: the address belongs to this account. [`Write::SetPassword`]: never.
    AddressTaken(Box<Account>),
    /// [`Write::SetPassword`]: the generation was another by now, or the account is unknown. [`AccountWrite`] says what else.
    Stale,
    /// [`AccountWrite::AddDevice`]: done, and these devices were ended for it.
    Replaced(Vec<DeviceId>),
    /// [`AccountWrite::RenewDevice`]: the token had been replaced, and the device was ended.
    Reused,
    /// [`AccountWrite::CreateInvited`]: the invite is unknown, used up, expired or taken back.
    InviteRefused,
    /// [`Write::Policy`]: nothing was changed, for that reason.
    Refused(Refusal),
}

/// How much a commit must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Power cut of the database's machine (PostgreSQL: synchronous_commit on; SQLite: synchronous FULL).
    Synced,
    /// kill -9 of this process; a crash of the database may lose the last fraction of a second (leases, staged chunks). A
    /// later `Synced` batch makes everything before it durable.
    Relaxed,
}

/// A page of a name search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    /// Every one must be in the name, case-insensitively; at most 8 words.
    pub words: Vec<String>,
    /// Who asks: files that this account may not see are left out.
    pub asker: PeerId,
    /// At most 100.
    pub limit: usize,
    /// Only files older than this (created_at, file_hash) in the newest-first order.
    pub after: Option<(UnixMillis, FileHash)>,
}

/// The tracker's durable state.
pub trait Store: Send + Sync + 'static {
    /// Creates or upgrades the tables; safe to call from several trackers at once.
    fn migrate(&self, now: UnixMillis) -> Result<()>;

    /// Whether the database answers, within a few seconds at most.
    fn ping(&self) -> Result<()>;

    /// Applies a batch as one transaction, in order, and commits. One answer per write.
    fn write(&self, now: UnixMillis, batch: &[Write], durability: Durability) -> Result<Vec<Written>>;

    /// An account by id.
    fn account(&self, id: PeerId) -> Result<Option<Account>>;

    /// An account by the address it was registered with.
    fn account_by_address(&self, address: &str) -> Result<Option<Account>>;

    /// A manifest by id.
    fn manifest(&self, id: ManifestId) -> Result<Option<StoredManifest>>;

    /// Name, size and id of every manifest of a file, oldest first, at most [`MANIFESTS_MAX`]. Where only version 1 peers
    /// announced the file whole: one without a manifest. Empty for an unknown file.
    fn manifests_of(&self, file_hash: FileHash) -> Result<Vec<FileMeta>>;

    /// Files by name, newest first.
    fn search(&self, query: &SearchQuery) -> Result<Vec<FileMeta>>;

    /// Calls `each` with every version 1 listing that has not expired by `now`. For start-up.
    fn listings(&self, now: UnixMillis, each: &mut dyn FnMut(V1Listing)) -> Result<()>;

    /// Where several trackers share this store: how they hear of each other.
    fn exchange(&self) -> Option<&dyn Exchange> {
        None
    }

    /// Deletes listings that expired before `now`. Returns how many rows.
    fn sweep(&self, now: UnixMillis) -> Result<u64>;

    /// One transaction of the reputation thread: loads and locks the rows `needs` names, calls `apply`, saves the changes
    /// it returns, commits with [`Durability::Synced`]. Nothing is saved when it fails. `apply` is called at most once. Among
    /// the trackers of one database one settles at a time; the turn of one that dies passes on at once.
    fn settle(&self, needs: &Needs, apply: &mut dyn FnMut(&mut WorkingSet) -> Changes) -> Result<()>;

    /// The books' totals, counted afresh: `admin ledger verify` and the invariants check them.
    fn ledger_totals(&self) -> Result<Totals>;

    /// An account's ledger row, for `peers/me` and score lookups; `None` for an unknown account.
    fn ledger(&self, peer: PeerId) -> Result<Option<LedgerRow>>;

    /// Accounts and files of tickets that expired at `before` or earlier, oldest first: what the reputation thread closes.
    fn expired_tickets(&self, before: UnixMillis, limit: usize) -> Result<Vec<(PeerId, FileHash)>>;

    /// What the open tickets of an account hold together, in milli-tokens; 0 for an unknown account.
    fn escrow_mt(&self, account: PeerId) -> Result<i64>;

    /// Whom `reporter` wants last in its lookups, and until when (after `now`).
    fn demotions(&self, reporter: PeerId, now: UnixMillis) -> Result<Vec<(PeerId, UnixMillis)>>;

    /// Pays the daily dividend if it is due, in one transaction. What each account got, in milli-tokens.
    fn pay_dividend(&self, now: UnixMillis) -> Result<i64>;

    /// Accounts as operators see them.
    fn registry(&self) -> Result<&dyn Registry> {
        Err(StoreError::Failed("this store keeps no registry of accounts".into()))
    }

    /// Who may have which file.
    fn policies(&self) -> Result<&dyn PolicyReader> {
        Err(StoreError::Failed("this store keeps no policies".into()))
    }

    /// Who has signed which manifest.
    fn signatures(&self) -> Result<&dyn SignatureReader> {
        Err(StoreError::Failed("this store keeps no signatures".into()))
    }

    /// Checks the invariants over all rows of one snapshot, which it loads into memory: for an operator's command.
    fn audit(&self) -> Result<Vec<Violation>>;
}
