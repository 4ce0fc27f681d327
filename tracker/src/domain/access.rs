//! Access control: which accounts may have which file, in memory. Lookups, announces and grants ask it without a database.
//!
//! The store keeps the policies and numbers each change. A refresh reads the changes since the last one; one thread at a time
//! refreshes, so that a slow read cannot undo a newer one. A tracker refreshes right after its own changes, and the thread
//! "accounts" refreshes for those of other trackers. While the store is away, what was read before counts.

mod change;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use peernet_engine::access::{PolicySet, Visibility};
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_threads::Blocking;

use crate::base::sync::lock;
use crate::domain::database::Database;
use crate::domain::swarm::Swarm;
use crate::store::StoreError;
use crate::store::policies::{Group, Policy};
pub use change::{AccessError, ShownPolicy};

/// The policies of all files, and the operations that change them.
pub struct AccessControl {
    database: Arc<Database>,
    swarm: Arc<Swarm>,
    clock: fn() -> UnixMillis,
    policies: Policies,
    /// The number of the last change that was read.
    read_up_to: Mutex<i64>,
}

/// The policies in memory. Where every file is public, asking them takes no lock.
#[derive(Debug, Default)]
struct Policies {
    /// The number of files that are not public.
    count: AtomicUsize,
    set: RwLock<PolicySet>,
}

impl AccessControl {
    /// Access control over the policies of a store; none is in memory yet.
    pub fn new(database: Arc<Database>, swarm: Arc<Swarm>, clock: fn() -> UnixMillis) -> Self {
        Self { database, swarm, clock, policies: Policies::default(), read_up_to: Mutex::new(0) }
    }

    /// The visibility of a file for `caller`; `None` where the caller may not know that the file exists.
    pub fn visibility_for(&self, file: FileHash, caller: PeerId) -> Option<Visibility> {
        self.policies.visibility_for(file, caller)
    }

    /// Returns whether a file is not public.
    pub fn is_restricted(&self, file: FileHash) -> bool {
        self.policies.is_restricted(file)
    }

    /// Reads what has changed, and ends the leases of files that were withdrawn.
    pub fn refresh(&self, blocking: &Blocking) -> Result<(), StoreError> {
        for policy in self.read(blocking)? {
            // A plan shows the visibility, so plans of this file that clients have are out of date.
            self.swarm.note_access_changed(policy.file_hash);
            if policy.visibility == Visibility::Withdrawn {
                self.swarm.withdraw((self.clock)(), policy.file_hash);
            }
        }
        Ok(())
    }

    fn read(&self, blocking: &Blocking) -> Result<Vec<Policy>, StoreError> {
        let mut read_up_to = lock(&self.read_up_to);
        let reader = self.database.store(blocking);
        let last = reader.policy_sequence()?;
        if last == *read_up_to {
            return Ok(Vec::new());
        }
        // Numbers go back only where the database was replaced by another one, from a backup.
        let is_another = last < *read_up_to;
        let after = if is_another { 0 } else { *read_up_to };
        let mut changed = Vec::new();
        let mut groups = Vec::new();
        reader.changed_policies(after, &mut |policy| changed.push(policy))?;
        // Groups after policies: every group that a policy names is then among these, in its newest state.
        reader.changed_groups(after, &mut |group| groups.push(group))?;
        self.policies.apply(&changed, groups, is_another);
        // A change made since `last` was read is read again next time, which does no harm.
        *read_up_to = last;
        Ok(changed)
    }
}

impl Policies {
    fn visibility_for(&self, file: FileHash, caller: PeerId) -> Option<Visibility> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Some(Visibility::Public);
        }
        self.set.read().unwrap_or_else(PoisonError::into_inner).visibility_for(file, caller)
    }

    fn is_restricted(&self, file: FileHash) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && self.set.read().unwrap_or_else(PoisonError::into_inner).is_restricted(file)
    }

    /// Takes changes in. With `afresh` they replace everything, in one step: no lookup may see a moment in which all files
    /// are public.
    fn apply(&self, changed: &[Policy], groups: Vec<Group>, afresh: bool) {
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        if afresh {
            *set = PolicySet::default();
        }
        changed.iter().for_each(|policy| set.put(policy.file_hash, policy.rule()));
        groups.into_iter().for_each(|group| set.put_group(group.id, group.members.into()));
        self.count.store(set.len(), Ordering::Release);
    }
}
