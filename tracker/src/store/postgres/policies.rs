//! The tables `file_access`, `file_access_accounts`, `file_access_groups`, `groups`, `group_members` and `access_changes`.
//!
//! Each change takes the next number of `access_changes`. Its row is locked first, which keeps the changes of all trackers apart. Changes
//! are rare, so each has its own statements.

use peernet_engine::access::{GroupId, Visibility};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::limits::GROUPS_MAX;

use crate::store::columns::{self, group_columns, policy_columns};
use crate::store::policies::{Group, Ownership, Policies, Policy, PolicyWrite, Refusal, SetAccess};
use crate::store::text::storable;
use crate::store::{Result, StoreError, Write, Written};

use super::connection::{Attempt, Session, Tx, Uuid, column};
use super::{PAGE, PostgresStore};

/// A query of the columns of [`columns::policy`]. A condition may follow.
macro_rules! policies {
    () => {
        concat!(
            "SELECT ",
            policy_columns!(),
            ", (SELECT string_agg(encode(uuid_send(x.account), 'hex'), '') FROM file_access_accounts x WHERE x.file_hash = \
             a.file_hash), (SELECT string_agg(encode(uuid_send(x.group_id), 'hex'), '') FROM file_access_groups x WHERE \
             x.file_hash = a.file_hash) FROM file_access a"
        )
    };
}

/// A query of the columns of [`columns::group`]. A condition may follow.
macro_rules! groups {
    () => {
        concat!(
            "SELECT ",
            group_columns!(),
            ", (SELECT string_agg(encode(uuid_send(x.account), 'hex'), '') FROM group_members x WHERE x.group_id = g.id) \
             FROM groups g"
        )
    };
}

impl Policies for PostgresStore {
    fn policy_sequence(&self) -> Result<i64> {
        let rows = self.connections.run(|session| session.query("SELECT sequence FROM access_changes", &[]))?;
        let row = rows.first().ok_or_else(|| StoreError::Failed("access_changes has no row".into()))?;
        columns::number(row)
    }

    fn changed_policies(&self, after: i64, each: &mut dyn FnMut(Policy)) -> Result<()> {
        self.pages(|session, last| changed_policies(session, after, last), each)
    }

    fn changed_groups(&self, after: i64, each: &mut dyn FnMut(Group)) -> Result<()> {
        self.pages(|session, last| changed_groups(session, after, last), each)
    }

    fn policy(&self, file_hash: FileHash) -> Result<Option<Policy>> {
        self.connections.run(|session| policy(session, file_hash))
    }

    fn groups(&self, owner: PeerId) -> Result<Vec<Group>> {
        let sql = concat!(groups!(), " WHERE g.owner = $1 ORDER BY g.name COLLATE \"C\" LIMIT $2");
        let limit = GROUPS_MAX as i64;
        let rows = self.connections.run(|session| session.query(sql, &[&Uuid(owner.0), &limit]))?;
        rows.iter().map(columns::group).collect()
    }
}

/// Returns one page after the last row of the page before.
fn changed_policies(session: &mut Session, after: i64, last: Option<&Policy>) -> Attempt<Vec<Policy>> {
    let changed = last.map_or(after, |row| row.changed);
    // Greater than every hash, so that the first page begins after the number.
    let file = last.map_or_else(|| vec![0xff; 33], |row| row.file_hash.0.to_vec());
    let sql =
        concat!(policies!(), " WHERE (a.changed, a.file_hash) > ($1, $2) ORDER BY a.changed, a.file_hash LIMIT $3");
    let rows = session.query(sql, &[&changed, &file, &PAGE])?;
    Ok(rows.iter().map(columns::policy).collect::<Result<_>>()?)
}

fn changed_groups(session: &mut Session, after: i64, last: Option<&Group>) -> Attempt<Vec<Group>> {
    let id = last.map(|row| Uuid(row.id.0));
    let sql = concat!(
        groups!(),
        " WHERE (g.changed > $1 OR g.id IN (SELECT x.group_id FROM file_access_groups x JOIN file_access a ON a.file_hash = \
         x.file_hash WHERE a.changed > $1)) AND ($2::uuid IS NULL OR g.id > $2) ORDER BY g.id LIMIT $3"
    );
    let rows = session.query(sql, &[&after, &id, &PAGE])?;
    Ok(rows.iter().map(columns::group).collect::<Result<_>>()?)
}

fn policy(session: &mut Session, file_hash: FileHash) -> Attempt<Option<Policy>> {
    let sql = concat!(policies!(), " WHERE a.file_hash = $1");
    if let Some(row) = session.query(sql, &[&file_hash.0.as_slice()])?.first() {
        return Ok(Some(columns::policy(row)?));
    }
    let rows = session.query(OWNERSHIP, &[&file_hash.0.as_slice()])?;
    let owner = rows.first().map(columns::ownership).transpose()?.and_then(|ownership| ownership.owner);
    Ok(owner.map(|owner| Policy::public(file_hash, owner)))
}

