//! Reading rows: which columns a row has in which order, and how they become the engine's types. Both stores share it,
//! so that they cannot differ in what a column means.
//!
//! A column list and the function that reads it stand side by side; whoever changes one changes the other.

use data_encoding::HEXLOWER_PERMISSIVE;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::economy::{LedgerRow, Masses, PairRow, TicketId, TicketRow, TreasuryRow, decode_sources};
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkHash, DeviceId, FileHash, ManifestId, PeerId};
use peernet_engine::manifest::{Geometry, Manifest};
use peernet_engine::time::UnixMillis;

use super::devices::{Device, Revoked};
use super::policies::{Access, Group, GroupId, Policy, Standing};
use super::registry::{AccountEntry, AuditRow, Invite, Suspension};
use super::signatures::StoredSignature;
use super::{Account, FileMeta, Result, StoreError, StoredManifest, V1Listing};
use crate::base::scopes::Scopes;

/// One row of a result, whichever database it is from. Columns count from 0; another type than asked for is an error.
pub(super) trait Columns {
    /// A uuid, or 16 bytes.
    fn id(&self, at: usize) -> Result<[u8; 16]>;
    /// The same or nothing.
    fn id_or_null(&self, at: usize) -> Result<Option<[u8; 16]>>;
    /// Bytes.
    fn bytes(&self, at: usize) -> Result<Vec<u8>>;
    /// A number or nothing.
    fn int_or_null(&self, at: usize) -> Result<Option<i64>>;
    /// Bytes or nothing.
    fn bytes_or_null(&self, at: usize) -> Result<Option<Vec<u8>>>;
    /// A text or nothing.
    fn text_or_null(&self, at: usize) -> Result<Option<String>>;
    /// A fraction.
    fn real(&self, at: usize) -> Result<f64>;
    /// Yes or no.
    fn flag(&self, at: usize) -> Result<bool>;
}

/// Columns of [`account`].
macro_rules! account_columns {
    () => {
        "id, address, password_hash, generation, created_at"
    };
}
/// Rows of [`account_entry`], of accounts `a` and account_usage `u`; a condition may follow.
macro_rules! account_entries {
    () => {
        "SELECT a.id, a.address, a.password_hash, a.generation, a.created_at, a.suspended_at, a.suspended_reason, \
         coalesce(u.metadata_bytes, 0) FROM accounts a LEFT JOIN account_usage u ON u.account = a.id"
    };
}
/// Columns of [`device`].
macro_rules! device_columns {
    () => {
        "id, account, label, scopes, created_at, seen_at, expires_at, revoked_at"
    };
}
/// Columns of [`invite`].
macro_rules! invite_columns {
    () => {
        "code_hash, uses, uses_left, note, created_at, expires_at, revoked_at"
    };
}
/// Columns of [`audit_row`].
macro_rules! audit_columns {
    () => {
        "id, at, actor, action, account, detail"
    };
}
/// Columns of [`policy`] without its two lists, which each store gathers in its own words; of file_access `a`.
macro_rules! policy_columns {
    () => {
        "a.file_hash, a.owner, a.access, a.changed"
    };
}
/// Columns of [`group`] without its members, of groups `g`.
macro_rules! group_columns {
    () => {
        "g.id, g.owner, g.name"
    };
}
/// Columns of [`manifest`].
macro_rules! manifest_columns {
    () => {
        "file_hash, size, chunk_size, chunk_hashes, file_name, announced_by, created_at"
    };
}
/// Where signatures `s` are, of accounts `a` that are not suspended; a condition may follow.
macro_rules! from_signatures {
    () => {
        " FROM manifest_signatures s JOIN accounts a ON a.id = s.peer AND a.suspended_at IS NULL "
    };
}
/// Columns of [`signature`], of manifest_signatures `s`.
macro_rules! signature_columns {
    () => {
        "s.manifest_id, s.peer, s.public_key, s.signature, s.signed_at"
    };
}
/// Columns of [`v1_listing`].
macro_rules! v1_listing_columns {
    () => {
        "peer, file_hash, file_name, chunk_hashes, expires_at, created_at"
    };
}
/// Columns of [`ledger`].
macro_rules! ledger_columns {
    () => {
        "peer, balance_mt, root, established_once, created_at, sessions, proofs, garbage, root_failures, \
         root_successes, hearsay, masses_at, score, tickets_open, minute_started_at, opened_in_minute"
    };
}
/// Columns of [`treasury`].
macro_rules! treasury_columns {
    () => {
        "balance_mt, hour, granted_in_hour_mt, fees_day, fees_mt, fees_before_mt, dividend_day"
    };
}
/// Columns of [`ticket`].
macro_rules! ticket_columns {
    () => {
        "id, account, file_hash, size, chunk_size, escrow_mt, paid_mt, fined_mt, paid, sources, opened_at, renewed_at, \
         expires_at"
    };
}
/// Columns of [`pair`].
macro_rules! pair_columns {
    () => {
        "reporter, target, sessions, proofs, garbage, root_failures, root_successes, hearsay, masses_at, demoted_until"
    };
}
pub(super) use {
    account_columns, account_entries, audit_columns, device_columns, from_signatures, group_columns, invite_columns,
    ledger_columns, manifest_columns, pair_columns, policy_columns, signature_columns, ticket_columns,
    treasury_columns, v1_listing_columns,
};

