//! Questions about files' access and about groups.

use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::limits::GROUPS_MAX;

use crate::store::columns::{self, group_columns, policy_columns};
use crate::store::policies::{Access, Group, GroupId, Policy, PolicyReader};
use crate::store::{Result as StoreResult, StoreError};

use super::PostgresStore;
use super::read::PAGE;
use super::session::Session;
use super::trouble::Trouble;
use super::values::Uuid;
use super::write::STANDING;

/// Rows of `columns::policy`; a condition may follow.
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

/// Rows of `columns::group`; a condition may follow.
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

impl PolicyReader for PostgresStore {
    fn policy_sequence(&self) -> StoreResult<i64> {
        let rows = self.connections.run(|session| session.query("SELECT sequence FROM access_changes", &[]))?;
        let row = rows.first().ok_or_else(|| StoreError::Failed("access_changes has no row".into()))?;
        columns::number(row)
    }

    fn changed_policies(&self, after: i64, each: &mut dyn FnMut(Policy)) -> StoreResult<()> {
        self.pages(|session, last| changed_policies(session, after, last), each)
    }

    fn changed_groups(&self, after: i64, each: &mut dyn FnMut(Group)) -> StoreResult<()> {
        self.pages(|session, last| changed_groups(session, after, last), each)
    }

    fn policy(&self, file_hash: FileHash) -> StoreResult<Option<Policy>> {
        self.connections.run(|session| policy(session, file_hash))
    }

    fn groups(&self, owner: PeerId) -> StoreResult<Vec<Group>> {
        let sql = concat!(groups!(), " WHERE g.owner = $1 ORDER BY g.name COLLATE \"C\" LIMIT $2");
        let limit = GROUPS_MAX as i64;
        let rows = self.connections.run(|session| session.query(sql, &[&Uuid(owner.0), &limit]))?;
        rows.iter().map(columns::group).collect()
    }
}

/// One page after the last row of the page before.
fn changed_policies(session: &mut Session, after: i64, last: Option<&Policy>) -> Result<Vec<Policy>, Trouble> {
    let (changed, file) = last.map_or((after, vec![0xff; 33]), |row| (row.changed, row.file_hash.0.to_vec()));
    let sql =
        concat!(policies!(), " WHERE (a.changed, a.file_hash) > ($1, $2) ORDER BY a.changed, a.file_hash LIMIT $3");
    let rows = session.query(sql, &[&changed, &file, &PAGE])?;
    Ok(rows.iter().map(columns::policy).collect::<StoreResult<_>>()?)
}

fn changed_groups(session: &mut Session, after: i64, last: Option<&Group>) -> Result<Vec<Group>, Trouble> {
    let id = last.map(|row| Uuid(row.id.0));
    let sql = concat!(
        groups!(),
        " WHERE (g.changed > $1 OR g.id IN (SELECT x.group_id FROM file_access_groups x JOIN file_access a ON a.file_hash = \
         x.file_hash WHERE a.changed > $1)) AND ($2::uuid IS NULL OR g.id > $2) ORDER BY g.id LIMIT $3"
    );
    let rows = session.query(sql, &[&after, &id, &PAGE])?;
    Ok(rows.iter().map(columns::group).collect::<StoreResult<_>>()?)
}

fn policy(session: &mut Session, file_hash: FileHash) -> Result<Option<Policy>, Trouble> {
    let sql = concat!(policies!(), " WHERE a.file_hash = $1");
    if let Some(row) = session.query(sql, &[&file_hash.0.as_slice()])?.first() {
        return Ok(Some(columns::policy(row)?));
    }
    let rows = session.query(STANDING, &[&file_hash.0.as_slice()])?;
    let owner = rows.first().map(columns::standing).transpose()?.and_then(|standing| standing.owner);
    let (access, accounts, groups) = (Access::Public, Vec::new(), Vec::<GroupId>::new());
    Ok(owner.map(|owner| Policy { file_hash, owner, access, changed: 0, accounts, groups }))
}
