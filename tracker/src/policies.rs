//! Who may have which file, in memory: lookups, announces and grants ask it and no database.
//!
//! What is read are changes since the last time, by one reader at a time, so that what was read late undoes nothing. Who changes something
//! reads at once; what other trackers change is read by the thread "accounts". While the store is away, what was read before counts.

mod held;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use peernet_engine::ids::{FileHash, PeerId};

use crate::app::App;
use crate::store::StoreError;
use crate::store::policies::{Access, Group, Policy};
use held::Held;

/// The policies. Where every file is public, asking them takes no lock.
#[derive(Debug, Default)]
pub struct Policies {
    /// How many files are not public.
    count: AtomicUsize,
    held: RwLock<Held>,
    /// The number of the last change that was read.
    read_up_to: Mutex<i64>,
}

impl Policies {
    /// Who may have a file, as far as `caller` may know: `None` where the file is not for him, as if there were none.
    pub fn access(&self, file: FileHash, caller: PeerId) -> Option<Access> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Some(Access::Public);
        }
        self.held.read().unwrap_or_else(PoisonError::into_inner).access(file, caller)
    }

    /// Whether a file is not for everyone.
    pub fn is_restricted(&self, file: FileHash) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && self.held.read().unwrap_or_else(PoisonError::into_inner).is_restricted(file)
    }

    /// Takes what has changed; `afresh` instead of what was known, in one step: nobody must see a moment in which all is public.
    fn apply(&self, changed: &[Policy], groups: Vec<Group>, afresh: bool) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if afresh {
            *held = Held::default();
        }
        changed.iter().for_each(|policy| held.put(policy));
        groups.into_iter().for_each(|group| held.put_group(group));
        self.count.store(held.len(), Ordering::Release);
    }
}

/// Reads what has changed, and ends what was announced of files that were withdrawn.
pub fn refresh(app: &App) -> Result<(), StoreError> {
    for policy in read(app)? {
        // Who has a plan must not be told that it is still right.
        app.swarm.note_access_changed(policy.file_hash);
        if policy.access == Access::Withdrawn {
            app.swarm.withdraw((app.clock)(), policy.file_hash);
        }
    }
    Ok(())
}

fn read(app: &App) -> Result<Vec<Policy>, StoreError> {
    let mut read_up_to = app.policies.read_up_to.lock().unwrap_or_else(PoisonError::into_inner);
    let reader = app.store.policies()?;
    let last = reader.policy_sequence()?;
    if last == *read_up_to {
        return Ok(Vec::new());
    }
    // Numbers only go back where the database is another one, from a backup.
    let is_another = last < *read_up_to;
    let after = if is_another { 0 } else { *read_up_to };
    let (mut changed, mut groups) = (Vec::new(), Vec::new());
    reader.changed_policies(after, &mut |policy| changed.push(policy))?;
    // After the policies: whatever group those name is among these, as it is now.
    reader.changed_groups(after, &mut |group| groups.push(group))?;
    app.policies.apply(&changed, groups, is_another);
    // What changed since the number was read is read again, which does no harm.
    *read_up_to = last;
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_all_is_public_nobody_is_asked_and_what_is_read_afresh_replaces_the_rest() {
        let (policies, owner, other) = (Policies::default(), PeerId([1; 16]), PeerId([2; 16]));
        let private = |n: u8| {
            let (file_hash, access, accounts, groups) = (FileHash([n; 32]), Access::Private, Vec::new(), Vec::new());
            Policy { file_hash, owner, access, changed: 1, accounts, groups }
        };
        let hidden = |n: u8| policies.access(FileHash([n; 32]), other).is_none();
        assert!(!hidden(1) && !policies.is_restricted(FileHash([1; 32])));
        policies.apply(&[private(1)], Vec::new(), false);
        policies.apply(&[private(2)], Vec::new(), false);
        assert!(hidden(1) && hidden(2) && policies.is_restricted(FileHash([1; 32])));
        assert_eq!(policies.access(FileHash([1; 32]), owner), Some(Access::Private));
        policies.apply(&[private(3)], Vec::new(), true);
        assert!(!hidden(1) && !hidden(2) && hidden(3));
    }
}