/// Reads columns one after the other, so that the order of fields is the order of columns.
struct Cursor<'a, C> {
    row: &'a C,
    at: usize,
}

impl<'a, C: Columns> Cursor<'a, C> {
    fn new(row: &'a C) -> Self {
        Self { row, at: 0 }
    }

    fn next(&mut self) -> usize {
        self.at += 1;
        self.at - 1
    }

    fn id(&mut self) -> Result<[u8; 16]> {
        let at = self.next();
        self.row.id(at)
    }

    fn peer(&mut self) -> Result<PeerId> {
        self.id().map(PeerId)
    }

    fn peer_or_null(&mut self) -> Result<Option<PeerId>> {
        let at = self.next();
        Ok(self.row.id_or_null(at)?.map(PeerId))
    }

    fn account(&mut self) -> Result<Account> {
        Ok(Account {
            id: self.peer()?,
            address: self.text_or_null()?,
            password_hash: self.text()?,
            generation: self.count()?,
            created_at: self.time()?,
        })
    }

    /// Ids that a query has strung together, in hexadecimal; none where there was none. In ascending order.
    fn ids(&mut self) -> Result<Vec<[u8; 16]>> {
        let text = self.text_or_null()?.unwrap_or_default();
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| damaged("a list of ids"))?;
        let mut ids = bytes.as_chunks::<16>().0.to_vec();
        ids.sort_unstable();
        Ok(ids)
    }

    fn access(&mut self) -> Result<Access> {
        self.text()?.parse().map_err(|_| damaged("a file's access"))
    }

    fn bytes(&mut self) -> Result<Vec<u8>> {
        let at = self.next();
        self.row.bytes(at)
    }

    fn hash(&mut self) -> Result<[u8; 32]> {
        self.bytes()?.try_into().map_err(|_| damaged("a hash is not 32 bytes"))
    }

    fn file_hash(&mut self) -> Result<FileHash> {
        self.hash().map(FileHash)
    }

    fn int(&mut self) -> Result<i64> {
        let at = self.next();
        self.row.int_or_null(at)?.ok_or_else(|| damaged("a number is missing"))
    }

    fn count(&mut self) -> Result<u32> {
        u32::try_from(self.int()?).map_err(|_| damaged("a count is out of range"))
    }

    fn time(&mut self) -> Result<UnixMillis> {
        self.int().map(UnixMillis)
    }

    fn time_or_null(&mut self) -> Result<Option<UnixMillis>> {
        let at = self.next();
        Ok(self.row.int_or_null(at)?.map(UnixMillis))
    }

    fn text_or_null(&mut self) -> Result<Option<String>> {
        let at = self.next();
        self.row.text_or_null(at)
    }

    fn text(&mut self) -> Result<String> {
        self.text_or_null()?.ok_or_else(|| damaged("a text is missing"))
    }

    fn real(&mut self) -> Result<f64> {
        let at = self.next();
        self.row.real(at)
    }

    fn flag(&mut self) -> Result<bool> {
        let at = self.next();
        self.row.flag(at)
    }

    fn masses(&mut self) -> Result<Masses> {
        Ok(Masses {
            sessions: self.real()?,
            proofs: self.real()?,
            garbage: self.real()?,
            root_failures: self.real()?,
            root_successes: self.real()?,
            hearsay: self.real()?,
            at: self.time()?,
        })
    }

    fn size(&mut self) -> Result<u64> {
        u64::try_from(self.int()?).map_err(|_| damaged("a size is negative"))
    }

    fn geometry(&mut self) -> Result<Geometry> {
        let size = self.size()?;
        Geometry::new(ByteCount(size), self.count()?).map_err(|error| damaged(&error.to_string()))
    }

    fn bitmap(&mut self, count: ChunkCount) -> Result<Bitmap> {
        Bitmap::from_bytes(&self.bytes()?, count).ok_or_else(|| damaged("a bitmap does not fit its count"))
    }
}

