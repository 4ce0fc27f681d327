//! The tables `file_access`, `file_access_accounts`, `file_access_groups`, `groups`, `group_members` and `access_changes`.
//!
//! Each change takes the next number of `access_changes`.

use peernet_engine::access::{GroupId, Visibility};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::limits::GROUPS_MAX;
use rusqlite::{Connection, params};

use crate::store::columns::{self, group_columns, policy_columns};
use crate::store::policies::{Group, Ownership, Policies, Policy, PolicyWrite, Refusal, SetAccess};
use crate::store::text::storable;
use crate::store::{Result, StoreError, Written};

use super::SqliteStore;
use super::connection::{each, execute, query};

/// A query of the columns of [`columns::policy`]. A condition may follow.
macro_rules! policies {
    () => {
        concat!(
            "SELECT ",
            policy_columns!(),
            ", (SELECT group_concat(hex(x.account), '') FROM file_access_accounts x WHERE x.file_hash = a.file_hash), \
             (SELECT group_concat(hex(x.group_id), '') FROM file_access_groups x WHERE x.file_hash = a.file_hash) FROM \
             file_access a"
        )
    };
}

/// A query of the columns of [`columns::group`]. A condition may follow.
macro_rules! groups {
    () => {
        concat!(
            "SELECT ",
            group_columns!(),
            ", (SELECT group_concat(hex(x.account), '') FROM group_members x WHERE x.group_id = g.id) FROM groups g"
        )
    };
}

impl Policies for SqliteStore {
    fn policy_sequence(&self) -> Result<i64> {
        let sql = "SELECT sequence FROM access_changes";
        let found = self.connections.read(|tx| query(tx, sql, [], |row| columns::number(row)))?;
        found.first().copied().ok_or_else(|| StoreError::Failed("access_changes has no row".into()))
    }

    fn changed_policies(&self, after: i64, visit: &mut dyn FnMut(Policy)) -> Result<()> {
        let sql = concat!(policies!(), " WHERE a.changed > ?1");
        self.connections.read(|tx| {
            each(tx, sql, params![after], |row| {
                visit(columns::policy(row)?);
                Ok(())
            })
        })
    }

    fn changed_groups(&self, after: i64, visit: &mut dyn FnMut(Group)) -> Result<()> {
        let sql = concat!(
            groups!(),
            " WHERE g.changed > ?1 OR g.id IN (SELECT x.group_id FROM file_access_groups x JOIN file_access a ON \
             a.file_hash = x.file_hash WHERE a.changed > ?1)"
        );
        self.connections.read(|tx| {
            each(tx, sql, params![after], |row| {
                visit(columns::group(row)?);
                Ok(())
            })
        })
    }

    fn policy(&self, file_hash: FileHash) -> Result<Option<Policy>> {
        let sql = concat!(policies!(), " WHERE a.file_hash = ?1");
        self.connections.read(|tx| {
            if let Some(policy) = query(tx, sql, params![file_hash.0], |row| columns::policy(row))?.pop() {
                return Ok(Some(policy));
            }
            let owner = ownership(tx, file_hash)?.owner;
            Ok(owner.map(|owner| Policy::public(file_hash, owner)))
        })
    }

    fn groups(&self, owner: PeerId) -> Result<Vec<Group>> {
        let sql = concat!(groups!(), " WHERE g.owner = ?1 ORDER BY g.name LIMIT ?2");
        self.connections.read(|tx| query(tx, sql, params![owner.0, GROUPS_MAX as i64], |row| columns::group(row)))
    }
}

/// Applies one change.
pub(super) fn write(tx: &Connection, write: &PolicyWrite) -> Result<Written> {
    match write {
        PolicyWrite::Set(access) => set(tx, access),
        PolicyWrite::Withdraw { file_hash, caller, files_max } => withdraw(tx, *file_hash, *caller, *files_max),
        PolicyWrite::PutGroup(group) => put_group(tx, group),
        PolicyWrite::DeleteGroup { owner, name } => delete_group(tx, *owner, name),
    }
}

fn next_number(tx: &Connection) -> Result<i64> {
    let sql = "UPDATE access_changes SET sequence = sequence + 1 RETURNING sequence";
    let number = query(tx, sql, [], |row| columns::number(row))?.pop();
    number.ok_or_else(|| StoreError::Failed("access_changes has no row".into()))
}

fn set(tx: &Connection, set: &SetAccess) -> Result<Written> {
    let ownership = ownership(tx, set.file_hash)?;
    if !ownership.may_set(set.caller) {
        return Ok(Written::Refused(Refusal::NotOwner));
    }
    if !all_exist(tx, &set.accounts)? {
        return Ok(Written::Refused(Refusal::UnknownAccount));
    }
    let ids = set.groups.iter().map(|name| group_id(tx, set.caller, name)).collect::<Result<Option<Vec<_>>>>()?;
    let Some(ids) = ids else { return Ok(Written::Refused(Refusal::UnknownGroup)) };
    if ownership.visibility.is_none() && owns_as_many(tx, set.caller, set.files_max)? {
        return Ok(Written::Refused(Refusal::TooManyFiles));
    }
    put(tx, set.file_hash, set.caller, set.visibility)?;
    for account in &set.accounts {
        let sql = "INSERT INTO file_access_accounts (file_hash, account) VALUES (?1, ?2)";
        execute(tx, sql, params![set.file_hash.0, account.0])?;
    }
    for id in ids {
        let sql = "INSERT INTO file_access_groups (file_hash, group_id) VALUES (?1, ?2)";
        execute(tx, sql, params![set.file_hash.0, id.0])?;
    }
    Ok(Written::Done)
}