/// Applies the changes of policies and groups in a batch, in order.
pub(super) fn write(tx: &mut Tx<'_>, batch: &[Write], written: &mut [Written]) -> Attempt<()> {
    let count = batch.iter().filter(|write| matches!(write, Write::Policy(_))).count();
    if count == 0 {
        return Ok(());
    }
    let mut number = take_numbers(tx, count as i64)?;
    for (write, written) in batch.iter().zip(written) {
        if let Write::Policy(write) = write {
            number += 1;
            *written = match write {
                PolicyWrite::Set(access) => set(tx, number, access)?,
                PolicyWrite::Withdraw { file_hash, caller, files_max } => {
                    withdraw(tx, number, *file_hash, *caller, *files_max)?
                }
                PolicyWrite::PutGroup(group) => put_group(tx, number, group)?,
                PolicyWrite::DeleteGroup { owner, name } => delete_group(tx, number, *owner, name)?,
            };
        }
    }
    Ok(())
}

/// Takes the next `count` numbers. Returns the number before the first of them.
fn take_numbers(tx: &mut Tx<'_>, count: i64) -> Attempt<i64> {
    let sql = "UPDATE access_changes SET sequence = sequence + $1 WHERE id = 1 RETURNING sequence - $1";
    let rows = tx.query(sql, &[&count])?;
    let row = rows.first().ok_or_else(|| StoreError::Failed("access_changes has no row".into()))?;
    Ok(columns::number(row)?)
}

fn set(tx: &mut Tx<'_>, number: i64, set: &SetAccess) -> Attempt<Written> {
    let ownership = ownership(tx, set.file_hash)?;
    if !ownership.may_set(set.caller) {
        return Ok(Written::Refused(Refusal::NotOwner));
    }
    if !all_exist(tx, &set.accounts)? {
        return Ok(Written::Refused(Refusal::UnknownAccount));
    }
    let ids = group_ids(tx, set.caller, &set.groups)?;
    if ids.len() < set.groups.len() {
        return Ok(Written::Refused(Refusal::UnknownGroup));
    }
    if ownership.visibility.is_none() && owns_as_many(tx, set.caller, set.files_max)? {
        return Ok(Written::Refused(Refusal::TooManyFiles));
    }
    let row = AccessRow { file_hash: set.file_hash, owner: set.caller, access: set.visibility, number };
    put(tx, &row, ownership.visibility.is_none())?;
    if !set.accounts.is_empty() {
        let sql = "INSERT INTO file_access_accounts (file_hash, account) SELECT $1, id FROM unnest($2::uuid[]) AS id";
        tx.execute(sql, &[&set.file_hash.0.as_slice(), &column(&set.accounts, |account| Uuid(account.0))])?;
    }
    if !ids.is_empty() {
        let sql = "INSERT INTO file_access_groups (file_hash, group_id) SELECT $1, id FROM unnest($2::uuid[]) AS id";
        tx.execute(sql, &[&set.file_hash.0.as_slice(), &column(&ids, |id| Uuid(id.0))])?;
    }
    Ok(Written::Done)
}

fn withdraw(tx: &mut Tx<'_>, number: i64, file_hash: FileHash, caller: PeerId, files_max: usize) -> Attempt<Written> {
    let ownership = ownership(tx, file_hash)?;
    if let Some(refusal) = ownership.refuse_to_withdraw(caller) {
        return Ok(Written::Refused(refusal));
    }
    if ownership.visibility == Some(Visibility::Withdrawn) {
        return Ok(Written::Unchanged);
    }
    if ownership.visibility.is_none() && owns_as_many(tx, caller, files_max)? {
        return Ok(Written::Refused(Refusal::TooManyFiles));
    }
    let row = AccessRow { file_hash, owner: caller, access: Visibility::Withdrawn, number };
    put(tx, &row, ownership.visibility.is_none())?;
    Ok(Written::Done)
}

/// A query of a file's owner and access; see [`Ownership`].
const OWNERSHIP: &str = "SELECT coalesce((SELECT owner FROM file_access WHERE file_hash \
     = $1), (SELECT announced_by FROM manifests WHERE file_hash = $1 ORDER BY created_at, manifest_id LIMIT 1), (SELECT \
     peer FROM v1_listings WHERE file_hash = $1 ORDER BY created_at, peer LIMIT 1)), (SELECT access FROM file_access \
     WHERE file_hash = $1), EXISTS (SELECT 1 FROM files WHERE file_hash = $1)";

fn ownership(tx: &mut Tx<'_>, file_hash: FileHash) -> Attempt<Ownership> {
    let rows = tx.query(OWNERSHIP, &[&file_hash.0.as_slice()])?;
    let row = rows.first().ok_or_else(|| StoreError::Failed("no row of a file's owner".into()))?;
    Ok(columns::ownership(row)?)
}

