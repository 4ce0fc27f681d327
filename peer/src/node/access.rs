//! Who may have this account's files, and the groups to share them with.

use peernet_engine::collection::LISTING_SUFFIX;
use peernet_engine::ids::{FileHash, PeerId};

use super::Node;
use crate::discovery::tracker::{Audience, GroupInfo};
use crate::error::NodeError;

/// Why nothing can be said of a directory that is not shared here: only one of its two files is known.
pub(crate) const IS_DIRECTORY: &str =
    "this is a directory: say who may have it where it is shared from, or share it again first";

/// What a directory is made of, as far as it is its own: a pack without bytes is every empty directory's.
pub(super) fn both_files(listing: FileHash, pack: FileHash, size: u64) -> Vec<FileHash> {
    if size > 0 { vec![listing, pack] } else { vec![listing] }
}

impl Node {
    /// Who may have a file or directory, told to its owner alone: [`NodeError::NotFound`] to anybody else. The owner is who said so first
    /// before anybody announced it, or else who announced it first.
    pub fn access(&self, file_hash: FileHash) -> Result<Audience, NodeError> {
        Ok(self.tracker.access(file_hash)?)
    }

    /// Says who may have a file or directory from now on, whether it is shared yet or not; withdraws it with [`Audience::Withdrawn`]. The
    /// tracker tells nobody else of it from then on; who serves it heeds that with its next announce, within a quarter of an hour, and who
    /// got leave before keeps that as long as it lasts, 12 hours where the operator says nothing else. [`NodeError::Refused`] for the file of another account.
    ///
    /// A directory has to be shared from this folder, which knows the second file that it is made of.
    pub fn set_access(&self, file_hash: FileHash, audience: &Audience) -> Result<(), NodeError> {
        let files = self.files_of(file_hash)?;
        self.say(&files, audience)?;
        self.running.settle_afresh()
    }

    /// From now on nobody is told of a file or directory any more, and nobody may share it, until [`Node::set_access`] says otherwise. This
    /// node, if it serves it, stops at once; others with their next announce.
    pub fn withdraw(&self, file_hash: FileHash) -> Result<(), NodeError> {
        self.set_access(file_hash, &Audience::Withdrawn)
    }

    /// Says for whom these files are, the last one first: who hears of a listing, which comes first, is to find the pack closed already. What
    /// is closed is closed here before the tracker is asked, and stays so where that fails; what is opened is open here after it.
    pub(super) fn say(&self, files: &[FileHash], audience: &Audience) -> Result<(), NodeError> {
        let restricted = *audience != Audience::Public;
        if restricted {
            self.shares.said(files, true)?;
        }
        for file in files.iter().rev() {
            self.tracker.set_access(*file, audience)?;
        }
        match audience {
            Audience::Withdrawn => files.iter().for_each(|file| self.shares.end_withdrawn(*file)),
            // Once more: from here on counts how long this is this node's own word.
            _ => self.shares.said(files, restricted)?,
        }
        Ok(())
    }

    /// The file, or a directory's listing and pack.
    fn files_of(&self, file_hash: FileHash) -> Result<Vec<FileHash>, NodeError> {
        let shared = self.shares().into_iter().find(|share| share.file_hash == file_hash);
        if let Some(share) = shared {
            return Ok(match share.directory {
                None => vec![file_hash],
                Some(directory) => both_files(file_hash, directory.pack_hash, share.size),
            });
        }
        // One that nobody announces now is not known to be a directory, and may be said something about all the same.
        match self.tracker.plan(file_hash) {
            Ok(plan) if plan.file_name.ends_with(LISTING_SUFFIX) => Err(NodeError::Invalid(IS_DIRECTORY.to_owned())),
            _ => Ok(vec![file_hash]),
        }
    }

    /// The account's groups by name, at most 100.
    pub fn groups(&self) -> Result<Vec<GroupInfo>, NodeError> {
        Ok(self.tracker.groups()?)
    }

    /// The members of one of them, in ascending order. [`NodeError::NotFound`] where there is none of this name.
    pub fn group(&self, name: &str) -> Result<Vec<PeerId>, NodeError> {
        Ok(self.tracker.group(name)?)
    }

    /// Makes a group, or replaces its members, at most 1,000. What is shared with it is shared with the new ones.
    pub fn set_group(&self, name: &str, members: &[PeerId]) -> Result<(), NodeError> {
        Ok(self.tracker.put_group(name, members)?)
    }

    /// Deletes a group: what was shared with it no longer is.
    pub fn delete_group(&self, name: &str) -> Result<(), NodeError> {
        Ok(self.tracker.delete_group(name)?)
    }
}
