//! Who may have which file, as it is stored: owners, named accounts and groups.
//!
//! Changes are [`PolicyWrite`]s, which travel as [`super::Write::Policy`]. Each takes the next number of one sequence and holds it until
//! its transaction ends, so that numbers become visible in their order: who has read up to one has missed none before it.

use std::str::FromStr;

use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::rest::{ACCESS_PRIVATE, ACCESS_PUBLIC, ACCESS_SHARED, ACCESS_WITHDRAWN};

use super::Result;

/// A group's id; random, never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub [u8; 16]);

/// Who may have a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Public,
    /// Its owner, named accounts and members of named groups.
    Shared,
    /// Its owner.
    Private,
    /// Nobody any more.
    Withdrawn,
}

impl Access {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => ACCESS_PUBLIC,
            Self::Shared => ACCESS_SHARED,
            Self::Private => ACCESS_PRIVATE,
            Self::Withdrawn => ACCESS_WITHDRAWN,
        }
    }
}

/// The word is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAccess;

impl FromStr for Access {
    type Err = NoAccess;

    fn from_str(word: &str) -> std::result::Result<Self, NoAccess> {
        let all = [Self::Public, Self::Shared, Self::Private, Self::Withdrawn];
        all.into_iter().find(|access| access.as_str() == word).ok_or(NoAccess)
    }
}

/// Who may have one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which file.
    pub file_hash: FileHash,
    /// Who decides.
    pub owner: PeerId,
    /// Who may, in a word.
    pub access: Access,
    /// The number of the change that made it so.
    pub changed: i64,
    /// Whom it is shared with, in ascending order.
    pub accounts: Vec<PeerId>,
    /// Groups that it is shared with, in ascending order.
    pub groups: Vec<GroupId>,
}

/// Accounts under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Itself.
    pub id: GroupId,
    /// Whose it is.
    pub owner: PeerId,
    /// Unique among its owner's.
    pub name: String,
    /// In ascending order.
    pub members: Vec<PeerId>,
}

/// A change. What is refused changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyWrite {
    /// Says who may have a file, which ends a withdrawal. Nobody's file becomes the caller's.
    Set {
        /// Which file.
        file_hash: FileHash,
        /// Who says so.
        caller: PeerId,
        /// Not [`Access::Withdrawn`].
        access: Access,
        /// Whom it is shared with, each once.
        accounts: Vec<PeerId>,
        /// Names of the caller's groups that it is shared with, each once.
        groups: Vec<String>,
        /// As many files may an account have a say about.
        files_max: usize,
    },
    /// Withdraws a file: Known where it is withdrawn already.
    Withdraw {
        /// Which file.
        file_hash: FileHash,
        /// Who says so.
        caller: PeerId,
        /// See [`PolicyWrite::Set`].
        files_max: usize,
    },
    /// Makes a group, or replaces the members of the one of that name.
    PutGroup(Group),
    /// Deletes a group; what was shared with it no longer is.
    DeleteGroup {
        /// Whose.
        owner: PeerId,
        /// Which.
        name: String,
    },
}

impl PolicyWrite {
    /// Whose rows it changes.
    pub fn peer(&self) -> PeerId {
        match self {
            Self::Set { caller, .. } | Self::Withdraw { caller, .. } => *caller,
            Self::PutGroup(group) => group.owner,
            Self::DeleteGroup { owner, .. } => *owner,
        }
    }
}

/// Why a change was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The file is somebody else's.
    NotOwner,
    /// Nobody has announced the file.
    UnknownFile,
    /// An account that was named does not exist.
    UnknownAccount,
    /// The caller has no group of a name.
    UnknownGroup,
    /// The caller has a say about as many files as one account may.
    TooManyFiles,
    /// The caller has as many groups as one account may.
    TooManyGroups,
}

/// Whose a file is, as far as the tables say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Who set its access first, or put its first manifest, or listed it first in version 1's form.
    pub(super) owner: Option<PeerId>,
    /// Where somebody set it.
    pub(super) access: Option<Access>,
    /// Whether it was ever announced.
    pub(super) announced: bool,
}

impl Standing {
    /// Whether `caller` may say who has it. A file whose first announcer is forgotten is nobody's.
    pub(super) fn may_set(&self, caller: PeerId) -> bool {
        self.owner.map_or(!self.announced, |owner| owner == caller)
    }

    /// Why `caller` may not withdraw it.
    pub(super) fn refuse_to_withdraw(&self, caller: PeerId) -> Option<Refusal> {
        match self.owner {
            Some(owner) if owner == caller => None,
            None if !self.announced => Some(Refusal::UnknownFile),
            _ => Some(Refusal::NotOwner),
        }
    }
}

/// Questions about files' access and about groups.
pub trait PolicyReader {
    /// The number of the last change.
    fn policy_sequence(&self) -> Result<i64>;

    /// Calls `each` with every policy that changed after this number, those that are public again included.
    fn changed_policies(&self, after: i64, each: &mut dyn FnMut(Policy)) -> Result<()>;

    /// Calls `each` with every group that changed after this number or that a policy names which did.
    fn changed_groups(&self, after: i64, each: &mut dyn FnMut(Group)) -> Result<()>;

    /// Who may have a file; where nobody has said so yet, public, of who announced it first. `None` where that is not known.
    fn policy(&self, file_hash: FileHash) -> Result<Option<Policy>>;

    /// An account's groups by name, at most [`peernet_protos::limits::GROUPS_MAX`].
    fn groups(&self, owner: PeerId) -> Result<Vec<Group>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_first_announcer_s_or_of_who_speaks_first() {
        let (me, other) = (PeerId([1; 16]), PeerId([2; 16]));
        for (owner, announced, may_set, withdraw) in [
            (None, false, true, Some(Refusal::UnknownFile)),
            (None, true, false, Some(Refusal::NotOwner)),
            (Some(me), true, true, None),
            (Some(me), false, true, None),
            (Some(other), true, false, Some(Refusal::NotOwner)),
        ] {
            let standing = Standing { owner, access: None, announced };
            assert_eq!((standing.may_set(me), standing.refuse_to_withdraw(me)), (may_set, withdraw), "{standing:?}");
        }
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for word in ["public", "shared", "private", "withdrawn"] {
            assert_eq!(word.parse::<Access>().map(Access::as_str), Ok(word));
        }
        assert!(["", "Public", "none"].iter().all(|word| word.parse::<Access>().is_err()));
    }
}