/// Returns whether all of these accounts exist. Each comes once.
fn all_exist(tx: &mut Tx<'_>, accounts: &[PeerId]) -> Attempt<bool> {
    if accounts.is_empty() {
        return Ok(true);
    }
    let sql = "SELECT count(*) FROM accounts WHERE id = ANY($1::uuid[])";
    let rows = tx.query(sql, &[&column(accounts, |account| Uuid(account.0))])?;
    let found = rows.first().map_or(Ok(0), columns::size)?;
    Ok(found == accounts.len() as u64)
}

/// Returns the ids of the owner's groups of these names. Each name comes once.
fn group_ids(tx: &mut Tx<'_>, owner: PeerId, names: &[String]) -> Attempt<Vec<GroupId>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "SELECT id FROM groups WHERE owner = $1 AND name = ANY($2::text[])";
    let rows = tx.query(sql, &[&Uuid(owner.0), &column(names, |name| storable(name))])?;
    Ok(rows.iter().map(columns::group_id).collect::<Result<_>>()?)
}

/// Returns whether an account has set the access of this many files or more.
fn owns_as_many(tx: &mut Tx<'_>, owner: PeerId, files_max: usize) -> Attempt<bool> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM file_access WHERE owner = $1 LIMIT $2) AS files";
    let rows = tx.query(sql, &[&Uuid(owner.0), &(files_max as i64)])?;
    Ok(rows.first().map_or(Ok(0), columns::size)? >= files_max as u64)
}

/// A row of the table `file_access`.
struct AccessRow {
    file_hash: FileHash,
    owner: PeerId,
    access: Visibility,
    /// The number of the change.
    number: i64,
}

/// Sets a file's access and empties its lists of accounts and groups. The lists of a new row are empty anyway.
fn put(tx: &mut Tx<'_>, row: &AccessRow, is_new: bool) -> Attempt<()> {
    let hash = row.file_hash.0.as_slice();
    tx.execute(
        "INSERT INTO file_access (file_hash, owner, access, changed) VALUES ($1, $2, $3, $4) ON CONFLICT (file_hash) DO \
         UPDATE SET access = EXCLUDED.access, changed = EXCLUDED.changed",
        &[&hash, &Uuid(row.owner.0), &row.access.as_str(), &row.number],
    )?;
    if !is_new {
        tx.execute("DELETE FROM file_access_accounts WHERE file_hash = $1", &[&hash])?;
        tx.execute("DELETE FROM file_access_groups WHERE file_hash = $1", &[&hash])?;
    }
    Ok(())
}

fn put_group(tx: &mut Tx<'_>, number: i64, group: &Group) -> Attempt<Written> {
    if !all_exist(tx, &group.members)? {
        return Ok(Written::Refused(Refusal::UnknownAccount));
    }
    let known = group_ids(tx, group.owner, std::slice::from_ref(&group.name))?.pop();
    if known.is_none() {
        let rows = tx.query("SELECT count(*) FROM groups WHERE owner = $1", &[&Uuid(group.owner.0)])?;
        if rows.first().map_or(Ok(0), columns::size)? >= GROUPS_MAX as u64 {
            return Ok(Written::Refused(Refusal::TooManyGroups));
        }
    }
    let id = Uuid(known.unwrap_or(group.id).0);
    tx.execute(
        "INSERT INTO groups (id, owner, name, changed) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET changed = \
         EXCLUDED.changed",
        &[&id, &Uuid(group.owner.0), &storable(&group.name).as_ref(), &number],
    )?;
    tx.execute("DELETE FROM group_members WHERE group_id = $1", &[&id])?;
    tx.execute(
        "INSERT INTO group_members (group_id, account) SELECT $1, id FROM unnest($2::uuid[]) AS id",
        &[&id, &column(&group.members, |member| Uuid(member.0))],
    )?;
    Ok(Written::Done)
}

/// Deletes a group. The files that were shared with it change too, so that every tracker reads them again.
fn delete_group(tx: &mut Tx<'_>, number: i64, owner: PeerId, name: &str) -> Attempt<Written> {
    let Some(id) = group_ids(tx, owner, &[name.to_owned()])?.pop() else {
        return Ok(Written::Refused(Refusal::UnknownGroup));
    };
    let id = Uuid(id.0);
    let touch = "UPDATE file_access SET changed = $2 WHERE file_hash IN (SELECT file_hash FROM file_access_groups WHERE \
                 group_id = $1)";
    tx.execute(touch, &[&id, &number])?;
    tx.execute("DELETE FROM file_access_groups WHERE group_id = $1", &[&id])?;
    tx.execute("DELETE FROM group_members WHERE group_id = $1", &[&id])?;
    tx.execute("DELETE FROM groups WHERE id = $1", &[&id])?;
    Ok(Written::Done)
}
