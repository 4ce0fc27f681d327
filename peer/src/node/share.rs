//! Sharing files and directories, and ending shares.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use peernet_engine::collection::Collection;
use peernet_engine::ids::{FileHash, ManifestId};
use peernet_engine::manifest::Manifest;
use peernet_engine::names::sanitise;

use super::access::both_files;
use super::{Node, Shared};
use crate::access::AccessPolicy;
use crate::cancel::Cancel;
use crate::files::FileIdentity;
use crate::files::hashing::{Found, HashProgress, Walked, hash_file_identified, hash_tree, walk};
use crate::node::NodeError;
use crate::publication::PublicationKey;
use crate::shares::{NewTree, ShareInfo, ShareState, directory_name};

impl Node {
    /// Hashes a file or directory and shares it without moving it. `progress` is called on this thread.
    ///
    /// If the node serves, the call returns after the tracker has taken the announce. If that fails, the file stays
    /// shared and is announced as soon as the tracker answers. A shared file that has not changed is not hashed again.
    ///
    /// Symbolic links and special files in a directory are left out, and a name that other systems cannot store is an
    /// error. A directory is shared as it is now; files that are added later become part of it when it is shared again.
    pub fn share(
        &self,
        path: impl AsRef<Path>,
        progress: &mut dyn FnMut(HashProgress),
        cancel: &Cancel,
    ) -> Result<Shared, NodeError> {
        self.share_with(path, None, progress, cancel)
    }

    /// Does the same and sets the visibility first. If the tracker cannot be told the visibility, nothing is shared.
    ///
    /// `None` leaves the visibility as it is: public, unless [`Node::set_access`] has changed it.
    pub fn share_with(
        &self,
        path: impl AsRef<Path>,
        policy: Option<&AccessPolicy>,
        progress: &mut dyn FnMut(HashProgress),
        cancel: &Cancel,
    ) -> Result<Shared, NodeError> {
        let path = path.as_ref();
        let real = fs::canonicalize(path).map_err(NodeError::local("opening", path))?;
        let shared = match real.is_dir() {
            true => self.share_directory(&real, policy, progress, cancel)?,
            false => self.share_file(&real, policy, progress, cancel)?,
        };
        // A new visibility may change the tracker's answer.
        let settled = if policy.is_some() { self.running.settle_afresh() } else { self.running.settle() };
        settled.map_err(|error| match error {
            NodeError::Unreachable(why) => {
                NodeError::Unreachable(format!("{why}; it stays shared and is announced when the tracker answers"))
            }
            error => error,
        })?;
        Ok(Shared { signed_with: self.publish(&shared), ..shared })
    }

    /// Signs a share as its publisher. The tracker accepts signatures only for files that it knows, so a node that does
    /// not serve signs nothing.
    fn publish(&self, shared: &Shared) -> Option<PublicationKey> {
        self.listen_address()?;
        match self.tracker.sign(shared.manifest_id) {
            Ok(signed) => signed,
            Err(error) => {
                let file = shared.path.display();
                self.log.warn(&format!("{file} is shared but not signed; share it again to sign it: {error}"));
                None
            }
        }
    }

    /// Ends the share of the file or directory with this hash.
    pub fn unshare(&self, file_hash: FileHash) -> Result<(), NodeError> {
        self.shares.remove(file_hash)?;
        self.running.settle()
    }

    /// Returns the hashes of the files that are shared from this path.
    pub fn shared_from(&self, path: &Path) -> Vec<FileHash> {
        self.shares.shared_from(path)
    }

    fn already_shared(&self, real: &Path) -> Option<ShareInfo> {
        // This drops shares whose file has changed.
        self.shares.recheck();
        self.shares().into_iter().find(|share| share.path == real && share.state == ShareState::Ready)
    }

