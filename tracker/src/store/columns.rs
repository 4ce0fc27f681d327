//! Conversion of rows: the columns of a row in their order, and the engine's types that they become.
//!
//! Both stores share it, so that they cannot differ in what a column means. A column list and the function that reads it belong
//! together: a change of one changes the other.

use data_encoding::HEXLOWER_PERMISSIVE;
use peernet_engine::access::{GroupId, Visibility};
use peernet_engine::bitmap::Bitmap;
use peernet_engine::economy::{LedgerRow, Masses, PairRow, TicketId, TicketRow, TreasuryRow, decode_sources};
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkHash, DeviceId, FileHash, ManifestId, PeerId};
use peernet_engine::manifest::{Geometry, Manifest};
use peernet_engine::time::UnixMillis;

use super::accounts::{Account, AccountEntry, Suspension};
use super::audit_log::AuditRow;
use super::devices::{Device, Revoked};
use super::invites::Invite;
use super::policies::{Group, Ownership, Policy};
use super::signatures::StoredSignature;
use super::{FileMeta, Result, StoreError, StoredManifest, V1Listing};
use crate::base::scopes::Scopes;

/// One row of a result, of either database. Columns count from 0. A column of another type is an error.
pub(super) trait Columns {
    /// Reads a uuid, or 16 bytes.
    fn id(&self, at: usize) -> Result<[u8; 16]>;
    /// Reads a uuid, 16 bytes or NULL.
    fn id_or_null(&self, at: usize) -> Result<Option<[u8; 16]>>;
    /// Reads bytes.
    fn bytes(&self, at: usize) -> Result<Vec<u8>>;
    /// Reads a number or NULL.
    fn int_or_null(&self, at: usize) -> Result<Option<i64>>;
    /// Reads bytes or NULL.
    fn bytes_or_null(&self, at: usize) -> Result<Option<Vec<u8>>>;
    /// Reads a text or NULL.
    fn text_or_null(&self, at: usize) -> Result<Option<String>>;
    /// Reads a floating-point number.
    fn real(&self, at: usize) -> Result<f64>;
    /// Reads a truth value.
    fn flag(&self, at: usize) -> Result<bool>;
}

/// Columns of [`account`].
macro_rules! account_columns {
    () => {
        "id, address, password_hash, generation, created_at"
    };
}
/// A query of the columns of [`account_entry`], of accounts `a` and account_usage `u`. A condition may follow.
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
/// Columns of [`policy`], of file_access `a`. Its two lists are missing: each store collects them in its own dialect.
macro_rules! policy_columns {
    () => {
        "a.file_hash, a.owner, a.access, a.changed"
    };
}
/// Columns of [`group`], of groups `g`, without its members.
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
/// The tables of signatures `s` and their accounts `a`, without suspended accounts. A condition may follow.
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

/// Reads columns one after the other. So the order of fields is the order of columns.
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

    /// Reads ids that a query has concatenated in hexadecimal; NULL is the empty list. In ascending order.
    fn ids(&mut self) -> Result<Vec<[u8; 16]>> {
        let text = self.text_or_null()?.unwrap_or_default();
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| damaged("a list of ids"))?;
        let mut ids = bytes.as_chunks::<16>().0.to_vec();
        ids.sort_unstable();
        Ok(ids)
    }

    fn visibility(&mut self) -> Result<Visibility> {
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

/// Returns the error of a row that this program cannot have written.
pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Failed(format!("damaged row: {what}"))
}

pub(super) fn account(row: &impl Columns) -> Result<Account> {
    Cursor::new(row).account()
}

pub(super) fn account_entry(row: &impl Columns) -> Result<AccountEntry> {
    let mut c = Cursor::new(row);
    let account = c.account()?;
    let at = c.time_or_null()?;
    let reason = c.text_or_null()?;
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

/// Columns: a device's id, its account, and the time of its end.
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
        visibility: c.visibility()?,
        changed: c.int()?,
        accounts: c.ids()?.into_iter().map(PeerId).collect(),
        groups: c.ids()?.into_iter().map(GroupId).collect(),
    })
}

/// Columns: those of `group_columns` and its members as a list of ids.
pub(super) fn group(row: &impl Columns) -> Result<Group> {
    let mut c = Cursor::new(row);
    Ok(Group {
        id: GroupId(c.id()?),
        owner: c.peer()?,
        name: c.text()?,
        members: c.ids()?.into_iter().map(PeerId).collect(),
    })
}

/// Column: a group's id.
pub(super) fn group_id(row: &impl Columns) -> Result<GroupId> {
    Cursor::new(row).id().map(GroupId)
}

/// Columns: a file's owner or NULL, its access or NULL, and whether it was announced.
pub(super) fn ownership(row: &impl Columns) -> Result<Ownership> {
    let mut c = Cursor::new(row);
    let owner = c.peer_or_null()?;
    let word = c.text_or_null()?;
    let visibility = word.map(|word| word.parse().map_err(|_| damaged("a file's access"))).transpose()?;
    Ok(Ownership { owner, visibility, announced: c.flag()? })
}