fn withdraw(tx: &Connection, file_hash: FileHash, caller: PeerId, files_max: usize) -> Result<Written> {
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
    put(tx, file_hash, caller, Visibility::Withdrawn)?;
    Ok(Written::Done)
}

/// Reads a file's owner and access.
fn ownership(tx: &Connection, file_hash: FileHash) -> Result<Ownership> {
    let rows = query(
        tx,
        "SELECT coalesce((SELECT owner FROM file_access WHERE file_hash = ?1), (SELECT announced_by FROM manifests WHERE \
         file_hash = ?1 ORDER BY created_at, manifest_id LIMIT 1), (SELECT peer FROM v1_listings WHERE file_hash = ?1 \
         ORDER BY created_at, peer LIMIT 1)), (SELECT access FROM file_access WHERE file_hash = ?1), EXISTS (SELECT 1 \
         FROM files WHERE file_hash = ?1)",
        params![file_hash.0],
        |row| columns::ownership(row),
    )?;
    rows.into_iter().next().ok_or_else(|| StoreError::Failed("no row of a file's owner".into()))
}

/// Returns whether all of these accounts exist.
fn all_exist(tx: &Connection, accounts: &[PeerId]) -> Result<bool> {
    for account in accounts {
        let sql = "SELECT 1 FROM accounts WHERE id = ?1";
        if query(tx, sql, params![account.0], |row| columns::number(row))?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn group_id(tx: &Connection, owner: PeerId, name: &str) -> Result<Option<GroupId>> {
    let sql = "SELECT id FROM groups WHERE owner = ?1 AND name = ?2";
    Ok(query(tx, sql, params![owner.0, storable(name)], |row| columns::group_id(row))?.pop())
}

/// Returns whether an account has set the access of this many files or more.
fn owns_as_many(tx: &Connection, owner: PeerId, files_max: usize) -> Result<bool> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM file_access WHERE owner = ?1 LIMIT ?2)";
    let count = query(tx, sql, params![owner.0, files_max as i64], |row| columns::size(row))?;
    Ok(count.first().is_some_and(|count| *count >= files_max as u64))
}

/// Sets a file's access and empties its lists of accounts and groups.
fn put(tx: &Connection, file_hash: FileHash, owner: PeerId, access: Visibility) -> Result<()> {
    let number = next_number(tx)?;
    execute(
        tx,
        "INSERT INTO file_access (file_hash, owner, access, changed) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (file_hash) DO \
         UPDATE SET access = excluded.access, changed = excluded.changed",
        params![file_hash.0, owner.0, access.as_str(), number],
    )?;
    execute(tx, "DELETE FROM file_access_accounts WHERE file_hash = ?1", params![file_hash.0])?;
    execute(tx, "DELETE FROM file_access_groups WHERE file_hash = ?1", params![file_hash.0])?;
    Ok(())
}

fn put_group(tx: &Connection, group: &Group) -> Result<Written> {
    if !all_exist(tx, &group.members)? {
        return Ok(Written::Refused(Refusal::UnknownAccount));
    }
    let known = group_id(tx, group.owner, &group.name)?;
    if known.is_none() {
        let sql = "SELECT count(*) FROM groups WHERE owner = ?1";
        let count = query(tx, sql, params![group.owner.0], |row| columns::size(row))?;
        if count.first().is_some_and(|count| *count >= GROUPS_MAX as u64) {
            return Ok(Written::Refused(Refusal::TooManyGroups));
        }
    }
    let id = known.unwrap_or(group.id);
    let number = next_number(tx)?;
    execute(
        tx,
        "INSERT INTO groups (id, owner, name, changed) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE SET changed = \
         excluded.changed",
        params![id.0, group.owner.0, storable(&group.name), number],
    )?;
    execute(tx, "DELETE FROM group_members WHERE group_id = ?1", params![id.0])?;
    for member in &group.members {
        let sql = "INSERT INTO group_members (group_id, account) VALUES (?1, ?2)";
        execute(tx, sql, params![id.0, member.0])?;
    }
    Ok(Written::Done)
}

/// Deletes a group. The files that were shared with it change too, so that every tracker reads them again.
fn delete_group(tx: &Connection, owner: PeerId, name: &str) -> Result<Written> {
    let Some(id) = group_id(tx, owner, name)? else { return Ok(Written::Refused(Refusal::UnknownGroup)) };
    let number = next_number(tx)?;
    let touch = "UPDATE file_access SET changed = ?2 WHERE file_hash IN (SELECT file_hash FROM file_access_groups WHERE \
                 group_id = ?1)";
    execute(tx, touch, params![id.0, number])?;
    execute(tx, "DELETE FROM file_access_groups WHERE group_id = ?1", params![id.0])?;
    execute(tx, "DELETE FROM group_members WHERE group_id = ?1", params![id.0])?;
    execute(tx, "DELETE FROM groups WHERE id = ?1", params![id.0])?;
    Ok(Written::Done)
}
