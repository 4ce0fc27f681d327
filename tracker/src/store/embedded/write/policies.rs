//! Who may have which file, and groups: each change under the next number of `access_changes`.

use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::limits::GROUPS_MAX;
use rusqlite::{Connection, params};

use crate::store::policies::{Access, Group, GroupId, PolicyWrite, Refusal, Standing};
use crate::store::text::storable;
use crate::store::{Result, StoreError, Written, columns};

use super::super::connection::{execute, query};

pub(super) fn write(tx: &Connection, write: &PolicyWrite) -> Result<Written> {
    match write {
        PolicyWrite::Set { file_hash, caller, access, accounts, groups, files_max } => {
            set(tx, (*file_hash, *caller, *access), accounts, groups, *files_max)
        }
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

fn set(
    tx: &Connection,
    (file_hash, caller, access): (FileHash, PeerId, Access),
    accounts: &[PeerId],
    groups: &[String],
    files_max: usize,
) -> Result<Written> {
    let standing = standing(tx, file_hash)?;
    if !standing.may_set(caller) {
        return Ok(Written::Refused(Refusal::NotOwner));
    }
    if !all_exist(tx, accounts)? {
        return Ok(Written::Refused(Refusal::UnknownAccount));
    }
    let ids = groups.iter().map(|name| group_id(tx, caller, name)).collect::<Result<Option<Vec<_>>>>()?;
    let Some(ids) = ids else { return Ok(Written::Refused(Refusal::UnknownGroup)) };
    if standing.access.is_none() && has_files(tx, caller, files_max)? {
        return Ok(Written::Refused(Refusal::TooManyFiles));
    }
    put(tx, file_hash, caller, access)?;
    for account in accounts {
        let sql = "INSERT INTO file_access_accounts (file_hash, account) VALUES (?1, ?2)";
        execute(tx, sql, params![file_hash.0, account.0])?;
    }
    for id in ids {
        let sql = "INSERT INTO file_access_groups (file_hash, group_id) VALUES (?1, ?2)";
        execute(tx, sql, params![file_hash.0, id.0])?;
    }
    Ok(Written::Done)
}

fn withdraw(tx: &Connection, file_hash: FileHash, caller: PeerId, files_max: usize) -> Result<Written> {
    let standing = standing(tx, file_hash)?;
    if let Some(refusal) = standing.refuse_to_withdraw(caller) {
        return Ok(Written::Refused(refusal));
    }
    if standing.access == Some(Access::Withdrawn) {
        return Ok(Written::Known);
    }
    if standing.access.is_none() && has_files(tx, caller, files_max)? {
        return Ok(Written::Refused(Refusal::TooManyFiles));
    }
    put(tx, file_hash, caller, Access::Withdrawn)?;
    Ok(Written::Done)
}

pub(in crate::store::embedded) fn standing(tx: &Connection, file_hash: FileHash) -> Result<Standing> {
    let rows = query(
        tx,
        "SELECT coalesce((SELECT owner FROM file_access WHERE file_hash = ?1), (SELECT announced_by FROM manifests WHERE \
         file_hash = ?1 ORDER BY created_at, manifest_id LIMIT 1), (SELECT peer FROM v1_listings WHERE file_hash = ?1 \
         ORDER BY created_at, peer LIMIT 1)), (SELECT access FROM file_access WHERE file_hash = ?1), EXISTS (SELECT 1 \
         FROM files WHERE file_hash = ?1)",
        params![file_hash.0],
        |row| columns::standing(row),
    )?;
    rows.into_iter().next().ok_or_else(|| StoreError::Failed("no row of a file's standing".into()))
}

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

/// Whether an account has a say about this many files or more.
fn has_files(tx: &Connection, owner: PeerId, files_max: usize) -> Result<bool> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM file_access WHERE owner = ?1 LIMIT ?2)";
    let count = query(tx, sql, params![owner.0, files_max as i64], |row| columns::size(row))?;
    Ok(count.first().is_some_and(|count| *count >= files_max as u64))
}

/// Sets a file's access; its lists are empty then.
fn put(tx: &Connection, file_hash: FileHash, owner: PeerId, access: Access) -> Result<()> {
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
    let (id, number) = (known.unwrap_or(group.id), next_number(tx)?);
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

/// The files that were shared with it change too, so that every tracker hears of it.
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
