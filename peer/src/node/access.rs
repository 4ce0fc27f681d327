//! The access policies of this account's files, and its groups.

use peernet_engine::collection::LISTING_SUFFIX;
use peernet_engine::ids::{FileHash, PeerId};

use super::Node;
use crate::access::AccessPolicy;
use crate::discovery::tracker::GroupInfo;
use crate::node::NodeError;

/// The error for a directory that is not shared from here. Its policy covers listing and pack, and only one is known.
pub(crate) const IS_DIRECTORY: &str =
    "this is a directory: set its access on the machine that shares it, or share it here first";

/// Returns the files that a directory's policy covers: its listing, and its pack unless that is empty. All empty
/// directories have the same empty pack, so it belongs to none of them.
pub(super) fn both_files(listing: FileHash, pack: FileHash, size: u64) -> Vec<FileHash> {
    if size > 0 { vec![listing, pack] } else { vec![listing] }
}

impl Node {
    /// Returns the policy of a file or directory. Only the owner may ask; other accounts get [`NodeError::NotFound`].
    ///
    /// The first account that announces a file owns it, unless another account has set its policy before that.
    pub fn access(&self, file_hash: FileHash) -> Result<AccessPolicy, NodeError> {
        Ok(self.tracker.access(file_hash)?)
    }

    /// Sets the policy of a file or directory, whether or not it is shared yet. [`AccessPolicy::Withdrawn`] withdraws
    /// it.
    ///
    /// The tracker applies it at once. Other peers that serve the file apply it with their next announce, within
    /// two minutes. Grants that were issued before last until they expire: 12 hours, unless the operator has set
    /// another time. [`NodeError::Refused`] for another account's file.
    ///
    /// A directory must be shared from this node's folder, because its policy covers the pack as well as the listing.
    pub fn set_access(&self, file_hash: FileHash, policy: &AccessPolicy) -> Result<(), NodeError> {
        let files = self.files_of(file_hash)?;
        self.apply_policy(&files, policy)?;
        self.running.settle_afresh()
    }

    /// Withdraws a file or directory: no account may find, fetch or share it until [`Node::set_access`] allows it
    /// again. This node stops serving it at once, and other peers with their next announce.
    pub fn withdraw(&self, file_hash: FileHash) -> Result<(), NodeError> {
        self.set_access(file_hash, &AccessPolicy::Withdrawn)
    }

    /// Sets the policy of these files at the tracker and their visibility here.
    ///
    /// The order fails closed. A restriction counts here before the tracker is asked, and stays if that fails. A file
    /// that becomes public does so here only after the tracker has accepted it. The last file is set first: a
    /// directory's pack must be restricted before a downloader can learn anything new from its listing.
    pub(super) fn apply_policy(&self, files: &[FileHash], policy: &AccessPolicy) -> Result<(), NodeError> {
        let restricted = *policy != AccessPolicy::Public;
        if restricted {
            self.shares.set_local_visibility(files, true)?;
        }
        for file in files.iter().rev() {
            self.tracker.set_access(*file, policy)?;
        }
        match policy {
            AccessPolicy::Withdrawn => files.iter().for_each(|file| self.shares.end_withdrawn(*file)),
            // Set once more: contradicting replies are ignored for some time from here on.
            _ => self.shares.set_local_visibility(files, restricted)?,
        }
        Ok(())
    }

    /// Returns the file itself, or a directory's listing and pack.
    fn files_of(&self, file_hash: FileHash) -> Result<Vec<FileHash>, NodeError> {
        let shared = self.shares().into_iter().find(|share| share.file_hash == file_hash);
        if let Some(share) = shared {
            return Ok(match share.directory {
                None => vec![file_hash],
                Some(directory) => both_files(file_hash, directory.pack_hash, share.size),
            });
        }
        // A file that no peer announces may be a directory's listing too. Its policy can be set all the same.
        match self.tracker.plan(file_hash) {
            Ok(plan) if plan.file_name.ends_with(LISTING_SUFFIX) => Err(NodeError::Invalid(IS_DIRECTORY.to_owned())),
            _ => Ok(vec![file_hash]),
        }
    }

    /// Returns the account's groups by name, at most 100.
    pub fn groups(&self) -> Result<Vec<GroupInfo>, NodeError> {
        Ok(self.tracker.groups()?)
    }

    /// Returns the members of a group in ascending order. [`NodeError::NotFound`] if there is no group of this name.
    pub fn group(&self, name: &str) -> Result<Vec<PeerId>, NodeError> {
        Ok(self.tracker.group(name)?)
    }

    /// Creates a group, or replaces its members, at most 1,000. Files that are shared with the group are shared with
    /// the new members.
    pub fn set_group(&self, name: &str, members: &[PeerId]) -> Result<(), NodeError> {
        Ok(self.tracker.put_group(name, members)?)
    }

    /// Deletes a group. Files that were shared with it no longer are.
    pub fn delete_group(&self, name: &str) -> Result<(), NodeError> {
        Ok(self.tracker.delete_group(name)?)
    }
}