/// A row that this program cannot have written.
pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Failed(format!("damaged row: {what}"))
}

pub(super) fn account(row: &impl Columns) -> Result<Account> {
    Cursor::new(row).account()
}

pub(super) fn account_entry(row: &impl Columns) -> Result<AccountEntry> {
    let mut c = Cursor::new(row);
    let (account, at, reason) = (c.account()?, c.time_or_null()?, c.text_or_null()?);
    let suspended = at.map(|at| Suspension { at, reason: reason.unwrap_or_default() });
    Ok(AccountEntry { account, suspended, metadata_bytes: c.size()? })
}

pub(super) fn device(row: &impl Columns) -> Result<Device> {
    let mut c = Cursor::new(row);
    Ok(Device {
        id: DeviceId(c.id()?),
        account: c.peer()?,
        label: c.text()?,
        scopes: Scopes::of_text(&c.text()?),
        created_at: c.time()?,
        seen_at: c.time()?,
        expires_at: c.time()?,
        revoked_at: c.time_or_null()?,
    })
}

/// Columns: a device's id, its account, and when it was ended.
pub(super) fn revoked(row: &impl Columns) -> Result<Revoked> {
    let mut c = Cursor::new(row);
    Ok(Revoked { id: DeviceId(c.id()?), account: c.peer()?, at: c.time()? })
}

/// Column: a device's id.
pub(super) fn device_id(row: &impl Columns) -> Result<DeviceId> {
    Cursor::new(row).id().map(DeviceId)
}

pub(super) fn invite(row: &impl Columns) -> Result<Invite> {
    let mut c = Cursor::new(row);
    Ok(Invite {
        code_hash: c.hash()?,
        uses: c.count()?,
        uses_left: c.count()?,
        note: c.text()?,
        created_at: c.time()?,
        expires_at: c.time()?,
        revoked_at: c.time_or_null()?,
    })
}

pub(super) fn audit_row(row: &impl Columns) -> Result<AuditRow> {
    let mut c = Cursor::new(row);
    Ok(AuditRow {
        id: c.size()?,
        at: c.time()?,
        actor: c.text()?,
        action: c.text()?,
        account: c.peer_or_null()?,
        detail: c.text()?,
    })
}

/// Columns: those of `policy_columns`, its accounts and its groups as lists of ids.
pub(super) fn policy(row: &impl Columns) -> Result<Policy> {
    let mut c = Cursor::new(row);
    Ok(Policy {
        file_hash: c.file_hash()?,
        owner: c.peer()?,
        access: c.access()?,
        changed: c.int()?,
        accounts: c.ids()?.into_iter().map(PeerId).collect(),
        groups: c.ids()?.into_iter().map(GroupId).collect(),
    })
}

/// Columns: those of `group_columns` and its members as a list of ids.
pub(super) fn group(row: &impl Columns) -> Result<Group> {
    let mut c = Cursor::new(row);
    let (id, owner, name) = (GroupId(c.id()?), c.peer()?, c.text()?);
    Ok(Group { id, owner, name, members: c.ids()?.into_iter().map(PeerId).collect() })
}

/// Column: a group's id.
pub(super) fn group_id(row: &impl Columns) -> Result<GroupId> {
    Cursor::new(row).id().map(GroupId)
}

/// Columns: a file's owner or nothing, its access or nothing, and whether it was announced.
pub(super) fn standing(row: &impl Columns) -> Result<Standing> {
    let mut c = Cursor::new(row);
    let (owner, access) = (c.peer_or_null()?, c.text_or_null()?);
    let access = access.map(|word| word.parse().map_err(|_| damaged("a file's access"))).transpose()?;
    Ok(Standing { owner, access, announced: c.flag()? })
}

pub(super) fn manifest(row: &impl Columns) -> Result<StoredManifest> {
    let mut c = Cursor::new(row);
    let (file_hash, geometry, hashes) = (c.file_hash()?, c.geometry()?, c.bytes()?);
    let manifest = Manifest::from_parts(file_hash, geometry.size(), geometry.chunk_size(), &hashes)
        .map_err(|error| damaged(&error.to_string()))?;
    Ok(StoredManifest { manifest, file_name: c.text()?, announced_by: c.peer()?, created_at: c.time()? })
}

