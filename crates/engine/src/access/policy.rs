//! The policies of files that are not public, and the groups that these policies name.

use std::collections::BTreeMap;

use super::Visibility;
use crate::ids::{FileHash, PeerId};

/// The id of a group of accounts: 16 random bytes, never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub [u8; 16]);

/// The rule that decides which accounts may fetch one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The account that may change the policy.
    pub owner: PeerId,
    /// The visibility of the file.
    pub visibility: Visibility,
    /// Accounts that a shared file is shared with, in ascending order.
    pub accounts: Box<[PeerId]>,
    /// Groups that a shared file is shared with, in ascending order.
    pub groups: Box<[GroupId]>,
}

impl Policy {
    /// Decides whether `caller` may fetch the file. `is_member` tells whether the caller belongs to a group.
    pub fn permits(&self, caller: PeerId, is_member: impl Fn(GroupId) -> bool) -> bool {
        match self.visibility {
            Visibility::Public => true,
            Visibility::Shared => {
                self.owner == caller
                    || self.accounts.binary_search(&caller).is_ok()
                    || self.groups.iter().any(|group| is_member(*group))
            }
            Visibility::Private => self.owner == caller,
            Visibility::Withdrawn => false,
        }
    }
}

/// The policies of all files that are not public. A file without a policy here is public.
#[derive(Debug, Default)]
pub struct PolicySet {
    files: BTreeMap<FileHash, Policy>,
    groups: BTreeMap<GroupId, Group>,
}

/// A group that at least one policy names.
#[derive(Debug, Default)]
struct Group {
    /// The number of policies that name it. The group is dropped when no policy does.
    uses: usize,
    /// In ascending order.
    members: Box<[PeerId]>,
}

impl PolicySet {
    /// Returns how many files are not public.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Tells whether every file is public.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Tells whether a file is not public.
    pub fn is_restricted(&self, file: FileHash) -> bool {
        self.files.contains_key(&file)
    }

    /// Returns a file's visibility if `caller` may fetch the file. `None` means that the caller must be answered as if
    /// there were no such file.
    pub fn visibility_for(&self, file: FileHash, caller: PeerId) -> Option<Visibility> {
        let Some(policy) = self.files.get(&file) else { return Some(Visibility::Public) };
        let is_member = |id: GroupId| {
            let group = self.groups.get(&id);
            group.is_some_and(|group| group.members.binary_search(&caller).is_ok())
        };
        policy.permits(caller, is_member).then_some(policy.visibility)
    }

    /// Replaces a file's policy. Groups that were not named before have no members until [`PolicySet::put_group`].
    pub fn put(&mut self, file: FileHash, policy: Policy) {
        let replaced = if policy.visibility == Visibility::Public {
            self.files.remove(&file)
        } else {
            // The new policy takes hold of its groups before the old one lets go of its own. A group that both name
            // would lose its members otherwise.
            for group in &policy.groups {
                self.groups.entry(*group).or_default().uses += 1;
            }
            self.files.insert(file, policy)
        };
        for group in replaced.iter().flat_map(|policy| &policy.groups) {
            self.release(*group);
        }
    }

