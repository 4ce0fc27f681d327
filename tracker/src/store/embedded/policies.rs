//! Questions about files' access and about groups.

use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::limits::GROUPS_MAX;
use rusqlite::params;

use crate::store::columns::{self, group_columns, policy_columns};
use crate::store::policies::{Access, Group, Policy, PolicyReader};
use crate::store::{Result, StoreError};

use super::EmbeddedStore;
use super::connection::{each, query};

/// Rows of `columns::policy`; a condition may follow.
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

/// Rows of `columns::group`; a condition may follow.
macro_rules! groups {
    () => {
        concat!(
            "SELECT ",
            group_columns!(),
            ", (SELECT group_concat(hex(x.account), '') FROM group_members x WHERE x.group_id = g.id) FROM groups g"
        )
    };
}

impl PolicyReader for EmbeddedStore {
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
            let owner = super::write::standing(tx, file_hash)?.owner;
            let (access, accounts, groups) = (Access::Public, Vec::new(), Vec::new());
            Ok(owner.map(|owner| Policy { file_hash, owner, access, changed: 0, accounts, groups }))
        })
    }

    fn groups(&self, owner: PeerId) -> Result<Vec<Group>> {
        let sql = concat!(groups!(), " WHERE g.owner = ?1 ORDER BY g.name LIMIT ?2");
        self.connections.read(|tx| query(tx, sql, params![owner.0, GROUPS_MAX as i64], |row| columns::group(row)))
    }
}
