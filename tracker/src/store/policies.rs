//! Access policies of files: owners, named accounts and groups.
//!
//! Each change takes the next number of one sequence and holds it until its transaction ends. So numbers become visible in their order,
//! and a reader that has read up to a number has missed no change before it.

use peernet_engine::access::{GroupId, Visibility};
use peernet_engine::ids::{FileHash, PeerId};

use super::Result;

/// The access policy of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The file.
    pub file_hash: FileHash,
    /// The account that sets the policy.
    pub owner: PeerId,
    /// The visibility of the file.
    pub visibility: Visibility,
    /// The number of the change that set it.
    pub changed: i64,
    /// Accounts that it is shared with, in ascending order.
    pub accounts: Vec<PeerId>,
    /// Groups that it is shared with, in ascending order.
    pub groups: Vec<GroupId>,
}

impl Policy {
    /// Returns the part of the policy that decides who may fetch the file.
    pub fn rule(&self) -> peernet_engine::access::Policy {
        peernet_engine::access::Policy {
            owner: self.owner,
            visibility: self.visibility,
            accounts: self.accounts.as_slice().into(),
            groups: self.groups.as_slice().into(),
        }
    }

    /// Returns the policy of a file whose access was never set.
    pub(super) fn public(file_hash: FileHash, owner: PeerId) -> Self {
        Self { file_hash, owner, visibility: Visibility::Public, changed: 0, accounts: Vec::new(), groups: Vec::new() }
    }
}

/// A named set of accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The group's id.
    pub id: GroupId,
    /// The account that the group belongs to.
    pub owner: PeerId,
    /// The name, unique among its owner's groups.
    pub name: String,
    /// The member accounts, in ascending order.
    pub members: Vec<PeerId>,
}

/// The access that an owner gives to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAccess {
    /// The file.
    pub file_hash: FileHash,
    /// The account that sets the access. It becomes the owner of a file that has none.
    pub caller: PeerId,
    /// The visibility; not [`Visibility::Withdrawn`].
    pub visibility: Visibility,
    /// Accounts that the file is shared with, each once.
    pub accounts: Vec<PeerId>,
    /// Names of the caller's groups that it is shared with, each once.
    pub groups: Vec<String>,
    /// The most files whose access one account may set.
    pub files_max: usize,
}

/// A change of a policy or a group. A refused change changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyWrite {
    /// Sets a file's access, which ends a withdrawal.
    Set(SetAccess),
    /// Withdraws a file: Unchanged where it is withdrawn already.
    Withdraw {
        /// The file.
        file_hash: FileHash,
        /// The account that withdraws it.
        caller: PeerId,
        /// See [`SetAccess::files_max`].
        files_max: usize,
    },
    /// Creates a group, or replaces the members of the owner's group of that name.
    PutGroup(Group),
    /// Deletes a group, and ends the sharing of files with it.
    DeleteGroup {
        /// The group's owner.
        owner: PeerId,
        /// The group's name.
        name: String,
    },
}

impl PolicyWrite {
    /// Returns the account whose rows change.
    pub fn peer(&self) -> PeerId {
        match self {
            Self::Set(set) => set.caller,
            Self::Withdraw { caller, .. } => *caller,
            Self::PutGroup(group) => group.owner,
            Self::DeleteGroup { owner, .. } => *owner,
        }
    }
}

/// The reason why a change was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another account owns the file.
    NotOwner,
    /// The file was never announced.
    UnknownFile,
    /// A named account does not exist.
    UnknownAccount,
    /// The caller has no group of that name.
    UnknownGroup,
    /// The caller has set the access of as many files as one account may.
    TooManyFiles,
    /// The caller has as many groups as one account may.
    TooManyGroups,
}

/// The owner and the visibility of a file, as the tables have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ownership {
    /// The account that set the file's access first; else the one that put its first manifest; else its first version 1 announcer.
    pub(super) owner: Option<PeerId>,
    /// The visibility, where it was set.
    pub(super) visibility: Option<Visibility>,
    /// Returns whether the file was ever announced.
    pub(super) announced: bool,
}

impl Ownership {
    /// Returns whether `caller` may set the access. A file whose first announcer is forgotten belongs to no account.
    pub(super) fn may_set(&self, caller: PeerId) -> bool {
        self.owner.map_or(!self.announced, |owner| owner == caller)
    }

    /// Returns the reason why `caller` may not withdraw the file, if there is one.
    pub(super) fn refuse_to_withdraw(&self, caller: PeerId) -> Option<Refusal> {
        match self.owner {
            Some(owner) if owner == caller => None,
            None if !self.announced => Some(Refusal::UnknownFile),
            _ => Some(Refusal::NotOwner),
        }
    }
}

/// Reads access policies and groups.
pub trait Policies {
    /// Returns the number of the last change.
    fn policy_sequence(&self) -> Result<i64>;

    /// Calls `each` with every policy that changed after this number, including those that became public again.
    fn changed_policies(&self, after: i64, each: &mut dyn FnMut(Policy)) -> Result<()>;

    /// Calls `each` with every group that changed after this number, or that is named by a policy which did.
    fn changed_groups(&self, after: i64, each: &mut dyn FnMut(Group)) -> Result<()>;

    /// Returns a file's policy. Where none was set it is public, and owned by its first announcer; `None` where that is not known.
    fn policy(&self, file_hash: FileHash) -> Result<Option<Policy>>;

    /// Returns an account's groups by name, at most [`peernet_protos::limits::GROUPS_MAX`].
    fn groups(&self, owner: PeerId) -> Result<Vec<Group>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_its_first_announcer_or_its_first_setter() {
        let me = PeerId([1; 16]);
        let other = PeerId([2; 16]);
        for (owner, announced, may_set, withdraw) in [
            (None, false, true, Some(Refusal::UnknownFile)),
            (None, true, false, Some(Refusal::NotOwner)),
            (Some(me), true, true, None),
            (Some(me), false, true, None),
            (Some(other), true, false, Some(Refusal::NotOwner)),
        ] {
            let ownership = Ownership { owner, visibility: None, announced };
            assert_eq!((ownership.may_set(me), ownership.refuse_to_withdraw(me)), (may_set, withdraw), "{ownership:?}");
        }
    }

    #[test]
    fn access_words_are_parsed_as_they_are_written() {
        for word in ["public", "shared", "private", "withdrawn"] {
            assert_eq!(word.parse::<Visibility>().map(Visibility::as_str), Ok(word));
        }
        assert!(["", "Public", "none"].iter().all(|word| word.parse::<Visibility>().is_err()));
    }
}