    fn share_file(
        &self,
        real: &Path,
        policy: Option<&AccessPolicy>,
        progress: &mut dyn FnMut(HashProgress),
        cancel: &Cancel,
    ) -> Result<Shared, NodeError> {
        if let Some(info) = self.already_shared(real) {
            policy.map_or(Ok(()), |policy| self.apply_policy(&[info.file_hash], policy))?;
            return Ok(self.shared(&info));
        }
        let workers = available_parallelism().map_or(1, |n| n.get());
        let (manifest, identity) = hash_file_identified(real, workers, progress, cancel)?;
        policy.map_or(Ok(()), |policy| self.apply_policy(&[manifest.file_hash()], policy))?;
        self.add_share(Arc::new(manifest), real, identity, None)
    }

    pub(super) fn add_share(
        &self,
        manifest: Arc<Manifest>,
        path: &Path,
        identity: FileIdentity,
        shared_file: Option<Arc<crate::files::SharedFile>>,
    ) -> Result<Shared, NodeError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file_name = sanitise(&name, &manifest.file_hash().to_string());
        let id = self.shares.add(manifest, path, identity, &file_name, shared_file)?;
        self.shared_as(id)
    }

    fn share_directory(
        &self,
        root: &Path,
        policy: Option<&AccessPolicy>,
        progress: &mut dyn FnMut(HashProgress),
        cancel: &Cancel,
    ) -> Result<Shared, NodeError> {
        let close = |listing: FileHash, pack: FileHash, size: u64| {
            policy.map_or(Ok(()), |policy| self.apply_policy(&both_files(listing, pack, size), policy))
        };
        self.has_no_secrets_of_ours(root)?;
        let walked = walk(root, cancel)?;
        let known = self.already_shared(root).filter(|_| self.is_as_shared(root, &walked));
        let shared = match known {
            Some(info) => {
                info.directory
                    .iter()
                    .try_for_each(|directory| close(info.file_hash, directory.pack_hash, info.size))?;
                self.shared(&info)
            }
            None => {
                let hashed = hash_tree(root, &walked, progress, cancel)?;
                let pack = &hashed.pack_manifest;
                close(hashed.listing_manifest.file_hash(), pack.file_hash(), pack.geometry().size().0)?;
                let name = directory_name(root, &hashed.listing_manifest.file_hash().to_string());
                self.add_tree(NewTree { hashed, name, pack: None })?
            }
        };
        Ok(Shared { left_out: walked.left_out, ..shared })
    }

    /// Shares a directory whose listing and pack are known, because it was hashed or downloaded.
    pub(super) fn add_tree(&self, new: NewTree) -> Result<Shared, NodeError> {
        let id = self.shares.add_tree(new)?;
        self.shared_as(id)
    }

    /// Refuses a directory that contains this node's own state folder. Its tokens would let other peers act as this
    /// node.
    fn has_no_secrets_of_ours(&self, root: &Path) -> Result<(), NodeError> {
        let state = self.home.state_folder();
        let state = fs::canonicalize(state).unwrap_or_else(|_| state.to_owned());
        if state.starts_with(root) {
            let root = root.display();
            let state = state.display();
            return Err(NodeError::Invalid(format!(
                "{root} contains this account's own folder, {state}: share another directory"
            )));
        }
        Ok(())
    }

    fn is_as_shared(&self, root: &Path, walked: &Walked) -> bool {
        let Some((listing, files)) = self.shares.tree_at(root) else { return false };
        let Ok(collection) = Collection::decode(&listing) else { return false };
        let known = collection.entries().iter().zip(files.identities()).map(|(entry, identity)| Found {
            path: entry.path.clone(),
            identity,
            executable: entry.file().is_some_and(|file| file.executable),
        });
        known.eq(walked.entries.iter().cloned())
    }

    fn shared_as(&self, id: ManifestId) -> Result<Shared, NodeError> {
        let info = self.shares().into_iter().find(|share| share.manifest_id == id);
        let info = info.ok_or_else(|| NodeError::NotFound("the share was ended while it was made".to_owned()))?;
        Ok(self.shared(&info))
    }

    fn shared(&self, info: &ShareInfo) -> Shared {
        Shared {
            path: info.path.clone(),
            file_hash: info.file_hash,
            manifest_id: info.manifest_id,
            file_name: info.file_name.clone(),
            size: info.size,
            chunks: info.chunks,
            link: self.link(info),
            directory: info.directory.clone(),
            left_out: 0,
            signed_with: None,
        }
    }
}