/// Columns: file_hash, file_name, created_at, then manifest_id, size and chunk_size, which may all be null.
pub(super) fn file_meta(row: &impl Columns) -> Result<FileMeta> {
    let mut c = Cursor::new(row);
    let (file_hash, file_name, created_at) = (c.file_hash()?, c.text()?, c.time()?);
    let manifest = match row.bytes_or_null(c.at)? {
        None => None,
        Some(_) => {
            let (id, geometry) = (ManifestId(c.hash()?), c.geometry()?);
            Some((id, geometry.size().0, geometry.chunk_size()))
        }
    };
    Ok(FileMeta { file_hash, file_name, manifest, created_at })
}

pub(super) fn signature(row: &impl Columns) -> Result<StoredSignature> {
    let mut c = Cursor::new(row);
    Ok(StoredSignature {
        manifest_id: c.hash().map(ManifestId)?,
        peer: c.peer()?,
        public_key: c.hash()?,
        signature: c.bytes()?.try_into().map_err(|_| damaged("a signature is not 64 bytes"))?,
        signed_at: c.time()?,
    })
}

pub(super) fn v1_listing(row: &impl Columns) -> Result<V1Listing> {
    let mut c = Cursor::new(row);
    let (peer, file_hash, file_name, hashes) = (c.peer()?, c.file_hash()?, c.text()?, c.bytes()?);
    let (whole, rest) = hashes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(damaged("chunk hashes are not 32 bytes each"));
    }
    let chunk_hashes = whole.iter().copied().map(ChunkHash).collect();
    Ok(V1Listing { peer, file_hash, file_name, chunk_hashes, expires_at: c.time()?, created_at: c.time()? })
}

pub(super) fn ledger(row: &impl Columns) -> Result<LedgerRow> {
    let mut c = Cursor::new(row);
    Ok(LedgerRow {
        peer: c.peer()?,
        balance_mt: c.int()?,
        root: c.flag()?,
        established_once: c.flag()?,
        created_at: c.time()?,
        masses: c.masses()?,
        score: c.real()?,
        tickets_open: c.int()?,
        minute_started_at: c.time()?,
        opened_in_minute: c.int()?,
    })
}

pub(super) fn treasury(row: &impl Columns) -> Result<TreasuryRow> {
    let mut c = Cursor::new(row);
    Ok(TreasuryRow {
        balance_mt: c.int()?,
        hour: c.int()?,
        granted_in_hour_mt: c.int()?,
        fees_day: c.int()?,
        fees_mt: c.int()?,
        fees_before_mt: c.int()?,
        dividend_day: c.int()?,
    })
}

pub(super) fn ticket(row: &impl Columns) -> Result<TicketRow> {
    let mut c = Cursor::new(row);
    let (id, account, file_hash, geometry) = (TicketId(c.id()?), c.peer()?, c.file_hash()?, c.geometry()?);
    Ok(TicketRow {
        id,
        account,
        file_hash,
        geometry,
        escrow_mt: c.int()?,
        paid_mt: c.int()?,
        fined_mt: c.int()?,
        paid: c.bitmap(geometry.chunk_count())?,
        sources: decode_sources(&c.bytes()?).ok_or_else(|| damaged("a ticket's sources"))?,
        opened_at: c.time()?,
        renewed_at: c.time()?,
        expires_at: c.time()?,
    })
}

pub(super) fn pair(row: &impl Columns) -> Result<PairRow> {
    let mut c = Cursor::new(row);
    Ok(PairRow { reporter: c.peer()?, target: c.peer()?, masses: c.masses()?, demoted_until: c.time()? })
}

/// Columns: a manifest_id and a peer, as bytes.
pub(super) fn manifest_and_peer(row: &impl Columns) -> Result<([u8; 32], [u8; 16])> {
    let mut c = Cursor::new(row);
    Ok((c.hash()?, c.id()?))
}

/// Columns: a peer and a file_hash.
pub(super) fn peer_and_file(row: &impl Columns) -> Result<(PeerId, FileHash)> {
    let mut c = Cursor::new(row);
    Ok((c.peer()?, c.file_hash()?))
}

/// Columns: a peer and a time.
pub(super) fn peer_and_time(row: &impl Columns) -> Result<(PeerId, UnixMillis)> {
    let mut c = Cursor::new(row);
    Ok((c.peer()?, c.time()?))
}

/// Column: a peer.
pub(super) fn peer(row: &impl Columns) -> Result<PeerId> {
    Cursor::new(row).peer()
}

/// Column: a size.
pub(super) fn size(row: &impl Columns) -> Result<u64> {
    Cursor::new(row).size()
}

/// Column: a number.
pub(super) fn number(row: &impl Columns) -> Result<i64> {
    Cursor::new(row).int()
}
