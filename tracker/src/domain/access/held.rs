//! The policies of files that are not public, and the groups that they name. Without I/O.

use std::collections::HashMap;

use peernet_engine::ids::{FileHash, PeerId};

use crate::store::policies::{Access, Group, GroupId, Policy};

/// All policies that are not public.
#[derive(Debug, Default)]
pub(super) struct Held {
    files: HashMap<FileHash, Rule>,
    groups: HashMap<GroupId, Named>,
}

/// The policy of one file.
#[derive(Debug)]
struct Rule {
    owner: PeerId,
    access: Access,
    /// The accounts that it names, in ascending order.
    accounts: Box<[PeerId]>,
    groups: Box<[GroupId]>,
}

/// A group that policies name.
#[derive(Debug, Default)]
struct Named {
    /// The number of policies that name it; at zero the group is forgotten.
    uses: usize,
    /// Its members, in ascending order.
    members: Box<[PeerId]>,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn is_restricted(&self, file: FileHash) -> bool {
        self.files.contains_key(&file)
    }

    /// The visibility of a file for `caller`; `None` where the caller may not know that it exists.
    pub(super) fn access(&self, file: FileHash, caller: PeerId) -> Option<Access> {
        let Some(rule) = self.files.get(&file) else { return Some(Access::Public) };
        let may = match rule.access {
            Access::Public => true,
            Access::Shared => rule.owner == caller || self.is_named(rule, caller),
            Access::Private => rule.owner == caller,
            Access::Withdrawn => false,
        };
        may.then_some(rule.access)
    }

    fn is_named(&self, rule: &Rule, caller: PeerId) -> bool {
        let is_member =
            |id: &GroupId| self.groups.get(id).is_some_and(|group| group.members.binary_search(&caller).is_ok());
        rule.accounts.binary_search(&caller).is_ok() || rule.groups.iter().any(is_member)
    }

    /// Replaces the policy of a file. Groups that it names have no members until they are put.
    pub(super) fn put(&mut self, policy: &Policy) {
        let before = if policy.access == Access::Public {
            self.files.remove(&policy.file_hash)
        } else {
            // Counted before the old policy releases its groups, so that a group in both is kept.
            policy.groups.iter().for_each(|id| self.groups.entry(*id).or_default().uses += 1);
            let (accounts, groups) = (policy.accounts.as_slice().into(), policy.groups.as_slice().into());
            self.files.insert(policy.file_hash, Rule { owner: policy.owner, access: policy.access, accounts, groups })
        };
        before.iter().flat_map(|rule| rule.groups.iter()).for_each(|id| self.let_go(*id));
    }

    fn let_go(&mut self, id: GroupId) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.uses -= 1;
            if group.uses == 0 {
                self.groups.remove(&id);
            }
        }
    }

    /// Replaces the members of a group, if a policy names it.
    pub(super) fn put_group(&mut self, group: Group) {
        if let Some(named) = self.groups.get_mut(&group.id) {
            named.members = group.members.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileHash = FileHash([7; 32]);

    fn peer(n: u8) -> PeerId {
        PeerId([n; 16])
    }

    fn policy(access: Access, accounts: &[u8], groups: &[u8]) -> Policy {
        let (accounts, groups) = (accounts.iter().copied().map(peer), groups.iter().map(|n| GroupId([*n; 16])));
        let (file_hash, owner) = (FILE, peer(1));
        Policy { file_hash, owner, access, changed: 1, accounts: accounts.collect(), groups: groups.collect() }
    }

    fn group(n: u8, members: &[u8]) -> Group {
        let members = members.iter().copied().map(peer).collect();
        Group { id: GroupId([n; 16]), owner: peer(1), name: n.to_string(), members }
    }

    /// Which of the accounts 1 to 6 may have the file.
    fn who(held: &Held) -> Vec<u8> {
        (1..=6).filter(|n| held.access(FILE, peer(*n)).is_some()).collect()
    }

    #[test]
    fn a_policy_admits_only_the_accounts_it_names() {
        for (access, expected) in [
            (Access::Public, &[1, 2, 3, 4, 5, 6][..]),
            (Access::Shared, &[1, 2, 3, 4, 5]),
            (Access::Private, &[1]),
            (Access::Withdrawn, &[]),
        ] {
            let mut held = Held::default();
            held.put(&policy(access, &[2, 3], &[8, 9]));
            held.put_group(group(8, &[3, 4]));
            held.put_group(group(9, &[5]));
            assert_eq!(who(&held), expected, "{access:?}");
            assert_eq!(held.is_restricted(FILE), access != Access::Public);
            assert_eq!(held.access(FileHash([1; 32]), peer(6)), Some(Access::Public), "another file");
        }
    }

    #[test]
    fn changes_count_and_unnamed_groups_are_forgotten() {
        let mut held = Held::default();
        held.put_group(group(8, &[2]));
        assert!(held.groups.is_empty(), "nobody names it");
        held.put(&policy(Access::Shared, &[], &[8]));
        assert_eq!(who(&held), [1], "its members are not known yet");
        held.put_group(group(8, &[2, 3]));
        assert_eq!(who(&held), [1, 2, 3]);
        held.put_group(group(8, &[3]));
        assert_eq!(who(&held), [1, 3], "replaced");
        held.put(&policy(Access::Shared, &[5], &[8]));
        assert_eq!(who(&held), [1, 3, 5], "named by both: its members are kept");
        held.put(&policy(Access::Shared, &[5], &[]));
        assert!(who(&held) == [1, 5] && held.groups.is_empty(), "deleted");
        held.put(&policy(Access::Public, &[], &[]));
        assert!(who(&held).len() == 6 && held.len() == 0);
    }
}