pub(super) fn manifest(row: &impl Columns) -> Result<StoredManifest> {
    let mut c = Cursor::new(row);
    let file_hash = c.file_hash()?;
    let geometry = c.geometry()?;
    let hashes = c.bytes()?;
    let manifest = Manifest::from_parts(file_hash, geometry.size(), geometry.chunk_size(), &hashes)
        .map_err(|error| damaged(&error.to_string()))?;
    Ok(StoredManifest { manifest, file_name: c.text()?, announced_by: c.peer()?, created_at: c.time()? })
}

/// Columns: file_hash, file_name, created_at, then manifest_id, size and chunk_size, which may all be null.
pub(super) fn file_meta(row: &impl Columns) -> Result<FileMeta> {
    let mut c = Cursor::new(row);
    let file_hash = c.file_hash()?;
    let file_name = c.text()?;
    let created_at = c.time()?;
    let manifest = match row.bytes_or_null(c.at)? {
        None => None,
        Some(_) => {
            let id = ManifestId(c.hash()?);
            let geometry = c.geometry()?;
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
    let peer = c.peer()?;
    let file_hash = c.file_hash()?;
    let file_name = c.text()?;
    let hashes = c.bytes()?;
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
    let id = TicketId(c.id()?);
    let account = c.peer()?;
    let file_hash = c.file_hash()?;
    let geometry = c.geometry()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A column of a row in memory.
    #[derive(Clone)]
    enum Value {
        Null,
        Bytes(Vec<u8>),
        Int(i64),
        Text(&'static str),
        Real(f64),
        Flag(bool),
    }

    use Value::{Bytes, Flag, Int, Null, Real, Text};

    struct Memory(Vec<Value>);

    fn other<T>() -> Result<T> {
        Err(damaged("another type"))
    }

    impl Columns for Memory {
        fn id(&self, at: usize) -> Result<[u8; 16]> {
            self.id_or_null(at)?.map_or_else(other, Ok)
        }

        fn id_or_null(&self, at: usize) -> Result<Option<[u8; 16]>> {
            self.bytes_or_null(at)?.map(|bytes| bytes.try_into().or_else(|_| other())).transpose()
        }

        fn bytes(&self, at: usize) -> Result<Vec<u8>> {
            self.bytes_or_null(at)?.map_or_else(other, Ok)
        }

        fn int_or_null(&self, at: usize) -> Result<Option<i64>> {
            match self.0[at] {
                Null => Ok(None),
                Int(number) => Ok(Some(number)),
                _ => other(),
            }
        }

        fn bytes_or_null(&self, at: usize) -> Result<Option<Vec<u8>>> {
            match &self.0[at] {
                Null => Ok(None),
                Bytes(bytes) => Ok(Some(bytes.clone())),
                _ => other(),
            }
        }

        fn text_or_null(&self, at: usize) -> Result<Option<String>> {
            match self.0[at] {
                Null => Ok(None),
                Text(text) => Ok(Some(text.to_owned())),
                _ => other(),
            }
        }

        fn real(&self, at: usize) -> Result<f64> {
            if let Real(number) = self.0[at] { Ok(number) } else { other() }
        }

        fn flag(&self, at: usize) -> Result<bool> {
            if let Flag(flag) = self.0[at] { Ok(flag) } else { other() }
        }
    }

    fn id(n: u8) -> Value {
        Bytes(vec![n; 16])
    }

    fn hash(n: u8) -> Value {
        Bytes(vec![n; 32])
    }

    /// Checks that a row with one column replaced is reported as damaged.
    fn check_damaged<T: std::fmt::Debug>(read: impl Fn(&Memory) -> Result<T>, good: &[Value], bad: &[(usize, Value)]) {
        read(&Memory(good.to_vec())).expect("the good row");
        for (at, value) in bad {
            let mut row = good.to_vec();
            row[*at] = value.clone();
            let error = read(&Memory(row)).expect_err("a damaged column");
            assert!(matches!(&error, StoreError::Failed(why) if why.starts_with("damaged row")), "{at}: {error}");
        }
    }

    #[test]
    fn an_account_without_an_address_is_not_damaged() {
        let row = [id(1), Null, Text("$2b$10$x"), Int(3), Int(-5)];
        let read = account(&Memory(row.to_vec())).expect("an account");
        assert_eq!((read.id, read.address, read.generation), (PeerId([1; 16]), None, 3));
        assert_eq!(read.created_at, UnixMillis(-5));
        let bad = [(0, Bytes(vec![1; 15])), (0, Null), (2, Null), (3, Int(-1)), (3, Int(1 << 32)), (4, Null)];
        check_damaged(account, &row, &bad);
    }

    #[test]
    fn a_suspension_is_read_with_and_without_a_reason() {
        let entry = |at, reason| {
            let row = vec![id(1), Null, Text("x"), Int(0), Int(0), at, reason, Int(9)];
            account_entry(&Memory(row)).expect("an entry").suspended
        };
        assert_eq!(entry(Null, Null), None);
        let suspended = |reason: &str| Some(Suspension { at: UnixMillis(7), reason: reason.to_owned() });
        assert_eq!(entry(Int(7), Text("floods")), suspended("floods"));
        assert_eq!(entry(Int(7), Null), suspended(""));
    }

    #[test]
    fn lists_of_ids_are_sorted_and_checked() {
        let row = |accounts, groups| Memory(vec![hash(2), id(1), Text("shared"), Int(4), accounts, groups]);
        let two = Text("03030303030303030303030303030303020202020202020202020202020202AA");
        let read = policy(&row(two, Null)).expect("a policy");
        let second = [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0xaa];
        assert_eq!(read.accounts, [PeerId(second), PeerId([3; 16])]);
        assert_eq!(read.groups, []);
        assert!(policy(&row(Text("0g"), Null)).is_err(), "not hexadecimal");
        check_damaged(policy, &row(Null, Null).0, &[(2, Text("hidden")), (2, Null), (0, id(1))]);
    }

    #[test]
    fn a_manifest_must_fit_its_size() {
        let row = [hash(1), Int(3 << 20), Int(1 << 20), Bytes(vec![7; 96]), Text("a"), id(2), Int(5)];
        assert_eq!(manifest(&Memory(row.to_vec())).expect("a manifest").manifest.chunk_hashes().len(), 3);
        let bad = [(1, Int(-1)), (1, Int(2 << 20)), (2, Int(0)), (2, Int(3)), (3, Bytes(vec![7; 95])), (4, Null)];
        check_damaged(manifest, &row, &bad);
    }

    #[test]
    fn a_file_of_version_1_has_no_manifest() {
        let row = [hash(1), Text("a"), Int(5), Null, Null, Null];
        assert_eq!(file_meta(&Memory(row.to_vec())).expect("a file").manifest, None);
        let with = [hash(1), Text("a"), Int(5), hash(9), Int(100), Int(1 << 20)];
        let read = file_meta(&Memory(with.to_vec())).expect("a file").manifest;
        assert_eq!(read, Some((ManifestId([9; 32]), 100, 1 << 20)));
        check_damaged(file_meta, &with, &[(3, id(9)), (4, Null), (5, Null)]);
    }

    #[test]
    fn chunk_hashes_of_a_listing_have_32_bytes_each() {
        let row = [id(1), hash(2), Text("a"), Bytes(vec![3; 64]), Int(9), Int(5)];
        let read = v1_listing(&Memory(row.to_vec())).expect("a listing");
        assert_eq!(read.chunk_hashes, [ChunkHash([3; 32]); 2]);
        check_damaged(v1_listing, &row, &[(3, Bytes(vec![3; 63])), (3, Null), (4, Null)]);
    }

    #[test]
    fn a_ticket_s_bitmap_must_fit_its_chunks() {
        let row = [
            id(1),
            id(2),
            hash(3),
            Int(10 << 20),
            Int(1 << 20),
            Int(1),
            Int(2),
            Int(3),
            Bytes(vec![0xff, 0xc0]),
            Bytes(Vec::new()),
            Int(4),
            Int(5),
            Int(6),
        ];
        assert!(ticket(&Memory(row.to_vec())).expect("a ticket").paid.is_full());
        let bad = [(8, Bytes(vec![0xff])), (8, Bytes(vec![0xff, 0xff])), (9, Bytes(vec![1])), (4, Int(0))];
        check_damaged(ticket, &row, &bad);
    }

    #[test]
    fn signatures_and_keys_have_their_lengths() {
        let row = [hash(1), id(2), hash(3), Bytes(vec![4; 64]), Int(5)];
        assert_eq!(signature(&Memory(row.to_vec())).expect("a signature").signature, [4; 64]);
        check_damaged(signature, &row, &[(2, id(3)), (3, hash(4)), (4, Null)]);
    }

    #[test]
    fn ledger_columns_are_read_in_their_order() {
        let mut row = vec![id(1), Int(2), Flag(true), Flag(false), Int(3)];
        row.extend((4..10).map(|n| Real(f64::from(n))));
        row.extend([Int(10), Real(0.5), Int(11), Int(12), Int(13)]);
        let read = ledger(&Memory(row)).expect("a ledger row");
        assert_eq!((read.balance_mt, read.root, read.established_once), (2, true, false));
        assert_eq!((read.masses.sessions, read.masses.hearsay, read.masses.at), (4.0, 9.0, UnixMillis(10)));
        assert_eq!((read.score, read.tickets_open, read.opened_in_minute), (0.5, 11, 13));
    }
}