    /// Replaces a group's members, which are in ascending order. A group that no policy names is ignored.
    pub fn put_group(&mut self, id: GroupId, members: Box<[PeerId]>) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.members = members;
        }
    }

    fn release(&mut self, id: GroupId) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.uses -= 1;
            if group.uses == 0 {
                self.groups.remove(&id);
            }
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

    fn peers(numbers: &[u8]) -> Box<[PeerId]> {
        numbers.iter().copied().map(peer).collect()
    }

    fn group(n: u8) -> GroupId {
        GroupId([n; 16])
    }

    /// A policy of account 1.
    fn policy(visibility: Visibility, accounts: &[u8], groups: &[u8]) -> Policy {
        let groups = groups.iter().copied().map(group).collect();
        Policy { owner: peer(1), visibility, accounts: peers(accounts), groups }
    }

    /// Returns those of the accounts 1 to 6 that may fetch the file.
    fn permitted(policies: &PolicySet) -> Vec<u8> {
        (1..=6).filter(|n| policies.visibility_for(FILE, peer(*n)).is_some()).collect()
    }

    #[test]
    fn a_policy_permits_the_accounts_it_names() {
        for (visibility, expected) in [
            (Visibility::Public, &[1, 2, 3, 4, 5, 6][..]),
            (Visibility::Shared, &[1, 2, 3, 4, 5]),
            (Visibility::Private, &[1]),
            (Visibility::Withdrawn, &[]),
        ] {
            let mut policies = PolicySet::default();
            policies.put(FILE, policy(visibility, &[2, 3], &[8, 9]));
            policies.put_group(group(8), peers(&[3, 4]));
            policies.put_group(group(9), peers(&[5]));
            assert_eq!(permitted(&policies), expected, "{visibility:?}");
            assert_eq!(policies.is_restricted(FILE), visibility != Visibility::Public);
            assert_eq!(policies.visibility_for(FileHash([1; 32]), peer(6)), Some(Visibility::Public), "another file");
        }
    }

    #[test]
    fn permitted_callers_learn_the_visibility() {
        for visibility in [Visibility::Public, Visibility::Shared, Visibility::Private] {
            let mut policies = PolicySet::default();
            policies.put(FILE, policy(visibility, &[], &[]));
            assert_eq!(policies.visibility_for(FILE, peer(1)), Some(visibility));
        }
    }

    #[test]
    fn a_shared_file_that_names_no_account_is_its_owners() {
        let mut policies = PolicySet::default();
        policies.put(FILE, policy(Visibility::Shared, &[], &[]));
        assert_eq!(permitted(&policies), [1]);
    }

    #[test]
    fn a_group_is_empty_until_its_members_are_read() {
        let mut policies = PolicySet::default();
        policies.put(FILE, policy(Visibility::Shared, &[], &[8]));
        assert_eq!(permitted(&policies), [1]);
        policies.put_group(group(8), peers(&[2, 3]));
        assert_eq!(permitted(&policies), [1, 2, 3]);
        policies.put_group(group(8), peers(&[3]));
        assert_eq!(permitted(&policies), [1, 3], "replaced");
    }

    #[test]
    fn a_group_that_two_policies_name_in_turn_keeps_its_members() {
        let mut policies = PolicySet::default();
        policies.put(FILE, policy(Visibility::Shared, &[], &[8]));
        policies.put_group(group(8), peers(&[3]));
        policies.put(FILE, policy(Visibility::Shared, &[5], &[8]));
        assert_eq!(permitted(&policies), [1, 3, 5]);
    }

    #[test]
    fn a_group_that_no_policy_names_is_dropped() {
        let mut policies = PolicySet::default();
        policies.put_group(group(8), peers(&[2]));
        assert!(policies.groups.is_empty(), "no policy names it");
        let other = FileHash([9; 32]);
        for file in [FILE, other] {
            policies.put(file, policy(Visibility::Shared, &[], &[8]));
        }
        policies.put(other, policy(Visibility::Private, &[], &[]));
        assert_eq!(policies.groups.len(), 1, "the first file's policy still names it");
        policies.put(FILE, policy(Visibility::Shared, &[5], &[]));
        assert!(policies.groups.is_empty());
        assert_eq!(permitted(&policies), [1, 5]);
    }

    #[test]
    fn a_file_that_becomes_public_needs_no_policy() {
        let mut policies = PolicySet::default();
        policies.put(FILE, policy(Visibility::Private, &[], &[]));
        assert!(policies.len() == 1 && !policies.is_empty());
        policies.put(FILE, policy(Visibility::Public, &[], &[]));
        assert!(policies.is_empty());
        assert_eq!(permitted(&policies).len(), 6);
    }
}
