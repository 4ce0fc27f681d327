//! Who may have which file, and groups: each change under the next number of `access_changes`, whose row is locked first and so keeps
//! changes of all trackers apart. They are rare, so each is its own statements.

use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::limits::GROUPS_MAX;

use crate::store::policies::{Access, Group, GroupId, PolicyWrite, Refusal, Standing};
use crate::store::text::storable;
use crate::store::{StoreError, Write, Written, columns};

use super::super::session::Tx;
use super::super::trouble::Trouble;
use super::super::values::{Uuid, column};

pub(super) fn write(tx: &mut Tx<'_>, batch: &[Write], written: &mut [Written]) -> Result<(), Trouble> {
    let count = batch.iter().filter(|write| matches!(write, Write::Policy(_))).count();
    if count == 0 {
        return Ok(());
    }
    let mut number = take_numbers(tx, count as i64)?;
    for (write, written) in batch.iter().zip(written) {
        if let Write::Policy(write) = write {
            number += 1;
            *written = match write {
                PolicyWrite::Set { file_hash, caller, access, accounts, groups, files_max } => {
                    set(tx, number, (*file_hash, *caller, *access), (accounts, groups), *files_max)?
                }
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

/// Takes the next `count` numbers; the one before the first of them.
fn take_numbers(tx: &mut Tx<'_>, count: i64) -> Result<i64, Trouble> {
    let sql = "UPDATE access_changes SET sequence = sequence + $1 WHERE id = 1 RETURNING sequence - $1";
    let rows = tx.query(sql, &[&count])?;
    let row = rows.first().ok_or_else(|| StoreError::Failed("access_changes has no row".into()))?;
    Ok(columns::number(row)?)
}

fn set(
    tx: &mut Tx<'_>,
    number: i64,
    (file_hash, caller, access): (FileHash, PeerId, Access),
    (accounts, groups): (&[PeerId], &[String]),
    files_max: usize,
) -> Result<Written, Trouble> {
    let standing = standing(tx, file_hash)?;
    if !standing.may_set(caller) {
        return Ok(Written::Refused(Refusal::NotOwner));
    }
    if !all_exist(tx, accounts)? {
        return Ok(Written::Refused(Refusal::UnknownAccount));
    }
    let ids = group_ids(tx, caller, groups)?;
    if ids.len() < groups.len() {
        return Ok(Written::Refused(Refusal::UnknownGroup));
    }
    if standing.access.is_none() && has_files(tx, caller, files_max)? {
        return Ok(Written::Refused(Refusal::TooManyFiles));
    }
    put(tx, number, standing.access.is_none(), (file_hash, caller, access))?;
    if !accounts.is_empty() {
        let sql = "INSERT INTO file_access_accounts (file_hash, account) SELECT $1, id FROM unnest($2::uuid[]) AS id";
        tx.execute(sql, &[&file_hash.0.as_slice(), &column(accounts, |account| Uuid(account.0))])?;
    }
    if !ids.is_empty() {
        let sql = "INSERT INTO file_access_groups (file_hash, group_id) SELECT $1, id FROM unnest($2::uuid[]) AS id";
        tx.execute(sql, &[&file_hash.0.as_slice(), &column(&ids, |id| Uuid(id.0))])?;
    }
    Ok(Written::Done)
}

fn withdraw(
    tx: &mut Tx<'_>,
    number: i64,
    file_hash: FileHash,
    caller: PeerId,
    files_max: usize,
) -> Result<Written, Trouble> {
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
    put(tx, number, standing.access.is_none(), (file_hash, caller, Access::Withdrawn))?;
    Ok(Written::Done)
}

/// What the tables say of whose a file is.
pub(in crate::store::postgres) const STANDING: &str = "SELECT coalesce((SELECT owner FROM file_access WHERE file_hash \
     = $1), (SELECT announced_by FROM manifests WHERE file_hash = $1 ORDER BY created_at, manifest_id LIMIT 1), (SELECT \
     peer FROM v1_listings WHERE file_hash = $1 ORDER BY created_at, peer LIMIT 1)), (SELECT access FROM file_access \
     WHERE file_hash = $1), EXISTS (SELECT 1 FROM files WHERE file_hash = $1)";

fn standing(tx: &mut Tx<'_>, file_hash: FileHash) -> Result<Standing, Trouble> {
    let rows = tx.query(STANDING, &[&file_hash.0.as_slice()])?;
    let row = rows.first().ok_or_else(|| StoreError::Failed("no row of a file's standing".into()))?;
    Ok(columns::standing(row)?)
}

/// Whether all of these are accounts; each comes once.
fn all_exist(tx: &mut Tx<'_>, accounts: &[PeerId]) -> Result<bool, Trouble> {
    if accounts.is_empty() {
        return Ok(true);
    }
    let sql = "SELECT count(*) FROM accounts WHERE id = ANY($1::uuid[])";
    let rows = tx.query(sql, &[&column(accounts, |account| Uuid(account.0))])?;
    let found = rows.first().map_or(Ok(0), columns::size)?;
    Ok(found == accounts.len() as u64)
}

/// Those of the names, each of which comes once, that the owner has a group of.
fn group_ids(tx: &mut Tx<'_>, owner: PeerId, names: &[String]) -> Result<Vec<GroupId>, Trouble> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "SELECT id FROM groups WHERE owner = $1 AND name = ANY($2::text[])";
    let rows = tx.query(sql, &[&Uuid(owner.0), &column(names, |name| storable(name))])?;
    Ok(rows.iter().map(columns::group_id).collect::<Result<_, StoreError>>()?)
}

/// Whether an account has a say about this many files or more.
fn has_files(tx: &mut Tx<'_>, owner: PeerId, files_max: usize) -> Result<bool, Trouble> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM file_access WHERE owner = $1 LIMIT $2) AS files";
    let rows = tx.query(sql, &[&Uuid(owner.0), &(files_max as i64)])?;
    Ok(rows.first().map_or(Ok(0), columns::size)? >= files_max as u64)
}

/// Sets a file's access; its lists are empty then, as those of a new row are anyway.
fn put(
    tx: &mut Tx<'_>,
    number: i64,
    is_new: bool,
    (file_hash, owner, access): (FileHash, PeerId, Access),
) -> Result<(), Trouble> {
    let hash = file_hash.0.as_slice();
    tx.execute(
        "INSERT INTO file_access (file_hash, owner, access, changed) VALUES ($1, $2, $3, $4) ON CONFLICT (file_hash) DO \
         UPDATE SET access = EXCLUDED.access, changed = EXCLUDED.changed",
        &[&hash, &Uuid(owner.0), &access.as_str(), &number],
    )?;
    if !is_new {
        tx.execute("DELETE FROM file_access_accounts WHERE file_hash = $1", &[&hash])?;
        tx.execute("DELETE FROM file_access_groups WHERE file_hash = $1", &[&hash])?;
    }
    Ok(())
}

fn put_group(tx: &mut Tx<'_>, number: i64, group: &Group) -> Result<Written, Trouble> {
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

/// The files that were shared with it change too, so that every tracker hears of it.
fn delete_group(tx: &mut Tx<'_>, number: i64, owner: PeerId, name: &str) -> Result<Written, Trouble> {
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
