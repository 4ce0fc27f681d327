//! Changes of policies and groups: committed to the store, then in force here at once.

use std::fmt;

use peernet_engine::ids::{FileHash, PeerId};
use peernet_protos::limits::GROUPS_MAX;
use peernet_threads::Blocking;

use super::AccessControl;
use crate::store::policies::{Group, Policy, PolicyWrite, Refusal};
use crate::store::{StoreError, Write, Written};

/// The reason why a policy or a group was not changed or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessError {
    /// The store refused the change.
    Refused(Refusal),
    /// No file of this hash is there for the caller.
    UnknownFile,
    /// The caller has no group of this name.
    UnknownGroup,
    /// The database did not do it.
    Store(StoreError),
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Refusal::NotOwner) => f.write_str("this file is another account's"),
            Self::Refused(Refusal::UnknownFile) | Self::UnknownFile => {
                f.write_str("no account has announced this file")
            }
            Self::Refused(Refusal::UnknownAccount) => f.write_str("one of the accounts does not exist"),
            Self::Refused(Refusal::UnknownGroup) | Self::UnknownGroup => {
                f.write_str("this account has no group of that name")
            }
            Self::Refused(Refusal::TooManyFiles) => {
                f.write_str("this account has set policies for as many files as it may")
            }
            Self::Refused(Refusal::TooManyGroups) => write!(f, "an account has at most {GROUPS_MAX} groups"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AccessError {}

impl From<StoreError> for AccessError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A policy as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPolicy {
    /// The policy.
    pub policy: Policy,
    /// The names of its groups.
    pub groups: Vec<String>,
}

impl AccessControl {
    /// Commits a change and puts it in force here. The other trackers read it within seconds.
    pub fn change(&self, change: PolicyWrite) -> Result<(), AccessError> {
        let blocking = Blocking::declare();
        match self.database.write_one(&blocking, Write::Policy(change))? {
            Written::Refused(refusal) => Err(AccessError::Refused(refusal)),
            _ => Ok(self.database.read(&blocking, |_| self.refresh(&blocking))?),
        }
    }

    /// Withdraws a file for good; succeeds if it was withdrawn before.
    pub fn withdraw(&self, file_hash: FileHash, caller: PeerId, files_max: usize) -> Result<(), AccessError> {
        match self.change(PolicyWrite::Withdraw { file_hash, caller, files_max }) {
            // The error must not reveal that a file exists which the caller may not know of.
            Err(AccessError::Refused(Refusal::NotOwner)) if self.visibility_for(file_hash, caller).is_none() => {
                Err(AccessError::UnknownFile)
            }
            result => result,
        }
    }

    /// The policy of a file of `owner`; for any other account the file is unknown.
    pub fn policy(&self, owner: PeerId, file: FileHash) -> Result<ShownPolicy, AccessError> {
        let found = self.database.read(&Blocking::declare(), |store| {
            let Some(policy) = store.policy(file)?.filter(|policy| policy.owner == owner) else { return Ok(None) };
            let groups = if policy.groups.is_empty() { Vec::new() } else { store.groups(owner)? };
            Ok(Some((policy, groups)))
        })?;
        let (policy, groups) = found.ok_or(AccessError::UnknownFile)?;
        let named = groups.into_iter().filter(|group| policy.groups.contains(&group.id));
        Ok(ShownPolicy { groups: named.map(|group| group.name).collect(), policy })
    }

    /// The groups of an account.
    pub fn groups(&self, owner: PeerId) -> Result<Vec<Group>, AccessError> {
        Ok(self.database.read(&Blocking::declare(), |store| store.groups(owner))?)
    }

    /// One group of an account.
    pub fn group(&self, owner: PeerId, name: &str) -> Result<Group, AccessError> {
        let found = self.groups(owner)?.into_iter().find(|group| group.name == name);
        found.ok_or(AccessError::UnknownGroup)
    }
}
